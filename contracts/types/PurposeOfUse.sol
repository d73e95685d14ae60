// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The two lanes of consent. Only care hands out keys; a purpose belongs to exactly one lane.
enum Lane {
    Care,
    ResearchAndSale
}

/// @title Purposes of use: HL7 v3 ActReason codes as bit numbers
/// @notice Bits 0-15 belong to care, 16-31 to research and sale.
/// 0 TREAT, 1 ETREAT, 2 BTG, 3 COC, 4 HPAYMT, 5 COVERAGE, 6 HOPERAT, 7 HQUALIMP, 8 PATRQT, 9 FAMRQT,
/// 16 HRESCH, 17 CLINTRCH, 18 BIORCH, 19 DSRCH, 20 TRANSRCH, 21 PUBHLTH, 22 DISASTER, 23 THREAT, 24 HMARKT.
library PurposeOfUse {
    uint32 internal constant CARE = 0x0000ffff;
    uint32 internal constant RESEARCH_AND_SALE = 0xffff0000;

    uint8 private constant NONE = 0xff;

    /// @dev Byte i is the parent of purpose i, 0xff where it has none.
    bytes32 private constant PARENTS = hex"ff000100ff04ff06ff08ffffffffffffff10101010ff1515ffffffffffffffff";

    /// @notice The lane a purpose belongs to; a purpose above 31 is in no consent, whatever the lane.
    function laneOf(uint8 purpose) internal pure returns (Lane) {
        return purpose < 16 ? Lane.Care : Lane.ResearchAndSale;
    }

    /// @notice The bits of a consent that cover a purpose: its own and its ancestors'. None for one above 31.
    function coveredBy(uint8 purpose) internal pure returns (uint32 bits) {
        if (purpose > 31) return 0;
        for (uint8 p = purpose; p != NONE; p = uint8(PARENTS[p])) {
            bits |= uint32(1) << p;
        }
    }
}
