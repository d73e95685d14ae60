// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BatchProof, RecordDescription} from "../types/Record.sol";

/// @title Which sealed records exist, and who vouches for them
/// @notice A deposit anchors a batch: the root of an RFC 9162 tree over H(0x00 ‖ record id). One slot, one event,
/// whatever the number of records. Batches are kept by depositor, so nobody can put a record into another institution's
/// mouth, or take a root away from it.
interface IRecords {
    /// @notice An institution vouched for a batch of sealed records.
    /// @param custodian The institution.
    /// @param list SHA-256 of the head block of the batch's list: leaves and sealed entries. Root and count follow from
    /// its leaves; {countOf} says whether they are the deposited ones.
    event BatchDeposited(address indexed custodian, bytes32 list);

    /// @notice Only verified institutions in good standing deposit; have the account enrolled or reinstated.
    error NotInGoodStanding(address account);

    /// @notice This institution has deposited this very batch already; nothing is left to do.
    error BatchAlreadyDeposited(address custodian, bytes32 batchRoot);

    /// @notice A batch holds at least one record; give its count.
    error EmptyBatch(bytes32 batchRoot);

    /// @notice Anchors a batch in the caller's name.
    /// @dev Reverts with {NotInGoodStanding}, {EmptyBatch} or {BatchAlreadyDeposited}.
    function deposit(bytes32 batchRoot, uint256 count, bytes32 list) external;

    /// @notice The number of records in the batch that `custodian` deposited under this root; zero where there is none.
    function countOf(address custodian, bytes32 batchRoot) external view returns (uint256);

    /// @notice Whether the record's custodian has deposited it, at that place of that batch.
    /// @dev Says nothing of the custodian's standing today; false, never a revert, for a wrong proof.
    function isDeposited(RecordDescription calldata record, BatchProof calldata proof) external view returns (bool);
}
