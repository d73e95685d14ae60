// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The keccak id of a deposited record.
type RecordId is bytes32;

using {idOf} for RecordDescription global;

/// @notice All that a record id commits to.
/// @param custodian The institution that vouches for the record.
/// @param subject The patient's address, left-padded; for a dataset, its contributors' commitment.
/// @param dataClass The USCDI data class, as a bit number.
/// @param epoch The epoch of the class key it was sealed to; 0 where sealed to the registered key alone.
/// @param deidentified The custodian's word that nothing in it names the patient.
/// @param sealId Commits to keys, ciphertext and plaintext.
/// @param manifestDigest SHA-256 of the manifest's head block.
/// @param salt 32 random bytes, so that nobody can test a guess against the leaf.
struct RecordDescription {
    address custodian;
    bytes32 subject;
    uint8 dataClass;
    uint32 epoch;
    bool deidentified;
    bytes32 sealId;
    bytes32 manifestDigest;
    bytes32 salt;
}

/// @notice Where a record stands in a deposited batch.
/// @param batchRoot The RFC 9162 root that the custodian deposited.
/// @param index The record's place in the batch, from 0.
/// @param path The inclusion proof, leaf to root (RFC 9162, section 2.1.3).
struct BatchProof {
    bytes32 batchRoot;
    uint32 index;
    bytes32[] path;
}

// forgefmt: disable-next-item
bytes32 constant RECORD_TYPEHASH = keccak256(
    "Record(address custodian,bytes32 subject,uint8 dataClass,uint32 epoch,bool deidentified,bytes32 sealId,bytes32 manifestDigest,bytes32 salt)"
);

/// @notice The id of a record: keccak256 of its ABI encoding, type hash first.
function idOf(RecordDescription memory record) pure returns (RecordId) {
    return RecordId.wrap(keccak256(abi.encode(RECORD_TYPEHASH, record)));
}
