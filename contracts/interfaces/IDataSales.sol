// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IConsents} from "./IConsents.sol";
import {BatchProof, RecordDescription, RecordId} from "../types/Record.sol";
import {Listing, ListingId, Order, OrderId, Terms} from "../types/Sale.sol";

/// @title Listings, escrow, delivery and settlement of sealed records
/// @notice The only contract that holds money. A listing and an order are named by the hash of all their fields; the
/// fields themselves travel in calldata and events. Everybody withdraws what is credited; nothing is pushed.
/// In every second exactly one party can act on a deadline: before it the seller delivers, from it on the buyer is
/// refunded; after the delivery nobody is paid before the dispute window is over.
/// *Warning*: this version takes no proof of a wrong key or chunk; a buyer complains to the custodian, by name.
interface IDataSales {
    /// @notice Where a listing stands.
    enum ListingState {
        None,
        Live,
        Withdrawn
    }

    /// @notice Where an order stands. The last two are final, and stay.
    enum OrderState {
        None,
        Paid,
        Delivered,
        Settled,
        Refunded
    }

    /// @notice A listing as it is stored.
    /// @param state Where it stands.
    /// @param listedAt The block's time, seconds since 1970.
    struct ListingStatus {
        ListingState state;
        uint40 listedAt;
    }

    /// @notice An order as it is stored, in one slot.
    /// @param state Where it stands.
    /// @param deadline Paid: first second in which it can be refunded. Delivered: first second in which it settles.
    /// @param delivery The first 26 bytes of keccak256 of the delivered masked key; zero before.
    struct OrderStatus {
        OrderState state;
        uint40 deadline;
        bytes26 delivery;
    }

    /// @notice A purchase to be made.
    /// @param commitment H(0x0a ‖ t) of a fresh 32-byte secret t.
    /// @param sealedSecret SHA-256 of a block with t, sealed to the seller's registered key with the order id as info.
    /// @param nonce Tells two purchases of the same listing apart.
    struct Purchase {
        bytes32 commitment;
        bytes32 sealedSecret;
        uint64 nonce;
    }

    /// @notice An ERC-2612 approval of the price for this contract.
    /// @param deadline Last second in which it may be used.
    /// @param v Recovery id. @param r First half. @param s Second half of the signature.
    struct Permit {
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice A record is for sale.
    /// @param listingId Names it.
    /// @param seller Who sells.
    /// @param listing Every field of it.
    event Listed(ListingId indexed listingId, address indexed seller, Listing listing);

    /// @notice A record is no longer for sale; open orders run on.
    /// @param listingId Names it.
    event Unlisted(ListingId indexed listingId);

    /// @notice A buyer paid into escrow and waits for delivery.
    /// @param orderId Names it.
    /// @param listingId What is bought.
    /// @param buyer Who paid.
    /// @param commitment H(0x0a ‖ t).
    /// @param sealedSecret SHA-256 of the block with t sealed to the seller.
    /// @param priceInUnits What was paid.
    /// @param nonce The order's nonce.
    /// @param deadline First second in which it can be refunded.
    event Bought(
        OrderId indexed orderId,
        ListingId indexed listingId,
        address indexed buyer,
        bytes32 commitment,
        bytes32 sealedSecret,
        uint128 priceInUnits,
        uint64 nonce,
        uint40 deadline
    );

    /// @notice The seller handed over the key, masked for this buyer alone.
    /// @param orderId Names the order.
    /// @param maskedKey K ⊕ H(0x08 ‖ t ‖ orderId).
    /// @param deadline First second in which it settles.
    event Delivered(OrderId indexed orderId, bytes32 maskedKey, uint40 deadline);

    /// @notice A sale is final; its price is credited, and the three parts add up to it.
    /// @param orderId Names the order.
    /// @param feeInUnits To the treasury.
    /// @param custodianInUnits To the custodian.
    /// @param patientInUnits To the patient.
    event Settled(OrderId indexed orderId, uint256 feeInUnits, uint256 custodianInUnits, uint256 patientInUnits);

    /// @notice Nothing was delivered in time; the price is credited to the buyer.
    /// @param orderId Names the order.
    event Refunded(OrderId indexed orderId);

    /// @notice Somebody took out what was credited.
    /// @param token Which token.
    /// @param account Whose credit.
    /// @param to Where it went.
    /// @param amountInUnits How much.
    event CreditWithdrawn(IERC20 indexed token, address indexed account, address indexed to, uint256 amountInUnits);

    /// @notice A token may be used for new listings and purchases, or no longer.
    /// @param token Which token.
    /// @param allowed Whether it may be used.
    event TokenAllowed(IERC20 indexed token, bool allowed);

    /// @notice The fee is at most a tenth; deploy with less.
    error FeeTooHigh(uint256 feeInBps, uint256 limitInBps);

    /// @notice The fee needs somebody to be credited; name the treasury.
    error TreasuryMissing();

    /// @notice The market does not take this token; choose one that is allowed.
    error TokenNotAllowed(IERC20 token);

    /// @notice A sale needs a price above zero.
    error ZeroPrice();

    /// @notice The time to deliver or to dispute is outside what the market takes; choose one within.
    error WindowOutOfRange(uint256 window, uint256 least, uint256 most);

    /// @notice At least half of what remains after the fee is the patient's; ask for less.
    error CustodianShareTooHigh(uint256 shareInBps, uint256 limitInBps);

    /// @notice A sale is for a purpose of the research-and-sale lane; choose one.
    error PurposeNotForSale(uint8 purpose);

    /// @notice Only records marked as de-identified are sold; list the record's de-identified twin.
    error NotDeidentified(RecordId recordId);

    /// @notice The record's subject is no single patient; datasets of many patients are not listed here.
    error SubjectNotAPatient(bytes32 subject);

