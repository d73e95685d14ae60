// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice What contributors claim of a dataset's pot, for every pot and every total of 128 bits: all the money and all
/// the shares that there can be.
contract ClaimsProof {
    /// @notice One contributor never gets more than his share, and less by less than a unit.
    function check_claim_isTheShareRoundedDown(uint128 pot, uint128 share, uint128 total) external pure {
        if (total == 0 || share > total) return;
        uint256 due = Math.mulDiv(pot, share, total);

        assert(due * total <= uint256(pot) * share);
        assert((due + 1) * total > uint256(pot) * share);
        assert(due <= pot);
    }

    /// @notice Two contributors never get more than one with both their shares would, and less by a unit at most. So no
    /// number of them gets more than the pot: one with all the shares gets the pot.
    function check_claims_ofTwo_areNoMoreThanOfOneWithBothShares(
        uint128 pot,
        uint128 first,
        uint128 second,
        uint128 total
    ) external pure {
        uint256 both = uint256(first) + second;
        if (total == 0 || both > total) return;
        uint256 apart = Math.mulDiv(pot, first, total) + Math.mulDiv(pot, second, total);
        uint256 together = Math.mulDiv(pot, both, total);

        assert(apart <= together && together <= apart + 1);
    }

    /// @notice All shares together get the whole pot.
    function check_claim_ofAllShares_isThePot(uint128 pot, uint128 total) external pure {
        if (total == 0) return;
        assert(Math.mulDiv(pot, total, total) == pot);
    }

    /// @notice Sales only ever add to what a contributor is due: the difference that a claim pays does not underflow.
    function check_claim_grows_withThePot(uint128 before, uint128 pot, uint128 share, uint128 total) external pure {
        if (total == 0 || share > total || before > pot) return;

        assert(Math.mulDiv(before, share, total) <= Math.mulDiv(pot, share, total));
    }

    /// @notice Whoever claims after each sale gets as much as who claims once.
    function check_claim_isTheSame_inTwoSteps(uint128 before, uint128 pot, uint128 share, uint128 total) external pure {
        if (total == 0 || share > total || before > pot) return;
        uint256 early = Math.mulDiv(before, share, total) - Math.mulDiv(0, share, total);
        uint256 late = Math.mulDiv(pot, share, total) - Math.mulDiv(before, share, total);

        assert(early + late == Math.mulDiv(pot, share, total));
    }
}
