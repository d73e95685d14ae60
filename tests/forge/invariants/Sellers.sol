// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDataSales} from "../../../contracts/interfaces/IDataSales.sol";
import {IPayouts} from "../../../contracts/interfaces/IPayouts.sol";
import {BatchProof} from "../../../contracts/types/Record.sol";
import {Listing, Terms} from "../../../contracts/types/Sale.sol";
import {VM} from "../Cheats.sol";
import {LEAST_REWARD, datasetTermsOf, listingOf} from "../Stage.sol";
import {Dice, diceOf} from "./Dice.sol";
import {Fairground} from "./Fairground.sol";
import {Deal, Good, Offer, WORKS} from "./Ledger.sol";
import {Seal} from "./Seals.sol";

/// @title Patients, custodians and a broker sell
/// @notice Honest and cheating: some seal what they do not promise, some deliver a key to something else.
abstract contract Sellers is Fairground {
    uint64 private _listingNonce;

    /// @notice Somebody puts money in.
    function fund(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        _fund(_tokenOf(dice), _accountOf(dice), dice.roll(1e9));
    }

    /// @notice A record is offered; rarely by somebody who may not, for too little, or once more.
    function list(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        uint256 which = dice.roll(_goods.length);
        Good storage good = _goods[which];
        Listing memory listing = listingOf(_sellerOf(dice, which), good.record, _draftedTerms(dice, which));
        bool again = _offers.length != 0 && dice.isRare();
        if (again) {
            Offer storage offer = _offers[dice.roll(_offers.length)];
            (listing, which) = (offer.listing, offer.good);
        }
        if (!dice.isRare()) _provide(listing);
        if (_goods[which].contributors.length != 0 && dice.roll(4) == 0) _overtake(dice, listing, which);
        bytes4 expected = _faultOfListing(listing, which, again, _credit[listing.terms.token][listing.seller]);
        BatchProof memory proof = BatchProof(_goods[which].batchRoot, 0, new bytes32[](0));

        VM.prank(listing.seller);
        try SALES.list(listing.terms, _goods[which].record, proof) {
            _meet(expected, WORKS);
            _bookListing(listing, which, _contributorsWithConsent(listing, which));
            _sameOffer(_offers.length - 1);
        } catch (bytes memory reason) {
            _meet(expected, _nameOf(reason));
        }
        _sameCredit(listing.terms.token, listing.seller);
    }

    /// @notice A seller changes the terms; rarely somebody else tries.
    function change(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        uint256 which = _offerThatIs(true, dice);
        Offer storage offer = _offers[which];
        Listing memory listing = offer.listing;
        Listing memory changed = offer.listing;
        changed.terms = _draftedTerms(dice, offer.good);
        if (dice.isRare()) changed.terms.nonce = listing.terms.nonce;
        if (!dice.isRare()) _provide(changed);
        address actor = dice.isRare() ? STRANGER : listing.seller;
        bool untouched = offer.status.open == 0 && offer.status.closedAt == 0;
        uint256 credit = _credit[changed.terms.token][listing.seller];
        if (untouched && _isSame(changed.terms.token, listing.terms.token)) credit += _bondOf(offer);
        bytes4 expected = _faultOfListing(changed, offer.good, false, credit);
        if (offer.status.state != IDataSales.ListingState.Live) expected = IDataSales.ListingNotLive.selector;
        if (actor != listing.seller) expected = IDataSales.NotTheSeller.selector;

        VM.prank(actor);
        try SALES.change(listing, changed.terms) {
            _meet(expected, WORKS);
            offer.status.state = IDataSales.ListingState.Withdrawn;
            if (untouched) _bookRelease(offer);
            _bookListing(changed, offer.good, _contributorsWithConsent(changed, offer.good));
            _sameOffer(_offers.length - 1);
        } catch (bytes memory reason) {
            _meet(expected, _nameOf(reason));
        }
        _sameOffer(which);
        _sameCredit(listing.terms.token, listing.seller);
    }

    /// @notice A seller ends an offer; rarely somebody else tries.
    function unlist(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        uint256 which = _offerThatIs(true, dice);
        Offer storage offer = _offers[which];
        address actor = dice.isRare() ? STRANGER : offer.listing.seller;
        bytes4 expected = WORKS;
        if (offer.status.state != IDataSales.ListingState.Live) expected = IDataSales.ListingNotLive.selector;
        if (actor != offer.listing.seller) expected = IDataSales.NotTheSeller.selector;
        Listing memory listing = offer.listing;

        VM.prank(actor);
        try SALES.unlist(listing) {
            _meet(expected, WORKS);
            offer.status.state = IDataSales.ListingState.Withdrawn;
        } catch (bytes memory reason) {
            _meet(expected, _nameOf(reason));
        }
        _sameOffer(which);
    }

    /// @notice A seller delivers: the key, or another one, or the key masked for another order. It works exactly before the
    /// deadline, whatever has become of consent, standing, token and offer.
    function deliver(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        (bool found, uint256 which) = _dealIn(dice, IDataSales.OrderState.Paid, false);
        if (!found) return;
        Deal storage deal = _deals[which];
        Listing memory listing = _offers[deal.offer].listing;
        address actor = dice.isRare() ? STRANGER : listing.seller;
        bytes4 expected = _faultOfDelivery(deal, actor == listing.seller);
        bytes32 masked = _maskedFor(dice, which);

        VM.prank(actor);
        try SALES.deliver(deal.order, listing, masked) {
            _meet(expected, WORKS);
            deal.maskedKey = masked;
            deal.key = masked ^ sha256(abi.encodePacked(hex"08", deal.secret, deal.order.orderIdOf(address(SALES))));
            deal.status = IDataSales.OrderStatus({
                state: IDataSales.OrderState.Delivered,
                deadline: uint40(block.timestamp) + listing.terms.disputeWithin,
                delivery: bytes26(keccak256(abi.encode(masked)))
            });
        } catch (bytes memory reason) {
            _meet(expected, _nameOf(reason));
        }
        _sameDeal(which);
    }

    function _sealOf(uint256 offer) internal view returns (Seal memory) {
        return abi.decode(_goods[_offers[offer].good].seal, (Seal));
    }

    function _maskedFor(Dice memory dice, uint256 which) private view returns (bytes32) {
        bytes32 key = _sealOf(_deals[which].offer).key;
        uint256 how = dice.roll(8);
        if (how == 0) key = keccak256("another key");
        if (how == 1) which = dice.roll(_deals.length);
        Deal storage deal = _deals[which];
        return key ^ sha256(abi.encodePacked(hex"08", deal.secret, deal.order.orderIdOf(address(SALES))));
    }

    function _faultOfDelivery(Deal storage deal, bool bySeller) private view returns (bytes4) {
        if (deal.status.state != IDataSales.OrderState.Paid) return IDataSales.OrderStateIsNot.selector;
        if (!bySeller) return IDataSales.NotTheSeller.selector;
        return block.timestamp < deal.status.deadline ? WORKS : IDataSales.DeadlinePassed.selector;
    }

    /// @dev A contributor takes consent back shortly before the listing: as late as the seller need not have seen it, or a
    /// second earlier.
    function _overtake(Dice memory dice, Listing memory listing, uint256 good) private {
        uint256 index = dice.roll(_goods[good].contributors.length);
        _takeBack(_goods[good].contributors[index].patient, listing.seller);
        VM.warp(block.timestamp + dice.roll(2) * (30 minutes + dice.roll(2)));
    }

    function _provide(Listing memory listing) private {
        Terms memory terms = listing.terms;
        uint256 bond = uint256(terms.places) * terms.rewardInUnits + terms.securityInUnits;
        uint256 credit = _credit[terms.token][listing.seller];
        if (credit < bond) _fund(terms.token, listing.seller, bond - credit);
    }

    /// @dev Works, or the name of the refusal, where this is listed with so much credit.
    function _faultOfListing(Listing memory listing, uint256 good, bool again, uint256 credit)
        private
        view
        returns (bytes4)
    {
        Terms memory terms = listing.terms;
        uint256 least = SALES.leastRewardOf(terms.token);
        if (least == 0) return IDataSales.TokenNotAllowed.selector;
        if (terms.rewardInUnits < least) return IDataSales.RewardTooLow.selector;
        if (!INSTITUTIONS.isInGoodStanding(listing.custodian)) return IDataSales.CustodianNotInGoodStanding.selector;
        if (!_subjectConsents(listing)) return IDataSales.SaleNotPermitted.selector;
        if (_goods[good].contributors.length != 0) {
            if (listing.seller != listing.custodian) return IDataSales.NotTheCustodian.selector;
            if (terms.securityInUnits < terms.priceInUnits) return IDataSales.SecurityTooLow.selector;
        }
        if (again) return IDataSales.ListingExists.selector;
        uint256 bond = uint256(terms.places) * terms.rewardInUnits + terms.securityInUnits;
        return credit < bond ? IPayouts.CreditTooLow.selector : WORKS;
    }

    function _contributorsWithConsent(Listing memory listing, uint256 good) private view returns (uint256 bits) {
        for (uint256 i = 0; i < _goods[good].contributors.length; ++i) {
            if (_consents(_goods[good].contributors[i].patient, listing)) bits |= 1 << i;
        }
    }

    function _sellerOf(Dice memory dice, uint256 which) private view returns (address) {
        bytes32 subject = _goods[which].record.subject;
        uint256 how = dice.roll(4);
        if (_goods[which].contributors.length != 0) {
            return how == 0 && dice.isRare() ? BROKER : _goods[which].record.custodian;
        }
        if (how == 0) return BROKER;
        return how == 1 ? address(uint160(uint256(subject))) : _goods[which].record.custodian;
    }

    function _draftedTerms(Dice memory dice, uint256 good) private returns (Terms memory terms) {
        terms = datasetTermsOf(_tokenOf(dice));
        uint256[4] memory prices = [1 + dice.roll(20), 1 + dice.roll(1e9), 1 + dice.roll(1e9), 1 + dice.roll(2 ** 120)];
        terms.priceInUnits = uint128(prices[dice.roll(4)]);
        terms.custodianShareInBps = uint16(dice.roll(5_001));
        terms.deliverWithin = uint32(1 hours + dice.roll(5 days));
        terms.disputeWithin = uint32(1 days + dice.roll(3 days));
        terms.places = uint32(1 + dice.roll(3));
        terms.rewardInUnits = LEAST_REWARD + uint128(dice.roll(2) * dice.roll(1e9));
        terms.securityInUnits = uint128(terms.priceInUnits + dice.roll(1e6));
        if (dice.isRare()) terms.securityInUnits = terms.priceInUnits - 1;
        if (_goods[good].contributors.length == 0) terms.securityInUnits = uint128(dice.roll(2) * dice.roll(1e6));
        if (dice.roll(8) == 0) terms.reservedFor = buyerOf(dice.roll(BUYERS));
        terms.nonce = ++_listingNonce;
    }
}
