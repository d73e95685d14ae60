// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IPayouts} from "../../contracts/interfaces/IPayouts.sol";
import {Listing, ListingId, Parts} from "../../contracts/types/Sale.sol";
import {Share, ShareProof} from "../../contracts/types/Share.sol";
import {VM, bounded} from "./Cheats.sol";
import {Contributor, Contributors} from "./Contributors.sol";
import {Market} from "./Market.sol";

/// @notice What the contributors of a dataset get, whoever claims, whenever and as often as he likes.
/// forge-config: ci.fuzz.runs = 2000
contract ClaimsTest is Market {
    using Contributors for *;

    uint256 private constant MOST = 9;

    Listing private listing;
    ListingId private listingId;

    /// @notice Opens the market.
    function setUp() external {
        _openMarket(250);
    }

    /// @notice Claimed at any times, a leaf has its share of all sales so far, rounded down once: many claims are one.
    function testFuzz_claim_addsUpToTheShare_howeverOftenItIsMade(
        uint128[9] memory shares,
        uint256 size,
        uint256 which,
        uint256 claims
    ) external {
        Contributor[] memory all = _sold(shares, size);
        which = bounded(which, 0, all.length - 1);
        uint256 each = sales.partsOf(listing).patientsInUnits;
        uint128 total = all.proofOf(which).total;
        uint256 paid = 0;
        for (uint64 sold = 1; sold <= 5; ++sold) {
            _sell(listing, sold);
            if (claims >> sold & 1 == 0 && sold != 5) continue;
            uint256 due = Math.mulDiv(sold * each, all[which].share, total) - paid;
            VM.expectEmit(address(sales));
            emit IPayouts.Claimed(listingId, all[which].payout, due, sold);
            _claim(all, which);
            paid += due;
            _assertCredit(all[which].payout, paid);
            VM.assertEq(sales.claimedSalesOf(listingId, all[which].leafOf()), sold, "all sales so far");
            _refuseSecond(all, which);
        }
        VM.assertEq(paid, Math.mulDiv(5 * each, all[which].share, total), "as one claim");
    }

    /// @notice All claims together never exceed what came in for the patients, and leave less than a unit each.
    function testFuzz_claim_neverExceedsTheAccrual(uint128[9] memory shares, uint256 size, uint256 order) external {
        Contributor[] memory all = _sold(shares, size);
        for (uint64 sold = 1; sold <= 3; ++sold) {
            _sell(listing, sold);
            uint256 which = (order >> (8 * sold)) % all.length;
            _claim(all, which);
        }
        uint256 paid = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            if (sales.claimedSalesOf(listingId, all[i].leafOf()) < 3) _claim(all, i);
            paid += sales.creditOf(token, all[i].payout);
        }
        uint256 accrual = 3 * sales.partsOf(listing).patientsInUnits;
        VM.assertLe(paid, accrual, "never more");
        VM.assertLt(accrual, paid + all.length, "dust at most");
    }

    /// @notice Everything that the market holds is somebody's, but for dust.
    function testFuzz_claim_leavesDustAlone(uint128[9] memory shares, uint256 size) external {
        Contributor[] memory all = _sold(shares, size);
        _sell(listing, 1);
        sales.distribute(listing);
        uint256 credited = sales.creditOf(token, TREASURY) + sales.creditOf(token, CUSTODIAN);
        _assertCredit(address(0), 0);
        for (uint256 i = 0; i < all.length; ++i) {
            _claim(all, i);
            credited += sales.creditOf(token, all[i].payout);
        }
        uint256 held = token.balanceOf(address(sales)) - listing.terms.bondInUnits();
        VM.assertLe(credited, held, "covered");
        VM.assertLt(held, credited + all.length, "dust");
    }

    /// @notice A dataset's patients are not paid by `distribute`, which credits fee and custodian alone.
    function test_distribute_leavesTheContributorsPart() external {
        _sold([uint128(1), 1, 1, 0, 0, 0, 0, 0, 0], 3);
        _sell(listing, 1);
        Parts memory parts = sales.partsOf(listing);
        VM.expectEmit(address(sales));
        emit IPayouts.Distributed(listingId, 1, parts.feeInUnits, parts.custodianInUnits, 0);
        sales.distribute(listing);
    }

    /// @notice Nothing before a sale is settled.
    function test_claim_isRefused_beforeTheFirstSale() external {
        Contributor[] memory all = _sold([uint128(5), 7, 0, 0, 0, 0, 0, 0, 0], 2);
        _refuseSecond(all, 0);
        _deliver(_buy(listing, 1), listing, MASKED);
        _refuseSecond(all, 0);
    }

    /// @notice Another's payout or share, another place, size or total, sums that do not add up, hashes of others.
    function testFuzz_claim_isRefused_forAnythingElse(uint256 size, uint256 which, uint256 what, uint128 other)
        external
    {
        Contributor[] memory all = _sold([uint128(5), 7, 11, 13, 17, 19, 23, 29, 31], bounded(size, 2, MOST));
        _sell(listing, 1);
        which = bounded(which, 0, all.length - 1);
        (Share memory share, ShareProof memory proof) = (all[which].shareOf(), all.proofOf(which));
        bytes32 before = keccak256(abi.encode(share, proof));
        what %= 8;
        if (what == 0) share.payout = STRANGER;
        if (what == 1) share.share = other;
        if (what == 2) share.hidden = bytes32(uint256(other));
        if (what == 3) proof.index = uint64(other);
        if (what == 4) proof.size = uint64(other);
        if (what == 5) proof.total = other;
        if (what == 6) proof.sums[other % proof.sums.length] = other;
        if (what == 7) proof.hashes[other % proof.hashes.length] = bytes32(uint256(other));
        if (keccak256(abi.encode(share, proof)) == before) return;

        VM.expectRevert(abi.encodeWithSelector(IPayouts.ShareNotInListing.selector, listingId));
        sales.claim(listing, share, proof);
    }

    /// @notice Shares of another dataset say nothing about this one, even with the same leaf.
    function test_claim_isRefused_withTheProofOfAnotherDataset() external {
        Contributor[] memory all = _sold([uint128(5), 7, 0, 0, 0, 0, 0, 0, 0], 2);
        _sell(listing, 1);
        all[1].share = 8;
        _refuseShare(all[0].shareOf(), all.proofOf(0));
    }

    /// @notice A leaf that stands twice is paid once.
    function test_claim_paysALeafOnce_thoughItStandsTwice() external {
        Contributor[] memory all = _contributors([uint128(3), 3, 1, 0, 0, 0, 0, 0, 0], 3);
        all[1] = all[0];
        _offer(all);
        _sell(listing, 1);
        _claim(all, 0);
        _refuseSecond(all, 1);
        _assertCredit(all[0].payout, sales.partsOf(listing).patientsInUnits * 3 / 7);
    }

    /// @notice A tree over more than 128 bits has no proof.
    function test_claim_isRefused_whereSharesOverflow() external {
        Contributor[] memory all = _contributors([uint128(1), 1, 0, 0, 0, 0, 0, 0, 0], 2);
        _offer(all);
        _sell(listing, 1);
        (Share memory share, ShareProof memory proof) = (all[0].shareOf(), all.proofOf(0));
        proof.sums[0] = type(uint128).max;
        _refuseShare(share, proof);
        share.share = 0;
        _refuseShare(share, proof);
    }

    /// @dev A listed dataset of so many contributors.
    function _sold(uint128[9] memory shares, uint256 size) private returns (Contributor[] memory all) {
        all = _contributors(shares, size);
        _offer(all);
    }

    function _offer(Contributor[] memory all) private {
        listing = _listDataset(all.subjectOf());
        listingId = listing.listingIdOf(address(sales));
    }

    /// @dev Shares from one to a ninth of what 128 bits hold; patients, salts and payouts all different.
    function _contributors(uint128[9] memory shares, uint256 size) private pure returns (Contributor[] memory all) {
        all = new Contributor[](bounded(size, 1, MOST));
        for (uint256 i = 0; i < all.length; ++i) {
            uint128 share = uint128(bounded(shares[i], 1, type(uint128).max / MOST));
            all[i] =
                Contributor(address(uint160(0xC0 + i)), keccak256(abi.encode(i)), address(uint160(0xD0 + i)), share);
        }
    }

    function _claim(Contributor[] memory all, uint256 which) private {
        (Share memory share, ShareProof memory proof) = (all[which].shareOf(), all.proofOf(which));
        VM.prank(STRANGER);
        sales.claim(listing, share, proof);
    }

    function _refuseSecond(Contributor[] memory all, uint256 which) private {
        (Share memory share, ShareProof memory proof) = (all[which].shareOf(), all.proofOf(which));
        VM.expectRevert(abi.encodeWithSelector(IPayouts.NothingToPay.selector, listingId));
        sales.claim(listing, share, proof);
    }

    function _refuseShare(Share memory share, ShareProof memory proof) private {
        VM.expectRevert(abi.encodeWithSelector(IPayouts.ShareNotInListing.selector, listingId));
        sales.claim(listing, share, proof);
    }
}
