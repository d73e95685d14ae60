// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChaCha20} from "./ChaCha20.sol";
import {IFairExchange} from "./interfaces/IFairExchange.sol";
import {MerkleTree} from "./MerkleTree.sol";

/// @title FairExchange
/// @notice The proof to the book: {IFairExchange} says what everything means.
contract FairExchange is IFairExchange {
    uint256 private constant CHUNK_SIZE = 16_384;
    uint256 private constant TAG_SIZE = 16;

    /// @inheritdoc IFairExchange
    function isWrongKey(bytes32 sealId, ChunkProof calldata proof, bytes32 key) external view returns (bool) {
        _requireInSeal(sealId, proof);
        bytes32 chunkKey = sha256(abi.encodePacked(bytes1(0x02), key, proof.index));
        return _hashOf(0x03, chunkKey) != proof.keyHash;
    }

    /// @inheritdoc IFairExchange
    function isWrongChunk(bytes32 sealId, ChunkProof calldata proof, bytes32 chunkKey, bytes calldata chunk)
        external
        view
        returns (bool)
    {
        _requireInSeal(sealId, proof);
        bytes32 keyHash = _hashOf(0x03, chunkKey);
        require(keyHash == proof.keyHash, ChunkKeyIsNot(proof.index, proof.keyHash, keyHash));
        (bytes32 cipherHash, uint256 start) = _cipherHashOf(chunk);
        require(cipherHash == proof.cipherHash, CiphertextIsNot(proof.index, proof.cipherHash, cipherHash));

        if (!_isPromisedLength(proof, chunk.length)) return true;
        return _plainHashOf(chunkKey, start, chunk.length - TAG_SIZE) != proof.plainHash;
    }

    /// @dev Reverts unless the proof's tree is that of the seal and its leaf stands there.
    function _requireInSeal(bytes32 sealId, ChunkProof calldata proof) private view {
        bytes32 actual = sha256(abi.encodePacked(bytes1(0x07), proof.treeRoot, proof.chunks, proof.size));
        require(actual == sealId, SealIsNot(sealId, actual));
        bytes32 leaf = sha256(abi.encodePacked(bytes1(0x00), proof.keyHash, proof.cipherHash, proof.plainHash));
        require(
            MerkleTree.includes(proof.treeRoot, proof.chunks, leaf, proof.index, proof.path),
            ChunkNotInSeal(sealId, proof.index)
        );
    }

    /// @dev H(0x04 ‖ chunk), and where in memory the chunk now lies: behind 33 bytes for {_plainHashOf}, and with as many
    /// as {ChaCha20-applyTo} may overwrite behind it.
    function _cipherHashOf(bytes calldata chunk) private view returns (bytes32 cipherHash, uint256 start) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            start := add(mload(0x40), 33)
            mstore(0x40, and(add(add(start, chunk.length), 159), not(31)))
            mstore8(sub(start, 1), 0x04)
            calldatacopy(start, chunk.offset, chunk.length)
            if iszero(staticcall(gas(), 2, sub(start, 1), add(1, chunk.length), 0, 32)) { revert(0, 0) }
            cipherHash := mload(0)
        }
    }

    /// @dev H(0x05 ‖ H(0x06 ‖ chunkKey) ‖ plaintext), decrypted where it lies, tag and salt put in front of it.
    function _plainHashOf(bytes32 chunkKey, uint256 start, uint256 length) private view returns (bytes32 plainHash) {
        bytes32 salt = _hashOf(0x06, chunkKey);
        ChaCha20.applyTo(chunkKey, start, length);
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore8(sub(start, 33), 0x05)
            mstore(sub(start, 32), salt)
            if iszero(staticcall(gas(), 2, sub(start, 33), add(33, length), 0, 32)) { revert(0, 0) }
            plainHash := mload(0)
        }
    }

    /// @dev H(tag ‖ value), in scratch space.
    function _hashOf(uint8 tag, bytes32 value) private view returns (bytes32 hash) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore8(0, tag)
            mstore(1, value)
            if iszero(staticcall(gas(), 2, 0, 33, 0, 32)) { revert(0, 0) }
            hash := mload(0)
        }
    }

    /// @dev Whether a record of so many bytes and chunks has a chunk of `length` bytes there, the tag included.
    function _isPromisedLength(ChunkProof calldata proof, uint256 length) private pure returns (bool) {
        uint256 size = proof.size;
        uint256 start = proof.index * CHUNK_SIZE;
        if (proof.chunks != (size + CHUNK_SIZE - 1) / CHUNK_SIZE) return false;
        return length == TAG_SIZE + (size - start < CHUNK_SIZE ? size - start : CHUNK_SIZE);
    }
}
