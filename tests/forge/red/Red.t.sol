// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VM} from "../Cheats.sol";

/// @notice Fails on purpose. The build's own test runs it to see that a red Solidity test makes the build red.
contract RedTest {
    /// @notice What can never hold.
    function test_red_fails_always() external pure {
        VM.assertTrue(false, "red on purpose");
    }
}
