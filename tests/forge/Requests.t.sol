// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {IRequests} from "../../contracts/interfaces/IRequests.sol";
import {FeeOnTransferToken} from "../../contracts/mocks/HostileTokens.sol";
import {Request, RequestId} from "../../contracts/types/Request.sol";
import {Listing, Order} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";
import {Contributor, Contributors} from "./Contributors.sol";
import {Demand} from "./Demand.sol";
import {orderOf, purchaseOf} from "./Stage.sol";

/// @notice A request from its budget to its end: all or k, and the rest of the money goes back.
contract RequestsTest is Demand {
    Request private request;

    /// @notice A buyer is about to ask.
    function setUp() external {
        _openDemand();
        request = _request();
    }

    /// @notice The budget waits in the contract.
    function test_ask_takesTheBudget() external {
        token.mint(BUYER, request.budgetInUnits);
        VM.prank(BUYER);
        token.approve(address(requests), request.budgetInUnits);
        VM.expectEmit(address(requests));
        emit IRequests.Requested(_idOf(request), BUYER, request);
        VM.prank(BUYER);
        RequestId returned = requests.ask(request);
        VM.assertEq(RequestId.unwrap(returned), RequestId.unwrap(_idOf(request)), "its id");
        VM.assertEq(token.balanceOf(address(requests)), request.budgetInUnits, "the budget");
        VM.assertEq(token.balanceOf(BUYER), 0, "paid");
        _assertState(request, IRequests.RequestState.Open);
        _refuseAsk(BUYER, abi.encodeWithSelector(IRequests.RequestExists.selector, _idOf(request)));
    }

    /// @notice Only in one's own name, and only institutions in good standing.
    function test_ask_isRefused_inAnothersName_andOutOfGoodStanding() external {
        _refuseAsk(CLINIC, abi.encodeWithSelector(IRequests.NotTheAsker.selector, CLINIC, BUYER));
        institutions.suspend(BUYER);
        _refuseAsk(BUYER, abi.encodeWithSelector(IRequests.AskerNotInGoodStanding.selector, BUYER));
        request.buyer = STRANGER;
        _refuseAsk(STRANGER, abi.encodeWithSelector(IRequests.AskerNotInGoodStanding.selector, STRANGER));
    }

    /// @notice A token that brings less than the budget.
    function test_ask_isRefused_whereTheTokenIsNotExact() external {
        FeeOnTransferToken bad = new FeeOnTransferToken();
        sales.allowToken(bad, 1);
        bad.mint(BUYER, request.budgetInUnits);
        VM.prank(BUYER);
        bad.approve(address(requests), request.budgetInUnits);
        request.token = bad;
        uint256 budget = request.budgetInUnits;
        _refuseAsk(BUYER, abi.encodeWithSelector(IRequests.BudgetIncomplete.selector, budget, budget - budget / 100));
    }

    /// @notice A price, classes, a budget for the fewest, no fewer than one and no more than the most, within a year.
    function testFuzz_ask_takesSoundRequests_alone(Request memory asked, uint256 aim) external {
        asked.buyer = BUYER;
        asked.token = token;
        asked.fewest = uint32(aim % 4);
        asked.most = uint32((aim >> 8) % 4);
        asked.pricePerPatientInUnits =
            uint128(bounded(asked.pricePerPatientInUnits, 0, aim & (1 << 16) == 0 ? 2 : 1e12));
        uint256 least = uint256(asked.fewest) * asked.pricePerPatientInUnits;
        asked.budgetInUnits = uint128(aim & (1 << 17) == 0 || least == 0 ? least + (aim >> 32) % 2 : least - 1);
        uint256[6] memory ends = [uint256(0), 1, 2, 365 days, 365 days + 1, 366 days];
        asked.until = uint40(block.timestamp - 1 + ends[(aim >> 40) % 6]);
        if (aim & (1 << 18) == 0) asked.classes &= 1;

        bool sound = asked.pricePerPatientInUnits > 0 && asked.fewest > 0 && asked.fewest <= asked.most;
        sound = sound && asked.classes != 0 && asked.budgetInUnits >= least;
        sound = sound && asked.until > block.timestamp && asked.until <= block.timestamp + 365 days;
        if (!sound) {
            VM.expectRevert(abi.encodeWithSelector(IRequests.InvalidRequest.selector, _idOf(asked)));
            VM.prank(BUYER);
            requests.ask(asked);
        } else {
            _ask(asked);
            VM.assertEq(token.balanceOf(address(requests)), asked.budgetInUnits, "the budget");
        }
    }

    /// @notice Each limit once, at its last and its first value.
    function test_ask_isRefused_justOutsideOfTheLimits() external {
        uint256 unasked = VM.snapshotState();
        _asks(EACH, uint40(block.timestamp + 1), 2 * EACH, 2, 2);
        VM.revertToState(unasked);
        _asks(1, uint40(block.timestamp + 365 days), 1, 1, 1);
        VM.revertToState(unasked);
        _refuseTerms(uint40(block.timestamp), 2 * EACH, 2, 2);
        _refuseTerms(uint40(block.timestamp + 365 days + 1), 2 * EACH, 2, 2);
        _refuseTerms(request.until, 2 * EACH - 1, 2, 2);
        _refuseTerms(request.until, 3 * EACH, 3, 2);
        _refuseTerms(request.until, EACH, 0, 2);
        request.classes = 0;
        _refuseTerms(request.until, 2 * EACH, 2, 2);
        (request.classes, request.pricePerPatientInUnits) = (2, 0);
        _refuseTerms(request.until, 2 * EACH, 2, 2);
    }

    /// @notice Answers become orders of the market, paid out of the budget; what is left of it goes back.
    function test_take_buysTheAnswers() external {
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        IDataSales.Purchase[] memory purchases = _purchases(2);
        uint256 held = token.balanceOf(address(sales));
        VM.expectEmit(address(requests));
        emit IRequests.Taken(_idOf(request), 4, 4 * EACH);
        _take(listings, purchases);

        _assertState(request, IRequests.RequestState.Taken);
        VM.assertEq(token.balanceOf(address(sales)), held + 4 * EACH, "in escrow");
        VM.assertEq(token.balanceOf(BUYER), EACH, "the rest");
        VM.assertEq(token.balanceOf(address(requests)), 0, "nothing stays");
        VM.assertEq(token.allowance(address(requests), address(sales)), 0, "no allowance stays");
        for (uint256 i = 0; i < 2; ++i) {
            _assertState(_orderOf(listings[i], purchases[i]), IDataSales.OrderState.Paid);
            VM.assertEq(requests.patientsOf(_idOf(request), _idOf(listings[i])), 0, "taken");
        }
        _refuseTake(
            listings,
            purchases,
            abi.encodeWithSelector(IRequests.RequestNotOpen.selector, _idOf(request), IRequests.RequestState.Taken)
        );
    }

    /// @notice From the request to every patient's money: each the same, at least what the offer asks.
    function test_take_paysEveryPatient_inTheEnd() external {
        _ask(request);
        Listing[] memory listings = _one(CUSTODIAN, 0, 3);
        IDataSales.Purchase[] memory purchases = _purchases(1);
        _take(listings, purchases);
        Order memory order = _orderOf(listings[0], purchases[0]);
        _deliver(order, listings[0], MASKED);
        VM.warp(block.timestamp + 3 days);
        sales.settle(order, listings[0]);
        Contributor[] memory all = _contributorsOf(_joiners(0, 3, CUSTODIAN));
        for (uint256 i = 0; i < 3; ++i) {
            sales.claim(listings[0], Contributors.shareOf(all[i]), Contributors.proofOf(all, i));
            _assertCredit(all[i].payout, sales.partsOf(listings[0]).patientsInUnits / 3);
            VM.assertLe(EACH / 2, sales.creditOf(token, all[i].payout), "at least what the offer asks");
        }
    }

    /// @notice An order that is not delivered comes back to the buyer, not to the requests.
    function test_take_refundsTheBuyer_whereNothingIsDelivered() external {
        _ask(request);
        Listing[] memory listings = _one(CUSTODIAN, 0, 2);
        IDataSales.Purchase[] memory purchases = _purchases(1);
        _take(listings, purchases);
        VM.warp(block.timestamp + 1 days);
        sales.refund(_orderOf(listings[0], purchases[0]), listings[0]);
        _assertCredit(BUYER, 2 * EACH);
        _assertCredit(address(requests), 0);
    }

    /// @notice All or k: with k patients it is taken, with one fewer it is not, however they came together.
    function test_take_needsTheFewest_howeverTheyCameTogether() external {
        uint256 unasked = VM.snapshotState();
        for (uint256 first = 1; first <= 4; ++first) {
            for (uint256 second = 1; first + second <= 5; ++second) {
                for (uint32 fewest = 1; fewest <= 5; ++fewest) {
                    _takeOrClose(fewest, first, second);
                    VM.revertToState(unasked);
                }
            }
        }
    }

    /// @notice One below k, and nothing at all.
    function test_take_isRefused_withOneBelowTheFewest() external {
        request.fewest = 4;
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        Listing[] memory one = new Listing[](1);
        one[0] = listings[0];
        _refuseTake(one, _purchases(1), _tooFew(2));
        _refuseTake(new Listing[](0), _purchases(0), _tooFew(0));
        _take(listings, _purchases(2));
    }

    /// @notice The same answer twice is not twice as many patients; and no listing of others, or of no answer.
    function test_take_isRefused_withAnAnswerTwice_orNone() external {
        request.fewest = 4;
        _ask(request);
        Listing[] memory listings = _two(2, 1);
        listings[1] = listings[0];
        _refuseTake(listings, _purchases(2), _notAnAnswer(listings[0]));
        listings[1] = _listAnswer(CLINIC, _joiners(3, 2, CLINIC), _answerTerms(request, 2));
        _refuseTake(listings, _purchases(2), _notAnAnswer(listings[1]));

        Request memory other = _request();
        other.nonce = 2;
        _ask(other);
        IDataSales.Purchase[] memory purchases = _purchases(2);
        VM.expectRevert(abi.encodeWithSelector(IRequests.NotAnAnswer.selector, _idOf(other), _idOf(listings[0])));
        VM.prank(BUYER);
        requests.take(other, listings, purchases);
    }

    /// @notice One purchase for each answer, and no more than the budget pays.
    function test_take_isRefused_withoutPurchases_andBeyondTheBudget() external {
        request.budgetInUnits = 3 * EACH;
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        _refuseTake(listings, _purchases(1), abi.encodeWithSelector(IRequests.PurchasesMissing.selector, 2, 1));
        _refuseTake(
            listings,
            _purchases(2),
            abi.encodeWithSelector(IRequests.BudgetExceeded.selector, _idOf(request), 4 * EACH, 3 * EACH)
        );
    }

    /// @notice For the use that the request states, for which the patients' custodians answered; and no more patients
    /// than it states.
    function test_take_isRefused_forAnotherUse_andForMorePatients() external {
        request.most = 3;
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        IDataSales.Purchase[] memory purchases = _purchases(2);
        _refuseTake(
            listings, purchases, abi.encodeWithSelector(IRequests.TooManyPatients.selector, _idOf(request), 4, 3)
        );
        purchases[1].use.disease = 5148;
        bytes memory refusal =
            abi.encodeWithSelector(IRequests.UseIsNotAsRequested.selector, _idOf(request), _idOf(listings[1]));
        _refuseTake(listings, purchases, refusal);
    }

    /// @notice For seven days after the end, so that the buyer can inspect what came last; and by {take} alone.
    function test_take_isRefused_sevenDaysAfterTheEnd_andAnAnswerIsNotBoughtElsewhere() external {
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        IDataSales.Purchase[] memory purchases = _purchases(2);
        VM.expectRevert(abi.encodeWithSelector(IDataSales.ReservedFor.selector, address(requests), BUYER));
        VM.prank(BUYER);
        sales.buy(listings[0], purchases[0]);

        uint256 end = request.until + 7 days;
        VM.warp(end);
        _refuseTake(
            listings, purchases, abi.encodeWithSelector(IRequests.RequestEnded.selector, _idOf(request), end, end)
        );
        VM.warp(end - 1);
        _take(listings, purchases);
    }

    /// @notice The buyer's alone, and only with the buyer's leave to buy in his name.
    function test_take_isRefused_forOthers_andWithoutAnAgent() external {
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        IDataSales.Purchase[] memory purchases = _purchases(2);
        VM.expectRevert(abi.encodeWithSelector(IRequests.NotTheAsker.selector, STRANGER, BUYER));
        VM.prank(STRANGER);
        requests.take(request, listings, purchases);
        VM.prank(BUYER);
        sales.allowAgent(address(requests), false);
        _refuseTake(
            listings, purchases, abi.encodeWithSelector(IDataSales.NotAnAgent.selector, address(requests), BUYER)
        );
    }

    /// @notice Where one answer cannot be bought any more, none is; the others can be taken alone.
    function test_take_isAllOrNothing_whereAnAnswerIsGone() external {
        _ask(request);
        Listing[] memory listings = _two(2, 2);
        VM.prank(CLINIC);
        sales.unlist(listings[1]);
        _refuseTake(
            listings,
            _purchases(2),
            abi.encodeWithSelector(
                IDataSales.ListingNotLive.selector, _idOf(listings[1]), IDataSales.ListingState.Withdrawn
            )
        );
        VM.assertEq(_statusOf(listings[0]).open, 0, "nothing was bought");
        VM.assertEq(requests.patientsOf(_idOf(request), _idOf(listings[0])), 2, "still an answer");
        Listing[] memory one = new Listing[](1);
        one[0] = listings[0];
        _take(one, _purchases(1));
    }

    /// @notice Before the end the budget waits, and answers can be taken.
    function test_close_isRefused_beforeTheEnd() external {
        _ask(request);
        Listing[] memory listings = _one(CUSTODIAN, 0, 2);
        VM.warp(request.until - 1);
        _refuseClose(
            BUYER,
            abi.encodeWithSelector(
                IRequests.RequestStillOpen.selector, _idOf(request), request.until, request.until - 1
            )
        );
        _take(listings, _purchases(1));
        VM.warp(request.until);
        _refuseClose(BUYER, _notOpen(IRequests.RequestState.Taken));
    }

    /// @notice From the end on the buyer has it back, once, and nobody else; or still takes the answers.
    function test_close_returnsTheBudget_fromTheEndOn() external {
        _ask(request);
        Listing[] memory listings = _one(CUSTODIAN, 0, 2);
        VM.warp(request.until);
        uint256 open = VM.snapshotState();
        _refuseClose(STRANGER, abi.encodeWithSelector(IRequests.NotTheAsker.selector, STRANGER, BUYER));
        VM.expectEmit(address(requests));
        emit IRequests.Closed(_idOf(request));
        VM.prank(BUYER);
        requests.close(request);
        VM.assertEq(token.balanceOf(BUYER), request.budgetInUnits, "the budget");
        _refuseClose(BUYER, _notOpen(IRequests.RequestState.Closed));
        _refuseTake(listings, _purchases(1), _notOpen(IRequests.RequestState.Closed));

        VM.revertToState(open);
        _take(listings, _purchases(1));
        VM.assertEq(token.balanceOf(BUYER), request.budgetInUnits - 2 * EACH, "taken after the end");
    }

    /// @notice A suspended buyer has the budget back, though nothing can be bought.
    function test_close_works_whileTheBuyerIsSuspended() external {
        _ask(request);
        Listing[] memory listings = _one(CUSTODIAN, 0, 2);
        institutions.suspend(BUYER);
        _refuseTake(listings, _purchases(1), abi.encodeWithSelector(IDataSales.BuyerNotInGoodStanding.selector, BUYER));
        VM.warp(request.until);
        VM.prank(BUYER);
        requests.close(request);
        VM.assertEq(token.balanceOf(BUYER), request.budgetInUnits, "the budget");
    }

    function _asks(uint128 price, uint40 until, uint128 budget, uint32 fewest, uint32 most) private {
        request.pricePerPatientInUnits = price;
        (request.until, request.budgetInUnits, request.fewest, request.most) = (until, budget, fewest, most);
        _ask(request);
        _assertState(request, IRequests.RequestState.Open);
    }

    function _refuseTerms(uint40 until, uint128 budget, uint32 fewest, uint32 most) private {
        (request.until, request.budgetInUnits, request.fewest, request.most) = (until, budget, fewest, most);
        _refuseAsk(BUYER, abi.encodeWithSelector(IRequests.InvalidRequest.selector, _idOf(request)));
        request.until = uint40(NOW + 10 days);
    }

    /// @dev Two answers; taken where they are enough, else everyone is refunded.
    function _takeOrClose(uint32 fewest, uint256 first, uint256 second) private {
        request.fewest = fewest;
        _ask(request);
        Listing[] memory listings = _two(first, second);
        if (first + second >= fewest) {
            _take(listings, _purchases(2));
            VM.assertEq(token.balanceOf(BUYER), request.budgetInUnits - (first + second) * EACH, "the rest");
        } else {
            _refuseTake(listings, _purchases(2), _tooFew(first + second));
            VM.warp(request.until);
            VM.prank(BUYER);
            requests.close(request);
            VM.assertEq(token.balanceOf(BUYER), request.budgetInUnits, "everyone is refunded");
        }
    }

    function _one(address seller, uint256 first, uint256 count) private returns (Listing[] memory listings) {
        listings = new Listing[](1);
        listings[0] = _answer(request, seller, first, count);
    }

    /// @dev Answers of two hospitals with different patients.
    function _two(uint256 first, uint256 second) private returns (Listing[] memory listings) {
        listings = new Listing[](2);
        listings[0] = _answer(request, CUSTODIAN, 0, first);
        listings[1] = _answer(request, CLINIC, first, second);
    }

    function _purchases(uint256 count) private pure returns (IDataSales.Purchase[] memory purchases) {
        purchases = new IDataSales.Purchase[](count);
        for (uint256 i = 0; i < count; ++i) {
            purchases[i] = purchaseOf(keccak256(abi.encode(i)), 1);
        }
    }

    function _orderOf(Listing memory listing, IDataSales.Purchase memory purchase) private view returns (Order memory) {
        return orderOf(address(sales), listing, BUYER, purchase);
    }

    function _take(Listing[] memory listings, IDataSales.Purchase[] memory purchases) private {
        VM.prank(BUYER);
        requests.take(request, listings, purchases);
    }

    function _refuseTake(Listing[] memory listings, IDataSales.Purchase[] memory purchases, bytes memory refusal)
        private
    {
        VM.expectRevert(refusal);
        VM.prank(BUYER);
        requests.take(request, listings, purchases);
    }

    function _refuseAsk(address account, bytes memory refusal) private {
        VM.expectRevert(refusal);
        VM.prank(account);
        requests.ask(request);
    }

    function _refuseClose(address account, bytes memory refusal) private {
        VM.expectRevert(refusal);
        VM.prank(account);
        requests.close(request);
    }

    function _tooFew(uint256 patients) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRequests.TooFewPatients.selector, _idOf(request), patients, request.fewest);
    }

    function _notAnAnswer(Listing memory listing) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRequests.NotAnAnswer.selector, _idOf(request), _idOf(listing));
    }

    function _notOpen(IRequests.RequestState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRequests.RequestNotOpen.selector, _idOf(request), state);
    }
}
