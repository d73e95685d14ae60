// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFairExchange} from "../../../contracts/interfaces/IFairExchange.sol";
import {Listing, Order, Parts} from "../../../contracts/types/Sale.sol";
import {VM} from "../../forge/Cheats.sol";
import {OneOrder} from "./OneOrder.sol";

/// @notice The three ends of an order in the market itself, for every price and reward of 128 bits: what came in is
/// credited to the last unit, to whom it belongs, and nothing is kept back.
contract EscrowProof is OneOrder {
    /// @notice Settled: treasury, custodian and patient share the price; the bond goes back.
    function check_settle_creditsThePrice(uint128 price, uint16 custodianShareInBps, uint128 reward)
        external
        admitted(price, custodianShareInBps, reward)
    {
        (Order memory order, Listing memory listing) = _buy(price, custodianShareInBps, reward);
        _deliver(order, listing);
        VM.warp(block.timestamp + listing.terms.disputeWithin);
        sales.settle(order, listing);
        sales.distribute(listing);
        Parts memory parts = sales.partsOf(listing);

        assert(_creditOf(TREASURY) == parts.feeInUnits);
        assert(_creditOf(CUSTODIAN) == parts.custodianInUnits);
        assert(_creditOf(PATIENT) == parts.patientsInUnits);
        assert(_creditOf(TREASURY) + _creditOf(CUSTODIAN) + _creditOf(PATIENT) == price);
        assert(token.balanceOf(address(sales)) == price + listing.terms.bondInUnits());
        _releaseBond(listing);
        assert(_creditOf(PATIENT) == parts.patientsInUnits + listing.terms.bondInUnits());
    }

    /// @notice Never delivered: the buyer has the price back, the patient the bond.
    function check_refund_creditsThePrice(uint128 price, uint16 custodianShareInBps, uint128 reward)
        external
        admitted(price, custodianShareInBps, reward)
    {
        (Order memory order, Listing memory listing) = _buy(price, custodianShareInBps, reward);
        VM.warp(block.timestamp + listing.terms.deliverWithin);
        sales.refund(order, listing);
        _releaseBond(listing);

        assert(_creditOf(BUYER) == price);
        assert(_creditOf(PATIENT) == listing.terms.bondInUnits());
        assert(token.balanceOf(address(sales)) == _creditOf(BUYER) + _creditOf(PATIENT));
    }

    /// @notice Delivered wrongly: the buyer has the price back and the reward, the patient what is left of the bond.
    function check_proveWrongChunk_creditsPriceAndReward(uint128 price, uint16 custodianShareInBps, uint128 reward)
        external
        admitted(price, custodianShareInBps, reward)
    {
        (Order memory order, Listing memory listing) = _buy(price, custodianShareInBps, reward);
        _deliver(order, listing);
        IFairExchange.ChunkProof memory proof;
        VM.prank(BUYER);
        sales.proveWrongChunk(order, listing, proof, 0, "");
        _releaseBond(listing);

        assert(_creditOf(BUYER) == uint256(price) + reward);
        assert(_creditOf(PATIENT) == listing.terms.bondInUnits() - reward);
        assert(token.balanceOf(address(sales)) == _creditOf(BUYER) + _creditOf(PATIENT));
    }

    /// @notice Whoever withdraws gets what was credited, once, and the market has so much less.
    function check_withdraw_sendsTheCredit(uint128 price, uint16 custodianShareInBps, uint128 reward)
        external
        admitted(price, custodianShareInBps, reward)
    {
        (Order memory order, Listing memory listing) = _buy(price, custodianShareInBps, reward);
        VM.warp(block.timestamp + listing.terms.deliverWithin);
        sales.refund(order, listing);
        VM.prank(BUYER);
        sales.withdraw(token, BUYER);

        assert(token.balanceOf(BUYER) == price);
        assert(_creditOf(BUYER) == 0);
        assert(token.balanceOf(address(sales)) == listing.terms.bondInUnits());
    }
}
