// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "./IConsents.sol";
import {IDataSales} from "./IDataSales.sol";
import {IStandingOffers} from "./IStandingOffers.sol";
import {UseDecision} from "../types/DataUse.sol";
import {Request, RequestId} from "../types/Request.sol";
import {Listing, ListingId} from "../types/Sale.sol";
import {StandingOffer} from "../types/StandingOffer.sol";

/// @title Demand first: a buyer asks, custodians answer with patients who offered
/// @notice A request settles with at least so many distinct, consenting patients, or not at all (all or k). The budget
/// waits here; what is bought becomes an ordinary order of {IDataSales}, with all that protects it there.
/// An answer is a dataset that its custodian listed there for this contract alone, so that it is bought by {take} only. This contract rebuilds the tree of its
/// contributors out of the offers, so that exactly these patients are paid, each the same.
interface IRequests is IStandingOffers {
    /// @notice Where a request stands. The last two are final: bought, or the budget went back.
    enum RequestState {
        None,
        Open,
        Taken,
        Closed
    }

    /// @notice A request as it is stored, in one slot.
    /// @param state Where it stands.
    /// @param joined How many patients joined, in all answers; those of a withdrawn one included.
    struct RequestStatus {
        RequestState state;
        uint32 joined;
    }

    /// @notice A patient who joins a request.
    /// @param offer What the patient offered.
    /// @param signature Of the offer, by the patient.
    /// @param salt Hides the patient in the dataset's tree of contributors.
    struct Joiner {
        StandingOffer offer;
        bytes signature;
        bytes32 salt;
    }

    /// @notice A buyer asks for data, and has paid the budget in.
    /// @param requestId Names it.
    /// @param buyer Who asks.
    /// @param request Every field of it.
    event Requested(RequestId indexed requestId, address indexed buyer, Request request);

    /// @notice A custodian answered with a dataset of so many patients.
    /// @param requestId The request.
    /// @param listingId The dataset's listing.
    /// @param seller The custodian.
    /// @param patients How many joined with it.
    event Answered(RequestId indexed requestId, ListingId indexed listingId, address indexed seller, uint256 patients);

    /// @notice The buyer bought answers with enough patients.
    /// @param requestId The request.
    /// @param patients How many there are in them.
    /// @param paidInUnits Into the market's escrow; the rest of the budget went back.
    event Taken(RequestId indexed requestId, uint256 patients, uint256 paidInUnits);

    /// @notice The buyer has the budget back; nothing was bought.
    /// @param requestId The request.
    event Closed(RequestId indexed requestId);

    /// @notice A request has an allowed token, a price, classes, a budget for the fewest, an end within a year.
    error InvalidRequest(RequestId requestId);

    /// @notice Only verified institutions in good standing ask; have the account enrolled or reinstated.
    error AskerNotInGoodStanding(address buyer);

    /// @notice Only the buyer of the request does this.
    error NotTheAsker(address account, address buyer);

    /// @notice This very request exists; choose another nonce.
    error RequestExists(RequestId requestId);

    /// @notice The request is not open; look it up.
    error RequestNotOpen(RequestId requestId, RequestState state);

    /// @notice Nobody joins after the end of a request, and nothing is taken seven days after it.
    error RequestEnded(RequestId requestId, uint256 until, uint256 blockTime);

    /// @notice The budget waits until the end of the request.
    error RequestStillOpen(RequestId requestId, uint40 until, uint256 blockTime);

    /// @notice The token did not bring exactly the budget; it cannot be used here.
    error BudgetIncomplete(uint256 expected, uint256 arrived);

    /// @notice Only the seller of a live listing answers with it.
    error ListingNotOffered(ListingId listingId, IDataSales.ListingState state, address seller);

    /// @notice The listing is not kept for this contract, in the token and of a class that is asked for.
    error ListingDoesNotAnswer(RequestId requestId, ListingId listingId);

    /// @notice The terms do not permit the use that the request states.
    error RequestedUseNotPermitted(RequestId requestId, UseDecision decision);

    /// @notice The listing's price is not that of so many patients.
    error PriceIsNot(ListingId listingId, uint256 expected, uint256 actual);

