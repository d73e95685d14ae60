// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Panic} from "@openzeppelin/contracts/utils/Panic.sol";
import {Share, ShareProof} from "./types/Share.sol";

/// @title The tree over the shares of all contributors to a dataset
/// @notice A Merkle tree in the shape of RFC 9162 (section 2.1) whose nodes also carry the sum of the shares below them.
/// The subject binds root, size and total: so a proof holds for one place only, and all shares together are the total.
library ShareTree {
    /// @notice Whether the share stands at `proof.index` of the tree of this subject.
    /// @dev False, never a revert, for another place, size or total, and for sums that are zero or do not add up.
    function includes(bytes32 subject, Share calldata share, ShareProof calldata proof) internal view returns (bool) {
        if (proof.index >= proof.size || share.share == 0 || proof.sums.length != proof.hashes.length) return false;
        (bool fits, uint256 total, bytes32 root) = _climb(share.share, leafOf(share), proof);
        return fits && total == proof.total && _subjectOf(root, proof.size, total) == subject;
    }

    /// @notice The subject of the tree over these leaves, in their order; `shares` are the ones in the leaves.
    /// @dev *Warning*: overwrites both lists; and lets a share of zero pass, next to which nothing could be proved.
    /// Panics for no leaves, for another number of shares, and for a total of more than 128 bits.
    function subjectOf(bytes32[] memory leaves, uint128[] memory shares) internal view returns (bytes32 subject) {
        uint256 size = leaves.length;
        if (size == 0 || shares.length != size) Panic.panic(Panic.ARRAY_OUT_OF_BOUNDS);
        uint256 total = shares[0];
        for (uint256 width = size; width > 1; width = (width + 1) / 2) {
            total = _joinPairs(leaves, shares, width);
        }
        if (total > type(uint128).max) Panic.panic(Panic.UNDER_OVERFLOW);
        return _subjectOf(leaves[0], size, total);
    }

    /// @notice The leaf of a share: H(0x0c ‖ payout ‖ u128 share ‖ hidden).
    function leafOf(Share memory share) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x0c), share.payout, share.share, share.hidden));
    }

    /// @notice What a leaf shows of a patient: H(0x0e ‖ salt ‖ patient).
    function hiddenOf(bytes32 salt, address patient) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x0e), salt, patient));
    }

    /// @dev From a leaf to the root, by RFC 9162, section 2.1.3.2; `fits` is whether the path has the right length and
    /// all its sums are above zero and within 128 bits.
    function _climb(uint256 sum, bytes32 node, ShareProof calldata proof)
        private
        view
        returns (bool fits, uint256, bytes32)
    {
        uint256 index = proof.index;
        uint256 last = proof.size - 1;
        for (uint256 i = 0; i < proof.sums.length; ++i) {
            uint256 siblingSum = proof.sums[i];
            if (last == 0 || siblingSum == 0) return (false, sum, node);
            if (index & 1 == 1 || index == last) {
                node = _parentOf(siblingSum, proof.hashes[i], sum, node);
                while (index & 1 == 0 && index != 0) {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                node = _parentOf(sum, node, siblingSum, proof.hashes[i]);
            }
            sum += siblingSum;
            if (sum > type(uint128).max) return (false, sum, node);
            index >>= 1;
            last >>= 1;
        }
        return (last == 0, sum, node);
    }

    /// @dev Puts the next level of `width` nodes over this one: the nodes of its pairs, and a last one without a sibling.
    /// Gives the sum of the first node. Sums are kept whole, and cut to 128 bits only where they are hashed: fewer than
    /// 2^128 shares cannot run over a word, so whoever checks the last sum has checked all.
    function _joinPairs(bytes32[] memory leaves, uint128[] memory shares, uint256 width)
        private
        view
        returns (uint256 sum)
    {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0x0b)
            let end := shl(5, width) // of the offsets of pairs whose right one is there
            let to := 32
            for { let left := 32 } lt(left, end) { left := add(left, 64) } {
                let right := add(left, 32)
                let leftSum := mload(add(shares, left))
                let rightSum := mload(add(shares, right))
                mstore(add(input, 1), shl(128, leftSum))
                mstore(add(input, 17), mload(add(leaves, left)))
                mstore(add(input, 49), shl(128, rightSum))
                mstore(add(input, 65), mload(add(leaves, right)))
                if iszero(staticcall(gas(), 2, input, 97, add(leaves, to), 32)) { revert(0, 0) }
                mstore(add(shares, to), add(leftSum, rightSum))
                to := add(to, 32)
            }
            if and(width, 1) {
                mstore(add(leaves, to), mload(add(leaves, end)))
                mstore(add(shares, to), mload(add(shares, end)))
            }
            sum := mload(add(shares, 32))
        }
    }

    /// @dev sha256(abi.encodePacked(bytes1(0x0b), uint128(leftSum), left, uint128(rightSum), right)), for half the gas.
    function _parentOf(uint256 leftSum, bytes32 left, uint256 rightSum, bytes32 right)
        private
        view
        returns (bytes32 node)
    {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0x0b)
            mstore(add(input, 1), shl(128, leftSum))
            mstore(add(input, 17), left)
            mstore(add(input, 49), shl(128, rightSum))
            mstore(add(input, 65), right)
            if iszero(staticcall(gas(), 2, input, 97, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    /// @dev H(0x0d ‖ root ‖ u64 size ‖ u128 total).
    function _subjectOf(bytes32 root, uint256 size, uint256 total) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x0d), root, uint64(size), uint128(total)));
    }
}
