// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Inclusion in a SHA-256 tree
/// @notice RFC 9162, section 2.1.3.2: leaves carry the tag 0x00, inner nodes 0x01, so neither passes for the other.
library MerkleTree {
    /// @notice Whether `leaf` stands at `index` of the tree of `size` leaves with this `root`.
    /// @dev False, never a revert, for a path of the wrong length or an index outside the tree.
    function includes(bytes32 root, uint256 size, bytes32 leaf, uint256 index, bytes32[] calldata path)
        internal
        view
        returns (bool)
    {
        if (index >= size) return false;
        uint256 last = size - 1;
        bytes32 node = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            if (last == 0) return false;
            if (index & 1 == 1 || index == last) {
                node = parentOf(path[i], node);
                while (index & 1 == 0 && index != 0) {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                node = parentOf(node, path[i]);
            }
            index >>= 1;
            last >>= 1;
        }
        return last == 0 && node == root;
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

    /// @notice The node above two nodes: H(0x01 ‖ left ‖ right).
    /// @dev sha256(abi.encodePacked(bytes1(0x01), left, right)), for half the gas: a path has one for each level.
    function parentOf(bytes32 left, bytes32 right) internal view returns (bytes32 node) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0x01)
            mstore(add(input, 1), left)
            mstore(add(input, 33), right)
            if iszero(staticcall(gas(), 2, input, 65, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }
}