    /// @notice The record is not in this batch of its custodian; give the batch and the proof of its deposit.
    error RecordNotDeposited(RecordId recordId);

    /// @notice The custodian may not vouch at present; nothing of it is listed or sold until it is reinstated.
    error CustodianNotInGoodStanding(address custodian);

    /// @notice Only verified institutions in good standing buy; have the account enrolled or reinstated.
    error BuyerNotInGoodStanding(address buyer);

    /// @notice The patient's consent does not let this seller sell it for this purpose; ask the patient.
    error SaleNotPermitted(bytes32 subject, address seller, IConsents.Decision decision);

    /// @notice This very listing exists; choose another nonce.
    error ListingExists(ListingId listingId);

    /// @notice There is no such listing for sale; look up the offers again.
    error ListingNotLive(ListingId listingId, ListingState state);

    /// @notice Only the seller does this.
    error NotTheSeller(address account, address seller);

    /// @notice This very order exists; choose another nonce.
    error OrderExists(OrderId orderId);

    /// @notice The order is not in the state that this needs; look it up.
    error OrderStateIsNot(OrderId orderId, OrderState expected, OrderState actual);

    /// @notice The order is not one for this listing; give the listing it was bought from.
    error OrderNotOfListing(OrderId orderId, ListingId listingId);

    /// @notice It is too late; the deadline has passed.
    error DeadlinePassed(OrderId orderId, uint40 deadline, uint256 blockTime);

    /// @notice It is too early; wait for the deadline.
    error DeadlineNotReached(OrderId orderId, uint40 deadline, uint256 blockTime);

    /// @notice The token did not bring exactly the price; it cannot be used here.
    error InexactTransfer(uint256 expected, uint256 arrived);

    /// @notice Nothing is credited to this account in this token.
    error NothingToWithdraw(IERC20 token, address account);

    /// @notice A withdrawal needs somewhere to go; name the receiver.
    error InvalidReceiver(address receiver);

    /// @notice Allows a token, or no longer. Open orders and credits in it are not touched.
    /// @dev Restricted by the access manager.
    function allowToken(IERC20 token, bool allowed) external;

    /// @notice Offers a deposited, de-identified record of a single patient, in the caller's name.
    /// @dev Reverts with {TokenNotAllowed}, {ZeroPrice}, {WindowOutOfRange}, {CustodianShareTooHigh}, {PurposeNotForSale},
    /// {NotDeidentified}, {SubjectNotAPatient}, {RecordNotDeposited}, {CustodianNotInGoodStanding}, {SaleNotPermitted} or
    /// {ListingExists}. A patient who sells for himself needs no consent.
    function list(Terms calldata terms, RecordDescription calldata record, BatchProof calldata proof)
        external
        returns (ListingId);

    /// @notice Ends an offer. Open orders run on.
    /// @dev Reverts with {NotTheSeller} or {ListingNotLive}.
    function unlist(Listing calldata listing) external;

    /// @notice Pays the price into escrow. The caller has approved it before.
    /// *Warning*: fetch manifest and ciphertext and check them against the seal id first. What cannot be fetched is not
    /// bought. A secret t must never be used twice.
    /// @dev Reverts with {ListingNotLive}, {TokenNotAllowed}, {BuyerNotInGoodStanding}, {CustodianNotInGoodStanding},
    /// {SaleNotPermitted}, {OrderExists} or {InexactTransfer}.
    function buy(Listing calldata listing, Purchase calldata purchase) external returns (OrderId);

    /// @notice As {buy}, with an ERC-2612 approval in the same transaction. One that somebody else submitted first serves
    /// as well.
    function buyWithPermit(Listing calldata listing, Purchase calldata purchase, Permit calldata permit)
        external
        returns (OrderId);

    /// @notice Hands over the key, masked: K ⊕ H(0x08 ‖ t ‖ orderId).
    /// *Warning*: a delivery that reverts has shown K to the buyer. Deliver only to a t that matches the commitment and was
    /// never used before, in good time before the deadline, and after the purchase is final.
    /// @dev While the order is open this fails only from its deadline on, with {DeadlinePassed}; for anybody but the seller
    /// with {NotTheSeller}; and with {OrderStateIsNot} or {OrderNotOfListing}.
    function deliver(Order calldata order, Listing calldata listing, bytes32 maskedKey) external;

    /// @notice Credits the price of a delivered order to treasury, custodian and patient. Anybody may call it.
    /// @dev Reverts with {OrderStateIsNot}, {OrderNotOfListing} or {DeadlineNotReached}. Fee and custodian's share round
    /// down; the rest is the patient's.
    function settle(Order calldata order, Listing calldata listing) external;

    /// @notice Credits the price back to the buyer of an order that was not delivered in time. Anybody may call it.
    /// @dev Reverts with {OrderStateIsNot}, {OrderNotOfListing} or {DeadlineNotReached}.
    function refund(Order calldata order, Listing calldata listing) external;

    /// @notice Sends all that is credited to the caller in `token` to `to`.
    /// @dev Reverts with {NothingToWithdraw} or {InvalidReceiver}.
    function withdraw(IERC20 token, address to) external;

    /// @notice What is credited to an account and not yet withdrawn.
    function creditOf(IERC20 token, address account) external view returns (uint256);

    /// @notice Whether the token may be used for new listings and purchases.
    function isTokenAllowed(IERC20 token) external view returns (bool);

    /// @notice Where a listing stands.
    function listingStatusOf(ListingId listingId) external view returns (ListingStatus memory);

    /// @notice Where an order stands.
    function orderStatusOf(OrderId orderId) external view returns (OrderStatus memory);

    /// @notice The fee in hundredths of a percent, and where it goes.
    function fee() external view returns (uint16 feeInBps, address treasury);
}
