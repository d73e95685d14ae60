// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ALL_IN_BPS, Parts, Terms} from "../../../contracts/types/Sale.sol";

/// @notice How one price is shared out, for every price of 128 bits and every fee and share that the market admits.
contract PartsOfAPriceProof {
    uint256 private constant MOST_FEE_IN_BPS = 1_000;
    uint256 private constant MOST_CUSTODIAN_SHARE_IN_BPS = 5_000;

    modifier admitted(uint16 feeInBps, uint16 custodianShareInBps) {
        if (feeInBps <= MOST_FEE_IN_BPS && custodianShareInBps <= MOST_CUSTODIAN_SHARE_IN_BPS) _;
    }

    /// @notice Nothing is lost and nothing is made.
    function check_partsOf_addUpToThePrice(uint128 price, uint16 feeInBps, uint16 custodianShareInBps)
        external
        pure
        admitted(feeInBps, custodianShareInBps)
    {
        Parts memory parts = _parts(price, feeInBps, custodianShareInBps);
        assert(parts.feeInUnits + parts.custodianInUnits + parts.patientsInUnits == price);
    }

    /// @notice The fee is what it says, rounded down by less than a unit; never more than a tenth.
    function check_partsOf_roundsTheFeeDown(uint128 price, uint16 feeInBps, uint16 custodianShareInBps)
        external
        pure
        admitted(feeInBps, custodianShareInBps)
    {
        uint256 fee = _parts(price, feeInBps, custodianShareInBps).feeInUnits;
        assert(fee * ALL_IN_BPS <= uint256(price) * feeInBps);
        assert((fee + 1) * ALL_IN_BPS > uint256(price) * feeInBps);
        assert(fee * 10 <= price);
    }

    /// @notice The custodian's part of the rest is what it says, rounded down; never more than the patients'.
    function check_partsOf_roundsTheCustodiansPartDown(uint128 price, uint16 feeInBps, uint16 custodianShareInBps)
        external
        pure
        admitted(feeInBps, custodianShareInBps)
    {
        Parts memory parts = _parts(price, feeInBps, custodianShareInBps);
        uint256 rest = price - parts.feeInUnits;
        assert(parts.custodianInUnits * ALL_IN_BPS <= rest * custodianShareInBps);
        assert((parts.custodianInUnits + 1) * ALL_IN_BPS > rest * custodianShareInBps);
        assert(parts.custodianInUnits <= parts.patientsInUnits);
    }

    function _parts(uint128 price, uint16 feeInBps, uint16 custodianShareInBps) private pure returns (Parts memory) {
        Terms memory terms;
        terms.priceInUnits = price;
        terms.custodianShareInBps = custodianShareInBps;
        return terms.partsOf(feeInBps);
    }
}
