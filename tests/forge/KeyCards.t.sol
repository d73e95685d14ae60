// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IKeyCards} from "../../contracts/interfaces/IKeyCards.sol";
import {KeyCards} from "../../contracts/KeyCards.sol";
import {VM} from "./Cheats.sol";

/// @notice Everybody has one card, which only he replaces.
contract KeyCardsTest {
    KeyCards private cards;

    /// @notice Deploys the directory.
    function setUp() external {
        cards = new KeyCards();
    }

    /// @notice The last card stands, and nobody else's changes.
    function testFuzz_register_replacesOnesOwnCard(address owner, address other, bytes32 first, bytes32 last) external {
        if (owner == other || first == 0 || last == 0) return;
        VM.prank(other);
        cards.register(first);
        VM.prank(owner);
        cards.register(first);
        VM.expectEmit(address(cards));
        emit IKeyCards.CardRegistered(owner, last);
        VM.prank(owner);
        cards.register(last);
        VM.assertEq(cards.cardOf(owner), last, "the last");
        VM.assertEq(cards.cardOf(other), first, "as it was");
    }

    /// @notice A card cannot be taken away, only replaced.
    function test_register_isRefused_withoutACard() external {
        VM.expectRevert(abi.encodeWithSelector(IKeyCards.CardMissing.selector));
        cards.register(0);
    }
}
