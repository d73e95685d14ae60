// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Consents} from "../../../contracts/Consents.sol";
import {DataSales} from "../../../contracts/DataSales.sol";
import {IDataSales} from "../../../contracts/interfaces/IDataSales.sol";
import {IInstitutions} from "../../../contracts/interfaces/IInstitutions.sol";
import {NoReturnToken} from "../../../contracts/mocks/HostileTokens.sol";
import {TestDollar} from "../../../contracts/mocks/TestDollar.sol";
import {RecordDescription} from "../../../contracts/types/Record.sol";
import {Listing, Order} from "../../../contracts/types/Sale.sol";
import {VM} from "../Cheats.sol";
import {Contributor} from "../Contributors.sol";
import {FickleToken} from "./FickleToken.sol";

bytes4 constant WORKS = 0;
bytes4 constant TOKEN_REFUSES = 0xffffffff; // Whatever its reason.
bytes4 constant KEPT = "kept"; // A listing is frozen, and its security kept.
bytes4 constant LOST = "lost";

/// @notice What may be offered: a deposited record, how it was sealed, and who contributed where it is a dataset.
struct Good {
    RecordDescription record;
    bytes32 batchRoot;
    bytes seal;
    Contributor[] contributors;
}

/// @notice A listing, as its parties remember it.
/// @param hadConsent Bit i: contributor i's consent let the seller sell when it was listed.
struct Offer {
    Listing listing;
    uint256 good;
    IDataSales.ListingStatus status;
    uint256 hadConsent;
}

/// @notice An order, as its parties remember it.
/// @param key What the seller delivered.
struct Deal {
    Order order;
    uint256 offer;
    bytes32 secret;
    bytes32 key;
    bytes32 maskedKey;
    IDataSales.OrderStatus status;
}

/// @notice What a market has of one token, and why.
struct Books {
    uint256 escrow;
    uint256 bonds;
    uint256 gathered;
    uint256 credits;
    uint256 unasked;
    uint256 shrunk;
}

