// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReenteringToken} from "../../contracts/mocks/HostileTokens.sol";
import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {IInstitutions} from "../../contracts/interfaces/IInstitutions.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {UseDecision} from "../../contracts/types/DataUse.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {BatchProof, RecordDescription} from "../../contracts/types/Record.sol";
import {Listing, ListingId, Order, OrderId, Terms} from "../../contracts/types/Sale.sol";
import {VM} from "./Cheats.sol";
import {Market} from "./Market.sol";
import {LEAST_REWARD, listingOf, orderOf, purchaseOf, recordOf, termsOf} from "./Stage.sol";

/// @notice Who may buy what, with whose money, and what a purchase leaves behind.
contract PurchasesTest is Market {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    uint256 private constant KEY = 0xB0B;
    address private constant AGENT = address(0xA5);

    Listing private listing;
    ListingId private listingId;
    IDataSales.Purchase private purchase;

    /// @notice The hospital sells the patient's record.
    function setUp() external {
        _openMarket(250);
        listing = _listRecord();
        listingId = listing.listingIdOf(address(sales));
        purchase = purchaseOf(SECRET, 1);
    }

    /// @notice The price goes into escrow, the order's slot holds state and deadline, the event everything else.
    function test_buy_paysIntoEscrow() external {
        OrderId orderId = orderOf(address(sales), listing, BUYER, purchase).orderIdOf(address(sales));
        uint128 price = listing.terms.priceInUnits;
        uint256 held = token.balanceOf(address(sales));
        _mint(BUYER, price);
        uint40 deadline = uint40(block.timestamp + 1 days);

        VM.expectEmit(address(sales));
        emit IDataSales.Bought(
            orderId, listingId, BUYER, purchase.commitment, purchase.sealedSecret, price, 1, purchase.use, deadline
        );
        VM.prank(BUYER);
        OrderId returned = sales.buy(listing, purchase);

        VM.assertEq(OrderId.unwrap(returned), OrderId.unwrap(orderId), "its id");
        VM.assertEq(token.balanceOf(address(sales)), held + price, "escrow");
        VM.assertEq(token.balanceOf(BUYER), 0, "paid");
        IDataSales.OrderStatus memory status = sales.orderStatusOf(orderId);
        VM.assertEq(uint256(status.state), uint256(IDataSales.OrderState.Paid), "paid");
        VM.assertEq(status.deadline, deadline, "its deadline");
        VM.assertEq(bytes32(status.delivery), 0, "nothing is delivered");
        VM.assertEq(_statusOf(listing).open, 1, "one order is open");
        _assertCredit(BUYER, 0);
    }

    /// @notice The same order once; another nonce makes another.
    function test_buy_isRefused_forTheSameOrder() external {
        Order memory order = _buy(listing, 1);
        _mint(BUYER, listing.terms.priceInUnits);
        _refuse(1, abi.encodeWithSelector(IDataSales.OrderExists.selector, order.orderIdOf(address(sales))));
        VM.warp(block.timestamp + 1 days);
        sales.refund(order, listing);
        _refuse(1, abi.encodeWithSelector(IDataSales.OrderExists.selector, order.orderIdOf(address(sales))));
        _buy(listing, 2);
    }

    /// @notice Not withdrawn, not released, not invented.
    function test_buy_isRefused_unlessTheListingIsLive() external {
        VM.prank(CUSTODIAN);
        sales.unlist(listing);
        _refuse(1, _notLive(IDataSales.ListingState.Withdrawn));
        sales.releaseBond(listing);
        _refuse(1, _notLive(IDataSales.ListingState.Released));
        listing.terms.priceInUnits = 1;
        listingId = listing.listingIdOf(address(sales));
        _refuse(1, _notLive(IDataSales.ListingState.None));
    }

    /// @notice Not in a token that governance took back, by no way of buying.
    function test_buy_isRefused_forATokenThatIsNoLongerAllowed() external {
        sales.allowToken(token, 0);
        bytes memory refusal = abi.encodeWithSelector(IDataSales.TokenNotAllowed.selector, token);
        _refuse(1, refusal);
        IDataSales.Permit memory none;
        VM.expectRevert(refusal);
        VM.prank(BUYER);
        sales.buyWithPermit(listing, purchase, none);
        VM.prank(BUYER);
        sales.allowAgent(AGENT, true);
        VM.expectRevert(refusal);
        VM.prank(AGENT);
        sales.buyFor(BUYER, listing, purchase);
    }

    /// @notice Only institutions in good standing, and only what an institution in good standing vouches for.
    function test_buy_isRefused_outOfGoodStanding() external {
        VM.expectRevert(abi.encodeWithSelector(IDataSales.BuyerNotInGoodStanding.selector, STRANGER));
        VM.prank(STRANGER);
        sales.buy(listing, purchase);
        institutions.suspend(BUYER);
        _refuse(1, abi.encodeWithSelector(IDataSales.BuyerNotInGoodStanding.selector, BUYER));
        institutions.reinstate(BUYER);
        institutions.suspend(CUSTODIAN);
        _refuse(1, abi.encodeWithSelector(IDataSales.CustodianNotInGoodStanding.selector, CUSTODIAN));
    }

    /// @notice Not once the patient took consent back.
    function test_buy_isRefused_onceConsentIsWithdrawn() external {
        _revoke(PATIENT, CUSTODIAN, Lane.ResearchAndSale);
        _refuse(
            1,
            abi.encodeWithSelector(
                IDataSales.SaleNotPermitted.selector, listing.subject, CUSTODIAN, IConsents.Decision.NoConsent
            )
        );
    }

    /// @notice To the second: consent that ends at a time sells until the second before.
    function test_buy_isRefused_fromTheEndOfConsentOn() external {
        uint40 end = uint40(block.timestamp + 1 hours);
        _consent(PATIENT, CUSTODIAN, 0, end);
        VM.warp(end - 1);
        _buy(listing, 1);
        VM.warp(end);
        _refuse(
            2,
            abi.encodeWithSelector(
                IDataSales.SaleNotPermitted.selector, listing.subject, CUSTODIAN, IConsents.Decision.Ended
            )
        );
    }

    /// @notice A use that the terms do not permit is refused with the reason.
    function test_buy_isRefused_forAnotherUse() external {
        purchase.use.purpose = 0;
        VM.assertEq(
            uint256(sales.permitsUse(listing, purchase.use, BUYER)),
            uint256(UseDecision.PurposeNotCovered),
            "the reason"
        );
        VM.expectRevert(
            abi.encodeWithSelector(IDataSales.UseNotPermitted.selector, BUYER, UseDecision.PurposeNotCovered)
        );
        VM.prank(BUYER);
        sales.buy(listing, purchase);
    }

    /// @notice A listing that is not for this kind of institution.
    function test_buy_isRefused_forAnotherKindOfBuyer() external {
        Terms memory terms = termsOf(token);
        terms.conditions.kindsDenied = uint16(1) << uint8(IInstitutions.Kind.Buyer);
        listing = _list(CUSTODIAN, recordOf(CUSTODIAN, PATIENT, 2), terms);
        _refuse(1, abi.encodeWithSelector(IDataSales.UseNotPermitted.selector, BUYER, UseDecision.BuyerKindNotAllowed));
        institutions.enrol(BUYER, IInstitutions.Kind.Laboratory, 0);
        _buy(listing, 1);
    }

    /// @notice A reserved listing is for one account.
    function testFuzz_buy_isRefused_whereReservedForAnother(address other) external {
        if (other == BUYER || other == address(0)) return;
        Terms memory terms = termsOf(token);
        terms.reservedFor = other;
        listing = _list(CUSTODIAN, recordOf(CUSTODIAN, PATIENT, 2), terms);
        _refuse(1, abi.encodeWithSelector(IDataSales.ReservedFor.selector, other, BUYER));
        terms.reservedFor = BUYER;
        listing = _list(CUSTODIAN, recordOf(CUSTODIAN, PATIENT, 3), terms);
        _buy(listing, 1);
    }

    /// @notice A token that brings more than the price while it is paid.
    function test_buy_isRefused_whereTheTokenIsNotExact() external {
        ReenteringToken bad = new ReenteringToken();
        Terms memory terms = termsOf(bad);
        sales.allowToken(bad, LEAST_REWARD);
        bad.mint(CUSTODIAN, terms.bondInUnits());
        VM.prank(CUSTODIAN);
        bad.approve(address(sales), type(uint256).max);
        VM.prank(CUSTODIAN);
        sales.fund(bad, terms.bondInUnits());
        RecordDescription memory record = recordOf(CUSTODIAN, PATIENT, 2);
        BatchProof memory proof = _deposit(record);
        VM.prank(CUSTODIAN);
        sales.list(terms, record, proof);
        bad.mint(BUYER, terms.priceInUnits);
        VM.prank(BUYER);
        bad.approve(address(sales), type(uint256).max);

        bad.mint(address(bad), 1);
        bad.plan(address(bad), abi.encodeCall(IERC20.transfer, (address(sales), 1)), true);
        listing = listingOf(CUSTODIAN, record, terms);
        uint256 price = terms.priceInUnits;
        _refuse(1, abi.encodeWithSelector(IPayouts.InexactTransfer.selector, price, price + 1));
    }

    /// @notice Approval and purchase in one transaction.
    function test_buyWithPermit_paysWithASignature() external {
        address buyer = _buyerWithKey();
        IDataSales.Permit memory permit = _permit(buyer, listing.terms.priceInUnits, block.timestamp);
        VM.prank(buyer);
        sales.buyWithPermit(listing, purchase, permit);
        _assertState(orderOf(address(sales), listing, buyer, purchase), IDataSales.OrderState.Paid);
        VM.assertEq(token.balanceOf(buyer), 0, "paid");
    }

    /// @notice A permit that somebody else sent first serves as well.
    function test_buyWithPermit_works_whenThePermitWasFrontRun() external {
        address buyer = _buyerWithKey();
        uint256 price = listing.terms.priceInUnits;
        IDataSales.Permit memory permit = _permit(buyer, price, block.timestamp);
        VM.prank(STRANGER);
        token.permit(buyer, address(sales), price, permit.deadline, permit.v, permit.r, permit.s);
        VM.prank(buyer);
        sales.buyWithPermit(listing, purchase, permit);
        VM.assertEq(token.balanceOf(buyer), 0, "paid");
    }

    /// @notice Without a permit that holds, and without an approval, nothing is bought.
    function test_buyWithPermit_isRefused_whenThePermitIsTooLate() external {
        address buyer = _buyerWithKey();
        uint256 price = listing.terms.priceInUnits;
        IDataSales.Permit memory permit = _permit(buyer, price, block.timestamp - 1);
        VM.expectRevert(
            abi.encodeWithSignature("ERC20InsufficientAllowance(address,uint256,uint256)", address(sales), 0, price)
        );
        VM.prank(buyer);
        sales.buyWithPermit(listing, purchase, permit);
    }

    /// @notice An agent pays, the order and any refund are the buyer's.
    function test_buyFor_paysWithTheAgentsMoney() external {
        uint128 price = listing.terms.priceInUnits;
        VM.expectEmit(address(sales));
        emit IDataSales.AgentAllowed(BUYER, AGENT, true);
        VM.prank(BUYER);
        sales.allowAgent(AGENT, true);
        VM.assertTrue(sales.isAgentOf(BUYER, AGENT), "an agent");
        _mint(AGENT, price);
        VM.prank(AGENT);
        sales.buyFor(BUYER, listing, purchase);

        VM.assertEq(token.balanceOf(AGENT), 0, "paid");
        Order memory order = orderOf(address(sales), listing, BUYER, purchase);
        VM.warp(block.timestamp + 1 days);
        sales.refund(order, listing);
        _assertCredit(BUYER, price);
        _assertCredit(AGENT, 0);
    }

    /// @notice Nobody buys in another's name who was not allowed, or is no longer.
    function testFuzz_buyFor_isRefused_forAStranger(address stranger) external {
        if (stranger == AGENT) return;
        VM.prank(BUYER);
        sales.allowAgent(AGENT, true);
        bytes memory refusal = abi.encodeWithSelector(IDataSales.NotAnAgent.selector, stranger, BUYER);
        VM.expectRevert(refusal);
        VM.prank(stranger);
        sales.buyFor(BUYER, listing, purchase);
        VM.prank(BUYER);
        sales.allowAgent(AGENT, false);
        VM.assertFalse(sales.isAgentOf(BUYER, AGENT), "no agent any more");
        VM.expectRevert(abi.encodeWithSelector(IDataSales.NotAnAgent.selector, AGENT, BUYER));
        VM.prank(AGENT);
        sales.buyFor(BUYER, listing, purchase);
    }

    function _refuse(uint64 nonce, bytes memory refusal) private {
        purchase.nonce = nonce;
        VM.expectRevert(refusal);
        VM.prank(BUYER);
        sales.buy(listing, purchase);
    }

    function _notLive(IDataSales.ListingState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IDataSales.ListingNotLive.selector, listingId, state);
    }

    function _buyerWithKey() private returns (address buyer) {
        buyer = VM.addr(KEY);
        institutions.enrol(buyer, IInstitutions.Kind.Buyer, 0);
        token.mint(buyer, listing.terms.priceInUnits);
    }

    function _permit(address buyer, uint256 price, uint256 deadline)
        private
        view
        returns (IDataSales.Permit memory permit)
    {
        bytes32 message =
            keccak256(abi.encode(PERMIT_TYPEHASH, buyer, address(sales), price, token.nonces(buyer), deadline));
        permit.deadline = deadline;
        (permit.v, permit.r, permit.s) =
            VM.sign(KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), message)));
    }
}
