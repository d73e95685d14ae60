// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Conditions} from "./DataUse.sol";

/// @notice The keccak id of a listing: chain, market and every field of it.
type ListingId is bytes32;

/// @notice The keccak id of an order: chain, market and every field of it.
type OrderId is bytes32;

using {idOf, listingIdOf} for Listing global;
using {nameOf, orderIdOf} for Order global;
using {bondInUnits, partsOf} for Terms global;

uint256 constant ALL_IN_BPS = 10_000;

/// @notice What the seller asks.
/// @param token An allowed ERC-20.
/// @param priceInUnits In the token's smallest unit, above zero.
/// @param conditions For which use and to which buyers it is sold.
/// @param reservedFor The only account that may buy, for itself or as an agent; zero for any.
/// @param deliverWithin Seconds from purchase to the end of delivery.
/// @param disputeWithin Seconds from delivery to settlement.
/// @param custodianShareInBps Hundredths of a percent of what remains after the fee; the rest is the patients'.
/// @param places How many orders may be open at once; each has a reward in the bond.
/// @param rewardInUnits What a buyer who proves that he was cheated gets from the bond, to cover the proof.
/// @param securityInUnits What the seller of many patients' data loses if one of them never consented.
/// @param nonce Tells two listings of the same record apart.
struct Terms {
    IERC20 token;
    uint128 priceInUnits;
    Conditions conditions;
    address reservedFor;
    uint32 deliverWithin;
    uint32 disputeWithin;
    uint16 custodianShareInBps;
    uint32 places;
    uint128 rewardInUnits;
    uint128 securityInUnits;
    uint64 nonce;
}

/// @notice How one price is shared out; the three add up to it.
/// @param feeInUnits To the treasury, rounded down.
/// @param custodianInUnits To the custodian, rounded down.
/// @param patientsInUnits To the patient, or to all patients of a dataset together.
struct Parts {
    uint256 feeInUnits;
    uint256 custodianInUnits;
    uint256 patientsInUnits;
}

/// @notice A sealed record for sale.
struct Listing {
    address seller;
    address custodian;
    bytes32 subject;
    uint8 dataClass;
    bytes32 sealId;
    bytes32 manifestDigest;
    Terms terms;
}

/// @notice One purchase.
/// @param listingId What is bought.
/// @param buyer Who pays and receives.
/// @param commitment H(0x0a ‖ t) of the buyer's fresh 32-byte secret t.
/// @param priceInUnits What was paid into escrow.
/// @param nonce Tells two purchases of the same listing apart.
struct Order {
    ListingId listingId;
    address buyer;
    bytes32 commitment;
    uint128 priceInUnits;
    uint64 nonce;
}

// forgefmt: disable-next-item
bytes32 constant LISTING_TYPEHASH = keccak256(
    "Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,uint32 disease,uint16 kindsAllowed,uint16 kindsDenied,address reservedFor,uint32 deliverWithin,uint32 disputeWithin,uint16 custodianShareInBps,uint32 places,uint128 rewardInUnits,uint128 securityInUnits,uint64 nonce)"
);

// forgefmt: disable-next-item
bytes32 constant ORDER_TYPEHASH = keccak256(
    "Order(uint256 chainId,address market,bytes32 listingId,address buyer,bytes32 commitment,uint128 priceInUnits,uint64 nonce)"
);

/// @notice keccak256(abi.encode(LISTING_TYPEHASH, chainid, market, every field in order)).
function listingIdOf(Listing memory listing, address market) view returns (ListingId) {
    return ListingId.wrap(keccak256(abi.encode(LISTING_TYPEHASH, block.chainid, market, listing)));
}

/// @notice keccak256(abi.encode(ORDER_TYPEHASH, chainid, market, every field in order)).
function orderIdOf(Order memory order, address market) view returns (OrderId) {
    return OrderId.wrap(keccak256(abi.encode(ORDER_TYPEHASH, block.chainid, market, order)));
}

/// @notice As {listingIdOf}, straight from calldata: the struct lies there as its encoding.
/// @dev Stray bits in a field give an id that no listing has.
function idOf(Listing calldata listing, address market) view returns (ListingId listingId) {
    bytes32 typeHash = LISTING_TYPEHASH;
    // solhint-disable-next-line no-inline-assembly
    assembly ("memory-safe") {
        let encoding := mload(0x40)
        mstore(encoding, typeHash)
        mstore(add(encoding, 0x20), chainid())
        mstore(add(encoding, 0x40), market)
        calldatacopy(add(encoding, 0x60), listing, 0x2a0)
        listingId := keccak256(encoding, 0x300)
    }
}

/// @notice As {orderIdOf}, straight from calldata: see {idOf}.
function nameOf(Order calldata order, address market) view returns (OrderId orderId) {
    bytes32 typeHash = ORDER_TYPEHASH;
    // solhint-disable-next-line no-inline-assembly
    assembly ("memory-safe") {
        let encoding := mload(0x40)
        mstore(encoding, typeHash)
        mstore(add(encoding, 0x20), chainid())
        mstore(add(encoding, 0x40), market)
        calldatacopy(add(encoding, 0x60), order, 0xa0)
        orderId := keccak256(encoding, 0x100)
    }
}

/// @notice Whether a subject is a single patient; else it commits to the contributors of a dataset.
function isPatient(bytes32 subject) pure returns (bool) {
    return uint256(subject) >> 160 == 0;
}

/// @notice The account of a subject that is a single patient.
function patientIn(bytes32 subject) pure returns (address) {
    return address(uint160(uint256(subject)));
}

/// @notice All that the seller leaves: the security and a reward for each order that may be open.
function bondInUnits(Terms memory terms) pure returns (uint256) {
    return uint256(terms.securityInUnits) + uint256(terms.places) * terms.rewardInUnits;
}

/// @notice How one price is shared out, with a fee of so many hundredths of a percent.
function partsOf(Terms memory terms, uint256 feeInBps) pure returns (Parts memory parts) {
    uint256 price = terms.priceInUnits;
    parts.feeInUnits = price * feeInBps / ALL_IN_BPS;
    parts.custodianInUnits = (price - parts.feeInUnits) * terms.custodianShareInBps / ALL_IN_BPS;
    parts.patientsInUnits = price - parts.feeInUnits - parts.custodianInUnits;
}
