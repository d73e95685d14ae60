// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FairExchange} from "../../contracts/FairExchange.sol";
import {IFairExchange} from "../../contracts/interfaces/IFairExchange.sol";
import {MerkleTree} from "../../contracts/MerkleTree.sol";
import {ShareTree} from "../../contracts/ShareTree.sol";
import {Share, ShareProof} from "../../contracts/types/Share.sol";
import {VM} from "./Cheats.sol";

/// @notice Where SHA-256 cannot be computed, for whatever reason, nothing is decided: neither yes nor no. Assembly that
/// went on would take what it hashes from memory that nobody wrote.
contract Sha256Test {
    address private constant SHA_256 = address(2);

    FairExchange private judge;
    IFairExchange.ChunkProof private proof;
    bytes private chunk;
    bytes32 private sealId;

    /// @notice A record of one chunk, whose hashes are those of zeroes.
    function setUp() external {
        judge = new FairExchange();
        chunk = new bytes(26);
        proof.chunks = 1;
        proof.size = 10;
        proof.keyHash = _hashOf(hex"03", 0);
        proof.cipherHash = sha256(abi.encodePacked(hex"04", chunk));
        proof.treeRoot = sha256(abi.encodePacked(hex"00", proof.keyHash, proof.cipherHash, proof.plainHash));
        sealId = sha256(abi.encodePacked(hex"07", proof.treeRoot, proof.chunks, proof.size));
    }

    /// @notice Leaves and paths of batches and seals.
    function test_merkleTree_reverts_whereNothingCanBeHashed() external {
        bytes32[] memory path = new bytes32[](1);
        _fail("");
        try this.leafOf(0) returns (bytes32) {
            VM.assertTrue(false, "a leaf of nothing");
        } catch (bytes memory reason) {
            VM.assertEq(reason.length, 0, "no reason");
        }
        try this.includes(0, 2, 0, 0, path) returns (bool) {
            VM.assertTrue(false, "a verdict of nothing");
        } catch (bytes memory reason) {
            VM.assertEq(reason.length, 0, "no reason");
        }
    }

    /// @notice Subjects and paths of contributors: their leaves are hashed, their nodes are not.
    function test_shareTree_reverts_whereNothingCanBeHashed() external {
        Share memory share = Share(address(1), 1, 0);
        ShareProof memory its = ShareProof(0, 2, 2, new uint128[](1), new bytes32[](1));
        its.sums[0] = 1;
        uint128[] memory shares = new uint128[](2);
        (shares[0], shares[1]) = (1, 1);
        _fail(hex"0b");
        try this.includesShare(share, its) returns (bool) {
            VM.assertTrue(false, "a verdict of nothing");
        } catch (bytes memory reason) {
            VM.assertEq(reason.length, 0, "no reason");
        }
        try this.subjectOf(new bytes32[](2), shares) returns (bytes32) {
            VM.assertTrue(false, "a subject of nothing");
        } catch (bytes memory reason) {
            VM.assertEq(reason.length, 0, "no reason");
        }
    }

    /// @notice The judge, at each of its hashes: of the key, of the ciphertext, of the salt, of the plaintext.
    function test_isWrongChunk_reverts_whereNothingCanBeHashed() external {
        VM.assertTrue(judge.isWrongChunk(sealId, proof, 0, chunk), "zeroes are not the plaintext");
        bytes[4] memory tags = [bytes(hex"03"), hex"04", hex"06", hex"05"];
        for (uint256 i = 0; i < tags.length; ++i) {
            _fail(tags[i]);
            try judge.isWrongChunk(sealId, proof, 0, chunk) returns (bool) {
                VM.assertTrue(false, "a verdict of nothing");
            } catch (bytes memory reason) {
                VM.assertEq(reason.length, 0, "no reason");
            }
            VM.clearMockedCalls();
        }
    }

    /// @notice The function of the contracts.
    function leafOf(bytes32 value) external view returns (bytes32) {
        return MerkleTree.leafOf(value);
    }

    /// @notice The function of the contracts, which takes its path from calldata.
    function includes(bytes32 root, uint256 size, bytes32 leaf, uint256 index, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return MerkleTree.includes(root, size, leaf, index, path);
    }

    /// @notice The function of the contracts, which takes its proof from calldata.
    function includesShare(Share calldata share, ShareProof calldata its) external view returns (bool) {
        return ShareTree.includes(0, share, its);
    }

    /// @notice The function of the contracts.
    function subjectOf(bytes32[] memory leaves, uint128[] memory shares) external view returns (bytes32) {
        return ShareTree.subjectOf(leaves, shares);
    }

    /// @dev From here on nothing that begins like this can be hashed.
    function _fail(bytes memory input) private {
        VM.mockCallRevert(SHA_256, input, "");
    }

    function _hashOf(bytes1 tag, bytes32 value) private pure returns (bytes32) {
        return sha256(abi.encodePacked(tag, value));
    }
}
