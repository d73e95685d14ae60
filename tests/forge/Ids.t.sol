// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RecordDescription, RecordId} from "../../contracts/types/Record.sol";
import {Request, RequestId} from "../../contracts/types/Request.sol";
import {Listing, ListingId, Order, OrderId, Terms} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";

/// @notice Every id against its encoding, written out field by field.
contract IdsTest {
    // forgefmt: disable-next-item
    bytes32 private constant LISTING_TYPE = keccak256(
        "Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,uint32 disease,uint16 kindsAllowed,uint16 kindsDenied,address reservedFor,uint32 deliverWithin,uint32 disputeWithin,uint16 custodianShareInBps,uint32 places,uint128 rewardInUnits,uint128 securityInUnits,uint64 nonce)"
    );
    // forgefmt: disable-next-item
    bytes32 private constant REQUEST_TYPE = keccak256(
        "Request(uint256 chainId,address requests,address buyer,address token,uint128 pricePerPatientInUnits,uint128 budgetInUnits,uint32 fewest,uint32 most,uint40 until,uint32 classes,uint8 purpose,uint32 research,uint32 disease,uint32 accepted,bytes32 criteria,bytes32 profile,uint64 nonce)"
    );

    /// @notice A record id commits to every field of the description, in order.
    function testFuzz_idOf_hashesEveryField(RecordDescription memory r) external pure {
        bytes32 written = keccak256(
            abi.encode(
                keccak256(
                    "Record(address custodian,bytes32 subject,uint8 dataClass,uint32 epoch,bool deidentified,bytes32 sealId,bytes32 manifestDigest,bytes32 salt)"
                ),
                r.custodian,
                r.subject,
                r.dataClass,
                r.epoch,
                r.deidentified,
                r.sealId,
                r.manifestDigest,
                r.salt
            )
        );

        VM.assertEq(RecordId.unwrap(r.idOf()), written, "record id");
    }

    /// @notice A listing id commits to chain, market and every field, in order.
    function testFuzz_listingIdOf_hashesChainMarketAndEveryField(Listing memory l, address market, uint256 chain)
        external
    {
        chain = bounded(chain, 1, type(uint64).max);
        VM.chainId(chain);
        bytes memory sold =
            abi.encode(chain, market, l.seller, l.custodian, l.subject, l.dataClass, l.sealId, l.manifestDigest);
        Terms memory t = l.terms;
        bytes memory conditions = abi.encode(
            t.conditions.purpose,
            t.conditions.duoTerms,
            t.conditions.disease,
            t.conditions.kindsAllowed,
            t.conditions.kindsDenied
        );
        bytes memory rest = abi.encode(
            t.reservedFor,
            t.deliverWithin,
            t.disputeWithin,
            t.custodianShareInBps,
            t.places,
            t.rewardInUnits,
            t.securityInUnits,
            t.nonce
        );
        bytes memory written = bytes.concat(LISTING_TYPE, sold, abi.encode(t.token, t.priceInUnits), conditions, rest);

        VM.assertEq(ListingId.unwrap(l.listingIdOf(market)), keccak256(written), "listing id");
    }

    /// @notice An order id commits to chain, market and every field, in order.
    function testFuzz_orderIdOf_hashesChainMarketAndEveryField(Order memory o, address market, uint256 chain) external {
        chain = bounded(chain, 1, type(uint64).max);
        VM.chainId(chain);
        bytes32 written = keccak256(
            abi.encode(
                keccak256(
                    "Order(uint256 chainId,address market,bytes32 listingId,address buyer,bytes32 commitment,uint128 priceInUnits,uint64 nonce)"
                ),
                chain,
                market,
                o.listingId,
                o.buyer,
                o.commitment,
                o.priceInUnits,
                o.nonce
            )
        );

        VM.assertEq(OrderId.unwrap(o.orderIdOf(market)), written, "order id");
    }

    /// @notice A request id commits to chain, contract and every field, in order.
    function testFuzz_requestIdOf_hashesChainContractAndEveryField(Request memory r, address requests, uint256 chain)
        external
    {
        chain = bounded(chain, 1, type(uint64).max);
        VM.chainId(chain);
        bytes memory asked =
            abi.encode(chain, requests, r.buyer, r.token, r.pricePerPatientInUnits, r.budgetInUnits, r.fewest, r.most);
        bytes memory use = abi.encode(r.use.purpose, r.use.research, r.use.disease, r.use.accepted);
        bytes memory written = bytes.concat(
            REQUEST_TYPE, asked, abi.encode(r.until, r.classes), use, abi.encode(r.criteria, r.profile, r.nonce)
        );

        VM.assertEq(RequestId.unwrap(r.requestIdOf(requests)), keccak256(written), "request id");
    }

    /// @notice Straight from calldata a listing has the same id; with a stray bit in any field it has another.
    function testFuzz_idOf_isTheSameFromCalldata(Listing memory listing, address market, uint256 bit) external view {
        bytes memory call = abi.encodeCall(this.listingIdFromCalldata, (listing, market));
        bytes32 listingId = ListingId.unwrap(listing.listingIdOf(market));
        VM.assertEq(_answerTo(call), listingId, "listing id");
        VM.assertTrue(_answerTo(_withBitTurned(call, bit, 21)) != listingId, "another one");
    }

    /// @notice Straight from calldata an order has the same id; with a stray bit in any field it has another.
    function testFuzz_nameOf_isTheSameFromCalldata(Order memory order, address market, uint256 bit) external view {
        bytes memory call = abi.encodeCall(this.orderIdFromCalldata, (order, market));
        bytes32 orderId = OrderId.unwrap(order.orderIdOf(market));
        VM.assertEq(_answerTo(call), orderId, "order id");
        VM.assertTrue(_answerTo(_withBitTurned(call, bit, 5)) != orderId, "another one");
    }

    /// @notice The function of the contracts, which takes its listing from calldata.
    function listingIdFromCalldata(Listing calldata listing, address market) external view returns (ListingId) {
        return listing.idOf(market);
    }

    /// @notice The function of the contracts, which takes its order from calldata.
    function orderIdFromCalldata(Order calldata order, address market) external view returns (OrderId) {
        return order.nameOf(market);
    }

    function _answerTo(bytes memory call) private view returns (bytes32) {
        (bool done, bytes memory answer) = address(this).staticcall(call);
        VM.assertTrue(done, "an answer");
        return abi.decode(answer, (bytes32));
    }

    /// @dev Turns one bit of the first `words` words behind the selector.
    function _withBitTurned(bytes memory call, uint256 bit, uint256 words) private pure returns (bytes memory turned) {
        bit %= words * 256;
        turned = bytes.concat(call);
        turned[4 + bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
    }
}
