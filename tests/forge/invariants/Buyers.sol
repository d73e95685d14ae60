// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDataSales} from "../../../contracts/interfaces/IDataSales.sol";
import {IFairExchange} from "../../../contracts/interfaces/IFairExchange.sol";
import {TestDollar} from "../../../contracts/mocks/TestDollar.sol";
import {Listing, Order} from "../../../contracts/types/Sale.sol";
import {VM} from "../Cheats.sol";
import {orderOf, purchaseOf} from "../Stage.sol";
import {Dice, diceOf} from "./Dice.sol";
import {Fairground} from "./Fairground.sol";
import {Deal, Offer, TOKEN_REFUSES, WORKS} from "./Ledger.sol";
import {Seal, Seals} from "./Seals.sol";
import {Sellers} from "./Sellers.sol";

/// @title Buyers pay, and accuse
/// @notice Truly and falsely. A true accusation always holds; a false one is refused by name.
abstract contract Buyers is Sellers {
    /// @notice How a buyer pays. The last two bring no money.
    enum Payment {
        Approved,
        Permitted,
        PermitSubmittedByAStranger,
        ByAgent,
        ByNobodysAgent,
        NotApproved
    }

    /// @notice What somebody says against a delivery, and what must come of it.
    struct Accusation {
        address accuser;
        Listing listing;
        bytes32 maskedKey;
        bytes32 secret;
        bytes32 chunkKey;
        bytes chunk;
        IFairExchange.ChunkProof proof;
        bytes4 expected;
    }

    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    uint64 private _purchaseNonce;

    /// @notice A buyer lets an agent buy for it, or no longer.
    function allowAgent(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        VM.prank(buyerOf(dice.roll(BUYERS)));
        SALES.allowAgent(AGENT, dice.roll(3) != 0);
    }

    /// @notice A buyer pays, in one way or another; it works exactly when the offer stands and the money is there.
    function buy(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        uint256 which = _offerThatIs(true, dice);
        uint256 index = dice.roll(BUYERS);
        address buyer = buyerOf(index);
        Listing memory listing = _offers[which].listing;
        if (listing.terms.reservedFor != address(0) && dice.roll(4) != 0) buyer = listing.terms.reservedFor;
        Payment payment = dice.isRare() ? Payment(dice.roll(6)) : Payment(dice.roll(4));
        if (buyer != buyerOf(index) && payment != Payment.ByAgent) payment = Payment.Approved;
        bytes32 secret = keccak256(abi.encode(++_purchaseNonce));
        IDataSales.Purchase memory purchase = purchaseOf(secret, _purchaseNonce);
        if (dice.isRare()) purchase.use.research = 0;
        bytes4 expected = _faultOfPurchase(buyer, _offers[which], purchase);

        _buy(which, buyer, purchase, secret, payment, index, expected);
    }

    /// @notice A buyer orders the very same thing once more.
    function buyAgain(uint256 time, uint256 seed) external later(time) {
        if (_deals.length == 0) return;
        Deal storage deal = _deals[diceOf(seed).roll(_deals.length)];
        Offer storage offer = _offers[deal.offer];
        IDataSales.Purchase memory purchase = purchaseOf(deal.secret, deal.order.nonce);
        bytes4 expected = _faultOfPurchase(deal.order.buyer, offer, purchase);
        if (expected == WORKS) expected = IDataSales.OrderExists.selector;
        Listing memory listing = offer.listing;

        VM.prank(deal.order.buyer);
        try SALES.buy(listing, purchase) {
            _meet(expected, WORKS);
        } catch (bytes memory reason) {
            _meet(expected, _nameOf(reason));
        }
    }

    /// @notice A wrong key is proved, or alleged.
    function accuseOfAWrongKey(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        (bool found, uint256 which) = _dealIn(dice, IDataSales.OrderState.Delivered, false);
        if (!found) return;
        _allegeKey(which, _keyCase(dice, _deals[which]));
    }

    /// @notice A wrong chunk is proved, or alleged.
    function accuseOfAWrongChunk(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        (bool found, uint256 which) = _dealIn(dice, IDataSales.OrderState.Delivered, false);
        if (!found) return;
        _allegeChunk(which, _chunkCase(dice, _deals[which]));
    }

    /// @dev A buyer who was cheated proves it, in time: it works, whatever happened meanwhile.
    function _proveFraud(uint256 which) internal {
        Seal memory seal = _sealOf(_deals[which].offer);
        for (uint256 i = 0; i < seal.keys.length; ++i) {
            Accusation memory case_ = _truth(_deals[which], seal, i);
            if (!Seals.isRightKey(seal, _deals[which].key, i)) return _allegeKey(which, case_);
        }
        for (uint256 i = 0; i < seal.keys.length; ++i) {
            if (Seals.isWrongChunk(seal, i)) return _allegeChunk(which, _truth(_deals[which], seal, i));
        }
    }

    /// @dev Whether the buyer of a delivered order was cheated, and can prove it.
    function _isCheated(Deal storage deal) internal view returns (bool) {
        Seal memory seal = _sealOf(deal.offer);
        for (uint256 i = 0; i < seal.keys.length; ++i) {
            if (!Seals.isRightKey(seal, deal.key, i) || Seals.isWrongChunk(seal, i)) return true;
        }
        return false;
    }

    function _allegeKey(uint256 which, Accusation memory case_) private {
        Deal storage deal = _deals[which];
        Order memory order = deal.order;

        VM.prank(case_.accuser);
        try SALES.proveWrongKey(order, case_.listing, case_.maskedKey, case_.secret, case_.proof) {
            _meet(case_.expected, WORKS);
            _bookCompensation(deal);
        } catch (bytes memory reason) {
            _meet(case_.expected, _nameOf(reason));
        }
        _sameDeal(which);
        _sameCredit(case_.listing.terms.token, order.buyer);
    }

    function _allegeChunk(uint256 which, Accusation memory case_) private {
        Deal storage deal = _deals[which];
        Order memory order = deal.order;

        VM.prank(case_.accuser);
        try SALES.proveWrongChunk(order, case_.listing, case_.proof, case_.chunkKey, case_.chunk) {
            _meet(case_.expected, WORKS);
            _bookCompensation(deal);
        } catch (bytes memory reason) {
            _meet(case_.expected, _nameOf(reason));
        }
        _sameDeal(which);
        _sameCredit(case_.listing.terms.token, order.buyer);
    }

    function _buy(
        uint256 which,
        address buyer,
        IDataSales.Purchase memory purchase,
        bytes32 secret,
        Payment payment,
        uint256 index,
        bytes4 expected
    ) private {
        Listing memory listing = _offers[which].listing;
        bool agent = payment == Payment.ByAgent || payment == Payment.ByNobodysAgent;
        address payer = payment == Payment.ByAgent ? AGENT : payment == Payment.ByNobodysAgent ? STRANGER : buyer;
        if (agent && !SALES.isAgentOf(buyer, payer)) expected = IDataSales.NotAnAgent.selector;
        IDataSales.Permit memory permit = _prepare(listing, payer, payment, index);
        if (expected == WORKS && payment == Payment.NotApproved) expected = TOKEN_REFUSES;
        bool pulls = expected == WORKS;
        if (pulls) _bookPurchase(which, buyer, purchase, secret);

        bytes4 actual = _pay(buyer, payer, listing, purchase, permit);
        if (pulls) _meetPull(listing.terms.token, payer, actual);
        else if (expected != TOKEN_REFUSES) _meet(expected, actual);
        else _meetPoverty(actual);
        if (pulls && actual != WORKS) _unbookPurchase(which);
        if (pulls && actual == WORKS) _sameDeal(_deals.length - 1);
        _sameOffer(which);
    }

    function _meetPoverty(bytes4 actual) private {
        VM.assertTrue(actual != WORKS, "nothing is bought without money");
        _count(TOKEN_REFUSES);
    }

    function _pay(
        address buyer,
        address payer,
        Listing memory listing,
        IDataSales.Purchase memory purchase,
        IDataSales.Permit memory permit
    ) private returns (bytes4 actual) {
        bytes memory call = abi.encodeCall(SALES.buy, (listing, purchase));
        if (permit.deadline != 0) call = abi.encodeCall(SALES.buyWithPermit, (listing, purchase, permit));
        if (payer != buyer) call = abi.encodeCall(SALES.buyFor, (buyer, listing, purchase));

        VM.prank(payer);
        (bool done, bytes memory reason) = address(SALES).call(call);
        return done ? WORKS : _nameOf(reason);
    }

    /// @dev Gives the payer the money, and the market the right to it.
    function _prepare(Listing memory listing, address payer, Payment payment, uint256 index)
        private
        returns (IDataSales.Permit memory permit)
    {
        uint256 price = listing.terms.priceInUnits;
        _mint(listing.terms.token, payer, price);
        bool permits = payment == Payment.Permitted || payment == Payment.PermitSubmittedByAStranger;
        if (!permits) {
            _approve(listing.terms.token, payer, payment == Payment.NotApproved ? 0 : price);
            return permit;
        }
        TestDollar token = TestDollar(address(listing.terms.token));
        if (!_isSame(token, _tokens[0])) {
            _approve(token, payer, price);
            permit.deadline = 1;
            return permit;
        }
        permit.deadline = block.timestamp;
        bytes32 hash =
            keccak256(abi.encode(PERMIT_TYPEHASH, payer, address(SALES), price, token.nonces(payer), block.timestamp));
        hash = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash));
        (permit.v, permit.r, permit.s) = VM.sign(FIRST_BUYERS_KEY + index % BUYERS, hash);
        if (payment == Payment.PermitSubmittedByAStranger) {
            token.permit(payer, address(SALES), price, permit.deadline, permit.v, permit.r, permit.s);
        }
    }

    function _bookPurchase(uint256 which, address buyer, IDataSales.Purchase memory purchase, bytes32 secret) private {
        Offer storage offer = _offers[which];
        Deal storage deal = _deals.push();
        deal.order = orderOf(address(SALES), offer.listing, buyer, purchase);
        (deal.offer, deal.secret) = (which, secret);
        deal.status.state = IDataSales.OrderState.Paid;
        deal.status.deadline = uint40(block.timestamp) + offer.listing.terms.deliverWithin;
        offer.status.open += 1;
        _books[offer.listing.terms.token].escrow += deal.order.priceInUnits;
    }

    function _unbookPurchase(uint256 which) private {
        Offer storage offer = _offers[which];
        offer.status.open -= 1;
        _books[offer.listing.terms.token].escrow -= offer.listing.terms.priceInUnits;
        _deals.pop();
    }

    function _bookCompensation(Deal storage deal) private {
        Offer storage offer = _offers[deal.offer];
        IERC20 token = offer.listing.terms.token;
        VM.assertTrue(_isCheated(deal), "an honest seller never loses a dispute");
        _bookEnd(deal, IDataSales.OrderState.Disputed);
        offer.status.places -= 1;
        if (offer.status.state != IDataSales.ListingState.Forfeited) {
            offer.status.state = IDataSales.ListingState.Frozen;
        }
        _books[token].bonds -= offer.listing.terms.rewardInUnits;
        _give(token, deal.order.buyer, uint256(deal.order.priceInUnits) + offer.listing.terms.rewardInUnits);
    }

    /// @dev Works, or the name of the refusal, before any money moves.
    function _faultOfPurchase(address buyer, Offer storage offer, IDataSales.Purchase memory purchase)
        private
        view
        returns (bytes4)
    {
        Listing memory listing = offer.listing;
        address reservedFor = listing.terms.reservedFor;
        if (SALES.leastRewardOf(listing.terms.token) == 0) return IDataSales.TokenNotAllowed.selector;
        if (reservedFor != address(0) && reservedFor != buyer) return IDataSales.ReservedFor.selector;
        if (!INSTITUTIONS.isInGoodStanding(buyer)) return IDataSales.BuyerNotInGoodStanding.selector;
        if (purchase.use.research == 0) return IDataSales.UseNotPermitted.selector;
        if (!INSTITUTIONS.isInGoodStanding(listing.custodian)) return IDataSales.CustodianNotInGoodStanding.selector;
        if (!_subjectConsents(listing)) return IDataSales.SaleNotPermitted.selector;
        if (offer.status.state != IDataSales.ListingState.Live) return IDataSales.ListingNotLive.selector;
        return offer.status.open < offer.status.places ? WORKS : IDataSales.NoPlaceLeft.selector;
    }

    /// @dev All that a buyer can say of one chunk.
    function _truth(Deal storage deal, Seal memory seal, uint256 index) private view returns (Accusation memory case_) {
        (case_.accuser, case_.listing) = (deal.order.buyer, _offers[deal.offer].listing);
        (case_.maskedKey, case_.secret, case_.proof) = (deal.maskedKey, deal.secret, seal.proofs[index]);
        (case_.chunkKey, case_.chunk) = (seal.keys[index], Seals.chunkOf(seal, index));
    }

    /// @dev The truth about a key, or one of eight ways to twist it.
    function _keyCase(Dice memory dice, Deal storage deal) private view returns (Accusation memory case_) {
        Seal memory seal = _sealOf(deal.offer);
        uint256 index = dice.roll(seal.keys.length);
        case_ = _truth(deal, seal, index);
        case_.expected = Seals.isRightKey(seal, deal.key, index) ? IDataSales.KeyIsRight.selector : WORKS;
        uint256 how = dice.roll(20);
        if (how == 0) {
            case_.proof.plainHash ^= bytes32(uint256(1));
            case_.expected = IFairExchange.ChunkNotInSeal.selector;
        } else if (how == 1) {
            case_.proof.index += 1;
            case_.expected = IFairExchange.ChunkNotInSeal.selector;
        } else if (how == 2) {
            case_.proof.size += 1;
            case_.expected = IFairExchange.SealIsNot.selector;
        } else if (how == 3) {
            case_.secret = ~case_.secret;
            case_.expected = IDataSales.SecretIsNot.selector;
        } else if (how == 4) {
            case_.maskedKey = ~case_.maskedKey;
            case_.expected = IDataSales.DeliveryIsNot.selector;
        } else if (how == 5) {
            Deal storage other = _deals[dice.roll(_deals.length)];
            if (other.maskedKey != deal.maskedKey) case_.expected = IDataSales.DeliveryIsNot.selector;
            (case_.maskedKey, case_.secret) = (other.maskedKey, other.secret);
        }
        _twist(dice, how, deal, case_);
    }

    /// @dev The truth about a chunk, or one of eight ways to twist it.
    function _chunkCase(Dice memory dice, Deal storage deal) private view returns (Accusation memory case_) {
        Seal memory seal = _sealOf(deal.offer);
        uint256 index = dice.roll(4) == 0 ? 0 : seal.keys.length - 1;
        case_ = _truth(deal, seal, index);
        case_.expected = Seals.isWrongChunk(seal, index) ? WORKS : IDataSales.ChunkIsRight.selector;
        uint256 how = dice.roll(20);
        if (how == 0) {
            case_.proof.path = new bytes32[](case_.proof.path.length + 1);
            case_.expected = IFairExchange.ChunkNotInSeal.selector;
        } else if (how == 1) {
            case_.proof.treeRoot = ~case_.proof.treeRoot;
            case_.expected = IFairExchange.SealIsNot.selector;
        } else if (how == 2) {
            case_.chunkKey = ~case_.chunkKey;
            case_.expected = IFairExchange.ChunkKeyIsNot.selector;
        } else if (how == 3) {
            case_.chunk[0] = 0x01;
            case_.expected = IFairExchange.CiphertextIsNot.selector;
        } else if (how == 4) {
            case_.chunk = new bytes(case_.chunk.length - 16);
            case_.expected = IFairExchange.CiphertextIsNot.selector;
        } else if (how == 5) {
            case_.proof.plainHash ^= bytes32(uint256(1));
            case_.expected = IFairExchange.ChunkNotInSeal.selector;
        }
        _twist(dice, how, deal, case_);
    }

    /// @dev What is refused before anybody looks at the proof; the first that applies names the refusal.
    function _twist(Dice memory dice, uint256 how, Deal storage deal, Accusation memory case_) private view {
        if (block.timestamp >= deal.status.deadline) case_.expected = IDataSales.DeadlinePassed.selector;
        if (how == 6) {
            case_.accuser = dice.roll(2) == 0 ? STRANGER : case_.listing.seller;
            case_.expected = IDataSales.NotTheBuyer.selector;
        }
        if (how == 7) {
            Offer storage other = _offers[dice.roll(_offers.length)];
            if (_isOther(other.listing, case_.listing)) case_.expected = IDataSales.OrderNotOfListing.selector;
            case_.listing = other.listing;
        }
        if (deal.status.state != IDataSales.OrderState.Delivered) {
            case_.expected = IDataSales.OrderStateIsNot.selector;
        }
    }

    function _isOther(Listing memory one, Listing memory other) private pure returns (bool) {
        return keccak256(abi.encode(one)) != keccak256(abi.encode(other));
    }
}
