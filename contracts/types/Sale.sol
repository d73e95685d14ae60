// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice The keccak id of a listing: chain, market and every field of it.
type ListingId is bytes32;

/// @notice The keccak id of an order: chain, market and every field of it.
type OrderId is bytes32;

using {listingIdOf} for Listing global;
using {orderIdOf} for Order global;

/// @notice What the seller asks.
/// @param token An allowed ERC-20.
/// @param priceInUnits In the token's smallest unit, above zero.
/// @param purpose What it is sold for: a purpose of the research-and-sale lane, as a bit number.
/// @param duoTerms GA4GH Data Use Ontology terms, one bit each.
/// @param deliverWithin Seconds from purchase to the end of delivery.
/// @param disputeWithin Seconds from delivery to settlement.
/// @param custodianShareInBps Hundredths of a percent of what remains after the fee; the rest is the patient's.
/// @param nonce Tells two listings of the same record apart.
struct Terms {
    IERC20 token;
    uint128 priceInUnits;
    uint8 purpose;
    uint32 duoTerms;
    uint32 deliverWithin;
    uint32 disputeWithin;
    uint16 custodianShareInBps;
    uint64 nonce;
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
    "Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,uint32 deliverWithin,uint32 disputeWithin,uint16 custodianShareInBps,uint64 nonce)"
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
