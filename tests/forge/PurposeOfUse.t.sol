// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lane, PurposeOfUse} from "../../contracts/types/PurposeOfUse.sol";
import {VM} from "./Cheats.sol";
import {PlainPurposes} from "./PlainPurposes.sol";

/// @notice Every purpose there is, against the plain table.
contract PurposeOfUseTest {
    /// @notice The bits of a purpose are its own and its ancestors'.
    function test_coveredBy_namesThePurposeAndItsAncestors_forEveryPurpose() external pure {
        for (uint8 asked = 0; asked < 32; ++asked) {
            for (uint8 granted = 0; granted < 32; ++granted) {
                bool covered = PurposeOfUse.coveredBy(asked) & (uint32(1) << granted) != 0;
                VM.assertEq(covered, PlainPurposes.implies(granted, asked), "as the table");
            }
        }
    }

    /// @notice No consent covers a purpose that has no bit.
    function test_coveredBy_isNothing_above31() external pure {
        for (uint256 purpose = 32; purpose <= type(uint8).max; ++purpose) {
            VM.assertEq(PurposeOfUse.coveredBy(uint8(purpose)), 0, "no bits");
        }
    }

    /// @notice The lanes cut the bits in two, and no family of purposes reaches over the cut.
    function test_laneOf_isThatOfThePurposesBits_forEveryPurpose() external pure {
        VM.assertEq(PurposeOfUse.CARE ^ PurposeOfUse.RESEARCH_AND_SALE, type(uint32).max, "every bit in one lane");
        for (uint8 purpose = 0; purpose < 32; ++purpose) {
            bool care = PurposeOfUse.laneOf(purpose) == Lane.Care;
            uint32 bits = PurposeOfUse.coveredBy(purpose);
            VM.assertEq(care, purpose <= 15, "care is the lower half");
            VM.assertEq(bits & (care ? PurposeOfUse.RESEARCH_AND_SALE : PurposeOfUse.CARE), 0, "within its lane");
        }
    }
}