/// @title What must come of it
/// @notice A second book-keeping beside the market's, by other rules: it keeps every amount apart, and never asks the
/// market. What the market says is compared with it.
abstract contract Ledger {
    uint16 internal constant FEE_IN_BPS = 250;
    uint256 internal constant CLAIM_PERIOD = 7 days;

    /// @notice The contracts it works on.
    struct Place {
        IInstitutions institutions;
        Consents consents;
        DataSales sales;
        address treasury;
    }

    DataSales internal immutable SALES;
    Consents internal immutable CONSENTS;
    IInstitutions internal immutable INSTITUTIONS;
    address internal immutable TREASURY;
    FickleToken internal immutable FICKLE;

    Good[] internal _goods;
    Offer[] internal _offers;
    Deal[] internal _deals;
    IERC20[] internal _tokens;
    address[] internal _accounts;
    mapping(IERC20 token => Books) internal _books;
    mapping(IERC20 token => mapping(address account => uint256)) internal _credit;
    mapping(uint256 offer => mapping(uint256 contributor => uint256)) internal _claimed;
    mapping(bytes4 verb => mapping(bytes4 outcome => uint256)) private _reached;

    constructor(Place memory place, FickleToken fickle) {
        (SALES, CONSENTS, INSTITUTIONS, TREASURY) = (place.sales, place.consents, place.institutions, place.treasury);
        FICKLE = fickle;
        _tokens.push(new TestDollar(address(this)));
        _tokens.push(new NoReturnToken());
        _tokens.push(fickle);
    }

    /// @notice How often a verb ended so.
    function reached(bytes4 verb, bytes4 outcome) external view returns (uint256) {
        return _reached[verb][outcome];
    }

    /// @notice The tokens in use: two honest ones, and the fickle one.
    function tokens() external view returns (IERC20[] memory) {
        return _tokens;
    }

    /// @notice What the market must hold of a token, to the unit.
    function heldOf(IERC20 token) public view returns (uint256) {
        Books storage books = _books[token];
        return books.escrow + books.bonds + books.gathered + books.credits + books.unasked - books.shrunk;
    }

    /// @dev What happened is what had to happen, the refusal by name.
    function _meet(bytes4 expected, bytes4 actual) internal {
        ++_reached[msg.sig][actual];
        VM.assertEq(bytes32(expected), bytes32(actual), "it works, or is refused by this name");
    }

    function _count(bytes4 outcome) internal {
        ++_reached[msg.sig][outcome];
    }

    function _give(IERC20 token, address account, uint256 amountInUnits) internal {
        _books[token].credits += amountInUnits;
        _credit[token][account] += amountInUnits;
    }

    function _take(IERC20 token, address account, uint256 amountInUnits) internal {
        _books[token].credits -= amountInUnits;
        _credit[token][account] -= amountInUnits;
    }

    function _bookListing(Listing memory listing, uint256 good, uint256 hadConsent) internal {
        Offer storage offer = _offers.push();
        offer.listing = listing;
        (offer.good, offer.hadConsent) = (good, hadConsent);
        offer.status.state = IDataSales.ListingState.Live;
        offer.status.listedAt = uint40(block.timestamp);
        offer.status.places = listing.terms.places;
        uint256 bond = uint256(listing.terms.places) * listing.terms.rewardInUnits + listing.terms.securityInUnits;
        _take(listing.terms.token, listing.seller, bond);
        _books[listing.terms.token].bonds += bond;
    }

    function _bookRelease(Offer storage offer) internal {
        IERC20 token = offer.listing.terms.token;
        uint256 left = _bondOf(offer);
        (offer.status.state, offer.status.places) = (IDataSales.ListingState.Released, 0);
        _books[token].bonds -= left;
        _give(token, offer.listing.seller, left);
    }

    function _bookForfeit(Offer storage offer, address patient) internal {
        IERC20 token = offer.listing.terms.token;
        uint256 security = offer.listing.terms.securityInUnits;
        offer.status.state = IDataSales.ListingState.Forfeited;
        _books[token].bonds -= security;
        _give(token, patient, security / 10);
        _give(token, TREASURY, security - security / 10);
    }

    /// @dev An order is final: the price leaves the escrow.
    function _bookEnd(Deal storage deal, IDataSales.OrderState state) internal {
        Offer storage offer = _offers[deal.offer];
        deal.status.state = state;
        offer.status.open -= 1;
        offer.status.closedAt = uint40(block.timestamp);
        _books[offer.listing.terms.token].escrow -= deal.order.priceInUnits;
    }

    function _bondOf(Offer storage offer) internal view returns (uint256 inUnits) {
        IDataSales.ListingState state = offer.status.state;
        if (state == IDataSales.ListingState.Released) return 0;
        inUnits = uint256(offer.status.places) * offer.listing.terms.rewardInUnits;
        if (state != IDataSales.ListingState.Forfeited) inUnits += offer.listing.terms.securityInUnits;
    }

    /// @dev Fee, custodian's part, patients' part of one price.
    function _partsOf(Listing memory listing) internal pure returns (uint256 fee, uint256 custodian, uint256 patients) {
        uint256 price = listing.terms.priceInUnits;
        fee = price * FEE_IN_BPS / 10_000;
        custodian = (price - fee) * listing.terms.custodianShareInBps / 10_000;
        patients = price - fee - custodian;
    }

    function _isDataset(Offer storage offer) internal view returns (bool) {
        return _goods[offer.good].contributors.length != 0;
    }

    function _sameOffer(uint256 which) internal view {
        Offer storage offer = _offers[which];
        IDataSales.ListingStatus memory status = SALES.listingStatusOf(offer.listing.listingIdOf(address(SALES)));
        VM.assertEq(
            keccak256(abi.encode(status)), keccak256(abi.encode(offer.status)), "a listing as its parties remember it"
        );
    }

    function _sameDeal(uint256 which) internal view {
        Deal storage deal = _deals[which];
        IDataSales.OrderStatus memory status = SALES.orderStatusOf(deal.order.orderIdOf(address(SALES)));
        VM.assertEq(
            keccak256(abi.encode(status)), keccak256(abi.encode(deal.status)), "an order as its parties remember it"
        );
        _sameOffer(deal.offer);
    }

    function _sameCredit(IERC20 token, address account) internal view {
        VM.assertEq(SALES.creditOf(token, account), _credit[token][account], "a credit as its owner counts it");
    }

    function _isFickle(IERC20 token) internal view returns (bool) {
        return _isSame(token, FICKLE);
    }

    function _isSame(IERC20 one, IERC20 other) internal pure returns (bool) {
        return address(one) == address(other);
    }

    /// @dev The name of a refusal: its first four bytes.
    function _nameOf(bytes memory reason) internal pure returns (bytes4) {
        return reason.length < 4 ? bytes4(0xeeeeeeee) : bytes4(reason);
    }
}
