// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataSales} from "../../contracts/DataSales.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {BatchProof, RecordDescription} from "../../contracts/types/Record.sol";
import {Listing, Order, Parts, Terms} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";
import {Market} from "./Market.sol";
import {recordOf, termsOf} from "./Stage.sol";

/// @notice How a price is split, and who may act in which second, for every price, fee, share and window.
contract SettlementTest is Market {
    /// @notice Opens the market.
    function setUp() external {
        _openMarket(100);
    }

    /// @notice The three parts add up to the price; fee and share are rounded down; the patient has at least half of the
    /// rest.
    function testFuzz_settle_splitsThePrice(uint128 price, uint16 feeInBps, uint16 shareInBps) external {
        _newMarket(uint16(bounded(feeInBps, 0, 1_000)));
        Terms memory terms = _termsOf(price, 1 days, 1 days);
        terms.custodianShareInBps = uint16(bounded(shareInBps, 0, 5_000));
        Listing memory listing = _list(PATIENT, recordOf(CUSTODIAN, PATIENT, 1), terms);
        _sell(listing, 1);
        Parts memory parts = sales.partsOf(listing);

        VM.expectEmit(address(sales));
        emit IPayouts.Distributed(
            listing.listingIdOf(address(sales)), 1, parts.feeInUnits, parts.custodianInUnits, parts.patientsInUnits
        );
        sales.distribute(listing);

        uint256 rest = terms.priceInUnits - parts.feeInUnits;
        _assertRoundedDown(parts.feeInUnits, uint256(terms.priceInUnits) * bounded(feeInBps, 0, 1_000), "fee");
        _assertRoundedDown(parts.custodianInUnits, rest * terms.custodianShareInBps, "share");
        VM.assertEq(parts.patientsInUnits, rest - parts.custodianInUnits, "the three parts are the price");
        VM.assertLe(rest, 2 * parts.patientsInUnits, "at least half of the rest is the patient's");
        _assertCredit(TREASURY, parts.feeInUnits);
        _assertCredit(CUSTODIAN, parts.custodianInUnits);
        _assertCredit(PATIENT, parts.patientsInUnits);
        _assertCredit(BUYER, 0);
    }

    /// @notice Undelivered: before the deadline only the seller can act, from it on only the refund works, and the price
    /// comes back whole.
    function testFuzz_refund_returnsThePrice_fromTheDeadlineOn(uint128 price, uint32 window, uint256 elapsed) external {
        window = uint32(bounded(window, 1 hours, 30 days));
        Terms memory terms = _termsOf(price, window, 1 days);
        (Order memory order, Listing memory listing) = _bought(terms);
        elapsed = _aimed(elapsed, window);
        VM.warp(block.timestamp + elapsed);

        VM.assertFalse(_settles(order, listing), "nothing to settle");
        uint256 undelivered = VM.snapshotState();
        VM.assertEq(_delivers(order, listing), elapsed < window, "delivery before the deadline");
        VM.revertToState(undelivered);
        bool due = elapsed >= window;
        VM.assertEq(_refunds(order, listing), due, "refund from it on");
        _assertCredit(BUYER, due ? terms.priceInUnits : 0);
    }

    /// @notice Delivered: nothing is refunded, and the sale settles from the deadline on.
    function testFuzz_settle_works_fromTheDeadlineOn(uint32 window, uint256 elapsed) external {
        window = uint32(bounded(window, 1 days, 90 days));
        (Order memory order, Listing memory listing) = _bought(_termsOf(1e6, 1 hours, window));
        _deliver(order, listing, MASKED);
        elapsed = _aimed(elapsed, window);
        VM.warp(block.timestamp + elapsed);

        VM.assertFalse(_refunds(order, listing), "no refund of a delivery");
        VM.assertFalse(_delivers(order, listing), "no second delivery");
        VM.assertEq(_settles(order, listing), elapsed >= window, "settled from the deadline on");
    }

    /// @notice The market takes windows, shares and fees within its limits, and no others.
    function testFuzz_list_takesWhatIsWithinTheLimits(uint32 deliver, uint32 dispute, uint16 share, uint8 aim)
        external
    {
        if (aim & 1 == 0) deliver = uint32(bounded(deliver, 1 hours - 1, 30 days + 1));
        if (aim & 2 == 0) dispute = uint32(bounded(dispute, 1 days - 1, 90 days + 1));
        if (aim & 4 == 0) share = uint16(bounded(share, 4_999, 5_001));
        bool sound = deliver >= 1 hours && deliver <= 30 days && dispute >= 1 days && dispute <= 90 days;
        RecordDescription memory record = recordOf(CUSTODIAN, PATIENT, 1);
        BatchProof memory proof = _deposit(record);
        Terms memory terms = _termsOf(1, deliver, dispute);
        terms.custodianShareInBps = share;
        _fund(PATIENT, terms.bondInUnits());

        VM.prank(PATIENT);
        try sales.list(terms, record, proof) {
            VM.assertTrue(sound && share <= 5_000, "listed within the limits");
        } catch {
            VM.assertFalse(sound && share <= 5_000, "refused outside of them");
        }
    }

    /// @notice The fee is at most a tenth.
    function testFuzz_constructor_refusesAFee_aboveATenth(uint16 feeInBps) external {
        feeInBps = uint16(bounded(feeInBps, 1_001, type(uint16).max));
        VM.expectRevert(abi.encodeWithSelector(IPayouts.FeeTooHigh.selector, feeInBps, 1_000));
        _newSales(feeInBps);
    }

    /// @notice Fees need somebody to be credited.
    function test_constructor_refusesAMissingTreasury() external {
        VM.expectRevert(abi.encodeWithSelector(IPayouts.TreasuryMissing.selector));
        new DataSales(address(governance), institutions, records, consents, fairExchange, 0, address(0));
    }

    /// @notice Fee and treasury can be read.
    function test_fee_tellsRateAndTreasury() external view {
        (uint16 feeInBps, address treasury) = sales.fee();
        VM.assertEq(feeInBps, 100, "the fee");
        VM.assertTrue(treasury == TREASURY, "the treasury");
    }

    function _bought(Terms memory terms) private returns (Order memory order, Listing memory listing) {
        listing = _list(PATIENT, recordOf(CUSTODIAN, PATIENT, 1), terms);
        order = _buy(listing, 1);
    }

    function _delivers(Order memory order, Listing memory listing) private returns (bool) {
        VM.prank(listing.seller);
        try sales.deliver(order, listing, MASKED) {
            return true;
        } catch {
            return false;
        }
    }

    function _refunds(Order memory order, Listing memory listing) private returns (bool) {
        try sales.refund(order, listing) {
            return true;
        } catch {
            return false;
        }
    }

    function _settles(Order memory order, Listing memory listing) private returns (bool) {
        try sales.settle(order, listing) {
            return true;
        } catch {
            return false;
        }
    }

    function _termsOf(uint128 price, uint32 deliverWithin, uint32 disputeWithin)
        private
        view
        returns (Terms memory terms)
    {
        terms = termsOf(token);
        terms.priceInUnits = uint128(bounded(price, 1, type(uint128).max));
        terms.deliverWithin = deliverWithin;
        terms.disputeWithin = disputeWithin;
    }

    /// @dev Every third time to the last second before the window ends, or to the first after it.
    function _aimed(uint256 elapsed, uint256 window) private pure returns (uint256) {
        uint256[3] memory times = [window - 1, window, bounded(elapsed, 0, 2 * window)];
        return times[elapsed % 3];
    }

    function _assertRoundedDown(uint256 amount, uint256 exactInBps, string memory what) private pure {
        VM.assertLe(amount * 10_000, exactInBps, what);
        VM.assertLt(exactInBps, (amount + 1) * 10_000, what);
    }
}
