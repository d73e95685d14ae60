// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title TestDollar
/// @notice A dollar for local chains: ERC-20 with permit (ERC-2612), six decimals, minted at will by its owner.
contract TestDollar is ERC20, ERC20Permit, Ownable {
    /// @param owner Who may mint.
    constructor(address owner) ERC20("Test Dollar", "TUSD") ERC20Permit("Test Dollar") Ownable(owner) {}

    /// @notice Makes `amountInUnits` millionths of a dollar for `to`. Only the owner.
    function mint(address to, uint256 amountInUnits) external onlyOwner {
        _mint(to, amountInUnits);
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
