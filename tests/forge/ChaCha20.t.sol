// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ChaCha20} from "../../contracts/ChaCha20.sol";
import {VM, bounded} from "./Cheats.sol";
import {PlainChaCha20} from "./PlainChaCha20.sol";

/// @notice Two blocks in a word against one word at a time.
/// forge-config: ci.fuzz.runs = 2000
contract ChaCha20Test {
    /// @notice RFC 8439, appendix A.1: the vectors 2, 3 and 4, which have a zero nonce and are not block 0.
    function test_applyTo_givesTheKeyStream_ofRfc8439() external pure {
        bytes memory second =
            hex"9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
        bytes memory third =
            hex"3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0";
        bytes memory fourth =
            hex"72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096";

        _assertSame(_applied(0, new bytes(64)), second);
        _assertSame(_applied(bytes32(uint256(1)), new bytes(64)), third);
        bytes memory both = _applied(bytes32(uint256(0xff) << 240), new bytes(128));
        for (uint256 i = 0; i < 64; ++i) {
            both[i] = both[64 + i];
        }
        _cut(both, 64);
        _assertSame(both, fourth);
    }

    /// @notice The plain version, which everything else is compared with, has the block of RFC 8439 too.
    function test_plain_givesTheKeyStream_ofRfc8439() external pure {
        _assertSame(
            PlainChaCha20.blockOf(bytes32(uint256(1)), 1),
            hex"3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"
        );
    }

    /// @notice Any key, any text up to a few blocks.
    function testFuzz_applyTo_isThePlainVersion(bytes32 key, bytes32 seed, uint256 length) external pure {
        bytes memory text = _textOf(seed, bounded(length, 1, 300));

        _assertSame(_applied(key, text), PlainChaCha20.encrypt(key, 1, text));
    }

    /// @notice Words of all ones and of none make lanes carry as much as they can, and drop it.
    function testFuzz_applyTo_isThePlainVersion_forKeysOfFewPatterns(uint256 pattern) external pure {
        bytes memory key = new bytes(32);
        for (uint256 i = 0; i < 32; ++i) {
            uint256 choice = (pattern >> (2 * (i / 4))) % 4;
            key[i] = choice == 0 ? bytes1(0x00) : choice == 1 ? bytes1(0xff) : choice == 2 ? bytes1(0x80) : bytes1(0x7f);
        }

        _assertSame(_applied(bytes32(key), new bytes(192)), PlainChaCha20.encrypt(bytes32(key), 1, new bytes(192)));
    }

    /// @notice A row that is all ones right after its first step, in every column: d ^ a, where a is row 0 and the key.
    function test_applyTo_isThePlainVersion_whereTheFirstStepGivesAllOnes() external pure {
        uint32[4] memory constants = [uint32(0x61707865), 0x3320646e, 0x79622d32, 0x6b206574];
        for (uint32 counter = 1; counter < 3; ++counter) {
            bytes memory key;
            unchecked {
                for (uint256 i = 0; i < 4; ++i) {
                    uint32 word = ~(i == 0 ? counter : 0) - constants[i];
                    key = bytes.concat(key, bytes4(PlainChaCha20.turnedAround(word)));
                }
            }
            bytes32 whole = bytes32(bytes.concat(key, bytes16(0)));

            _assertSame(_applied(whole, new bytes(128)), PlainChaCha20.encrypt(whole, 1, new bytes(128)));
        }
    }

    /// @notice Whole chunks, and lengths around the ends of one block and of two.
    function test_applyTo_isThePlainVersion_atTheEndsOfBlocks() external view {
        uint256[12] memory lengths = [uint256(1), 63, 64, 65, 127, 128, 129, 191, 192, 193, 2_048, 16_384];
        for (uint256 i = 0; i < lengths.length; ++i) {
            this.checkLength(lengths[i]);
        }
    }

    /// @notice A call of its own for each length, so that memory stays small.
    function checkLength(uint256 length) external pure {
        bytes memory text = _textOf("length", length);

        _assertSame(_applied("a key", text), PlainChaCha20.encrypt("a key", 1, text));
    }

    /// @notice Applied twice, nothing is left of it.
    function testFuzz_applyTo_undoesItself(bytes32 key, bytes32 seed, uint256 length) external pure {
        bytes memory text = _textOf(seed, bounded(length, 0, 700));

        _assertSame(_applied(key, _applied(key, text)), text);
    }

    /// @notice Nothing in front of the text is touched, and nothing from 127 bytes behind it on.
    function testFuzz_applyTo_staysInItsPlace(bytes32 key, uint256 length) external pure {
        length = bounded(length, 0, 300);
        bytes memory room = _textOf("room", 32 + length + 127 + 32);
        bytes memory before = _textOf("room", 32 + length + 127 + 32);
        ChaCha20.applyTo(key, _addressOf(room) + 32, length);

        for (uint256 i = 0; i < 32; ++i) {
            VM.assertTrue(room[i] == before[i], "in front");
            VM.assertTrue(room[32 + length + 127 + i] == before[32 + length + 127 + i], "behind");
        }
    }

    /// @notice A block costs less than 6 000 gas.
    function test_applyTo_costsLessThan6000GasABlock() external view {
        uint256 used = this.gasOf(256) - this.gasOf(128);

        VM.assertLt(used / 128, 6_000, "gas a block");
    }

    /// @notice What so many blocks cost, in a call of its own.
    function gasOf(uint256 blocks) external view returns (uint256) {
        uint256 start = _addressOf(new bytes(64 * blocks));
        uint256 before = gasleft();
        ChaCha20.applyTo("a key", start, 64 * blocks);
        return before - gasleft();
    }

    function _applied(bytes32 key, bytes memory text) private pure returns (bytes memory result) {
        result = bytes.concat(text, new bytes(127));
        ChaCha20.applyTo(key, _addressOf(result), text.length);
        _cut(result, text.length);
    }

    function _textOf(bytes32 seed, uint256 length) private pure returns (bytes memory text) {
        text = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            text[i] = bytes1(uint8(uint256(seed) >> (i % 249)) ^ uint8(i));
        }
    }

    function _addressOf(bytes memory data) private pure returns (uint256 start) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            start := add(data, 32)
        }
    }

    function _cut(bytes memory data, uint256 length) private pure {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(data, length)
        }
    }

    function _assertSame(bytes memory left, bytes memory right) private pure {
        VM.assertEq(left.length, right.length, "length");
        VM.assertEq(keccak256(left), keccak256(right), "bytes");
    }
}
