// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Faults planted for the scanner
/// @notice Each fault names the detector that must find it; one that is missed makes the build red. Never deployed.
contract Planted {
    mapping(address account => uint256 amountInUnits) private _credits;
    address private _winner;

    function takeFromAnybody(IERC20 token, address from, uint256 amountInUnits) external {
        _credits[msg.sender] += amountInUnits;
        require(token.transferFrom(from, address(this), amountInUnits)); // planted: arbitrary-send-erc20
    }

    function payAndForgetTheAnswer(IERC20 token, uint256 amountInUnits) external {
        _credits[msg.sender] -= amountInUnits;
        token.transfer(msg.sender, amountInUnits); // planted: unchecked-transfer
    }

    function payBeforeBooking(IERC20 token) external {
        uint256 amountInUnits = _credits[msg.sender];
        require(token.transfer(msg.sender, amountInUnits));
        _credits[msg.sender] = 0; // planted: reentrancy-no-eth
    }

    function payAnybody(address payable to) external {
        (bool sent,) = to.call{value: address(this).balance}(""); // planted: arbitrary-send-eth
        require(sent);
    }

    function draw() external {
        if (block.timestamp % 2 == 0) _winner = msg.sender; // planted: weak-prng
    }

    function release(IERC20 token) external view returns (bool) {
        return token.balanceOf(address(this)) == 1; // planted: incorrect-equality
    }

    function claim(address account) external {
        require(tx.origin == _winner); // planted: tx-origin
        _winner = account; // planted: missing-zero-check
    }

    function shareOf(uint256 amountInUnits, uint256 share, uint256 total) external pure returns (uint256) {
        return amountInUnits / total * share; // planted: divide-before-multiply
    }
}
