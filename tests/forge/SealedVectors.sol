// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFairExchange} from "../../contracts/interfaces/IFairExchange.sol";
import {VM} from "./Cheats.sol";

/// @notice A chunk of a sealed record whose key is {SealedVectors.KEY}.
struct SealedChunk {
    bytes32 sealId;
    IFairExchange.ChunkProof proof;
    bytes32 chunkKey;
    bytes chunk;
}

/// @title The golden sealed records, each with one chunk and its proof
/// @notice Sealed by the Python side, honestly or with one fault. They are numbered as they stand in the file.
library SealedVectors {
    /// @dev The records' K.
    bytes32 internal constant KEY = hex"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    uint256 internal constant HONEST = 0;
    uint256 internal constant WRONG_KEY_OF_THE_FIRST = 1;
    uint256 internal constant WRONG_KEY_OF_THE_LAST = 2;
    uint256 internal constant WRONG_FIRST = 3;
    uint256 internal constant WRONG_MIDDLE = 4;
    uint256 internal constant WRONG_LAST = 5;
    uint256 internal constant ONLY_THE_TAG = 6;

    /// @notice The chunk numbered `which`.
    function read(uint256 which) internal view returns (SealedChunk memory it) {
        string memory json = VM.readFile("tests/vectors/sealing.json");
        string memory place = string.concat(".disputes[", VM.toString(which), "].");
        it.sealId = VM.parseJsonBytes32(json, string.concat(place, "sealId"));
        it.chunkKey = VM.parseJsonBytes32(json, string.concat(place, "chunkKey"));
        it.chunk = VM.parseJsonBytes(json, string.concat(place, "chunk"));
        it.proof.treeRoot = VM.parseJsonBytes32(json, string.concat(place, "treeRoot"));
        it.proof.chunks = uint64(VM.parseJsonUint(json, string.concat(place, "n")));
        it.proof.size = uint64(VM.parseJsonUint(json, string.concat(place, "size")));
        it.proof.index = uint64(VM.parseJsonUint(json, string.concat(place, "index")));
        it.proof.keyHash = VM.parseJsonBytes32(json, string.concat(place, "keyHash"));
        it.proof.cipherHash = VM.parseJsonBytes32(json, string.concat(place, "cipherHash"));
        it.proof.plainHash = VM.parseJsonBytes32(json, string.concat(place, "plainHash"));
        it.proof.path = VM.parseJsonBytes32Array(json, string.concat(place, "path"));
    }
}
