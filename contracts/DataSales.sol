// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IConsents} from "./interfaces/IConsents.sol";
import {IDataSales} from "./interfaces/IDataSales.sol";
import {IInstitutions} from "./interfaces/IInstitutions.sol";
import {IRecords} from "./interfaces/IRecords.sol";
import {Lane, PurposeOfUse} from "./types/PurposeOfUse.sol";
import {BatchProof, RecordDescription} from "./types/Record.sol";
import {Listing, ListingId, Order, OrderId, Terms} from "./types/Sale.sol";

/// @title DataSales
/// @notice The proof to the book: {IDataSales} says what everything means.
contract DataSales is IDataSales, AccessManaged {
    using SafeERC20 for IERC20;

    uint256 private constant ALL_IN_BPS = 10_000;
    uint256 private constant MOST_FEE_IN_BPS = 1_000;
    uint256 private constant MOST_CUSTODIAN_SHARE_IN_BPS = 5_000;
    uint256 private constant LEAST_DELIVERY = 1 hours;
    uint256 private constant MOST_DELIVERY = 30 days;
    uint256 private constant LEAST_DISPUTE = 1 days;
    uint256 private constant MOST_DISPUTE = 90 days;

    IInstitutions private immutable INSTITUTIONS;
    IRecords private immutable RECORDS;
    IConsents private immutable CONSENTS;
    address private immutable TREASURY;
    uint16 private immutable FEE_IN_BPS;

    mapping(IERC20 token => bool) private _allowed;
    mapping(ListingId listingId => ListingStatus) private _listings;
    mapping(OrderId orderId => OrderStatus) private _orders;
    mapping(IERC20 token => mapping(address account => uint256 amountInUnits)) private _credits;

    /// @param governance The access manager that says who may allow tokens.
    /// @param feeInBps Hundredths of a percent of each price, at most a tenth of it. Fixed for ever.
    /// @param treasury Who is credited the fee.
    constructor(
        address governance,
        IInstitutions institutions,
        IRecords records,
        IConsents consents,
        uint16 feeInBps,
        address treasury
    ) AccessManaged(governance) {
        require(feeInBps <= MOST_FEE_IN_BPS, FeeTooHigh(feeInBps, MOST_FEE_IN_BPS));
        require(treasury != address(0), TreasuryMissing());
        INSTITUTIONS = institutions;
        RECORDS = records;
        CONSENTS = consents;
        FEE_IN_BPS = feeInBps;
        TREASURY = treasury;
    }

    /// @inheritdoc IDataSales
    function allowToken(IERC20 token, bool allowed) external restricted {
        _allowed[token] = allowed;
        emit TokenAllowed(token, allowed);
    }

    /// @inheritdoc IDataSales
    function list(Terms calldata terms, RecordDescription calldata record, BatchProof calldata proof)
        external
        returns (ListingId listingId)
    {
        _requireSoundTerms(terms);
        if (!record.deidentified) revert NotDeidentified(record.idOf());
        require(uint256(record.subject) >> 160 == 0, SubjectNotAPatient(record.subject));
        if (!RECORDS.isDeposited(record, proof)) revert RecordNotDeposited(record.idOf());
        Listing memory listing = Listing({
            seller: msg.sender,
            custodian: record.custodian,
            subject: record.subject,
            dataClass: record.dataClass,
            sealId: record.sealId,
            manifestDigest: record.manifestDigest,
            terms: terms
        });
        _requireMayBeSold(listing);
        listingId = listing.listingIdOf(address(this));
        ListingStatus storage status = _listings[listingId];
        require(status.state == ListingState.None, ListingExists(listingId));

        (status.state, status.listedAt) = (ListingState.Live, uint40(block.timestamp));
        emit Listed(listingId, msg.sender, listing);
    }

    /// @inheritdoc IDataSales
    function unlist(Listing memory listing) external {
        require(msg.sender == listing.seller, NotTheSeller(msg.sender, listing.seller));
        ListingId listingId = _requireLive(listing);

        _listings[listingId].state = ListingState.Withdrawn;
        emit Unlisted(listingId);
    }

    /// @inheritdoc IDataSales
    function buy(Listing memory listing, Purchase calldata purchase) external returns (OrderId) {
        return _buy(listing, purchase);
    }

    /// @inheritdoc IDataSales
    function buyWithPermit(Listing memory listing, Purchase calldata purchase, Permit calldata permit)
        external
        returns (OrderId)
    {
        IERC20 token = listing.terms.token;
        require(_allowed[token], TokenNotAllowed(token));
        // A permit that was front-run has left the allowance it promised; the transfer decides.
        try IERC20Permit(address(token))
            .permit(
                msg.sender, address(this), listing.terms.priceInUnits, permit.deadline, permit.v, permit.r, permit.s
            ) {}
            catch {}
        return _buy(listing, purchase);
    }

    /// @inheritdoc IDataSales
    function deliver(Order memory order, Listing memory listing, bytes32 maskedKey) external {
        (OrderId orderId, uint40 deadline) = _requireOrder(order, listing, OrderState.Paid);
        require(msg.sender == listing.seller, NotTheSeller(msg.sender, listing.seller));
        require(block.timestamp < deadline, DeadlinePassed(orderId, deadline, block.timestamp));

        deadline = uint40(block.timestamp + listing.terms.disputeWithin);
        _orders[orderId] = OrderStatus({
            state: OrderState.Delivered, deadline: deadline, delivery: bytes26(keccak256(abi.encode(maskedKey)))
        });
        emit Delivered(orderId, maskedKey, deadline);
    }

    /// @inheritdoc IDataSales
    function settle(Order memory order, Listing memory listing) external {
        OrderId orderId = _close(order, listing, OrderState.Delivered, OrderState.Settled);

        uint256 price = order.priceInUnits;
        uint256 feeInUnits = price * FEE_IN_BPS / ALL_IN_BPS;
        uint256 custodianInUnits = (price - feeInUnits) * listing.terms.custodianShareInBps / ALL_IN_BPS;
        uint256 patientInUnits = price - feeInUnits - custodianInUnits;
        IERC20 token = listing.terms.token;
        _credit(token, TREASURY, feeInUnits);
        _credit(token, listing.custodian, custodianInUnits);
        _credit(token, _patientOf(listing), patientInUnits);
        emit Settled(orderId, feeInUnits, custodianInUnits, patientInUnits);
    }

    /// @inheritdoc IDataSales
    function refund(Order memory order, Listing memory listing) external {
        OrderId orderId = _close(order, listing, OrderState.Paid, OrderState.Refunded);

        _credit(listing.terms.token, order.buyer, order.priceInUnits);
        emit Refunded(orderId);
    }

    /// @inheritdoc IDataSales
    function withdraw(IERC20 token, address to) external {
        uint256 amountInUnits = _credits[token][msg.sender];
        require(amountInUnits != 0, NothingToWithdraw(token, msg.sender));
        require(to != address(0) && to != address(this), InvalidReceiver(to));

        _credits[token][msg.sender] = 0;
        emit CreditWithdrawn(token, msg.sender, to, amountInUnits);

        token.safeTransfer(to, amountInUnits);
    }

    /// @inheritdoc IDataSales
    function creditOf(IERC20 token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @inheritdoc IDataSales
    function isTokenAllowed(IERC20 token) external view returns (bool) {
        return _allowed[token];
    }

    /// @inheritdoc IDataSales
    function listingStatusOf(ListingId listingId) external view returns (ListingStatus memory) {
        return _listings[listingId];
    }

    /// @inheritdoc IDataSales
    function orderStatusOf(OrderId orderId) external view returns (OrderStatus memory) {
        return _orders[orderId];
    }

    /// @inheritdoc IDataSales
    function fee() external view returns (uint16 feeInBps, address treasury) {
        return (FEE_IN_BPS, TREASURY);
    }

    function _buy(Listing memory listing, Purchase calldata purchase) private returns (OrderId orderId) {
        ListingId listingId = _requireLive(listing);
        require(_allowed[listing.terms.token], TokenNotAllowed(listing.terms.token));
        require(INSTITUTIONS.isInGoodStanding(msg.sender), BuyerNotInGoodStanding(msg.sender));
        _requireMayBeSold(listing);
        uint128 priceInUnits = listing.terms.priceInUnits;
        orderId = Order({
            listingId: listingId,
            buyer: msg.sender,
            commitment: purchase.commitment,
            priceInUnits: priceInUnits,
            nonce: purchase.nonce
        }).orderIdOf(address(this));
        require(_orders[orderId].state == OrderState.None, OrderExists(orderId));

        uint40 deadline = uint40(block.timestamp + listing.terms.deliverWithin);
        _orders[orderId] = OrderStatus({state: OrderState.Paid, deadline: deadline, delivery: 0});
        emit Bought(
            orderId,
            listingId,
            msg.sender,
            purchase.commitment,
            purchase.sealedSecret,
            priceInUnits,
            purchase.nonce,
            deadline
        );

        _pullExactly(listing.terms.token, priceInUnits);
    }

    function _pullExactly(IERC20 token, uint256 amountInUnits) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amountInUnits);
        uint256 arrived = token.balanceOf(address(this)) - before;
        require(arrived == amountInUnits, InexactTransfer(amountInUnits, arrived));
    }

    /// @dev Ends an order whose deadline is reached.
    function _close(Order memory order, Listing memory listing, OrderState from, OrderState to)
        private
        returns (OrderId orderId)
    {
        uint40 deadline;
        (orderId, deadline) = _requireOrder(order, listing, from);
        require(block.timestamp >= deadline, DeadlineNotReached(orderId, deadline, block.timestamp));
        _orders[orderId].state = to;
    }

    function _credit(IERC20 token, address account, uint256 amountInUnits) private {
        if (amountInUnits != 0) _credits[token][account] += amountInUnits;
    }

    function _requireLive(Listing memory listing) private view returns (ListingId listingId) {
        listingId = listing.listingIdOf(address(this));
        ListingState state = _listings[listingId].state;
        require(state == ListingState.Live, ListingNotLive(listingId, state));
    }

    function _requireOrder(Order memory order, Listing memory listing, OrderState expected)
        private
        view
        returns (OrderId orderId, uint40 deadline)
    {
        orderId = order.orderIdOf(address(this));
        OrderStatus storage status = _orders[orderId];
        OrderState actual = status.state;
        require(actual == expected, OrderStateIsNot(orderId, expected, actual));
        ListingId listingId = listing.listingIdOf(address(this));
        require(ListingId.unwrap(listingId) == ListingId.unwrap(order.listingId), OrderNotOfListing(orderId, listingId));
        deadline = status.deadline;
    }

    /// @dev The custodian still vouches, and the patient lets this seller sell it for this purpose now.
    function _requireMayBeSold(Listing memory listing) private view {
        require(INSTITUTIONS.isInGoodStanding(listing.custodian), CustodianNotInGoodStanding(listing.custodian));
        address patient = _patientOf(listing);
        if (listing.seller == patient) return;
        IConsents.Decision decision =
            CONSENTS.permits(patient, listing.seller, listing.dataClass, listing.terms.purpose);
        require(decision == IConsents.Decision.Permitted, SaleNotPermitted(listing.subject, listing.seller, decision));
    }

    function _requireSoundTerms(Terms calldata terms) private view {
        require(_allowed[terms.token], TokenNotAllowed(terms.token));
        require(terms.priceInUnits != 0, ZeroPrice());
        _requireWithin(terms.deliverWithin, LEAST_DELIVERY, MOST_DELIVERY);
        _requireWithin(terms.disputeWithin, LEAST_DISPUTE, MOST_DISPUTE);
        require(
            terms.custodianShareInBps <= MOST_CUSTODIAN_SHARE_IN_BPS,
            CustodianShareTooHigh(terms.custodianShareInBps, MOST_CUSTODIAN_SHARE_IN_BPS)
        );
        require(
            terms.purpose < 32 && PurposeOfUse.laneOf(terms.purpose) == Lane.ResearchAndSale,
            PurposeNotForSale(terms.purpose)
        );
    }

    function _requireWithin(uint256 window, uint256 least, uint256 most) private pure {
        require(least <= window && window <= most, WindowOutOfRange(window, least, most));
    }

    function _patientOf(Listing memory listing) private pure returns (address) {
        return address(uint160(uint256(listing.subject)));
    }
}
