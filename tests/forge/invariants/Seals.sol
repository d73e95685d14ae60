// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChaCha20} from "../../../contracts/ChaCha20.sol";
import {IFairExchange} from "../../../contracts/interfaces/IFairExchange.sol";

/// @notice What a sealer does to cheat.
/// None. A chunk's key does not follow from K. A chunk opens to something else than its hash promises. A chunk is longer
/// than its place allows. The record has more chunks than its size allows.
enum Fraud {
    None,
    StrangeKey,
    OtherText,
    LongChunk,
    SizeTooSmall
}

/// @notice A sealed record as its sealer knows it.
/// @param key K.
/// @param fraud What is wrong with it.
/// @param bad The chunk that proves it.
/// @param sealId What the listing promises.
/// @param keys The chunks' keys.
/// @param lengths The chunks' bytes, tag included.
/// @param proofs The chunks' hashes and places.
struct Seal {
    bytes32 key;
    Fraud fraud;
    uint256 bad;
    bytes32 sealId;
    bytes32[] keys;
    uint256[] lengths;
    IFairExchange.ChunkProof[] proofs;
}

/// @title Sealing, honest or not
/// @notice The ciphertext comes first here: zeros, so that nobody need keep it. The plaintext is what they open to.
/// The records have one chunk, or a full one and a short one.
library Seals {
    uint256 private constant FULL = 16_384;
    uint256 private constant SHORT = 64;
    uint256 private constant TAG = 16;

    /// @notice Seals a record of one or two chunks.
    function make(bytes32 key, uint256 chunks, Fraud fraud, uint256 bad) internal pure returns (Seal memory seal) {
        (seal.key, seal.fraud, seal.bad) = (key, fraud, bad);
        seal.keys = new bytes32[](chunks);
        seal.lengths = new uint256[](chunks);
        seal.proofs = new IFairExchange.ChunkProof[](chunks);
        bytes32[] memory leaves = new bytes32[](chunks);
        for (uint256 i = 0; i < chunks; ++i) {
            bool spoiled = fraud != Fraud.None && i == bad;
            seal.keys[i] = chunkKeyOf(spoiled && fraud == Fraud.StrangeKey ? ~key : key, i);
            seal.lengths[i] = TAG + (i + 1 < chunks ? FULL : SHORT);
            if (spoiled && fraud == Fraud.LongChunk) seal.lengths[i] += SHORT;
            seal.proofs[i] = _hashesOf(seal, i, spoiled && fraud == Fraud.OtherText);
            leaves[i] = _leafOf(seal.proofs[i]);
        }
        uint64 size = uint64((chunks - 1) * FULL + SHORT);
        if (fraud == Fraud.SizeTooSmall) size = uint64(SHORT);
        _plant(seal, leaves, size);
    }

    /// @notice The key of a chunk: H(0x02 ‖ K ‖ u64 index).
    function chunkKeyOf(bytes32 key, uint256 index) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"02", key, uint64(index)));
    }

    /// @notice Whether a key gives the chunk's promised key.
    function isRightKey(Seal memory seal, bytes32 key, uint256 index) internal pure returns (bool) {
        return sha256(abi.encodePacked(hex"03", chunkKeyOf(key, index))) == seal.proofs[index].keyHash;
    }

    /// @notice Whether the chunk itself proves the fraud.
    function isWrongChunk(Seal memory seal, uint256 index) internal pure returns (bool) {
        if (seal.fraud == Fraud.SizeTooSmall) return true;
        return (seal.fraud == Fraud.OtherText || seal.fraud == Fraud.LongChunk) && index == seal.bad;
    }

    /// @notice The chunk's bytes as they lie in storage.
    function chunkOf(Seal memory seal, uint256 index) internal pure returns (bytes memory) {
        return new bytes(seal.lengths[index]);
    }

    function _plant(Seal memory seal, bytes32[] memory leaves, uint64 size) private pure {
        uint64 chunks = uint64(leaves.length);
        bytes32 root = chunks == 1 ? leaves[0] : sha256(abi.encodePacked(hex"01", leaves[0], leaves[1]));
        for (uint256 i = 0; i < chunks; ++i) {
            IFairExchange.ChunkProof memory proof = seal.proofs[i];
            (proof.treeRoot, proof.chunks, proof.size, proof.index) = (root, chunks, size, uint64(i));
            proof.path = new bytes32[](chunks - 1);
            if (chunks == 2) proof.path[0] = leaves[1 - i];
        }
        seal.sealId = sha256(abi.encodePacked(hex"07", root, chunks, size));
    }

    function _hashesOf(Seal memory seal, uint256 index, bool otherText)
        private
        pure
        returns (IFairExchange.ChunkProof memory proof)
    {
        bytes32 key = seal.keys[index];
        proof.keyHash = sha256(abi.encodePacked(hex"03", key));
        proof.cipherHash = sha256(abi.encodePacked(hex"04", chunkOf(seal, index)));
        bytes memory text = _textOf(key, seal.lengths[index] - TAG);
        if (otherText) text[text.length - 1] ^= 0x01;
        proof.plainHash = sha256(abi.encodePacked(hex"05", sha256(abi.encodePacked(hex"06", key)), text));
    }

    /// @dev What zeros open to.
    function _textOf(bytes32 key, uint256 length) private pure returns (bytes memory text) {
        text = new bytes(length + 127); // The cipher overwrites so much behind.
        uint256 start;
        assembly ("memory-safe") {
            mstore(text, length)
            start := add(text, 32)
        }
        ChaCha20.applyTo(key, start, length);
    }

    function _leafOf(IFairExchange.ChunkProof memory proof) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", proof.keyHash, proof.cipherHash, proof.plainHash));
    }
}
