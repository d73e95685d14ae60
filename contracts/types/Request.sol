// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Use} from "./DataUse.sol";

/// @notice The keccak id of a request: chain, contract and every field of it.
type RequestId is bytes32;

using {requestIdOf} for Request global;

/// @notice What a buyer asks for.
/// @param buyer Who pays and receives.
/// @param token An ERC-20 that the market takes.
/// @param pricePerPatientInUnits What each patient's data costs, fee and custodian's share included; above zero.
/// @param budgetInUnits What is paid at most; it waits here.
/// @param fewest Fewer patients than this are not bought, at least one.
/// @param most More patients than this do not join.
/// @param until First second in which nobody joins any more, seconds since 1970.
/// @param classes Data classes that are asked for, one bit each.
/// @param use What the data is for.
/// @param criteria SHA-256 of a block that says in words whom the request is about.
/// @param profile SHA-256 of a block that says the same for machines: a FHIR Group with its characteristics.
/// @param nonce Tells two requests alike apart.
struct Request {
    address buyer;
    IERC20 token;
    uint128 pricePerPatientInUnits;
    uint128 budgetInUnits;
    uint32 fewest;
    uint32 most;
    uint40 until;
    uint32 classes;
    Use use;
    bytes32 criteria;
    bytes32 profile;
    uint64 nonce;
}

// forgefmt: disable-next-item
bytes32 constant REQUEST_TYPEHASH = keccak256(
    "Request(uint256 chainId,address requests,address buyer,address token,uint128 pricePerPatientInUnits,uint128 budgetInUnits,uint32 fewest,uint32 most,uint40 until,uint32 classes,uint8 purpose,uint32 research,uint32 disease,uint32 accepted,bytes32 criteria,bytes32 profile,uint64 nonce)"
);

/// @notice keccak256(abi.encode(REQUEST_TYPEHASH, chainid, requests, every field in order)).
function requestIdOf(Request memory request, address requests) view returns (RequestId) {
    return RequestId.wrap(keccak256(abi.encode(REQUEST_TYPEHASH, block.chainid, requests, request)));
}
