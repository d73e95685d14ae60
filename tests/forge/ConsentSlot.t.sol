// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consent, ConsentSlot, slotOf} from "../../contracts/types/ConsentSlot.sol";
import {VM} from "./Cheats.sol";

/// @notice One word holds a consent, each field in bits of its own.
contract ConsentSlotTest {
    uint256 private constant BITS_IN_USE = 232;

    /// @notice What was packed comes out again.
    function testFuzz_unpack_returnsWhatWasPacked(Consent memory consent) external pure {
        Consent memory unpacked = _slotOf(consent).unpack();

        VM.assertEq(keccak256(abi.encode(unpacked)), keccak256(abi.encode(consent)), "every field");
        VM.assertEq(_slotOf(consent).version(), consent.version, "the version alone");
    }

    /// @notice A word of consent is used to the last bit, and nothing beyond.
    function testFuzz_slotOf_returnsTheWord_thatWasUnpacked(uint256 word) external pure {
        uint256 packed = ConsentSlot.unwrap(_slotOf(ConsentSlot.wrap(word).unpack()));

        VM.assertEq(packed, word & (1 << BITS_IN_USE) - 1, "the same bits");
    }

    /// @notice The order is the documented one.
    function testFuzz_slotOf_laysTheFieldsOut_asDocumented(Consent memory c) external pure {
        bytes memory laidOut =
            abi.encodePacked(bytes3(0), c.flags, c.changedAt, c.version, c.end, c.start, c.purposes, c.classes);

        VM.assertEq(bytes32(ConsentSlot.unwrap(_slotOf(c))), bytes32(laidOut), "highest field first");
    }

    /// @notice No field reaches into another: each alone, and all together, use bits of their own.
    function testFuzz_slotOf_keepsTheFieldsApart(Consent memory c) external pure {
        uint256[7] memory alone = [
            ConsentSlot.unwrap(slotOf(c.classes, 0, 0, 0, 0, 0, 0)),
            ConsentSlot.unwrap(slotOf(0, c.purposes, 0, 0, 0, 0, 0)),
            ConsentSlot.unwrap(slotOf(0, 0, c.start, 0, 0, 0, 0)),
            ConsentSlot.unwrap(slotOf(0, 0, 0, c.end, 0, 0, 0)),
            ConsentSlot.unwrap(slotOf(0, 0, 0, 0, c.version, 0, 0)),
            ConsentSlot.unwrap(slotOf(0, 0, 0, 0, 0, c.changedAt, 0)),
            ConsentSlot.unwrap(slotOf(0, 0, 0, 0, 0, 0, c.flags))
        ];
        uint256 together = 0;
        for (uint256 i = 0; i < alone.length; ++i) {
            VM.assertEq(together & alone[i], 0, "disjoint");
            together |= alone[i];
        }
        VM.assertEq(ConsentSlot.unwrap(_slotOf(c)), together, "the sum of its fields");
    }

    function _slotOf(Consent memory c) private pure returns (ConsentSlot) {
        return slotOf({
            classes: c.classes,
            purposes: c.purposes,
            start: c.start,
            end: c.end,
            signedAt: c.version,
            changedAt: c.changedAt,
            flags: c.flags
        });
    }
}
