// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IInstitutions} from "./interfaces/IInstitutions.sol";

/// @title Institutions
/// @notice The proof to the book: {IInstitutions} says what everything means.
contract Institutions is IInstitutions, AccessManaged {
    mapping(address account => Institution) private _institutions;

    /// @param governance The access manager that says who may enrol and suspend.
    constructor(address governance) AccessManaged(governance) {}

    /// @inheritdoc IInstitutions
    function enrol(address account, Kind kind, bytes32 profile) external restricted {
        require(account != address(0) && kind != Kind.Unknown, InvalidInstitution(account, kind));
        Institution storage institution = _institutions[account];

        institution.kind = kind;
        institution.profile = profile;
        if (institution.standing == Standing.Unknown) institution.standing = Standing.Good;
        emit Enrolled(account, kind, profile);
    }

    /// @inheritdoc IInstitutions
    function suspend(address account) external restricted {
        _move(account, Standing.Good, Standing.Suspended);
        emit Suspended(account);
    }

    /// @inheritdoc IInstitutions
    function reinstate(address account) external restricted {
        _move(account, Standing.Suspended, Standing.Good);
        emit Reinstated(account);
    }

    /// @inheritdoc IInstitutions
    function institutionOf(address account) external view returns (Institution memory) {
        return _institutions[account];
    }

    /// @inheritdoc IInstitutions
    function isInGoodStanding(address account) external view returns (bool) {
        return _institutions[account].standing == Standing.Good;
    }

    function _move(address account, Standing from, Standing to) private {
        Standing actual = _institutions[account].standing;
        require(actual == from, StandingIsNot(account, from, actual));
        _institutions[account].standing = to;
    }
}