    /// @notice The listing answered this request already.
    error AnsweredAlready(RequestId requestId, ListingId listingId);

    /// @notice A patient joins a request once, as long as that answer can be taken.
    error JoinedAlready(RequestId requestId, address patient);

    /// @notice The patient's consent does not let this seller sell it now; leave the patient out.
    error JoinerDoesNotConsent(address patient, IConsents.Decision decision);

    /// @notice The dataset's contributors are not the patients of the offers, in this order, with equal shares.
    error ContributorsAreNot(bytes32 expected, bytes32 actual);

    /// @notice More patients than the request takes; take fewer answers.
    error TooManyPatients(RequestId requestId, uint256 patients, uint256 most);

    /// @notice Fewer patients than the request needs.
    error TooFewPatients(RequestId requestId, uint256 patients, uint256 fewest);

    /// @notice This listing did not answer the request, or is taken twice.
    error NotAnAnswer(RequestId requestId, ListingId listingId);

    /// @notice Each answer needs a purchase of its own.
    error PurchasesMissing(uint256 answers, uint256 purchases);

    /// @notice The purchase is for another use than the request; answers were given for that one.
    error UseIsNotAsRequested(RequestId requestId, ListingId listingId);

    /// @notice The answers cost more than the budget; take fewer.
    error BudgetExceeded(RequestId requestId, uint256 priceInUnits, uint256 budgetInUnits);

    /// @notice Asks for data, in the caller's name. The caller has approved the budget.
    /// @dev Reverts with {NotTheAsker}, {AskerNotInGoodStanding}, {InvalidRequest}, {RequestExists} or {BudgetIncomplete}.
    function ask(Request calldata request) external returns (RequestId);

    /// @notice Answers with a dataset that the caller listed for this contract: one standing offer for each contributor, in the
    /// order of the tree's leaves. Each counts as used once, whether or not the answer is taken. A seller who withdraws the
    /// listing takes the answer back; its patients may join anew.
    /// @dev Reverts with {RequestNotOpen}, {RequestEnded}, {ListingNotOffered}, {ListingDoesNotAnswer},
    /// {RequestedUseNotPermitted}, {PriceIsNot}, {AnsweredAlready}, {TooManyPatients}, {OfferDoesNotFit}, {OfferNotSigned},
    /// {JoinerDoesNotConsent}, {JoinedAlready} or {ContributorsAreNot}.
    function answer(Request calldata request, Listing calldata listing, Joiner[] calldata joiners) external;

    /// @notice Buys answers with at least the fewest patients, all in one; the rest of the budget goes back to the buyer.
    /// The buyer has allowed this contract as an agent in {IDataSales}, and has inspected every dataset; seven days after
    /// the end of the request it is too late. *Note*: patients consented when they joined. Who changed his mind since
    /// takes the consent back and freezes the listing, which ends the answer.
    /// @param listings Answers, each at most once.
    /// @param purchases One for each, in the same order, for the use that the request states.
    /// @dev Reverts with {NotTheAsker}, {RequestNotOpen}, {RequestEnded}, {PurchasesMissing}, {NotAnAnswer}, {UseIsNotAsRequested},
    /// {TooFewPatients}, {TooManyPatients}, {BudgetExceeded}, or as {IDataSales.buyFor}.
    function take(Request calldata request, Listing[] calldata listings, IDataSales.Purchase[] calldata purchases)
        external;

    /// @notice Gives the buyer the budget back, from the end of the request on.
    /// @dev Reverts with {NotTheAsker}, {RequestNotOpen} or {RequestStillOpen}.
    function close(Request calldata request) external;

    /// @notice Where a request stands.
    function requestStatusOf(RequestId requestId) external view returns (RequestStatus memory);

    /// @notice How many patients joined a request with this listing; zero where it is no answer, or is taken.
    function patientsOf(RequestId requestId, ListingId listingId) external view returns (uint256);

    /// @notice Whether a patient joined a request with an answer whose listing is live.
    function hasJoined(RequestId requestId, address patient) external view returns (bool);
}
