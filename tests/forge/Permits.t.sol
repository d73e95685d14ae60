// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {VM, bounded} from "./Cheats.sol";
import {PlainPurposes} from "./PlainPurposes.sol";
import {Stage} from "./Stage.sol";

/// @notice `permits` against a naive model of consent: lists of classes and purposes instead of bits, a table instead of
/// lanes and ancestors.
contract PermitsTest is Stage {
    address private constant PATIENT = address(0xA1);
    address private constant GRANTEE = address(0xA2);
    bytes32 private constant KEYRING = keccak256("keyring");

    /// @notice A consent as people think of it.
    struct Plain {
        bool given;
        bool[32] classes;
        bool[32] purposes;
        uint256 start;
        uint256 end;
    }

    /// @notice Consents in both lanes, given at random.
    struct Given {
        IConsents.Grant care;
        IConsents.Grant research;
    }

    /// @notice What somebody asks.
    struct Question {
        uint8 dataClass;
        uint8 purpose;
        uint256 time;
    }

    /// @notice Deploys the contracts; the patient has a keyring.
    function setUp() external {
        _deploy();
        VM.prank(PATIENT);
        consents.replaceKeyring(PATIENT, 0, KEYRING);
    }

    /// @notice Any classes, any purposes, any period, any question, at any time.
    function testFuzz_permits_answersAsTheModel(Given memory given, Question memory question, uint8 edge) external {
        Plain memory care = _grant(given.care, 0x0000ffff);
        Plain memory research = _grant(given.research, 0xffff0000);
        question = _aimed(question, edge, care, research);

        VM.warp(question.time);
        _check(_lane(question.purpose) == Lane.Care ? care : research, question);
    }

    /// @notice After a revocation there is no consent, and the other lane is as it was.
    function testFuzz_permits_isNoConsent_afterARevocation(
        Given memory given,
        Question memory question,
        uint8 edge,
        bool revokeCare
    ) external {
        Plain memory care = _grant(given.care, 0x0000ffff);
        Plain memory research = _grant(given.research, 0xffff0000);
        Plain memory none;
        question = _aimed(question, edge, care, research);
        if (revokeCare) care = none;
        else research = none;

        _revoke(PATIENT, GRANTEE, revokeCare ? Lane.Care : Lane.ResearchAndSale);
        VM.warp(question.time);
        _check(_lane(question.purpose) == Lane.Care ? care : research, question);
    }

    /// @notice A new consent takes the place of the old one; nothing of the two is merged.
    function testFuzz_permits_answersForTheLastGrant_alone(
        IConsents.Grant memory first,
        IConsents.Grant memory last,
        Question memory question,
        uint8 edge
    ) external {
        _grant(first, 0x0000ffff);
        Plain memory care = _grant(last, 0x0000ffff);
        question.purpose %= 16;
        question = _aimed(question, edge, care, care);

        VM.warp(question.time);
        _check(care, question);
    }

    /// @notice Nobody else may read for it, and nothing of another patient's.
    function testFuzz_permits_isNoConsent_betweenOthers(Given memory given, Question memory question) external {
        _grant(given.care, 0x0000ffff);
        _grant(given.research, 0xffff0000);
        VM.warp(bounded(question.time, NOW, type(uint40).max));

        Plain memory none;
        _checkBetween(GRANTEE, PATIENT, none, question);
        _checkBetween(PATIENT, address(0xA3), none, question);
        _checkBetween(address(0xA3), GRANTEE, none, question);
    }

    /// @dev Makes a sound grant of a random one, gives it, and writes it down in plain.
    function _grant(IConsents.Grant memory given, uint32 lane) private returns (Plain memory plain) {
        given.patient = PATIENT;
        given.grantee = GRANTEE;
        if (given.classes == 0) given.classes = 1;
        given.purposes &= lane;
        if (given.purposes == 0) given.purposes = lane & 0x00010001;
        given.end = uint40(bounded(given.end, NOW + 1, NOW + 1_000));
        given.start = given.start % 4 == 0 ? 0 : uint40(bounded(given.start, NOW - 1_000, given.end - 1));
        given.oldKeyring = given.newKeyring = KEYRING;

        VM.prank(PATIENT);
        consents.grant(given);

        plain.given = true;
        for (uint256 i = 0; i < 32; ++i) {
            plain.classes[i] = (given.classes >> i) % 2 == 1;
            plain.purposes[i] = (given.purposes >> i) % 2 == 1;
        }
        plain.start = given.start;
        plain.end = given.end;
    }

    /// @dev Moves the question to where the answer changes: the first and last seconds, classes and purposes near the
    /// limits.
    function _aimed(Question memory question, uint8 edge, Plain memory care, Plain memory research)
        private
        pure
        returns (Question memory)
    {
        if (edge & 1 == 0) question.dataClass %= 33;
        if (edge & 2 == 0) question.purpose %= 33;
        Plain memory plain = _lane(question.purpose) == Lane.Care ? care : research;
        uint256[5] memory times =
            [plain.start == 0 ? 0 : plain.start - 1, plain.start, plain.end - 1, plain.end, question.time];
        question.time = bounded(times[edge % 5], NOW, NOW + 2_000);
        return question;
    }

    function _check(Plain memory plain, Question memory question) private {
        _checkBetween(PATIENT, GRANTEE, plain, question);
    }

    function _checkBetween(address patient, address grantee, Plain memory plain, Question memory question) private {
        uint256 expected = uint256(_answer(plain, question));
        IConsents.Decision answer = consents.permits(patient, grantee, question.dataClass, question.purpose);
        IConsents.Decision decided = consents.decide(patient, grantee, question.dataClass, question.purpose);

        VM.assertEq(uint256(answer), expected, "permits");
        VM.assertEq(uint256(decided), expected, "decide");
    }

    function _answer(Plain memory plain, Question memory question) private view returns (IConsents.Decision) {
        if (!plain.given) return IConsents.Decision.NoConsent;
        if (question.dataClass >= 32 || !plain.classes[question.dataClass]) return IConsents.Decision.ClassNotCovered;
        bool covered = false;
        for (uint8 granted = 0; granted < 32; ++granted) {
            if (plain.purposes[granted] && PlainPurposes.implies(granted, question.purpose)) covered = true;
        }
        if (!covered) return IConsents.Decision.PurposeNotCovered;
        if (block.timestamp < plain.start) return IConsents.Decision.NotYetStarted;
        if (block.timestamp < plain.end) return IConsents.Decision.Permitted;
        return IConsents.Decision.Ended;
    }

    function _lane(uint8 purpose) private pure returns (Lane) {
        return purpose <= 15 ? Lane.Care : Lane.ResearchAndSale;
    }
}
