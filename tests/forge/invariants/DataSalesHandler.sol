// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consents} from "../../../contracts/Consents.sol";
import {DataSales} from "../../../contracts/DataSales.sol";
import {IConsents} from "../../../contracts/interfaces/IConsents.sol";
import {IDataSales} from "../../../contracts/interfaces/IDataSales.sol";
import {IInstitutions} from "../../../contracts/interfaces/IInstitutions.sol";
import {TestDollar} from "../../../contracts/mocks/TestDollar.sol";
import {Lane} from "../../../contracts/types/PurposeOfUse.sol";
import {BatchProof, RecordDescription} from "../../../contracts/types/Record.sol";
import {Listing, Order, Terms} from "../../../contracts/types/Sale.sol";
import {VM, bounded} from "../Cheats.sol";
import {listingOf} from "../Stage.sol";

/// @title Sellers, buyers and custodians at work
/// @notice Lists, buys, delivers, settles, refunds and withdraws, while consents, standings and tokens come and go. A
/// ledger of all orders beside the contract says what must come of it.
contract DataSalesHandler {
    uint256 private constant TOKENS = 2;
    uint256 private constant BUYERS = 2;
    uint8 private constant HRESCH = 16;
    uint32 private constant HRESCH_BIT = uint32(1) << HRESCH;

    /// @notice The contracts it works on.
    struct Place {
        IInstitutions institutions;
        Consents consents;
        DataSales sales;
        TestDollar[] tokens;
    }

    /// @notice One order, as its parties remember it.
    struct Deal {
        Order order;
        Listing listing;
        IDataSales.OrderState state;
        uint256 deadline;
    }

    DataSales private immutable SALES;
    Consents private immutable CONSENTS;
    IInstitutions private immutable INSTITUTIONS;
    address private immutable BROKER = address(0xB0);

    TestDollar[] private _tokens;
    RecordDescription[] private _records;
    BatchProof[] private _proofs;
    address[] private _custodians;
    Listing[] private _listings;
    mapping(uint256 listing => bool) private _unlisted;
    Deal[] private _deals;
    mapping(TestDollar token => uint256) private _unasked;
    mapping(TestDollar token => mapping(address buyer => uint256)) private _minted;
    uint64 private _nonce;

    constructor(
        Place memory place,
        RecordDescription[] memory records,
        BatchProof[] memory proofs,
        address[] memory custodians
    ) {
        SALES = place.sales;
        CONSENTS = place.consents;
        INSTITUTIONS = place.institutions;
        for (uint256 i = 0; i < TOKENS; ++i) {
            _tokens.push(place.tokens[i]);
        }
        for (uint256 i = 0; i < records.length; ++i) {
            _records.push(records[i]);
            _proofs.push(proofs[i]);
        }
        _custodians = custodians;
    }

    /// @dev The clock stands still half of the time, or goes on by up to an hour, or up to two days.
    modifier later(uint256 seconds_) {
        if (seconds_ % 4 == 2) VM.warp(block.timestamp + bounded(seconds_, 1, 1 hours));
        if (seconds_ % 4 == 3) VM.warp(block.timestamp + bounded(seconds_, 1 hours, 2 days));
        _;
    }

    /// @notice A patient, a custodian or a broker offers a record; it works exactly when consent, standing and token allow.
    function list(uint256 time, uint256 which, uint256 who, Terms memory terms) external later(time) {
        which %= _records.length;
        terms.token = _tokenOf(terms.nonce);
        terms.priceInUnits = uint128(bounded(terms.priceInUnits, 1, 1e12));
        terms.purpose = HRESCH;
        terms.deliverWithin = uint32(bounded(terms.deliverWithin, 1 hours, 2 days));
        terms.disputeWithin = uint32(bounded(terms.disputeWithin, 1 days, 4 days));
        terms.custodianShareInBps = uint16(bounded(terms.custodianShareInBps, 0, 5_000));
        terms.nonce = ++_nonce;
        RecordDescription memory record = _records[which];
        address patient = _addressOf(record.subject);
        address seller = who % 3 == 0 ? patient : who % 3 == 1 ? record.custodian : BROKER;
        Listing memory listing = listingOf(seller, record, terms);
        bool due = _isForSale(listing);

        VM.prank(seller);
        try SALES.list(terms, record, _proofs[which]) {
            VM.assertTrue(due, "listed what may be sold");
            _listings.push(listing);
        } catch {
            VM.assertFalse(due, "what may be sold is listed");
        }
    }

    /// @notice A seller ends an offer.
    function unlist(uint256 time, uint256 which) external later(time) {
        if (_listings.length == 0) return;
        which %= _listings.length;
        if (_unlisted[which]) return;

        VM.prank(_listings[which].seller);
        SALES.unlist(_listings[which]);
        _unlisted[which] = true;
    }

    /// @notice A buyer pays; it works exactly when the offer still stands.
    function buy(uint256 time, uint256 which, uint256 who) external later(time) {
        if (_listings.length == 0) return;
        which = _oneOf(which, _listings.length);
        Listing memory listing = _listings[which];
        address buyer = buyerOf(who);
        TestDollar token = TestDollar(address(listing.terms.token));
        bool due = !_unlisted[which] && _isForSale(listing) && INSTITUTIONS.isInGoodStanding(buyer);
        IDataSales.Purchase memory purchase = IDataSales.Purchase(keccak256(abi.encode(_nonce)), 0, ++_nonce);
        token.mint(buyer, listing.terms.priceInUnits);
        _minted[token][buyer] += listing.terms.priceInUnits;
        VM.prank(buyer);
        token.approve(address(SALES), listing.terms.priceInUnits);

        VM.prank(buyer);
        try SALES.buy(listing, purchase) {
            VM.assertTrue(due, "bought what is for sale");
            _remember(listing, buyer, purchase);
        } catch {
            VM.assertFalse(due, "what is for sale is bought");
        }
    }

    /// @notice A seller delivers; it works exactly before the deadline, whatever has become of consent, standing, token and
    /// offer.
    function deliver(uint256 time, uint256 which, bytes32 maskedKey) external later(time) {
        if (_deals.length == 0) return;
        Deal storage deal = _deals[_oneOf(which, _deals.length)];
        bool due = deal.state == IDataSales.OrderState.Paid && block.timestamp < deal.deadline;

        VM.prank(deal.listing.seller);
        try SALES.deliver(deal.order, deal.listing, maskedKey) {
            VM.assertTrue(due, "delivered in time");
            deal.state = IDataSales.OrderState.Delivered;
            deal.deadline = block.timestamp + deal.listing.terms.disputeWithin;
        } catch {
            VM.assertFalse(due, "a delivery in time works");
        }
    }

    /// @notice Anybody settles; it works exactly from the deadline of a delivered order on.
    function settle(uint256 time, uint256 which) external later(time) {
        if (_deals.length == 0) return;
        Deal storage deal = _deals[_oneOf(which, _deals.length)];
        bool due = deal.state == IDataSales.OrderState.Delivered && block.timestamp >= deal.deadline;

        try SALES.settle(deal.order, deal.listing) {
            VM.assertTrue(due, "settled after the window");
            deal.state = IDataSales.OrderState.Settled;
        } catch {
            VM.assertFalse(due, "what is due settles");
        }
    }

    /// @notice Anybody refunds; it works exactly from the deadline of an undelivered order on.
    function refund(uint256 time, uint256 which) external later(time) {
        if (_deals.length == 0) return;
        Deal storage deal = _deals[_oneOf(which, _deals.length)];
        bool due = deal.state == IDataSales.OrderState.Paid && block.timestamp >= deal.deadline;

        try SALES.refund(deal.order, deal.listing) {
            VM.assertTrue(due, "refunded after the deadline");
            deal.state = IDataSales.OrderState.Refunded;
        } catch {
            VM.assertFalse(due, "what is due is refunded");
        }
    }

    /// @notice A party takes out what is credited.
    function withdraw(uint256 time, uint256 who, uint256 which) external later(time) {
        address[] memory accounts = parties();
        _withdraw(accounts[who % accounts.length], _tokenOf(which));
    }

    /// @notice Somebody sends tokens unasked.
    function sendUnasked(uint256 time, uint256 which, uint256 amountInUnits) external later(time) {
        TestDollar token = _tokenOf(which);
        amountInUnits = bounded(amountInUnits, 0, 1e9);
        token.mint(address(SALES), amountInUnits);
        _unasked[token] += amountInUnits;
    }

    /// @notice A patient lets custodian or broker sell, for a while.
    function consent(uint256 time, uint256 which, uint40 period) external later(time) {
        (address patient, address seller) = _pairOf(which);
        uint40 end = uint40(block.timestamp + bounded(period, 1, 5 days));
        bytes32 keyring = CONSENTS.keyringOf(patient);

        VM.prank(patient);
        CONSENTS.grant(IConsents.Grant(patient, seller, type(uint32).max, HRESCH_BIT, 1, end, keyring, keyring));
    }

    /// @notice A patient takes a consent back.
    function withdrawConsent(uint256 time, uint256 which) external later(time) {
        (address patient, address seller) = _pairOf(which);

        VM.prank(patient);
        CONSENTS.revoke(IConsents.Revocation(patient, seller, Lane.ResearchAndSale, 0, 0));
    }

    /// @notice An institution is suspended, more often reinstated.
    function changeStanding(uint256 time, uint256 who, uint256 how) external later(time) {
        address account = who % 4 < 2 ? _custodians[who % 2] : buyerOf(who);
        bool inGoodStanding = INSTITUTIONS.isInGoodStanding(account);
        if (inGoodStanding && how % 3 == 0) INSTITUTIONS.suspend(account);
        if (!inGoodStanding && how % 3 != 0) INSTITUTIONS.reinstate(account);
    }

    /// @notice A token is no longer allowed, more often allowed again.
    function changeToken(uint256 time, uint256 which, uint256 how) external later(time) {
        SALES.allowToken(_tokenOf(which), how % 3 != 0);
    }

    /// @notice Time passes, and a stranger closes every order by what time alone allows; then everybody withdraws.
    function closeEverything() external {
        for (uint256 i = 0; i < _deals.length; ++i) {
            Deal storage deal = _deals[i];
            if (block.timestamp < deal.deadline) VM.warp(deal.deadline);
            if (deal.state == IDataSales.OrderState.Paid) SALES.refund(deal.order, deal.listing);
            if (deal.state == IDataSales.OrderState.Delivered) SALES.settle(deal.order, deal.listing);
        }
        address[] memory accounts = parties();
        for (uint256 i = 0; i < accounts.length * TOKENS; ++i) {
            _withdraw(accounts[i / TOKENS], _tokenOf(i));
        }
    }

    /// @notice The prices of the orders that are open.
    function escrowOf(TestDollar token) external view returns (uint256 amountInUnits) {
        for (uint256 i = 0; i < _deals.length; ++i) {
            Deal storage deal = _deals[i];
            bool open = deal.state == IDataSales.OrderState.Paid || deal.state == IDataSales.OrderState.Delivered;
            if (open && address(deal.listing.terms.token) == address(token)) amountInUnits += deal.order.priceInUnits;
        }
    }

    /// @notice What an account ends up with when every order is closed: a buyer's money less what was delivered, and
    /// everyone's part of it.
    function dueTo(TestDollar token, address account) external view returns (uint256 amountInUnits) {
        (uint256 feeInBps, address treasury) = SALES.fee();
        amountInUnits = _minted[token][account];
        for (uint256 i = 0; i < _deals.length; ++i) {
            Deal storage deal = _deals[i];
            bool delivered =
                deal.state == IDataSales.OrderState.Delivered || deal.state == IDataSales.OrderState.Settled;
            if (!delivered || address(deal.listing.terms.token) != address(token)) continue;
            uint256 price = deal.order.priceInUnits;
            uint256 fee = price * feeInBps / 10_000;
            uint256 share = (price - fee) * deal.listing.terms.custodianShareInBps / 10_000;
            if (account == deal.order.buyer) amountInUnits -= price;
            if (account == treasury) amountInUnits += fee;
            if (account == deal.listing.custodian) amountInUnits += share;
            if (account == _addressOf(deal.listing.subject)) amountInUnits += price - fee - share;
        }
    }

    /// @notice The tokens in use.
    function tokens() external view returns (TestDollar[] memory) {
        return _tokens;
    }

    /// @notice What was sent to the market without a call.
    function unaskedOf(TestDollar token) external view returns (uint256) {
        return _unasked[token];
    }

    /// @notice Whether the contract holds every order in the state that its parties remember.
    function remembersEveryOrder() external view returns (bool) {
        for (uint256 i = 0; i < _deals.length; ++i) {
            IDataSales.OrderStatus memory status = SALES.orderStatusOf(_deals[i].order.orderIdOf(address(SALES)));
            if (status.state != _deals[i].state || status.deadline != _deals[i].deadline) return false;
        }
        return true;
    }

    /// @notice Everybody who may ever be credited.
    function parties() public view returns (address[] memory accounts) {
        (, address treasury) = SALES.fee();
        accounts = new address[](2 + BUYERS + 2 * _custodians.length);
        accounts[0] = treasury;
        accounts[1] = BROKER;
        for (uint256 i = 0; i < BUYERS; ++i) {
            accounts[2 + i] = buyerOf(i);
        }
        for (uint256 i = 0; i < _custodians.length; ++i) {
            accounts[2 + BUYERS + 2 * i] = _custodians[i];
            accounts[3 + BUYERS + 2 * i] = _addressOf(_records[i].subject);
        }
    }

    /// @notice A buyer.
    function buyerOf(uint256 seed) public pure returns (address) {
        return address(uint160(0xBB01 + seed % BUYERS));
    }

    function _remember(Listing memory listing, address buyer, IDataSales.Purchase memory purchase) private {
        Deal storage deal = _deals.push();
        deal.listing = listing;
        deal.order = Order({
            listingId: listing.listingIdOf(address(SALES)),
            buyer: buyer,
            commitment: purchase.commitment,
            priceInUnits: listing.terms.priceInUnits,
            nonce: purchase.nonce
        });
        deal.state = IDataSales.OrderState.Paid;
        deal.deadline = block.timestamp + listing.terms.deliverWithin;
    }

    function _withdraw(address account, TestDollar token) private {
        uint256 credit = SALES.creditOf(token, account);
        if (credit == 0) return;
        uint256 before = token.balanceOf(account);

        VM.prank(account);
        SALES.withdraw(token, account);
        VM.assertEq(token.balanceOf(account), before + credit, "all of the credit arrives");
    }

    function _isForSale(Listing memory listing) private view returns (bool) {
        address patient = _addressOf(listing.subject);
        bool agreed = listing.seller == patient
            || CONSENTS.permits(patient, listing.seller, listing.dataClass, HRESCH) == IConsents.Decision.Permitted;
        return agreed && SALES.isTokenAllowed(listing.terms.token) && INSTITUTIONS.isInGoodStanding(listing.custodian);
    }

    function _pairOf(uint256 which) private view returns (address patient, address seller) {
        RecordDescription storage record = _records[(which >> 1) % _records.length];
        return (_addressOf(record.subject), which % 2 == 0 ? record.custodian : BROKER);
    }

    function _tokenOf(uint256 seed) private view returns (TestDollar) {
        return _tokens[seed % TOKENS];
    }

    /// @dev Every other time one of the newest three, which are more often still open.
    function _oneOf(uint256 which, uint256 count) private pure returns (uint256) {
        return which % 2 == 0 && count > 3 ? count - 1 - (which >> 1) % 3 : (which >> 1) % count;
    }

    function _addressOf(bytes32 subject) private pure returns (address) {
        return address(uint160(uint256(subject)));
    }
}
