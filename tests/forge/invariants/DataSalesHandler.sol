// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IConsents} from "../../../contracts/interfaces/IConsents.sol";
import {IDataSales} from "../../../contracts/interfaces/IDataSales.sol";
import {RecordDescription} from "../../../contracts/types/Record.sol";
import {Listing, Order} from "../../../contracts/types/Sale.sol";
import {VM} from "../Cheats.sol";
import {Contributor, Contributors} from "../Contributors.sol";
import {LEAST_REWARD, RESEARCH} from "../Stage.sol";
import {Dice, diceOf} from "./Dice.sol";
import {FickleToken, IOnTransfer} from "./FickleToken.sol";
import {Books, Deal, Good, Ledger, Offer, WORKS} from "./Ledger.sol";
import {Payees} from "./Payees.sol";
import {Seal} from "./Seals.sol";

/// @title The market at work
/// @notice Sellers, buyers and payees, while consents, standings and tokens come and go.
contract DataSalesHandler is Payees, IOnTransfer {
    bool private _inTransfer;
    uint256 private _transferSeed;
    address private _suspended;

    constructor(Place memory place) Ledger(place, new FickleToken(this)) {
        _gather();
    }

    /// @notice Puts a record on the shelf: it may be offered from now on.
    function shelve(RecordDescription memory record, bytes32 root, Seal memory seal, Contributor[] memory contributors)
        external
    {
        Good storage good = _goods.push();
        (good.record, good.batchRoot, good.seal) = (record, root, abi.encode(seal));
        for (uint256 i = 0; i < contributors.length; ++i) {
            good.contributors.push(contributors[i]);
        }
    }

    /// @notice Somebody stops a delivery that should not come any more.
    function stop(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        (bool found, uint256 which) = _dealIn(dice, IDataSales.OrderState.Paid, false);
        if (!found) return;
        for (uint256 i = 0; i < _deals.length && !dice.isRare(); ++i) {
            if (_faultOfStop(_deals[which]) == WORKS) break;
            which = (which + 1) % _deals.length;
        }
        Deal storage deal = _deals[which];
        (Order memory order, Listing memory listing) = (deal.order, _offers[deal.offer].listing);
        bytes4 expected = _faultOfStop(deal);

        VM.prank(STRANGER);
        try SALES.stop(order, listing) {
            _meet(expected, WORKS);
            deal.status.deadline = uint40(block.timestamp) + 30 minutes;
        } catch (bytes memory reason) {
            _meet(expected, _nameOf(reason));
        }
        _sameDeal(which);
    }

    /// @notice A patient lets a seller sell, for a while; rarely not yet.
    function consent(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        uint256 start = dice.isRare() ? block.timestamp + dice.roll(1 days) : block.timestamp;
        _consent(patientOf(dice.roll(PATIENTS)), _granteeOf(dice), start, start + 1 + dice.roll(20 days));
    }

    /// @notice A patient lets a seller sell until then.
    function consentUntil(address patient, address seller, uint256 end) external {
        _consent(patient, seller, 0, end);
    }

    /// @notice A patient takes a consent back.
    function withdrawConsent(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        (address patient, address seller) = (patientOf(dice.roll(PATIENTS)), _granteeOf(dice));
        (bool found, uint256 which) = _dealIn(dice, IDataSales.OrderState.Paid, false);
        if (found && dice.roll(2) == 0) (patient, seller) = _aPatientOf(_offers[_deals[which].offer]);
        _takeBack(patient, seller);
    }

    /// @notice An institution is suspended, or reinstated; no more than one at a time.
    function changeStanding(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        address account = dice.roll(2) == 0 ? custodianOf(dice.roll(2)) : buyerOf(dice.roll(BUYERS));
        if (dice.roll(2) == 0) account = _suspended;
        if (account == address(0)) return;
        if (_suspended != address(0)) INSTITUTIONS.reinstate(_suspended);
        if (account != _suspended) INSTITUTIONS.suspend(account);
        _suspended = account == _suspended ? address(0) : account;
    }

    /// @notice A token is no longer allowed, or costs more; more often it is allowed again.
    function changeToken(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        uint128[4] memory rewards = [0, LEAST_REWARD, LEAST_REWARD, 2 * LEAST_REWARD];
        IERC20 token = _tokenOf(dice);
        bool forbidden = SALES.leastRewardOf(token) == 0;
        SALES.allowToken(token, forbidden ? LEAST_REWARD : rewards[dice.roll(4)]);
    }

    /// @notice The fickle token changes its mind: behaves, or not; blocks somebody; takes something away.
    function changeMood(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        FickleToken.Mood mood = FickleToken.Mood(dice.roll(2) == 0 ? dice.roll(3) : dice.roll(8));
        address blocked = dice.roll(4) == 0 ? _accountOf(dice) : address(0);
        if (dice.isRare()) blocked = address(SALES);
        FICKLE.turn(mood, blocked);
        _transferSeed = dice.left;
        if (!dice.isRare()) return;
        uint256 amountInUnits = dice.roll(1 + FICKLE.balanceOf(address(SALES)));
        FICKLE.shrink(address(SALES), amountInUnits);
        _books[FICKLE].shrunk += amountInUnits;
    }

    /// @notice Somebody sends tokens unasked.
    function sendUnasked(uint256 time, uint256 seed) external later(time) {
        Dice memory dice = diceOf(seed);
        (IERC20 token, uint256 amountInUnits) = (_tokenOf(dice), dice.roll(1e9));
        _mint(token, address(SALES), amountInUnits);
        _books[token].unasked += amountInUnits;
    }

    /// @inheritdoc IOnTransfer
    function onTransfer() external {
        VM.assertTrue(msg.sender == address(FICKLE), "the fickle token alone");
        if (_inTransfer) return;
        _inTransfer = true;
        Dice memory dice = diceOf(_transferSeed);
        _transferSeed = dice.left;
        _anything(dice);
        _inTransfer = false;
    }

    /// @notice Every buyer who was cheated, and is in time, proves it.
    function proveEverything() external {
        for (uint256 i = 0; i < _deals.length; ++i) {
            IDataSales.OrderStatus memory status = _deals[i].status;
            bool inTime = status.state == IDataSales.OrderState.Delivered && block.timestamp < status.deadline;
            if (inTime && _isCheated(_deals[i])) _proveFraud(i);
        }
    }

    /// @notice Time passes. Strangers close every order, have all paid out and all bonds released; sellers end their
    /// offers; everybody withdraws. Nobody needs anybody else for what is his.
    function closeEverything() external {
        VM.warp(block.timestamp + 40 days);
        for (uint256 i = 0; i < _deals.length; ++i) {
            if (_deals[i].status.state == IDataSales.OrderState.Paid) _refund(i, WORKS);
            if (_deals[i].status.state == IDataSales.OrderState.Delivered) _settle(i, WORKS);
        }
        VM.warp(block.timestamp + CLAIM_PERIOD);
        for (uint256 i = 0; i < _offers.length; ++i) {
            _closeOffer(i);
        }
        for (uint256 i = 0; i < 2; ++i) {
            _withdrawAll(_tokens[i]);
        }
        FICKLE.turn(FickleToken.Mood.Honest, address(0));
        if (_books[FICKLE].shrunk == 0) _withdrawAll(FICKLE);
    }

    /// @notice When all is closed nothing stays behind but what came unasked, and less than a unit for each contributor.
    function requireEmpty() external view {
        for (uint256 i = 0; i < _tokens.length; ++i) {
            Books storage books = _books[_tokens[i]];
            VM.assertEq(books.escrow, 0, "no order is open");
            VM.assertEq(books.bonds, 0, "no bond stays");
            if (books.shrunk != 0) continue;
            VM.assertEq(books.credits, 0, "no credit stays");
            VM.assertLe(books.gathered, _mostDustOf(_tokens[i]), "dust, less than a unit for each contributor");
            VM.assertEq(
                _tokens[i].balanceOf(address(SALES)), books.gathered + books.unasked, "nothing else stays behind"
            );
        }
    }

    /// @notice Counts everything anew, from the first order to the last credit.
    function audit() external view {
        uint256[] memory escrow = new uint256[](_offers.length);
        uint256[] memory open = new uint256[](_offers.length);
        for (uint256 i = 0; i < _deals.length; ++i) {
            _sameDeal(i);
            IDataSales.OrderState state = _deals[i].status.state;
            if (state == IDataSales.OrderState.Disputed) {
                VM.assertTrue(_isCheated(_deals[i]), "only a cheating seller lost a dispute");
            }
            if (state != IDataSales.OrderState.Paid && state != IDataSales.OrderState.Delivered) continue;
            open[_deals[i].offer] += 1;
            escrow[_deals[i].offer] += _deals[i].order.priceInUnits;
        }
        for (uint256 i = 0; i < _offers.length; ++i) {
            _sameOffer(i);
            VM.assertEq(_offers[i].status.open, open[i], "open orders are counted");
            VM.assertLe(open[i], _offers[i].status.places, "never sold beyond the places");
            VM.assertLe(_claimedOf(i), _accruedOf(i), "claims never exceed what came in");
            if (!_isDataset(_offers[i])) continue;
            address nobody = address(uint160(uint256(_offers[i].listing.subject)));
            VM.assertEq(SALES.creditOf(_offers[i].listing.terms.token, nobody), 0, "a tree is nobody's account");
        }
        for (uint256 i = 0; i < _tokens.length; ++i) {
            _auditToken(_tokens[i], escrow);
        }
    }

    function _auditToken(IERC20 token, uint256[] memory escrow) private view {
        Books memory sum;
        for (uint256 i = 0; i < _offers.length; ++i) {
            if (!_isSame(_offers[i].listing.terms.token, token)) continue;
            sum.escrow += escrow[i];
            sum.bonds += _bondOf(_offers[i]);
            sum.gathered += _leftOf(i);
        }
        for (uint256 i = 0; i < _accounts.length; ++i) {
            sum.credits += SALES.creditOf(token, _accounts[i]);
        }
        Books storage books = _books[token];
        VM.assertEq(books.escrow, sum.escrow, "the escrow is the price of every open order");
        VM.assertEq(books.bonds, sum.bonds, "the bonds are a reward for each place, and what security is not lost");
        VM.assertEq(books.gathered, sum.gathered, "what gathered is what was sold and neither distributed nor claimed");
        VM.assertEq(books.credits, sum.credits, "the credits are all that is credited and not withdrawn");
    }

    function _closeOffer(uint256 which) private {
        Offer storage offer = _offers[which];
        if (offer.status.state == IDataSales.ListingState.Live) {
            Listing memory listing = offer.listing;
            VM.prank(listing.seller);
            SALES.unlist(listing);
            offer.status.state = IDataSales.ListingState.Withdrawn;
        }
        if (offer.status.state != IDataSales.ListingState.Released) {
            _releaseBond(which);
            VM.assertTrue(offer.status.state == IDataSales.ListingState.Released, "the bond comes back");
        }
        if (offer.status.sold == 0) return;
        if (offer.status.sold != offer.status.distributed) _distribute(which);
        Contributor[] memory all = _goods[offer.good].contributors;
        for (uint256 i = 0; i < all.length; ++i) {
            bytes4 expected = _faultOfClaim(which, i);
            if (expected == WORKS) {
                _claim(which, i, Contributors.shareOf(all[i]), Contributors.proofOf(all, i), WORKS);
            }
        }
    }

    function _withdrawAll(IERC20 token) private {
        for (uint256 i = 0; i < _accounts.length; ++i) {
            if (_credit[token][_accounts[i]] != 0) _withdraw(token, _accounts[i], _accounts[i]);
        }
    }

    function _consent(address patient, address seller, uint256 start, uint256 end) private {
        bytes32 keyring = CONSENTS.keyringOf(patient);
        _changedAt[patient][seller] = block.timestamp;

        VM.prank(patient);
        CONSENTS.grant(
            IConsents.Grant(
                patient, seller, type(uint32).max, uint32(1) << RESEARCH, uint40(start), uint40(end), keyring, keyring
            )
        );
    }

    function _faultOfStop(Deal storage deal) private view returns (bytes4) {
        Offer storage offer = _offers[deal.offer];
        if (deal.status.state != IDataSales.OrderState.Paid) return IDataSales.OrderStateIsNot.selector;
        IDataSales.ListingState state = offer.status.state;
        bool ground = state == IDataSales.ListingState.Frozen || state == IDataSales.ListingState.Forfeited
            || !INSTITUTIONS.isInGoodStanding(offer.listing.custodian)
            || !INSTITUTIONS.isInGoodStanding(deal.order.buyer) || !_subjectConsents(offer.listing);
        if (!ground) return IDataSales.NoGroundToStop.selector;
        bool early = block.timestamp + 30 minutes < deal.status.deadline;
        return early ? WORKS : IDataSales.EndsSoonAnyway.selector;
    }

    function _aPatientOf(Offer storage offer) private view returns (address patient, address seller) {
        seller = offer.listing.seller;
        if (_isDataset(offer)) return (_goods[offer.good].contributors[0].patient, seller);
        return (address(uint160(uint256(offer.listing.subject))), seller);
    }

    function _granteeOf(Dice memory dice) private pure returns (address) {
        uint256 which = dice.roll(3);
        return which == 2 ? BROKER : custodianOf(which);
    }

    function _accruedOf(uint256 which) private view returns (uint256) {
        (,, uint256 patients) = _partsOf(_offers[which].listing);
        return _offers[which].status.sold * patients;
    }

    function _claimedOf(uint256 which) private view returns (uint256 inUnits) {
        for (uint256 i = 0; i < _goods[_offers[which].good].contributors.length; ++i) {
            inUnits += _claimed[which][i];
        }
    }

    /// @dev What was sold and neither distributed nor claimed.
    function _leftOf(uint256 which) private view returns (uint256) {
        IDataSales.ListingStatus storage status = _offers[which].status;
        uint256 undistributed = status.sold - status.distributed;
        if (!_isDataset(_offers[which])) return undistributed * _offers[which].listing.terms.priceInUnits;
        (uint256 fee, uint256 custodian,) = _partsOf(_offers[which].listing);
        return undistributed * (fee + custodian) + _accruedOf(which) - _claimedOf(which);
    }

    function _mostDustOf(IERC20 token) private view returns (uint256 inUnits) {
        for (uint256 i = 0; i < _offers.length; ++i) {
            uint256 contributors = _goods[_offers[i].good].contributors.length;
            bool counts =
                _isSame(_offers[i].listing.terms.token, token) && contributors != 0 && _offers[i].status.sold != 0;
            if (counts) inUnits += contributors - 1;
        }
    }
}
