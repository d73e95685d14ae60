// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ChaCha20 (RFC 8439, section 2.4) with a zero nonce, counted from 1
/// @notice Two blocks at a time, and row by row. The state of a block is four rows of four 32-bit words: a has the words 0
/// to 3, then come b, c and d. Here, one EVM word has the same row of both blocks, in eight lanes of 32 bits; from the
/// highest on: word 0 of the first block, word 0 of the second, word 1 of the first, word 1 of the second, and so on.
/// @dev So the quarter rounds of all four columns are one quarter round of rows; those of the diagonals are another, once
/// b, c and d are turned by one, two and three columns: by 64, 128 and 192 bits.
///
/// No lane may disturb the next.
/// - x + y: the lower 31 bits of each lane are added, whose carry stays in the lane, and both top bits XORed to that.
/// - x <<< n: let v be the word with the highest n bits of each lane of x at the lane's lower end. These v are missing in
///   x << n, which has put each into the lane above, as v << 32. So x <<< n = (x << n) - v * (2^32 - 1).
library ChaCha20 {
    /// @dev Row a of every block: "expand 32-byte k".
    uint256 private constant ROW_A = 0x61707865617078653320646e3320646e79622d3279622d326b2065746b206574;

    /// @dev Row d of the first two blocks, and what the next two have more: a counter each, in word 12.
    uint256 private constant FIRST_COUNTERS = (1 << 224) | (2 << 192);
    uint256 private constant TWO_BLOCKS = (2 << 224) | (2 << 192);

    /// @notice XORs the key stream over the `length` bytes of memory from `start` on: encrypts, and decrypts.
    /// @dev *Warning*: overwrites up to 127 bytes behind them; nothing that is needed may lie there.
    function applyTo(bytes32 key, uint256 start, uint256 length) internal pure {
        (uint256 rowB, uint256 rowC) = _rowsOf(key);
        uint256 rowD = FIRST_COUNTERS;
        uint256 end = start + length;
        while (start < end) {
            (uint256 a, uint256 b, uint256 c, uint256 d) = _afterTwentyRounds(rowB, rowC, rowD);
            _xorTo(start, a, b, c, d);
            unchecked {
                start += 128;
                rowD += TWO_BLOCKS;
            }
        }
    }

    /// @dev The eight little-endian words of the key in two rows, the same for both blocks.
    function _rowsOf(bytes32 key) private pure returns (uint256 rowB, uint256 rowC) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, 16) { i := add(i, 4) } {
                rowB := or(shl(64, rowB), wordAt(i, key))
                rowC := or(shl(64, rowC), wordAt(add(i, 16), key))
            }
            function wordAt(i, from) -> twice {
                let upper := or(shl(24, byte(add(i, 3), from)), shl(16, byte(add(i, 2), from)))
                twice := mul(or(upper, or(shl(8, byte(add(i, 1), from)), byte(i, from))), 0x100000001)
            }
        }
    }

    /// @dev Ten times a round of columns and a round of diagonals, in five loops because a loop costs gas too; at the end,
    /// the rows that they started from are added.
    // solhint-disable-next-line function-max-lines
    function _afterTwentyRounds(uint256 rowB, uint256 rowC, uint256 rowD)
        private
        pure
        returns (uint256 a, uint256 b, uint256 c, uint256 d)
    {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let low := 0x7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff
            let top := 0x8000000080000000800000008000000080000000800000008000000080000000
            let low16 := 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff
            let low12 := 0x00000fff00000fff00000fff00000fff00000fff00000fff00000fff00000fff
            let low8 := 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff
            let low7 := 0x0000007f0000007f0000007f0000007f0000007f0000007f0000007f0000007f
            a := ROW_A
            b := rowB
            c := rowC
            d := rowD
            // a += b; d = (d ^ a) <<< 16; c += d; b = (b ^ c) <<< 12; a += b; d = (d ^ a) <<< 8; c += d; b = (b ^ c) <<< 7
            for { let i := 5 } i { i := sub(i, 1) } {
                {
                    // columns
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x16 := xor(d, a)
                    d := sub(shl(16, x16), mul(and(shr(16, x16), low16), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x12 := xor(b, c)
                    b := sub(shl(12, x12), mul(and(shr(20, x12), low12), 0xffffffff))
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x8 := xor(d, a)
                    d := sub(shl(8, x8), mul(and(shr(24, x8), low8), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x7 := xor(b, c)
                    b := sub(shl(7, x7), mul(and(shr(25, x7), low7), 0xffffffff))
                }
                b := or(shl(64, b), shr(192, b))
                c := or(shl(128, c), shr(128, c))
                d := or(shl(192, d), shr(64, d))
                {
                    // diagonals
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x16 := xor(d, a)
                    d := sub(shl(16, x16), mul(and(shr(16, x16), low16), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x12 := xor(b, c)
                    b := sub(shl(12, x12), mul(and(shr(20, x12), low12), 0xffffffff))
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x8 := xor(d, a)
                    d := sub(shl(8, x8), mul(and(shr(24, x8), low8), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x7 := xor(b, c)
                    b := sub(shl(7, x7), mul(and(shr(25, x7), low7), 0xffffffff))
                }
                b := or(shl(192, b), shr(64, b))
                c := or(shl(128, c), shr(128, c))
                d := or(shl(64, d), shr(192, d))
                {
                    // columns
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x16 := xor(d, a)
                    d := sub(shl(16, x16), mul(and(shr(16, x16), low16), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x12 := xor(b, c)
                    b := sub(shl(12, x12), mul(and(shr(20, x12), low12), 0xffffffff))
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x8 := xor(d, a)
                    d := sub(shl(8, x8), mul(and(shr(24, x8), low8), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x7 := xor(b, c)
                    b := sub(shl(7, x7), mul(and(shr(25, x7), low7), 0xffffffff))
                }
                b := or(shl(64, b), shr(192, b))
                c := or(shl(128, c), shr(128, c))
                d := or(shl(192, d), shr(64, d))
                {
                    // diagonals
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x16 := xor(d, a)
                    d := sub(shl(16, x16), mul(and(shr(16, x16), low16), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x12 := xor(b, c)
                    b := sub(shl(12, x12), mul(and(shr(20, x12), low12), 0xffffffff))
                    a := xor(add(and(a, low), and(b, low)), and(xor(a, b), top))
                    let x8 := xor(d, a)
                    d := sub(shl(8, x8), mul(and(shr(24, x8), low8), 0xffffffff))
                    c := xor(add(and(c, low), and(d, low)), and(xor(c, d), top))
                    let x7 := xor(b, c)
                    b := sub(shl(7, x7), mul(and(shr(25, x7), low7), 0xffffffff))
                }
                b := or(shl(192, b), shr(64, b))
                c := or(shl(128, c), shr(128, c))
                d := or(shl(64, d), shr(192, d))
            }
            a := xor(add(and(a, low), and(ROW_A, low)), and(xor(a, ROW_A), top))
            b := xor(add(and(b, low), and(rowB, low)), and(xor(b, rowB), top))
            c := xor(add(and(c, low), and(rowC, low)), and(xor(c, rowC), top))
            d := xor(add(and(d, low), and(rowD, low)), and(xor(d, rowD), top))
        }
    }

    /// @dev XORs both blocks, row by row and their words little-endian, over the 128 bytes from `start` on.
    function _xorTo(uint256 start, uint256 a, uint256 b, uint256 c, uint256 d) private pure {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            // `words` are those of two rows in turns: x0 y0 x1 y1 x2 y2 x3 y3.
            function xorTo(place, words) {
                let even := 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff
                let turned := or(shl(8, and(words, even)), and(shr(8, words), even))
                even := 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff
                turned := or(shl(16, and(turned, even)), and(shr(16, turned), even))
                // x0 x1 y0 y1 x2 x3 y2 y3, by exchanging where they differ
                let other :=
                    and(
                        xor(turned, shr(32, turned)),
                        0x0000000000000000ffffffff000000000000000000000000ffffffff00000000
                    )
                turned := xor(turned, mul(other, 0x100000001))
                // x0 x1 x2 x3 y0 y1 y2 y3
                other := and(
                    xor(turned, shr(64, turned)),
                    0x00000000000000000000000000000000ffffffffffffffff0000000000000000
                )
                mstore(place, xor(mload(place), xor(turned, mul(other, 0x10000000000000001))))
            }
            let second := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
            xorTo(add(start, 64), or(shl(32, and(a, second)), and(b, second)))
            xorTo(add(start, 96), or(shl(32, and(c, second)), and(d, second)))
            let first := not(second)
            xorTo(start, or(and(a, first), shr(32, and(b, first))))
            xorTo(add(start, 32), or(and(c, first), shr(32, and(d, first))))
        }
    }
}
