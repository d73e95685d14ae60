// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Inclusion in a SHA-256 tree
/// @notice RFC 9162, section 2.1.3.2: leaves carry the tag 0x00, inner nodes 0x01, so neither passes for the other.
library MerkleTree {
    /// @notice Whether `leaf` stands at `index` of the tree of `size` leaves with this `root`.
    /// @dev False, never a revert, for a path of the wrong length or an index outside the tree. In assembly for half the
    /// gas: `index` and `last` are those of the node and of the last node on its level; a last node without a sibling
    /// moves up as it is.
    function includes(bytes32 root, uint256 size, bytes32 leaf, uint256 index, bytes32[] calldata path)
        internal
        view
        returns (bool included)
    {
        if (index >= size) return false;
        // Nodes are H(0x01 ‖ left ‖ right).
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let last := sub(size, 1)
            let node := leaf
            let input := mload(0x40)
            let left := add(input, 1)
            let right := add(input, 33)
            mstore8(input, 0x01)
            included := 1
            let step := path.offset
            for { let end := add(step, shl(5, path.length)) } lt(step, end) { step := add(step, 32) } {
                if iszero(last) {
                    included := 0
                    break
                }
                switch or(and(index, 1), eq(index, last))
                case 0 {
                    mstore(left, node)
                    mstore(right, calldataload(step))
                }
                default {
                    mstore(left, calldataload(step))
                    mstore(right, node)
                    for {} and(iszero(and(index, 1)), gt(index, 0)) {} {
                        index := shr(1, index)
                        last := shr(1, last)
                    }
                }
                if iszero(staticcall(gas(), 2, input, 65, 0, 32)) { revert(0, 0) }
                node := mload(0)
                index := shr(1, index)
                last := shr(1, last)
            }
            included := and(included, and(iszero(last), eq(node, root)))
        }
    }

    /// @notice The leaf of a 32-byte value: H(0x00 ‖ value).
    /// @dev sha256(abi.encodePacked(bytes1(0x00), value)), in scratch space.
    function leafOf(bytes32 value) internal view returns (bytes32 leaf) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore8(0, 0x00)
            mstore(1, value)
            if iszero(staticcall(gas(), 2, 0, 33, 0, 32)) { revert(0, 0) }
            leaf := mload(0)
        }
    }
}
