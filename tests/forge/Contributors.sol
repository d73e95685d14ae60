// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Share, ShareProof} from "../../contracts/types/Share.sol";

/// @notice A contributor to a dataset, with what hides the patient.
struct Contributor {
    address patient;
    bytes32 salt;
    address payout;
    uint128 share;
}

/// @title The tree of a dataset's contributors, as its custodian builds it
/// @notice Straight from RFC 9162, section 2.1: a tree of n leaves is split at the largest power of two below n.
library Contributors {
    /// @notice The share that stands in the leaf.
    function shareOf(Contributor memory contributor) internal pure returns (Share memory) {
        bytes32 hidden = sha256(abi.encodePacked(hex"0e", contributor.salt, contributor.patient));
        return Share({payout: contributor.payout, share: contributor.share, hidden: hidden});
    }

    /// @notice The leaf of a contributor.
    function leafOf(Contributor memory contributor) internal pure returns (bytes32) {
        Share memory share = shareOf(contributor);
        return sha256(abi.encodePacked(hex"0c", share.payout, share.share, share.hidden));
    }

    /// @notice What the dataset's record names as its subject.
    function subjectOf(Contributor[] memory all) internal pure returns (bytes32) {
        (bytes32 root, uint128 total) = _rootOf(all, 0, all.length);
        return sha256(abi.encodePacked(hex"0d", root, uint64(all.length), total));
    }

    /// @notice The proof of the contributor at `index`.
    function proofOf(Contributor[] memory all, uint256 index) internal pure returns (ShareProof memory proof) {
        proof.index = uint64(index);
        proof.size = uint64(all.length);
        (, proof.total) = _rootOf(all, 0, all.length);
        uint256 depth = 0;
        for ((uint256 from, uint256 to) = (0, all.length); to - from > 1; ++depth) {
            uint256 middle = from + _split(to - from);
            (from, to) = index < middle ? (from, middle) : (middle, to);
        }
        (proof.sums, proof.hashes) = (new uint128[](depth), new bytes32[](depth));
        for ((uint256 from, uint256 to) = (0, all.length); to - from > 1;) {
            uint256 middle = from + _split(to - from);
            --depth;
            if (index < middle) {
                (proof.hashes[depth], proof.sums[depth]) = _rootOf(all, middle, to);
                to = middle;
            } else {
                (proof.hashes[depth], proof.sums[depth]) = _rootOf(all, from, middle);
                from = middle;
            }
        }
    }

    function _rootOf(Contributor[] memory all, uint256 from, uint256 to) private pure returns (bytes32, uint128) {
        if (to - from == 1) return (leafOf(all[from]), all[from].share);
        uint256 middle = from + _split(to - from);
        (bytes32 left, uint128 leftSum) = _rootOf(all, from, middle);
        (bytes32 right, uint128 rightSum) = _rootOf(all, middle, to);
        return (sha256(abi.encodePacked(hex"0b", leftSum, left, rightSum, right)), leftSum + rightSum);
    }

    function _split(uint256 size) private pure returns (uint256 half) {
        half = 1;
        while (2 * half < size) half *= 2;
    }
}
