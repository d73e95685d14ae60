// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ChaCha20 as RFC 8439 writes it
/// @notice The obvious one, word by word, that the contracts' version is compared with. Its nonce is zero.
library PlainChaCha20 {
    /// @notice Section 2.4: `text` under the key stream that starts with block `counter`.
    function encrypt(bytes32 key, uint32 counter, bytes memory text) internal pure returns (bytes memory result) {
        result = new bytes(text.length);
        bytes memory stream;
        for (uint256 i = 0; i < text.length; ++i) {
            if (i % 64 == 0) stream = blockOf(key, counter + uint32(i / 64));
            result[i] = text[i] ^ stream[i % 64];
        }
    }

    /// @notice Section 2.3: one block of the key stream.
    function blockOf(bytes32 key, uint32 counter) internal pure returns (bytes memory serialized) {
        uint32[16] memory start = stateOf(key, counter);
        uint32[16] memory state = stateOf(key, counter);
        for (uint256 i = 0; i < 10; ++i) {
            quarterRound(state, 0, 4, 8, 12);
            quarterRound(state, 1, 5, 9, 13);
            quarterRound(state, 2, 6, 10, 14);
            quarterRound(state, 3, 7, 11, 15);
            quarterRound(state, 0, 5, 10, 15);
            quarterRound(state, 1, 6, 11, 12);
            quarterRound(state, 2, 7, 8, 13);
            quarterRound(state, 3, 4, 9, 14);
        }
        unchecked {
            for (uint256 i = 0; i < 16; ++i) {
                serialized = bytes.concat(serialized, bytes4(turnedAround(state[i] + start[i])));
            }
        }
    }

    /// @notice The words before the first round: "expand 32-byte k", the key, the counter, the nonce.
    function stateOf(bytes32 key, uint32 counter) internal pure returns (uint32[16] memory state) {
        (state[0], state[1], state[2], state[3]) = (0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);
        for (uint256 i = 0; i < 8; ++i) {
            state[4 + i] = turnedAround(uint32(bytes4(key << (32 * i))));
        }
        state[12] = counter;
    }

    /// @notice Section 2.1, on four words of the state.
    function quarterRound(uint32[16] memory s, uint256 a, uint256 b, uint256 c, uint256 d) internal pure {
        unchecked {
            (s[a], s[d]) = (s[a] + s[b], rotated(s[d] ^ (s[a] + s[b]), 16));
            (s[c], s[b]) = (s[c] + s[d], rotated(s[b] ^ (s[c] + s[d]), 12));
            (s[a], s[d]) = (s[a] + s[b], rotated(s[d] ^ (s[a] + s[b]), 8));
            (s[c], s[b]) = (s[c] + s[d], rotated(s[b] ^ (s[c] + s[d]), 7));
        }
    }

    /// @notice A word rotated to the left.
    function rotated(uint32 word, uint8 bits) internal pure returns (uint32) {
        return (word << bits) | (word >> (32 - bits));
    }

    /// @notice A word with its bytes in the other order.
    function turnedAround(uint32 word) internal pure returns (uint32) {
        return (word << 24) | ((word & 0xff00) << 8) | ((word >> 8) & 0xff00) | (word >> 24);
    }
}
