// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {Listing, ListingId, Order, OrderId} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";
import {Market} from "./Market.sol";

/// @notice From payment to delivery, and what ends an order that should not be delivered any more.
contract DeliveriesTest is Market {
    Listing private listing;
    ListingId private listingId;
    Order private order;
    OrderId private orderId;
    uint256 private boughtAt;

    /// @notice The hospital sold the patient's record; the buyer waits.
    function setUp() external {
        _openMarket(250);
        listing = _listRecord();
        listingId = listing.listingIdOf(address(sales));
        order = _buy(listing, 1);
        orderId = order.orderIdOf(address(sales));
        boughtAt = block.timestamp;
    }

    /// @notice The order keeps a hash of what was delivered, and a new deadline.
    function testFuzz_deliver_keepsAHashOfTheMaskedKey(bytes32 maskedKey, uint256 elapsed) external {
        VM.warp(boughtAt + bounded(elapsed, 0, 1 days - 1));
        uint40 deadline = uint40(block.timestamp + 3 days);
        VM.expectEmit(address(sales));
        emit IDataSales.Delivered(orderId, maskedKey, deadline);
        _deliver(order, listing, maskedKey);

        IDataSales.OrderStatus memory status = _statusOf(order);
        VM.assertEq(uint256(status.state), uint256(IDataSales.OrderState.Delivered), "delivered");
        VM.assertEq(status.deadline, deadline, "its deadline");
        VM.assertEq(bytes32(status.delivery), bytes32(bytes26(keccak256(abi.encode(maskedKey)))), "its hash");
        VM.assertEq(_statusOf(listing).open, 1, "still open");
    }

    /// @notice Only the seller delivers: a delivery copied from the waiting transactions is refused.
    function testFuzz_deliver_isTheSellersAlone(address stranger) external {
        if (stranger == CUSTODIAN) return;
        VM.expectRevert(abi.encodeWithSelector(IDataSales.NotTheSeller.selector, stranger, CUSTODIAN));
        VM.prank(stranger);
        sales.deliver(order, listing, MASKED);
    }

    /// @notice Once, before the deadline, and only what was bought.
    function test_deliver_isRefused_late_twiceAndUnpaid() external {
        uint40 deadline = uint40(boughtAt + 1 days);
        VM.warp(deadline);
        _refuseDelivery(abi.encodeWithSelector(IDataSales.DeadlinePassed.selector, orderId, deadline, deadline));
        VM.warp(deadline - 1);
        _deliver(order, listing, MASKED);
        _refuseDelivery(_stateIsNot(IDataSales.OrderState.Paid, IDataSales.OrderState.Delivered));

        order.nonce = 2;
        orderId = order.orderIdOf(address(sales));
        _refuseDelivery(_stateIsNot(IDataSales.OrderState.Paid, IDataSales.OrderState.None));
    }

    /// @notice While an order is open, the seller's delivery arrives until its deadline, whatever anybody did before: a
    /// delivery that fails would have shown the key for nothing.
    function testFuzz_deliver_neverFails_beforeTheDeadline(uint16 deeds, uint256 elapsed, uint256 last) external {
        VM.warp(boughtAt + bounded(elapsed, 0, 1 days - 1));
        if (deeds & 1 != 0) institutions.suspend(CUSTODIAN);
        if (deeds & 2 != 0) institutions.suspend(BUYER);
        if (deeds & 4 != 0) _revoke(PATIENT, CUSTODIAN, Lane.ResearchAndSale);
        if (deeds & 8 != 0) _unlist();
        if (deeds & 16 != 0) sales.allowToken(token, 0);
        if (deeds & 32 != 0) _consent(PATIENT, CUSTODIAN, 0, uint40(block.timestamp + 1));
        bool stoppable = sales.groundToStop(listing, BUYER) != IDataSales.StopGround.None;
        if (stoppable && block.timestamp + 30 minutes < boughtAt + 1 days) sales.stop(order, listing);
        uint256 deadline = _statusOf(order).deadline;
        VM.warp(bounded(last, block.timestamp, deadline - 1));

        _deliver(order, listing, MASKED);
        _assertState(order, IDataSales.OrderState.Delivered);
        VM.warp(block.timestamp + 3 days);
        sales.settle(order, listing);
        sales.distribute(listing);
        VM.assertGt(sales.creditOf(token, PATIENT), 0, "who is paid is paid");
    }

    /// @notice Each ground stops a delivery; none, and the delivery goes on.
    function test_stop_hasFourGrounds() external {
        VM.assertEq(uint256(sales.groundToStop(listing, BUYER)), 0, "nothing stands against it");
        VM.expectRevert(abi.encodeWithSelector(IDataSales.NoGroundToStop.selector, orderId));
        sales.stop(order, listing);

        uint256 sound = VM.snapshotState();
        _revoke(PATIENT, CUSTODIAN, Lane.ResearchAndSale);
        _stops(IDataSales.StopGround.ConsentWithdrawn);
        VM.revertToState(sound);
        institutions.suspend(BUYER);
        _stops(IDataSales.StopGround.BuyerSuspended);
        VM.revertToState(sound);
        institutions.suspend(CUSTODIAN);
        _stops(IDataSales.StopGround.CustodianSuspended);
    }

    /// @notice The deadline is the earlier of the order's own and half an hour from now; where nothing becomes earlier, it
    /// is refused. A second stop never makes it later.
    function testFuzz_stop_leavesHalfAnHour_atMost(uint256 elapsed, uint256 again) external {
        elapsed = _aimed(elapsed, 1 days - 30 minutes, 2 days);
        institutions.suspend(CUSTODIAN);
        uint40 deadline = uint40(boughtAt + 1 days);
        VM.warp(boughtAt + elapsed);
        if (elapsed + 30 minutes >= 1 days) {
            _refuseStop(deadline);
            VM.assertEq(_statusOf(order).deadline, deadline, "as it was");
            return;
        }
        deadline = uint40(block.timestamp + 30 minutes);
        VM.expectEmit(address(sales));
        emit IDataSales.Stopped(orderId, IDataSales.StopGround.CustodianSuspended, deadline);
        VM.prank(STRANGER);
        sales.stop(order, listing);
        VM.assertEq(_statusOf(order).deadline, deadline, "half an hour");

        VM.warp(block.timestamp + bounded(again, 0, 2 hours));
        _refuseStop(deadline);
    }

    /// @notice In every second after a stop exactly one of delivery and refund works.
    function testFuzz_stop_leavesOneParty_inEverySecond(uint256 stoppedAfter, uint256 elapsed) external {
        institutions.suspend(BUYER);
        VM.warp(boughtAt + bounded(stoppedAfter, 0, 1 days - 30 minutes - 1));
        sales.stop(order, listing);
        elapsed = _aimed(elapsed, 30 minutes, 2 hours);
        VM.warp(block.timestamp + elapsed);

        uint256 open = VM.snapshotState();
        bool late = elapsed >= 30 minutes;
        VM.prank(CUSTODIAN);
        try sales.deliver(order, listing, MASKED) {
            VM.assertFalse(late, "delivered in time");
        } catch {
            VM.assertTrue(late, "refused from the deadline on");
        }
        VM.revertToState(open);
        try sales.refund(order, listing) {
            VM.assertTrue(late, "refunded from the deadline on");
            _assertCredit(BUYER, listing.terms.priceInUnits);
        } catch {
            VM.assertFalse(late, "not before");
        }
    }

    /// @notice Anybody makes a refund happen; it is told, once.
    function test_refund_creditsTheBuyer() external {
        uint40 deadline = uint40(boughtAt + 1 days);
        VM.expectRevert(
            abi.encodeWithSelector(IDataSales.DeadlineNotReached.selector, orderId, deadline, block.timestamp)
        );
        sales.refund(order, listing);
        VM.warp(deadline);
        VM.expectEmit(address(sales));
        emit IDataSales.Refunded(orderId);
        VM.prank(STRANGER);
        sales.refund(order, listing);
        _assertCredit(BUYER, listing.terms.priceInUnits);
        _assertState(order, IDataSales.OrderState.Refunded);
        VM.assertEq(_statusOf(listing).open, 0, "closed");
        VM.assertEq(_statusOf(listing).closedAt, deadline, "when");

        VM.expectRevert(_stateIsNot(IDataSales.OrderState.Paid, IDataSales.OrderState.Refunded));
        sales.refund(order, listing);
        _refuseDelivery(_stateIsNot(IDataSales.OrderState.Paid, IDataSales.OrderState.Refunded));
    }

    /// @notice Anybody makes a settlement happen; it is told, once, and counted at the listing.
    function test_settle_countsTheSale() external {
        VM.expectRevert(_stateIsNot(IDataSales.OrderState.Delivered, IDataSales.OrderState.Paid));
        sales.settle(order, listing);
        _deliver(order, listing, MASKED);
        uint40 deadline = uint40(block.timestamp + 3 days);
        VM.warp(deadline - 1);
        VM.expectRevert(abi.encodeWithSelector(IDataSales.DeadlineNotReached.selector, orderId, deadline, deadline - 1));
        sales.settle(order, listing);

        VM.warp(deadline);
        VM.expectEmit(address(sales));
        emit IDataSales.Settled(orderId, listingId);
        VM.prank(STRANGER);
        sales.settle(order, listing);
        IDataSales.ListingStatus memory status = _statusOf(listing);
        VM.assertEq(status.sold, 1, "one sale");
        VM.assertEq(status.distributed, 0, "of which nothing is distributed");
        VM.assertEq(status.closedAt, deadline, "when");
        VM.expectRevert(_stateIsNot(IDataSales.OrderState.Delivered, IDataSales.OrderState.Settled));
        sales.settle(order, listing);
    }

    /// @notice Nothing happens to an order by way of another listing.
    function testFuzz_everyStep_isRefused_withAnotherListing(uint64 nonce) external {
        if (nonce == listing.terms.nonce) return;
        listing.terms.nonce = nonce;
        bytes memory refusal =
            abi.encodeWithSelector(IDataSales.OrderNotOfListing.selector, orderId, listing.listingIdOf(address(sales)));
        _refuseDelivery(refusal);
        VM.expectRevert(refusal);
        sales.stop(order, listing);
        VM.warp(boughtAt + 1 days);
        VM.expectRevert(refusal);
        sales.refund(order, listing);
    }

    function _stops(IDataSales.StopGround ground) private {
        VM.assertEq(uint256(sales.groundToStop(listing, BUYER)), uint256(ground), "the ground");
        VM.expectEmit(address(sales));
        emit IDataSales.Stopped(orderId, ground, uint40(block.timestamp + 30 minutes));
        sales.stop(order, listing);
    }

    function _refuseStop(uint40 deadline) private {
        VM.expectRevert(abi.encodeWithSelector(IDataSales.EndsSoonAnyway.selector, orderId, deadline));
        sales.stop(order, listing);
    }

    function _refuseDelivery(bytes memory refusal) private {
        VM.expectRevert(refusal);
        VM.prank(CUSTODIAN);
        sales.deliver(order, listing, MASKED);
    }

    function _unlist() private {
        VM.prank(CUSTODIAN);
        sales.unlist(listing);
    }

    function _stateIsNot(IDataSales.OrderState expected, IDataSales.OrderState actual)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IDataSales.OrderStateIsNot.selector, orderId, expected, actual);
    }

    /// @dev Every second time to one second before, at, or one after the edge.
    function _aimed(uint256 seed, uint256 edge, uint256 most) private pure returns (uint256) {
        return seed % 2 == 0 ? edge - 1 + seed / 2 % 3 : bounded(seed, 0, most);
    }
}
