// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {VM} from "./Cheats.sol";
import {RESEARCH, Stage} from "./Stage.sol";

/// @notice One consent, one lane: what is given for care never reaches research, nor the other way round.
contract LanesTest is Stage {
    address private constant PATIENT = address(0xA1);
    address private constant GRANTEE = address(0xB1);

    /// @notice Deploys the contracts.
    function setUp() external {
        _deploy();
    }

    /// @notice Two purposes of two lanes need two consents.
    function testFuzz_grant_refusesPurposesOfBothLanes(uint8 purposeOfCare, uint32 classes) external {
        uint32 purposes = (uint32(1) << (purposeOfCare % RESEARCH)) | (uint32(1) << RESEARCH);
        if (classes == 0) classes = 1;

        VM.expectRevert(abi.encodeWithSelector(IConsents.PurposesSpanLanes.selector, purposes));
        VM.prank(PATIENT);
        consents.grant(
            IConsents.Grant(
                PATIENT, GRANTEE, classes, purposes, uint40(NOW), uint40(NOW + 1 days), 0, keccak256("keyring")
            )
        );

        VM.assertEq(consents.consentOf(PATIENT, GRANTEE, Lane.Care).end, 0, "nothing is given for care");
        VM.assertEq(consents.consentOf(PATIENT, GRANTEE, Lane.ResearchAndSale).end, 0, "nothing for research");
    }
}
