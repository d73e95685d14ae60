// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataSales} from "../../contracts/DataSales.sol";
import {IDataSales} from "../../contracts/interfaces/IDataSales.sol";
import {IInstitutions} from "../../contracts/interfaces/IInstitutions.sol";
import {TestDollar} from "../../contracts/mocks/TestDollar.sol";
import {BatchProof, RecordDescription} from "../../contracts/types/Record.sol";
import {Listing, Order, Terms} from "../../contracts/types/Sale.sol";
import {VM} from "./Cheats.sol";
import {
    LEAST_REWARD,
    Stage,
    datasetOf,
    datasetTermsOf,
    listingOf,
    orderOf,
    purchaseOf,
    recordOf,
    termsOf
} from "./Stage.sol";

/// @notice An open market with one patient, the patient's hospital and a buyer.
abstract contract Market is Stage {
    address internal constant PATIENT = address(0xA1);
    address internal constant CUSTODIAN = address(0xA2);
    address internal constant BUYER = address(0xA3);
    address internal constant STRANGER = address(0xA4);
    bytes32 internal constant SECRET = keccak256("secret t");
    bytes32 internal constant MASKED = keccak256("masked key");

    TestDollar internal token;
    DataSales internal sales;

    /// @dev The patient consents to sales by the hospital.
    function _openMarket(uint16 feeInBps) internal {
        _deploy();
        institutions.enrol(CUSTODIAN, IInstitutions.Kind.Hospital, 0);
        institutions.enrol(BUYER, IInstitutions.Kind.Buyer, 0);
        token = new TestDollar(address(this));
        _newMarket(feeInBps);
        _consent(PATIENT, CUSTODIAN);
        VM.warp(NOW + 1);
    }

    function _newMarket(uint16 feeInBps) internal {
        sales = _newSales(feeInBps);
        sales.allowToken(token, LEAST_REWARD);
    }

    /// @dev The hospital sells the patient's record.
    function _listRecord() internal returns (Listing memory) {
        return _list(CUSTODIAN, recordOf(CUSTODIAN, PATIENT, 1), termsOf(token));
    }

    /// @dev The hospital sells a dataset of these contributors, with twice its price as security.
    function _listDataset(bytes32 subject) internal returns (Listing memory) {
        return _list(CUSTODIAN, datasetOf(CUSTODIAN, subject, 1), datasetTermsOf(token));
    }

    /// @dev Deposits the record, and leaves the bond.
    function _list(address seller, RecordDescription memory record, Terms memory terms)
        internal
        returns (Listing memory listing)
    {
        BatchProof memory proof = _deposit(record);
        _fund(seller, terms.bondInUnits());
        VM.prank(seller);
        sales.list(terms, record, proof);
        return listingOf(seller, record, terms);
    }

    function _fund(address account, uint256 amountInUnits) internal {
        _mint(account, amountInUnits);
        VM.prank(account);
        sales.fund(token, amountInUnits);
    }

    /// @dev Money that the market may take.
    function _mint(address account, uint256 amountInUnits) internal {
        token.mint(account, amountInUnits);
        VM.prank(account);
        token.approve(address(sales), amountInUnits);
    }

    function _buy(Listing memory listing, uint64 nonce) internal returns (Order memory) {
        IDataSales.Purchase memory purchase = purchaseOf(SECRET, nonce);
        _mint(BUYER, listing.terms.priceInUnits);
        VM.prank(BUYER);
        sales.buy(listing, purchase);
        return orderOf(address(sales), listing, BUYER, purchase);
    }

    function _deliver(Order memory order, Listing memory listing, bytes32 maskedKey) internal {
        VM.prank(listing.seller);
        sales.deliver(order, listing, maskedKey);
    }

    /// @dev One whole sale; the clock goes on by the dispute window.
    function _sell(Listing memory listing, uint64 nonce) internal returns (Order memory order) {
        order = _buy(listing, nonce);
        _deliver(order, listing, MASKED);
        VM.warp(block.timestamp + listing.terms.disputeWithin);
        sales.settle(order, listing);
    }

    function _statusOf(Listing memory listing) internal view returns (IDataSales.ListingStatus memory) {
        return sales.listingStatusOf(listing.listingIdOf(address(sales)));
    }

    function _statusOf(Order memory order) internal view returns (IDataSales.OrderStatus memory) {
        return sales.orderStatusOf(order.orderIdOf(address(sales)));
    }

    function _assertState(Listing memory listing, IDataSales.ListingState state) internal view {
        VM.assertEq(uint256(_statusOf(listing).state), uint256(state), "the listing's state");
    }

    function _assertState(Order memory order, IDataSales.OrderState state) internal view {
        VM.assertEq(uint256(_statusOf(order).state), uint256(state), "the order's state");
    }

    function _assertCredit(address account, uint256 amountInUnits) internal view {
        VM.assertEq(sales.creditOf(token, account), amountInUnits, "the account's credit");
    }
}
