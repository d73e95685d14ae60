// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RFC 9162 as it stands there
/// @notice The obvious, recursive tree that the contracts' loop is compared with.
library Rfc9162 {
    /// @notice MTH of section 2.1.1, over hashed leaves.
    function rootOf(bytes32[] memory leaves) internal pure returns (bytes32) {
        return _rootOf(leaves, 0, leaves.length);
    }

    /// @notice PATH of section 2.1.3.1, leaf to root.
    function pathOf(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory path) {
        path = new bytes32[](depthOf(leaves.length, index));
        uint256 start = 0;
        uint256 size = leaves.length;
        for (uint256 i = path.length; i > 0; --i) {
            uint256 left = splitOf(size);
            if (index - start < left) {
                path[i - 1] = _rootOf(leaves, start + left, size - left);
                size = left;
            } else {
                path[i - 1] = _rootOf(leaves, start, left);
                start += left;
                size -= left;
            }
        }
    }

    /// @notice Whether the path leads from the leaf to the root, by the definition of the tree.
    function includes(bytes32 root, uint256 size, bytes32 leaf, uint256 index, bytes32[] memory path)
        internal
        pure
        returns (bool)
    {
        if (index >= size || path.length != depthOf(size, index)) return false;
        return climb(size, leaf, index, path, path.length) == root;
    }

    /// @notice The root of a tree of `size` leaves in which the first `length` steps of the path lead up from the leaf.
    function climb(uint256 size, bytes32 leaf, uint256 index, bytes32[] memory path, uint256 length)
        internal
        pure
        returns (bytes32)
    {
        if (size == 1) return leaf;
        uint256 left = splitOf(size);
        bytes32 sibling = path[length - 1];
        if (index < left) return nodeOf(climb(left, leaf, index, path, length - 1), sibling);
        return nodeOf(sibling, climb(size - left, leaf, index - left, path, length - 1));
    }

    /// @notice How many steps there are from a leaf to the root.
    function depthOf(uint256 size, uint256 index) internal pure returns (uint256) {
        if (size == 1) return 0;
        uint256 left = splitOf(size);
        return 1 + (index < left ? depthOf(left, index) : depthOf(size - left, index - left));
    }

    /// @notice The largest power of two below `size`, which is at least two.
    function splitOf(uint256 size) internal pure returns (uint256 left) {
        left = 1;
        while (left < size - left) left *= 2;
    }

    /// @notice H(0x01 ‖ left ‖ right).
    function nodeOf(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"01", left, right));
    }

    function _rootOf(bytes32[] memory leaves, uint256 start, uint256 size) private pure returns (bytes32) {
        if (size == 1) return leaves[start];
        uint256 left = splitOf(size);
        return nodeOf(_rootOf(leaves, start, left), _rootOf(leaves, start + left, size - left));
    }
}
