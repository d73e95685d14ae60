// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

using {roll, isRare} for Dice global;

/// @notice Chance that follows from one number, so that a sequence of calls can be played again.
struct Dice {
    uint256 left;
}

/// @notice Dice of which nothing was rolled yet.
function diceOf(uint256 seed) pure returns (Dice memory) {
    return Dice(uint256(keccak256(abi.encode(seed))));
}

/// @notice A number below `sides`.
function roll(Dice memory dice, uint256 sides) pure returns (uint256 number) {
    number = dice.left % sides;
    dice.left = uint256(keccak256(abi.encode(dice.left)));
}

/// @notice True once in sixteen times.
function isRare(Dice memory dice) pure returns (bool) {
    return roll(dice, 16) == 0;
}
