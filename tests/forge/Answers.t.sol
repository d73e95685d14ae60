// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {IRequests} from "../../contracts/interfaces/IRequests.sol";
import {IStandingOffers} from "../../contracts/interfaces/IStandingOffers.sol";
import {TestDollar} from "../../contracts/mocks/TestDollar.sol";
import {DataUse, UseDecision} from "../../contracts/types/DataUse.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {Request} from "../../contracts/types/Request.sol";
import {Listing, Terms} from "../../contracts/types/Sale.sol";
import {VM} from "./Cheats.sol";
import {Contributors} from "./Contributors.sol";
import {Demand} from "./Demand.sol";
import {LEAST_REWARD} from "./Stage.sol";

/// @notice Which dataset answers a request, and who may stand in it.
contract AnswersTest is Demand {
    Request private request;

    /// @notice A buyer asked.
    function setUp() external {
        _openDemand();
        request = _request();
        _ask(request);
    }

    /// @notice The patients join, each offer is used once, the listing is an answer.
    function test_answer_joinsThePatients() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 3, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 3));
        for (uint256 i = 0; i < 3; ++i) {
            VM.expectEmit(address(requests));
            emit IStandingOffers.OfferUsed(_patient(i), _digestOf(joiners[i].offer), 1);
        }
        VM.expectEmit(address(requests));
        emit IRequests.Answered(_idOf(request), _idOf(listing), CUSTODIAN, 3);
        VM.prank(CUSTODIAN);
        requests.answer(request, listing, joiners);

        VM.assertEq(requests.requestStatusOf(_idOf(request)).joined, 3, "joined");
        VM.assertEq(requests.patientsOf(_idOf(request), _idOf(listing)), 3, "with this listing");
        for (uint256 i = 0; i < PATIENTS; ++i) {
            VM.assertEq(requests.hasJoined(_idOf(request), _patient(i)), i < 3, "these three");
        }
        VM.expectRevert(abi.encodeWithSelector(IRequests.AnsweredAlready.selector, _idOf(request), _idOf(listing)));
        VM.prank(CUSTODIAN);
        requests.answer(request, listing, joiners);
    }

    /// @notice Nobody joins a request that was never made, or from its end on.
    function test_answer_isRefused_fromTheEndOn_andForNoRequest() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 2));
        VM.warp(request.until);
        _refuse(
            listing,
            joiners,
            abi.encodeWithSelector(IRequests.RequestEnded.selector, _idOf(request), request.until, request.until)
        );
        VM.warp(request.until - 1);
        VM.prank(CUSTODIAN);
        requests.answer(request, listing, joiners);
        request.nonce = 2;
        _refuse(
            listing,
            joiners,
            abi.encodeWithSelector(IRequests.RequestNotOpen.selector, _idOf(request), IRequests.RequestState.None)
        );
    }

    /// @notice Only with a live listing of one's own.
    function test_answer_isRefused_withAListingThatIsNotOffered() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 2));
        VM.expectRevert(_notOffered(listing, IDataSales.ListingState.Live));
        VM.prank(CLINIC);
        requests.answer(request, listing, joiners);
        VM.prank(CUSTODIAN);
        sales.unlist(listing);
        _refuse(listing, joiners, _notOffered(listing, IDataSales.ListingState.Withdrawn));
        listing.terms.nonce = 5;
        _refuse(listing, joiners, _notOffered(listing, IDataSales.ListingState.None));
    }

    /// @notice Only with one that is kept for the buyer, in the token and of a class that is asked for.
    function test_answer_isRefused_withAListingForOthers() external {
        Terms memory terms = _answerTerms(request, 2);
        terms.reservedFor = address(0);
        _refuseAsNoAnswer(terms);
        terms.reservedFor = BUYER;
        _refuseAsNoAnswer(terms);
        terms = _answerTerms(request, 2);
        TestDollar other = new TestDollar(address(this));
        sales.allowToken(other, LEAST_REWARD);
        terms.token = other;
        _fundIn(other, CUSTODIAN, terms.bondInUnits());
        _refuseAsNoAnswer(terms);
        request.classes = 1 << 2;
        request.nonce = 2;
        _ask(request);
        _refuseAsNoAnswer(_answerTerms(request, 2));
    }

    /// @notice Only under terms that permit what the buyer will do with it.
    function test_answer_isRefused_whereTheUseIsNotPermitted() external {
        Terms memory terms = _answerTerms(request, 2);
        terms.conditions.duoTerms = DataUse.POA;
        IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, terms);
        _refuse(
            listing,
            joiners,
            abi.encodeWithSelector(
                IRequests.RequestedUseNotPermitted.selector, _idOf(request), UseDecision.ResearchNotCovered
            )
        );
    }

    /// @notice Only for the price of exactly these patients.
    function test_answer_isRefused_forAnotherPrice() external {
        for (uint256 wrong = 1; wrong <= 3; wrong += 2) {
            IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
            Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, wrong));
            _refuse(
                listing,
                joiners,
                abi.encodeWithSelector(IRequests.PriceIsNot.selector, _idOf(listing), 2 * EACH, wrong * EACH)
            );
        }
    }

    /// @notice An answer without patients is none.
    function test_answer_isRefused_withoutPatients() external {
        Listing memory listing = _listAnswer(CUSTODIAN, _joiners(0, 1, CUSTODIAN), _answerTerms(request, 1));
        _refuse(
            listing,
            new IRequests.Joiner[](0),
            abi.encodeWithSelector(IRequests.PriceIsNot.selector, _idOf(listing), 0, EACH)
        );
    }

    /// @notice No more patients than are asked for in one answer; in all answers together there may be more, so that
    /// nobody fills a request up with patients whom the buyer would not take.
    function test_answer_isRefused_forMorePatientsThanAreTaken() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 6, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 6));
        VM.expectRevert(abi.encodeWithSelector(IRequests.TooManyPatients.selector, _idOf(request), 6, 5));
        VM.prank(CUSTODIAN);
        requests.answer(request, listing, joiners);

        _answer(request, CUSTODIAN, 0, 3);
        _answer(request, CLINIC, 3, 3);
        VM.assertEq(requests.requestStatusOf(_idOf(request)).joined, 6, "the buyer chooses");
    }

    /// @notice A patient whose answer was withdrawn joins anew, with any hospital; its offer counts once more.
    function test_answer_holds_forAPatientWhoseAnswerWasWithdrawn() external {
        Listing memory withdrawn = _answer(request, CUSTODIAN, 0, 3);
        address patient = _joiners(0, 1, CUSTODIAN)[0].offer.patient;
        VM.assertTrue(requests.hasJoined(_idOf(request), patient), "joined");
        VM.prank(CUSTODIAN);
        sales.unlist(withdrawn);
        VM.assertFalse(requests.hasJoined(_idOf(request), patient), "free again");

        _answer(request, CLINIC, 0, 3);
        VM.assertTrue(requests.hasJoined(_idOf(request), patient), "joined anew");
    }

    /// @notice A patient counts once: not twice in an answer, and not in two answers of two hospitals.
    function test_answer_isRefused_whereAPatientJoinsTwice() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
        joiners[1] = joiners[0];
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 2));
        bytes memory refusal = abi.encodeWithSelector(IRequests.JoinedAlready.selector, _idOf(request), _patient(0));
        _refuse(listing, joiners, refusal);

        _answer(request, CUSTODIAN, 0, 2);
        joiners = _joiners(0, 1, CLINIC);
        listing = _listAnswer(CLINIC, joiners, _answerTerms(request, 1));
        VM.expectRevert(refusal);
        VM.prank(CLINIC);
        requests.answer(request, listing, joiners);
    }

    /// @notice A patient may join another request with the same offer, as often as it says.
    function test_answer_takesAPatientAgain_forAnotherRequest() external {
        Terms memory terms = _answerTerms(request, 2);
        _answer(request, CUSTODIAN, 0, 2);
        for (uint64 nonce = 2; nonce <= 3; ++nonce) {
            request.nonce = nonce;
            _ask(request);
            terms.nonce = nonce;
            IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
            Listing memory listing = _listAnswer(CUSTODIAN, joiners, terms);
            if (nonce == 3) {
                VM.expectRevert(
                    abi.encodeWithSelector(
                        IStandingOffers.OfferDoesNotFit.selector, _patient(0), IStandingOffers.OfferFault.UsedUp
                    )
                );
            }
            VM.prank(CUSTODIAN);
            requests.answer(request, listing, joiners);
        }
    }

    /// @notice An offer adds to the consent and never replaces it.
    function test_answer_isRefused_wherePatientsDoNotConsentAnyMore() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 2));
        _revoke(_patient(1), CUSTODIAN, Lane.ResearchAndSale);
        _refuse(
            listing,
            joiners,
            abi.encodeWithSelector(IRequests.JoinerDoesNotConsent.selector, _patient(1), IConsents.Decision.NoConsent)
        );
    }

    /// @notice The dataset pays exactly these patients, in this order, under these salts, each the same, and nobody else.
    function test_answer_isRefused_whereTheContributorsAreNotThePatients() external {
        IRequests.Joiner[] memory joiners = _joiners(0, 3, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, _answerTerms(request, 3));
        (joiners[0], joiners[1]) = (joiners[1], joiners[0]);
        _refuseContributors(listing, joiners);
        (joiners[0], joiners[1]) = (joiners[1], joiners[0]);
        joiners[2].salt = keccak256("another salt");
        _refuseContributors(listing, joiners);
        joiners[2] = _joinerOf(_offerOf(3, CUSTODIAN), _keyOf(3));
        _refuseContributors(listing, joiners);
    }

    function _refuseContributors(Listing memory listing, IRequests.Joiner[] memory joiners) private {
        bytes32 actual = Contributors.subjectOf(_contributorsOf(joiners));
        _refuse(
            listing, joiners, abi.encodeWithSelector(IRequests.ContributorsAreNot.selector, listing.subject, actual)
        );
    }

    function _refuse(Listing memory listing, IRequests.Joiner[] memory joiners, bytes memory refusal) private {
        VM.expectRevert(refusal);
        VM.prank(CUSTODIAN);
        requests.answer(request, listing, joiners);
    }

    function _refuseAsNoAnswer(Terms memory terms) private {
        IRequests.Joiner[] memory joiners = _joiners(0, 2, CUSTODIAN);
        Listing memory listing = _listAnswer(CUSTODIAN, joiners, terms);
        _refuse(
            listing,
            joiners,
            abi.encodeWithSelector(IRequests.ListingDoesNotAnswer.selector, _idOf(request), _idOf(listing))
        );
    }

    function _notOffered(Listing memory listing, IDataSales.ListingState state) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRequests.ListingNotOffered.selector, _idOf(listing), state, CUSTODIAN);
    }

    function _fundIn(TestDollar other, address account, uint256 amountInUnits) private {
        other.mint(account, amountInUnits);
        VM.prank(account);
        other.approve(address(sales), amountInUnits);
        VM.prank(account);
        sales.fund(other, amountInUnits);
    }
}
