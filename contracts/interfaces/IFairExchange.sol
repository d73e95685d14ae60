// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The judge of a delivered key
/// @notice Says whether a key, or what it decrypts to, is what a seal promised. It keeps nothing, owns nothing and
/// trusts nobody: everything follows from the seal id.
interface IFairExchange {
    /// @notice One chunk of a sealed record, and where it stands in the seal's tree.
    /// @param treeRoot The RFC 9162 root over the record's chunks.
    /// @param chunks How many there are (n).
    /// @param size Padded bytes of the whole record.
    /// @param index The chunk's place, from 0.
    /// @param keyHash H(0x03 ‖ chunkKey).
    /// @param cipherHash H(0x04 ‖ chunk), the Poly1305 tag included.
    /// @param plainHash H(0x05 ‖ H(0x06 ‖ chunkKey) ‖ plaintext).
    /// @param path The inclusion proof of H(0x00 ‖ keyHash ‖ cipherHash ‖ plainHash), leaf to root.
    struct ChunkProof {
        bytes32 treeRoot;
        uint64 chunks;
        uint64 size;
        uint64 index;
        bytes32 keyHash;
        bytes32 cipherHash;
        bytes32 plainHash;
        bytes32[] path;
    }

    /// @notice Tree root, count and size are not those of the seal; give the ones of its manifest.
    error SealIsNot(bytes32 expected, bytes32 actual);

    /// @notice The chunk does not stand there in the seal's tree; give its own hashes, index and path.
    error ChunkNotInSeal(bytes32 sealId, uint64 index);

    /// @notice This is not the key that the seal promised for the chunk; prove the wrong key instead.
    error ChunkKeyIsNot(uint64 index, bytes32 expected, bytes32 actual);

    /// @notice These are not the bytes that the seal promised for the chunk; fetch them again.
    error CiphertextIsNot(uint64 index, bytes32 expected, bytes32 actual);

    /// @notice Whether `key` does not give the chunk's promised key: H(0x03 ‖ H(0x02 ‖ key ‖ u64 index)) ≠ keyHash.
    /// @dev Reverts with {SealIsNot} or {ChunkNotInSeal}.
    function isWrongKey(bytes32 sealId, ChunkProof calldata proof, bytes32 key) external view returns (bool);

    /// @notice Whether the promised chunk does not decrypt, under its promised key, to what was promised; or has not the
    /// length that the seal's size gives it: 16 384 bytes of plaintext, the last chunk less, and 16 bytes of tag.
    /// ChaCha20 of RFC 8439 with a zero nonce, counted from 1; the tag decides nothing.
    /// @dev Reverts with {SealIsNot}, {ChunkNotInSeal}, {ChunkKeyIsNot} or {CiphertextIsNot}.
    function isWrongChunk(bytes32 sealId, ChunkProof calldata proof, bytes32 chunkKey, bytes calldata chunk)
        external
        view
        returns (bool);
}
