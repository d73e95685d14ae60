// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataSales} from "../../contracts/DataSales.sol";
import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {IInstitutions} from "../../contracts/interfaces/IInstitutions.sol";
import {TestDollar} from "../../contracts/mocks/TestDollar.sol";
import {BatchProof, RecordDescription} from "../../contracts/types/Record.sol";
import {Listing, Order, Terms} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";
import {Stage, listingOf, recordOf} from "./Stage.sol";

/// @notice How a price is split, and who may act in which second, for every price, fee, share and window.
contract SettlementTest is Stage {
    address private constant PATIENT = address(0xA1);
    address private constant CUSTODIAN = address(0xA2);
    address private constant BUYER = address(0xA3);

    TestDollar private token;
    RecordDescription private record;
    BatchProof private proof;

    /// @notice Deploys the contracts, and deposits one record.
    function setUp() external {
        _deploy();
        institutions.enrol(CUSTODIAN, IInstitutions.Kind.Hospital, 0);
        institutions.enrol(BUYER, IInstitutions.Kind.Buyer, 0);
        token = new TestDollar(address(this));
        record = recordOf(CUSTODIAN, PATIENT, 1);
        proof = _deposit(record);
    }

    /// @notice The three parts add up to the price; fee and share are rounded down; the patient has at least half of the
    /// rest.
    function testFuzz_settle_splitsThePrice(uint128 price, uint16 feeInBps, uint16 shareInBps) external {
        price = uint128(bounded(price, 1, type(uint128).max));
        feeInBps = uint16(bounded(feeInBps, 0, 1_000));
        shareInBps = uint16(bounded(shareInBps, 0, 5_000));
        DataSales sales = _newMarket(feeInBps);
        (Order memory order, Listing memory listing) = _bought(sales, _termsOf(price, shareInBps, 1 hours, 1 days));
        VM.prank(PATIENT);
        sales.deliver(order, listing, keccak256("masked"));
        VM.warp(NOW + 1 days);
        sales.settle(order, listing);

        uint256 fee = sales.creditOf(token, TREASURY);
        uint256 share = sales.creditOf(token, CUSTODIAN);
        uint256 rest = uint256(price) - fee;
        _assertRoundedDown(fee, uint256(price) * feeInBps, "fee");
        _assertRoundedDown(share, rest * shareInBps, "share");
        VM.assertEq(sales.creditOf(token, PATIENT), rest - share, "the three parts are the price");
        VM.assertLe(rest, 2 * sales.creditOf(token, PATIENT), "at least half of the rest is the patient's");
        VM.assertEq(sales.creditOf(token, BUYER), 0, "nothing goes back");
    }

    /// @notice Undelivered: before the deadline only the seller can act, from it on only the refund works, and the price
    /// comes back whole.
    function testFuzz_refund_returnsThePrice_fromTheDeadlineOn(uint128 price, uint32 window, uint256 elapsed) external {
        price = uint128(bounded(price, 1, type(uint128).max));
        window = uint32(bounded(window, 1 hours, 30 days));
        DataSales sales = _newMarket(100);
        (Order memory order, Listing memory listing) = _bought(sales, _termsOf(price, 0, window, 1 days));
        elapsed = _aimed(elapsed, window);
        VM.warp(NOW + elapsed);

        VM.assertFalse(_settles(sales, order, listing), "nothing to settle");
        uint256 undelivered = VM.snapshotState();
        VM.prank(PATIENT);
        VM.assertEq(_delivers(sales, order, listing), elapsed < window, "delivery before the deadline");
        VM.revertToState(undelivered);
        bool due = elapsed >= window;
        VM.assertEq(_refunds(sales, order, listing), due, "refund from it on");
        VM.assertEq(sales.creditOf(token, BUYER), due ? price : 0, "the price, or nothing yet");
    }

    /// @notice Delivered: nothing is refunded, and the sale settles from the deadline on.
    function testFuzz_settle_works_fromTheDeadlineOn(uint32 window, uint256 elapsed) external {
        window = uint32(bounded(window, 1 days, 90 days));
        DataSales sales = _newMarket(100);
        (Order memory order, Listing memory listing) = _bought(sales, _termsOf(1e6, 0, 1 hours, window));
        VM.prank(PATIENT);
        sales.deliver(order, listing, 0);
        elapsed = _aimed(elapsed, window);
        VM.warp(NOW + elapsed);

        VM.assertFalse(_refunds(sales, order, listing), "no refund of a delivery");
        VM.prank(PATIENT);
        VM.assertFalse(_delivers(sales, order, listing), "no second delivery");
        VM.assertEq(_settles(sales, order, listing), elapsed >= window, "settled from the deadline on");
    }

    /// @notice Only the seller delivers and unlists, whoever else tries; and nothing passes with another listing.
    function testFuzz_deliver_isTheSellersAlone(address stranger, uint64 nonce) external {
        if (stranger == PATIENT) return;
        DataSales sales = _newMarket(100);
        (Order memory order, Listing memory listing) = _bought(sales, _termsOf(1e6, 0, 1 hours, 1 days));

        VM.expectRevert(abi.encodeWithSelector(IDataSales.NotTheSeller.selector, stranger, PATIENT));
        VM.prank(stranger);
        sales.deliver(order, listing, 0);
        VM.expectRevert(abi.encodeWithSelector(IDataSales.NotTheSeller.selector, stranger, PATIENT));
        VM.prank(stranger);
        sales.unlist(listing);

        if (nonce == listing.terms.nonce) return;
        VM.warp(NOW + 1 hours);
        listing.terms.nonce = nonce;
        VM.expectRevert(
            abi.encodeWithSelector(
                IDataSales.OrderNotOfListing.selector,
                order.orderIdOf(address(sales)),
                listing.listingIdOf(address(sales))
            )
        );
        sales.refund(order, listing);
    }

    /// @notice The market takes windows, shares and fees within its limits, and no others.
    function testFuzz_list_takesWhatIsWithinTheLimits(uint32 deliver, uint32 dispute, uint16 share, uint8 aim)
        external
    {
        if (aim & 1 == 0) deliver = uint32(bounded(deliver, 1 hours - 1, 30 days + 1));
        if (aim & 2 == 0) dispute = uint32(bounded(dispute, 1 days - 1, 90 days + 1));
        if (aim & 4 == 0) share = uint16(bounded(share, 4_999, 5_001));
        DataSales sales = _newMarket(0);
        bool sound = deliver >= 1 hours && deliver <= 30 days && dispute >= 1 days && dispute <= 90 days;

        VM.prank(PATIENT);
        try sales.list(_termsOf(1, share, deliver, dispute), record, proof) {
            VM.assertTrue(sound && share <= 5_000, "listed within the limits");
        } catch {
            VM.assertFalse(sound && share <= 5_000, "refused outside of them");
        }
    }

    /// @notice The fee is at most a tenth.
    function testFuzz_constructor_refusesAFee_aboveATenth(uint16 feeInBps) external {
        feeInBps = uint16(bounded(feeInBps, 1_001, type(uint16).max));
        VM.expectRevert(abi.encodeWithSelector(IDataSales.FeeTooHigh.selector, feeInBps, 1_000));
        _newSales(feeInBps);
    }

    /// @notice Fees need somebody to be credited.
    function test_constructor_refusesAMissingTreasury() external {
        VM.expectRevert(abi.encodeWithSelector(IDataSales.TreasuryMissing.selector));
        new DataSales(address(governance), institutions, records, consents, 0, address(0));
    }

    function _newMarket(uint16 feeInBps) private returns (DataSales sales) {
        sales = _newSales(feeInBps);
        sales.allowToken(token, true);
    }

    function _bought(DataSales sales, Terms memory terms) private returns (Order memory order, Listing memory listing) {
        listing = listingOf(PATIENT, record, terms);
        order = Order({
            listingId: listing.listingIdOf(address(sales)),
            buyer: BUYER,
            commitment: keccak256("commitment"),
            priceInUnits: terms.priceInUnits,
            nonce: 1
        });
        token.mint(BUYER, terms.priceInUnits);

        VM.prank(PATIENT);
        sales.list(terms, record, proof);
        VM.prank(BUYER);
        token.approve(address(sales), terms.priceInUnits);
        VM.prank(BUYER);
        sales.buy(listing, IDataSales.Purchase(order.commitment, 0, order.nonce));
    }

    function _delivers(DataSales sales, Order memory order, Listing memory listing) private returns (bool) {
        try sales.deliver(order, listing, keccak256("masked")) {
            return true;
        } catch {
            return false;
        }
    }

    function _refunds(DataSales sales, Order memory order, Listing memory listing) private returns (bool) {
        try sales.refund(order, listing) {
            return true;
        } catch {
            return false;
        }
    }

    function _settles(DataSales sales, Order memory order, Listing memory listing) private returns (bool) {
        try sales.settle(order, listing) {
            return true;
        } catch {
            return false;
        }
    }

    function _termsOf(uint128 price, uint16 shareInBps, uint32 deliverWithin, uint32 disputeWithin)
        private
        view
        returns (Terms memory)
    {
        return Terms({
            token: token,
            priceInUnits: price,
            purpose: 16,
            duoTerms: 0,
            deliverWithin: deliverWithin,
            disputeWithin: disputeWithin,
            custodianShareInBps: shareInBps,
            nonce: 1
        });
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
