// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The purposes of use as a plain table
/// @notice HL7 v3 ActReason: each code's bit, and its parent's.
library PlainPurposes {
    uint8 internal constant TREAT = 0;
    uint8 internal constant ETREAT = 1;
    uint8 internal constant BTG = 2;
    uint8 internal constant COC = 3;
    uint8 internal constant HPAYMT = 4;
    uint8 internal constant COVERAGE = 5;
    uint8 internal constant HOPERAT = 6;
    uint8 internal constant HQUALIMP = 7;
    uint8 internal constant PATRQT = 8;
    uint8 internal constant FAMRQT = 9;
    uint8 internal constant HRESCH = 16;
    uint8 internal constant CLINTRCH = 17;
    uint8 internal constant BIORCH = 18;
    uint8 internal constant DSRCH = 19;
    uint8 internal constant TRANSRCH = 20;
    uint8 internal constant PUBHLTH = 21;
    uint8 internal constant DISASTER = 22;
    uint8 internal constant THREAT = 23;
    uint8 internal constant HMARKT = 24;

    /// @notice A purpose's parent, and whether it has one.
    function parentOf(uint256 purpose) internal pure returns (bool exists, uint8 parent) {
        if (purpose == ETREAT) return (true, TREAT);
        if (purpose == BTG) return (true, ETREAT);
        if (purpose == COC) return (true, TREAT);
        if (purpose == COVERAGE) return (true, HPAYMT);
        if (purpose == HQUALIMP) return (true, HOPERAT);
        if (purpose == FAMRQT) return (true, PATRQT);
        if (purpose == CLINTRCH) return (true, HRESCH);
        if (purpose == BIORCH) return (true, HRESCH);
        if (purpose == DSRCH) return (true, HRESCH);
        if (purpose == TRANSRCH) return (true, HRESCH);
        if (purpose == DISASTER) return (true, PUBHLTH);
        if (purpose == THREAT) return (true, PUBHLTH);
        return (false, 0);
    }

    /// @notice Whether a consent for `granted` covers `asked`: they are the same, or a parent of `asked` is covered.
    function implies(uint8 granted, uint8 asked) internal pure returns (bool) {
        if (granted == asked) return true;
        (bool exists, uint8 parent) = parentOf(asked);
        return exists && implies(granted, parent);
    }
}
