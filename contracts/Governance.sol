// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Governance
/// @notice Who may enrol and suspend institutions and allow tokens: OpenZeppelin's AccessManager, unchanged.
/// It has no power over consents, keyrings, deposited records or money in escrow.
contract Governance is AccessManager {
    /// @param admin The first holder of the admin role.
    constructor(address admin) AccessManager(admin) {}
}
