// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What one contributor gets of every sale: `share` parts of the tree's total.
/// @param payout Who is paid. It becomes public when it claims.
/// @param share Parts of the total, above zero.
/// @param hidden H(0x0e ‖ salt ‖ patient): says nothing of the patient to whoever lacks the salt.
struct Share {
    address payout;
    uint128 share;
    bytes32 hidden;
}

/// @notice Where a share stands in the tree of a dataset's contributors.
/// @param index The share's place, from 0.
/// @param size How many shares there are.
/// @param total All shares together.
/// @param sums The sum below each sibling on the way up, the lowest first.
/// @param hashes The hash of each sibling on the way up, the lowest first.
struct ShareProof {
    uint64 index;
    uint64 size;
    uint128 total;
    uint128[] sums;
    bytes32[] hashes;
}
