// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IKeyCards} from "./interfaces/IKeyCards.sol";

/// @title KeyCards
/// @notice The proof to the book: {IKeyCards} says what everything means.
contract KeyCards is IKeyCards {
    mapping(address owner => bytes32 card) private _cards;

    /// @inheritdoc IKeyCards
    function register(bytes32 card) external {
        require(card != 0, CardMissing());
        _cards[msg.sender] = card;
        emit CardRegistered(msg.sender, card);
    }

    /// @inheritdoc IKeyCards
    function cardOf(address owner) external view returns (bytes32) {
        return _cards[owner];
    }
}
