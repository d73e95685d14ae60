// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RecordDescription, RecordId} from "../../contracts/types/Record.sol";
import {Listing, ListingId, Order, OrderId} from "../../contracts/types/Sale.sol";
import {VM, bounded} from "./Cheats.sol";

/// @notice Every id against its encoding, written out field by field.
contract IdsTest {
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
        bytes memory first = abi.encode(
            keccak256(
                "Listing(uint256 chainId,address market,address seller,address custodian,bytes32 subject,uint8 dataClass,bytes32 sealId,bytes32 manifestDigest,address token,uint128 priceInUnits,uint8 purpose,uint32 duoTerms,uint32 deliverWithin,uint32 disputeWithin,uint16 custodianShareInBps,uint64 nonce)"
            ),
            chain,
            market,
            l.seller,
            l.custodian,
            l.subject,
            l.dataClass,
            l.sealId,
            l.manifestDigest
        );
        bytes memory second = abi.encode(
            l.terms.token,
            l.terms.priceInUnits,
            l.terms.purpose,
            l.terms.duoTerms,
            l.terms.deliverWithin,
            l.terms.disputeWithin,
            l.terms.custodianShareInBps,
            l.terms.nonce
        );

        VM.assertEq(ListingId.unwrap(l.listingIdOf(market)), keccak256(bytes.concat(first, second)), "listing id");
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
}
