// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleTree} from "../../contracts/MerkleTree.sol";
import {RecordDescription, RecordId} from "../../contracts/types/Record.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {VM} from "./Cheats.sol";
import {Rfc9162} from "./Rfc9162.sol";
import {Stage} from "./Stage.sol";

/// @notice The golden vectors that the Python tests read too: the contracts give the same answers.
contract VectorsTest is Stage {
    string private constant SEALING = "tests/vectors/sealing.json";
    string private constant KEYRINGS = "tests/vectors/keyrings.json";

    /// @notice The trees of Certificate Transparency, from one leaf to eight.
    function test_vectors_treesHaveTheirRoots() external view {
        string memory json = VM.readFile(SEALING);
        bytes32[] memory leaves = VM.parseJsonBytes32Array(json, ".merkle.leaves");
        bytes32[] memory roots = VM.parseJsonBytes32Array(json, ".merkle.roots");

        VM.assertGt(roots.length, 0, "there are vectors");
        for (uint256 size = 1; size <= roots.length; ++size) {
            VM.assertEq(Rfc9162.rootOf(_firstOf(leaves, size)), roots[size - 1], "root");
        }
    }

    /// @notice Every proof holds in its tree.
    function test_vectors_pathsAreIncluded() external view {
        string memory json = VM.readFile(SEALING);
        bytes32[] memory leaves = VM.parseJsonBytes32Array(json, ".merkle.leaves");
        bytes32[] memory roots = VM.parseJsonBytes32Array(json, ".merkle.roots");
        uint256 i = 0;
        for (; VM.keyExistsJson(json, _at(".merkle.paths", i, "")); ++i) {
            uint256 size = VM.parseJsonUint(json, _at(".merkle.paths", i, ".size"));
            uint256 index = VM.parseJsonUint(json, _at(".merkle.paths", i, ".index"));
            bytes32[] memory path = VM.parseJsonBytes32Array(json, _at(".merkle.paths", i, ".path"));

            VM.assertTrue(this.includes(roots[size - 1], size, leaves[index], index, path), "included");
        }
        VM.assertEq(i, roots.length * (roots.length + 1) / 2, "every leaf of every tree");
    }

    /// @notice Every chunk of a dispute stands in the tree of its seal, and the seal id follows from the tree.
    function test_vectors_chunksAreIncludedInTheirSeals() external view {
        string memory json = VM.readFile(SEALING);
        uint256 i = 0;
        for (; VM.keyExistsJson(json, _at(".disputes", i, "")); ++i) {
            bytes32 root = VM.parseJsonBytes32(json, _at(".disputes", i, ".treeRoot"));
            uint256 n = VM.parseJsonUint(json, _at(".disputes", i, ".n"));
            uint256 index = VM.parseJsonUint(json, _at(".disputes", i, ".index"));
            bytes32[] memory path = VM.parseJsonBytes32Array(json, _at(".disputes", i, ".path"));
            uint256 size = VM.parseJsonUint(json, _at(".disputes", i, ".size"));
            bytes32 sealId = VM.parseJsonBytes32(json, _at(".disputes", i, ".sealId"));

            VM.assertTrue(this.includes(root, n, _chunkLeaf(json, i), index, path), "included");
            VM.assertEq(sha256(abi.encodePacked(hex"07", root, uint64(n), uint64(size))), sealId, "seal id");
        }
        VM.assertGt(i, 0, "there are vectors");
    }

    /// @notice A batch's records have their ids, its leaves their root, and each record is deposited by the proof.
    function test_vectors_batchHoldsItsRecords() external view {
        string memory json = VM.readFile(KEYRINGS);
        bytes32 root = VM.parseJsonBytes32(json, ".batch.root");
        uint256 count = VM.parseJsonUint(json, ".batch.count");
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            RecordDescription memory record = _recordAt(json, i);
            bytes32 recordId = VM.parseJsonBytes32(json, _at(".batch.records", i, ".recordId"));
            VM.assertEq(RecordId.unwrap(record.idOf()), recordId, "record id");
            leaves[i] = MerkleTree.leafOf(recordId);
        }
        VM.assertFalse(VM.keyExistsJson(json, _at(".batch.records", count, "")), "no record is left out");

        bytes32[] memory sorted = _sorted(leaves);
        VM.assertEq(Rfc9162.rootOf(sorted), root, "root");
        for (uint256 i = 0; i < count; ++i) {
            VM.assertTrue(this.includes(root, count, sorted[i], i, Rfc9162.pathOf(sorted, i)), "included");
        }
    }

    /// @notice A revocation without a keyring marks the rotation as due by the hash that clients look for.
    function test_vectors_staleKeyringIsTheContractsMark() external {
        string memory json = VM.readFile(SEALING);
        address patient = address(0xA1);
        _deploy();
        VM.prank(patient);
        consents.replaceKeyring(patient, 0, VM.parseJsonBytes32(json, ".staleKeyring.digest"));

        _revoke(patient, address(0xA2), Lane.Care);
        VM.assertEq(consents.keyringOf(patient), VM.parseJsonBytes32(json, ".staleKeyring.stale"), "H(0x09, digest)");
    }

    /// @notice The function of the contracts, which takes its path from calldata.
    function includes(bytes32 root, uint256 size, bytes32 leaf, uint256 index, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return MerkleTree.includes(root, size, leaf, index, path);
    }

    function _recordAt(string memory json, uint256 i) private pure returns (RecordDescription memory record) {
        record.custodian = VM.parseJsonAddress(json, _at(".batch.records", i, ".custodian"));
        record.subject = VM.parseJsonBytes32(json, _at(".batch.records", i, ".subject"));
        record.dataClass = uint8(VM.parseJsonUint(json, _at(".batch.records", i, ".class")));
        record.epoch = uint32(VM.parseJsonUint(json, _at(".batch.records", i, ".epoch")));
        record.deidentified = VM.parseJsonBool(json, _at(".batch.records", i, ".deidentified"));
        record.sealId = VM.parseJsonBytes32(json, _at(".batch.records", i, ".sealId"));
        record.manifestDigest = VM.parseJsonBytes32(json, _at(".batch.records", i, ".manifest"));
        record.salt = VM.parseJsonBytes32(json, _at(".batch.records", i, ".salt"));
    }

    function _chunkLeaf(string memory json, uint256 i) private pure returns (bytes32) {
        return sha256(
            abi.encodePacked(
                hex"00",
                VM.parseJsonBytes32(json, _at(".disputes", i, ".keyHash")),
                sha256(abi.encodePacked(hex"04", VM.parseJsonBytes(json, _at(".disputes", i, ".chunk")))),
                VM.parseJsonBytes32(json, _at(".disputes", i, ".plainHash"))
            )
        );
    }

    function _firstOf(bytes32[] memory leaves, uint256 size) private pure returns (bytes32[] memory first) {
        first = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            first[i] = leaves[i];
        }
    }

    function _sorted(bytes32[] memory leaves) private pure returns (bytes32[] memory) {
        for (uint256 i = 1; i < leaves.length; ++i) {
            for (uint256 j = i; j > 0 && leaves[j] < leaves[j - 1]; --j) {
                (leaves[j], leaves[j - 1]) = (leaves[j - 1], leaves[j]);
            }
        }
        return leaves;
    }

    function _at(string memory list, uint256 index, string memory field) private pure returns (string memory) {
        return string.concat(list, "[", VM.toString(index), "]", field);
    }
}
