// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IInstitutions} from "../../contracts/interfaces/IInstitutions.sol";
import {IRecords} from "../../contracts/interfaces/IRecords.sol";
import {VM} from "./Cheats.sol";
import {Stage} from "./Stage.sol";

/// @notice Who may act as an institution, and deposit.
contract DirectoryTest is Stage {
    address private constant HOSPITAL = address(0xA2);
    bytes32 private constant PROFILE = keccak256("profile");
    bytes32 private constant ROOT = keccak256("batch root");
    bytes32 private constant LIST = keccak256("list");

    /// @notice Deploys the contracts.
    function setUp() external {
        _deploy();
    }

    /// @notice Any account and kind, and nothing without them; only governance enrols.
    function testFuzz_enrol_needsAnAccountAndAKind(address account, uint8 kind, address stranger) external {
        IInstitutions.Kind what = IInstitutions.Kind(kind % 8);
        if (account == address(0) || what == IInstitutions.Kind.Unknown) {
            VM.expectRevert(abi.encodeWithSelector(IInstitutions.InvalidInstitution.selector, account, what));
            institutions.enrol(account, what, PROFILE);
            return;
        }
        VM.assertFalse(institutions.isInGoodStanding(account), "a stranger");
        VM.expectEmit(address(institutions));
        emit IInstitutions.Enrolled(account, what, PROFILE);
        institutions.enrol(account, what, PROFILE);
        VM.assertTrue(institutions.isInGoodStanding(account), "may act");
        IInstitutions.Institution memory entry = institutions.institutionOf(account);
        VM.assertEq(uint256(entry.kind), uint256(what), "its kind");
        VM.assertEq(entry.profile, PROFILE, "its profile");
        if (stranger == address(this)) return;
        VM.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger));
        VM.prank(stranger);
        institutions.enrol(account, what, PROFILE);
    }

    /// @notice Suspended and reinstated in turns, told each time; an entry renewed in between stays suspended.
    function test_suspend_andReinstate_takeTurns() external {
        _refuse(IInstitutions.Standing.Good, IInstitutions.Standing.Unknown);
        institutions.suspend(HOSPITAL);
        institutions.enrol(HOSPITAL, IInstitutions.Kind.Hospital, 0);
        _refuse(IInstitutions.Standing.Suspended, IInstitutions.Standing.Good);
        institutions.reinstate(HOSPITAL);

        VM.expectEmit(address(institutions));
        emit IInstitutions.Suspended(HOSPITAL);
        institutions.suspend(HOSPITAL);
        institutions.enrol(HOSPITAL, IInstitutions.Kind.Laboratory, PROFILE);
        VM.assertFalse(institutions.isInGoodStanding(HOSPITAL), "suspended");
        _refuse(IInstitutions.Standing.Good, IInstitutions.Standing.Suspended);
        institutions.suspend(HOSPITAL);
        VM.expectEmit(address(institutions));
        emit IInstitutions.Reinstated(HOSPITAL);
        institutions.reinstate(HOSPITAL);
        VM.assertTrue(institutions.isInGoodStanding(HOSPITAL), "may act again");
    }

    /// @notice A batch keeps its count, for its custodian alone: whoever deposits the same root takes nothing from him.
    function testFuzz_deposit_keepsTheCount_forEachCustodian(uint256 count, uint256 others) external {
        if (count == 0 || others == 0) return;
        address other = address(0xA3);
        institutions.enrol(HOSPITAL, IInstitutions.Kind.Hospital, 0);
        institutions.enrol(other, IInstitutions.Kind.Hospital, 0);
        VM.prank(other);
        records.deposit(ROOT, others, LIST);
        VM.expectEmit(address(records));
        emit IRecords.BatchDeposited(HOSPITAL, LIST);
        VM.prank(HOSPITAL);
        records.deposit(ROOT, count, LIST);
        VM.assertEq(records.countOf(HOSPITAL, ROOT), count, "its count");
        VM.assertEq(records.countOf(other, ROOT), others, "the other's");
    }

    /// @notice Not out of good standing, not empty, not twice.
    function test_deposit_isRefused_outOfGoodStanding_emptyAndTwice() external {
        _refuseDeposit(1, abi.encodeWithSelector(IRecords.NotInGoodStanding.selector, HOSPITAL));
        institutions.enrol(HOSPITAL, IInstitutions.Kind.Hospital, 0);
        _refuseDeposit(0, abi.encodeWithSelector(IRecords.EmptyBatch.selector, ROOT));
        VM.prank(HOSPITAL);
        records.deposit(ROOT, 1, LIST);
        _refuseDeposit(2, abi.encodeWithSelector(IRecords.BatchAlreadyDeposited.selector, HOSPITAL, ROOT));
        institutions.suspend(HOSPITAL);
        _refuseDeposit(1, abi.encodeWithSelector(IRecords.NotInGoodStanding.selector, HOSPITAL));
    }

    function _refuse(IInstitutions.Standing expected, IInstitutions.Standing actual) private {
        VM.expectRevert(abi.encodeWithSelector(IInstitutions.StandingIsNot.selector, HOSPITAL, expected, actual));
    }

    function _refuseDeposit(uint256 count, bytes memory refusal) private {
        VM.expectRevert(refusal);
        VM.prank(HOSPITAL);
        records.deposit(ROOT, count, LIST);
    }
}
