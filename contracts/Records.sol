// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IInstitutions} from "./interfaces/IInstitutions.sol";
import {IRecords} from "./interfaces/IRecords.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {BatchProof, RecordDescription, RecordId} from "./types/Record.sol";

/// @title Records
/// @notice The proof to the book: {IRecords} says what everything means.
contract Records is IRecords {
    IInstitutions private immutable INSTITUTIONS;

    mapping(address custodian => mapping(bytes32 batchRoot => uint256 count)) private _counts;

    /// @param institutions The directory that says who may deposit.
    constructor(IInstitutions institutions) {
        INSTITUTIONS = institutions;
    }

    /// @inheritdoc IRecords
    function deposit(bytes32 batchRoot, uint256 count, bytes32 list) external {
        require(INSTITUTIONS.isInGoodStanding(msg.sender), NotInGoodStanding(msg.sender));
        require(count != 0, EmptyBatch(batchRoot));
        mapping(bytes32 batchRoot => uint256 count) storage counts = _counts[msg.sender];
        require(counts[batchRoot] == 0, BatchAlreadyDeposited(msg.sender, batchRoot));

        counts[batchRoot] = count;
        emit BatchDeposited(msg.sender, list);
    }

    /// @inheritdoc IRecords
    function countOf(address custodian, bytes32 batchRoot) external view returns (uint256) {
        return _counts[custodian][batchRoot];
    }

    /// @inheritdoc IRecords
    function isDeposited(RecordDescription calldata record, BatchProof calldata proof) external view returns (bool) {
        uint256 count = _counts[record.custodian][proof.batchRoot];
        bytes32 leaf = MerkleTree.leafOf(RecordId.unwrap(record.idOf()));
        return MerkleTree.includes(proof.batchRoot, count, leaf, proof.index, proof.path);
    }
}
