// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {
    FeeOnTransferToken,
    GenerousToken,
    HostileToken,
    PretendingToken,
    StoppableToken
} from "../../contracts/mocks/HostileTokens.sol";
import {Listing, ListingId, Parts} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";
import {Market} from "./Market.sol";

/// @notice Money in, shared out among treasury, custodian and a single patient, and out again.
contract PayoutsTest is Market {
    Listing private listing;
    ListingId private listingId;

    /// @notice The hospital sells the patient's record.
    function setUp() external {
        _openMarket(250);
        listing = _listRecord();
        listingId = listing.listingIdOf(address(sales));
    }

    /// @notice What was approved is taken and credited.
    function testFuzz_fund_creditsTheCaller(uint128 first, uint128 second) external {
        _mint(STRANGER, first);
        VM.expectEmit(address(sales));
        emit IPayouts.Funded(token, STRANGER, first);
        VM.prank(STRANGER);
        sales.fund(token, first);
        _fund(STRANGER, second);
        _assertCredit(STRANGER, uint256(first) + second);
        VM.assertEq(token.balanceOf(STRANGER), 0, "taken");
    }

    /// @notice Whatever brings less or more than was asked; nothing is credited.
    function test_fund_isRefused_whereTheTokenIsNotExact() external {
        _refuseFund(new FeeOnTransferToken(), 990);
        _refuseFund(new GenerousToken(), 1_001);
        _refuseFund(new PretendingToken(), 0);
    }

    /// @notice Everything that is credited goes where the caller says, once.
    function testFuzz_withdraw_sendsTheWholeCredit(uint128 amount, address to) external {
        amount = uint128(bounded(amount, 1, type(uint128).max));
        _fund(STRANGER, amount);
        if (to == address(0) || to == address(sales)) {
            VM.expectRevert(abi.encodeWithSelector(IPayouts.InvalidReceiver.selector, to));
            VM.prank(STRANGER);
            sales.withdraw(token, to);
            return;
        }
        uint256 before = token.balanceOf(to);
        VM.expectEmit(address(sales));
        emit IPayouts.CreditWithdrawn(token, STRANGER, to, amount);
        VM.prank(STRANGER);
        sales.withdraw(token, to);
        VM.assertEq(token.balanceOf(to) - before, amount, "all of it");
        _assertCredit(STRANGER, 0);
        VM.expectRevert(abi.encodeWithSelector(IPayouts.NothingToWithdraw.selector, token, STRANGER));
        VM.prank(STRANGER);
        sales.withdraw(token, to);
    }

    /// @notice Nobody, and not the market itself, where the money would be lost.
    function test_withdraw_isRefused_toNobodyAndToTheMarket() external {
        _fund(STRANGER, 1);
        VM.expectRevert(abi.encodeWithSelector(IPayouts.InvalidReceiver.selector, address(0)));
        VM.prank(STRANGER);
        sales.withdraw(token, address(0));
        VM.expectRevert(abi.encodeWithSelector(IPayouts.InvalidReceiver.selector, address(sales)));
        VM.prank(STRANGER);
        sales.withdraw(token, address(sales));
    }

    /// @notice A token that moves nothing takes nothing from the credit.
    function test_withdraw_keepsTheCredit_whileTheTokenIsStopped() external {
        StoppableToken stoppable = new StoppableToken();
        stoppable.mint(STRANGER, 5);
        VM.prank(STRANGER);
        stoppable.approve(address(sales), 5);
        VM.prank(STRANGER);
        sales.fund(stoppable, 5);
        stoppable.stop(true);
        VM.expectRevert(abi.encodeWithSelector(StoppableToken.TransfersStopped.selector));
        VM.prank(STRANGER);
        sales.withdraw(stoppable, STRANGER);
        VM.assertEq(sales.creditOf(stoppable, STRANGER), 5, "kept");
        stoppable.stop(false);
        VM.prank(STRANGER);
        sales.withdraw(stoppable, STRANGER);
        VM.assertEq(stoppable.balanceOf(STRANGER), 5, "out");
    }

    /// @notice One call for all sales since the last, each credited once.
    function testFuzz_distribute_coversAllSalesSinceTheLast(uint8 first, uint8 second) external {
        first = uint8(bounded(first, 1, 4));
        second = uint8(bounded(second, 1, 4));
        _refuseDistribution();
        _sellTimes(0, first);
        _distribute(first);
        _refuseDistribution();
        _sellTimes(first, second);
        _distribute(second);
        VM.assertEq(_statusOf(listing).distributed, uint256(first) + second, "all are distributed");
        VM.assertEq(_statusOf(listing).sold, uint256(first) + second, "all were sold");

        Parts memory parts = sales.partsOf(listing);
        uint256 sold = uint256(first) + second;
        _assertCredit(TREASURY, sold * parts.feeInUnits);
        _assertCredit(CUSTODIAN, sold * parts.custodianInUnits);
        _assertCredit(PATIENT, sold * parts.patientsInUnits);
        VM.assertEq(
            parts.feeInUnits + parts.custodianInUnits + parts.patientsInUnits, listing.terms.priceInUnits, "the price"
        );
    }

    /// @notice What was sold is paid out in every state: withdrawn, frozen and released.
    function test_distribute_worksInEveryState() external {
        _sell(listing, 1);
        VM.prank(CUSTODIAN);
        sales.unlist(listing);
        uint256 withdrawn = VM.snapshotState();
        _distribute(1);
        VM.revertToState(withdrawn);
        VM.warp(block.timestamp + 7 days);
        sales.releaseBond(listing);
        _assertState(listing, IDataSales.ListingState.Released);
        _distribute(1);
    }

    /// @notice A listing that was never made pays nobody.
    function test_distribute_isRefused_forAnInventedListing() external {
        _sell(listing, 1);
        listing.custodian = STRANGER;
        listingId = listing.listingIdOf(address(sales));
        _refuseDistribution();
    }

    function _sellTimes(uint64 from, uint64 times) private {
        for (uint64 i = 0; i < times; ++i) {
            _sell(listing, from + i);
        }
    }

    function _distribute(uint256 count) private {
        Parts memory parts = sales.partsOf(listing);
        VM.expectEmit(address(sales));
        emit IPayouts.Distributed(
            listingId, count, count * parts.feeInUnits, count * parts.custodianInUnits, count * parts.patientsInUnits
        );
        VM.prank(STRANGER);
        sales.distribute(listing);
    }

    function _refuseDistribution() private {
        VM.expectRevert(abi.encodeWithSelector(IPayouts.NothingToPay.selector, listingId));
        sales.distribute(listing);
    }

    function _refuseFund(HostileToken bad, uint256 arrived) private {
        bad.mint(STRANGER, 1_000);
        VM.prank(STRANGER);
        bad.approve(address(sales), 1_000);
        VM.expectRevert(abi.encodeWithSelector(IPayouts.InexactTransfer.selector, 1_000, arrived));
        VM.prank(STRANGER);
        sales.fund(bad, 1_000);
        VM.assertEq(sales.creditOf(bad, STRANGER), 0, "nothing");
    }
}
