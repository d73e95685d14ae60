// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Listing, Order, Terms} from "../../../contracts/types/Sale.sol";
import {VM} from "../../forge/Cheats.sol";
import {OneOrder} from "./OneOrder.sol";

/// @notice Untrue on purpose, each by a hair's breadth. The build's own test runs them: the prover must refute every one.
contract Untrue is OneOrder {
    /// @notice A fee is rarely a whole number of units.
    function check_untrue_feeIsExact(uint128 price, uint8 feeInBps) external pure {
        Terms memory terms;
        terms.priceInUnits = price;
        assert(terms.partsOf(feeInBps).feeInUnits * 10_000 == uint256(price) * feeInBps);
    }

    /// @notice Two claims, each rounded down, can leave a unit behind.
    function check_untrue_claimsLeaveNothing(uint64 pot, uint16 first, uint16 second) external pure {
        uint256 total = uint256(first) + second;
        if (total == 0) return;
        assert(Math.mulDiv(pot, first, total) + Math.mulDiv(pot, second, total) == pot);
    }

    /// @notice The bond is the reward for every place, not for one.
    function check_untrue_marketHoldsOneReward(uint128 price, uint16 custodianShareInBps, uint128 reward)
        external
        admitted(price, custodianShareInBps, reward)
    {
        _buy(price, custodianShareInBps, reward);
        assert(token.balanceOf(address(sales)) == uint256(price) + reward);
    }

    /// @notice A price so low that a fee rounds to nothing has none.
    function check_untrue_treasuryIsAlwaysPaid(uint128 price, uint16 custodianShareInBps, uint128 reward)
        external
        admitted(price, custodianShareInBps, reward)
    {
        (Order memory order, Listing memory listing) = _buy(price, custodianShareInBps, reward);
        _deliver(order, listing);
        VM.warp(block.timestamp + listing.terms.disputeWithin);
        sales.settle(order, listing);
        sales.distribute(listing);
        assert(_creditOf(TREASURY) > 0);
    }
}
