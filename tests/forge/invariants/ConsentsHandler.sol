// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consents} from "../../../contracts/Consents.sol";
import {IConsents} from "../../../contracts/interfaces/IConsents.sol";
import {Lane} from "../../../contracts/types/PurposeOfUse.sol";
import {VM, bounded} from "../Cheats.sol";
import {ConsentMessages} from "../ConsentMessages.sol";

/// @title Patients, delegates and relayers at work
/// @notice Grants and revokes directly and under signatures. Signed messages go into a pool; anybody submits any of them,
/// at any time, in any order, again and again, whole or forged. A ledger beside the contract says what must come of it.
contract ConsentsHandler {
    uint256 private constant PATIENTS = 2;
    uint256 private constant DELEGATES = 2;
    uint256 private constant GRANTEES = 2;
    uint256 private constant KEYS = PATIENTS + DELEGATES + 1;
    uint256 private constant MOST_MESSAGES = 64;

    /// @notice A signed message, as a relayer keeps it.
    struct Message {
        bool isGrant;
        IConsents.Grant given;
        IConsents.Revocation revocation;
        IConsents.Signed by;
        uint256 signedAtStep;
        uint256 timesTaken;
    }

    /// @notice What the ledger says of one consent.
    struct Entry {
        bool live;
        bytes32 terms;
        uint256 agreedAtStep;
        uint256 revokedAtStep;
        uint40 version;
    }

    Consents private immutable CONSENTS;

    Message[] private _messages;
    mapping(address patient => mapping(address grantee => mapping(Lane lane => Entry))) private _ledger;
    mapping(address patient => mapping(address delegate => uint40 endsAt)) private _delegates;
    mapping(address patient => bytes32) private _keyrings;
    mapping(address patient => mapping(bytes32 keyring => bool)) private _retired;
    mapping(address patient => bytes32) private _drafts;
    uint256 private _step = 1;

    constructor(Consents consents) {
        CONSENTS = consents;
    }

    /// @dev The clock stands still half of the time, or goes on by a second, or by up to some days.
    modifier step(uint256 seconds_) {
        if (seconds_ % 4 == 2) VM.warp(block.timestamp + 1);
        if (seconds_ % 4 == 3) VM.warp(block.timestamp + bounded(seconds_, 1, 3 days));
        ++_step;
        _;
    }

    /// @notice A patient or a delegate grants, by a transaction of their own.
    function grant(uint256 time, uint256 who, IConsents.Grant memory given) external step(time) {
        _shape(given, who);
        given.oldKeyring = _keyrings[given.patient];
        given.newKeyring = _nextKeyring(given.patient, given.oldKeyring, who);
        address actor = _actorFor(given.patient, who);

        VM.prank(actor);
        CONSENTS.grant(given);
        _noteGrant(given, _later(_entryOf(given).version), _step);
    }

    /// @notice A patient or a delegate revokes; it always works, whatever keyring is named.
    function revoke(uint256 time, uint256 who, uint256 how) external step(time) {
        IConsents.Revocation memory revocation = _revocationBy(who, how);
        address actor = _actorFor(revocation.patient, who);

        VM.prank(actor);
        CONSENTS.revoke(revocation);
        _noteRevocation(revocation);
    }

    /// @notice A patient publishes a keyring.
    function replaceKeyring(uint256 time, uint256 who) external step(time) {
        address patient = patientOf(who);
        bytes32 fresh = _fresh(patient);
        address actor = _actorFor(patient, who);

        VM.prank(actor);
        CONSENTS.replaceKeyring(patient, _keyrings[patient], fresh);
        _moveKeyring(patient, fresh);
    }

    /// @notice A patient appoints a delegate for a while.
    function appointDelegate(uint256 time, uint256 who, uint256 delegate, uint40 period) external step(time) {
        address patient = patientOf(who);
        uint40 endsAt = uint40(block.timestamp + bounded(period, 1, 5 days));

        VM.prank(patient);
        CONSENTS.appointDelegate(_delegateOf(delegate), endsAt);
        _delegates[patient][_delegateOf(delegate)] = endsAt;
    }

    /// @notice A patient removes a delegate; it always works.
    function removeDelegate(uint256 time, uint256 who, uint256 delegate, bool rotates) external step(time) {
        address patient = patientOf(who);
        bytes32 fresh = rotates ? _fresh(patient) : bytes32(0);

        VM.prank(patient);
        CONSENTS.removeDelegate(_delegateOf(delegate), _keyrings[patient], fresh);
        _delegates[patient][_delegateOf(delegate)] = 0;
        _moveKeyring(patient, rotates ? fresh : _marked(_keyrings[patient]));
    }

    /// @notice Somebody signs a grant; not everyone may, and a message may name a keyring that is still to come.
    function signGrant(uint256 time, uint256 who, uint256 signer, uint40 lifetime, IConsents.Grant memory given)
        external
        step(time)
    {
        if (_messages.length == MOST_MESSAGES) return;
        _shape(given, who);
        bytes32 current = _keyrings[given.patient];
        given.oldKeyring = signer % 7 == 6 ? _marked(current) : current;
        given.newKeyring = _nextKeyring(given.patient, given.oldKeyring, signer);
        Message storage message = _messages.push();
        message.isGrant = true;
        message.given = given;
        _sign(message, signer, lifetime);
    }

    /// @notice Somebody signs a revocation.
    function signRevocation(uint256 time, uint256 who, uint256 how, uint256 signer, uint40 lifetime)
        external
        step(time)
    {
        if (_messages.length == MOST_MESSAGES) return;
        IConsents.Revocation memory revocation = _revocationBy(who, how);
        Message storage message = _messages.push();
        message.revocation = revocation;
        _sign(message, signer, lifetime);
    }

    /// @notice Anybody submits a message of the pool. It is taken exactly when the rules say so.
    function submit(uint256 time, uint256 which) external step(time) {
        if (_messages.length == 0) return;
        Message storage message = _messages[_oneOf(which)];
        bool due = _isDue(message);

        VM.assertEq(_submit(message), due, "taken when due, refused when not");
        if (!due) return;
        ++message.timesTaken;
        if (message.isGrant) _noteGrant(message.given, message.by.version, message.signedAtStep);
        else _noteRevocation(message.revocation);
    }

    /// @notice A message with one field changed is nobody's.
    function submitForged(uint256 time, uint256 which, uint256 field, uint256 change) external step(time) {
        if (_messages.length == 0) return;
        Message memory message = _messages[_oneOf(which)];
        if (message.isGrant) _forge(message.given, field, change);
        else _forge(message.revocation, field, change);
        if (field % 12 == 8) message.by.version = _differing(message.by.version, change);
        if (field % 12 == 9) message.by.deadline = _differing(message.by.deadline, change);
        if (field % 12 == 10) message.by.signature[change % 65] ^= 0x01;
        if (field % 12 == 11) message.by.signer = _differing(message.by.signer, change);

        VM.assertFalse(_submit(message), "a forged message is refused");
    }

    /// @notice Who is neither patient nor a living delegate can do nothing.
    function trespass(uint256 time, uint256 who, uint256 stranger, IConsents.Grant memory given) external step(time) {
        _shape(given, who);
        address account = VM.addr(_keyOf(stranger));
        if (_actsFor(account, given.patient)) return;
        given.oldKeyring = _keyrings[given.patient];
        given.newKeyring = keccak256("a stranger's");
        bytes memory refusal = abi.encodeWithSelector(IConsents.NotPatientOrDelegate.selector, account, given.patient);

        VM.expectRevert(refusal);
        VM.prank(account);
        CONSENTS.grant(given);

        VM.expectRevert(refusal);
        VM.prank(account);
        CONSENTS.revoke(IConsents.Revocation(given.patient, given.grantee, Lane.Care, given.oldKeyring, 0));

        VM.expectRevert(refusal);
        VM.prank(account);
        CONSENTS.replaceKeyring(given.patient, given.oldKeyring, given.newKeyring);
    }

    /// @notice How many patients there are.
    function patients() external pure returns (uint256) {
        return PATIENTS;
    }

    /// @notice How many grantees there are.
    function grantees() external pure returns (uint256) {
        return GRANTEES;
    }

    /// @notice A patient.
    function patientOf(uint256 seed) public pure returns (address) {
        return VM.addr(1 + seed % PATIENTS);
    }

    /// @notice A grantee.
    function granteeOf(uint256 seed) public pure returns (address) {
        return address(uint160(0xB1 + seed % GRANTEES));
    }

    /// @notice What the ledger says of a consent.
    function entryOf(address patient, address grantee, Lane lane) external view returns (Entry memory) {
        return _ledger[patient][grantee][lane];
    }

    /// @notice The keyring that the ledger expects.
    function expectedKeyringOf(address patient) external view returns (bytes32) {
        return _keyrings[patient];
    }

    /// @notice Whether a keyring was the patient's once and is no more.
    function isRetired(address patient, bytes32 keyring) external view returns (bool) {
        return _retired[patient][keyring];
    }

    /// @notice How often a message of the pool was taken, for each of them.
    function timesTaken() external view returns (uint256[] memory times) {
        times = new uint256[](_messages.length);
        for (uint256 i = 0; i < times.length; ++i) {
            times[i] = _messages[i].timesTaken;
        }
    }

    /// @notice What a grant says, apart from who and which keyring.
    function termsOf(uint32 classes, uint32 purposes, uint40 start, uint40 end) public pure returns (bytes32) {
        return keccak256(abi.encode(classes, purposes, start, end));
    }

    /// @dev Every other time one of the newest, which are more often still good.
    function _oneOf(uint256 which) private view returns (uint256) {
        uint256 count = _messages.length;
        return which % 2 == 0 && count > 4 ? count - 1 - (which >> 1) % 4 : (which >> 1) % count;
    }

    function _sign(Message storage message, uint256 signer, uint40 lifetime) private {
        uint40 version = uint40(block.timestamp);
        uint40 deadline = uint40(block.timestamp + bounded(lifetime, 0, 20 days));
        message.signedAtStep = _step;
        message.by = message.isGrant
            ? ConsentMessages.sign(
                CONSENTS, message.given, _signerFor(message.given.patient, signer), version, deadline
            )
            : ConsentMessages.sign(
                    CONSENTS, message.revocation, _signerFor(message.revocation.patient, signer), version, deadline
                );
    }

    function _submit(Message memory message) private returns (bool) {
        if (message.isGrant) {
            try CONSENTS.grantFor(message.given, message.by) {
                return true;
            } catch {
                return false;
            }
        }
        try CONSENTS.revokeFor(message.revocation, message.by) {
            return true;
        } catch {
            return false;
        }
    }

    function _noteGrant(IConsents.Grant memory given, uint40 version, uint256 agreedAtStep) private {
        Entry storage entry = _entryOf(given);
        entry.live = true;
        entry.terms = termsOf(given.classes, given.purposes, given.start, given.end);
        entry.agreedAtStep = agreedAtStep;
        entry.version = version;
        _moveKeyring(given.patient, given.newKeyring);
    }

    function _noteRevocation(IConsents.Revocation memory revocation) private {
        Entry storage entry = _ledger[revocation.patient][revocation.grantee][revocation.lane];
        entry.live = false;
        entry.terms = termsOf(0, 0, 0, 0);
        entry.revokedAtStep = _step;
        uint40 version = CONSENTS.consentOf(revocation.patient, revocation.grantee, revocation.lane).version;
        VM.assertLe(_later(entry.version), version, "the version goes on");
        entry.version = version;
        bytes32 current = _keyrings[revocation.patient];
        bool rotates =
            revocation.oldKeyring == current && revocation.newKeyring != 0 && revocation.newKeyring != current;
        _moveKeyring(revocation.patient, rotates ? revocation.newKeyring : _marked(current));
    }

    function _moveKeyring(address patient, bytes32 keyring) private {
        if (keyring == _keyrings[patient]) return;
        _retired[patient][_keyrings[patient]] = true;
        _keyrings[patient] = keyring;
    }

    /// @dev A fresh value, kept as the draft that later messages may name too.
    function _fresh(address patient) private returns (bytes32 fresh) {
        fresh = keccak256(abi.encode(patient, _step));
        _drafts[patient] = fresh;
    }

    /// @dev The old one, a draft that another message names, or a fresh one.
    function _nextKeyring(address patient, bytes32 old, uint256 seed) private returns (bytes32) {
        bytes32 draft = _drafts[patient];
        bool used = draft == 0 || draft == _keyrings[patient] || _retired[patient][draft];
        if (seed % 8 < 5 && old != 0) return old;
        if (seed % 8 == 5 && !used) return draft;
        return _fresh(patient);
    }

    /// @dev Makes a sound grant of a random one, keyrings aside.
    function _shape(IConsents.Grant memory given, uint256 who) private view {
        given.patient = patientOf(who);
        given.grantee = granteeOf(who >> 8);
        if (given.classes == 0) given.classes = 1;
        given.purposes &= given.start % 2 == 0 ? 0x0000ffff : 0xffff0000;
        if (given.purposes == 0) given.purposes = 1;
        given.end = uint40(block.timestamp + bounded(given.end, 1, 10 days));
        given.start = uint40(bounded(given.start, block.timestamp - 1 days, given.end - 1));
    }

    /// @dev Every kind of revocation: with a good keyring, none, the same one, or for a stale one.
    function _revocationBy(uint256 who, uint256 how) private returns (IConsents.Revocation memory) {
        address patient = patientOf(who);
        bytes32 current = _keyrings[patient];
        bytes32 fresh = _fresh(patient);
        return IConsents.Revocation({
            patient: patient,
            grantee: granteeOf(who >> 8),
            lane: Lane(how % 2),
            oldKeyring: how % 7 == 0 ? _marked(fresh) : current,
            newKeyring: how % 7 == 1 ? bytes32(0) : how % 7 == 2 ? current : fresh
        });
    }

    /// @dev The patient, or a delegate who lives.
    function _actorFor(address patient, uint256 seed) private view returns (address) {
        address delegate = _delegateOf(seed >> 16);
        return _actsFor(delegate, patient) ? delegate : patient;
    }

    /// @dev The patient's key half of the time, else anybody's.
    function _signerFor(address patient, uint256 seed) private pure returns (uint256 key) {
        if (seed & 8 != 0) return _keyOf(seed >> 4);
        for (key = 1; VM.addr(key) != patient;) {
            ++key;
        }
    }

    function _actsFor(address account, address patient) private view returns (bool) {
        return account == patient || block.timestamp < _delegates[patient][account];
    }

    function _isDue(Message storage message) private view returns (bool) {
        IConsents.Signed storage by = message.by;
        if (block.timestamp > by.deadline) return false;
        if (message.isGrant) {
            IConsents.Grant storage given = message.given;
            if (!_actsFor(by.signer, given.patient)) return false;
            if (block.timestamp >= given.end || given.oldKeyring != _keyrings[given.patient]) return false;
            return _entryOf(given).version < by.version;
        }
        IConsents.Revocation storage revocation = message.revocation;
        if (!_actsFor(by.signer, revocation.patient)) return false;
        return _ledger[revocation.patient][revocation.grantee][revocation.lane].version <= by.version;
    }

    function _entryOf(IConsents.Grant memory given) private view returns (Entry storage) {
        return _ledger[given.patient][given.grantee][given.purposes <= 0xffff ? Lane.Care : Lane.ResearchAndSale];
    }

    function _later(uint40 version) private view returns (uint40) {
        return version < block.timestamp ? uint40(block.timestamp) : version + 1;
    }

    function _marked(bytes32 keyring) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"09", keyring));
    }

    function _forge(IConsents.Grant memory given, uint256 field, uint256 change) private pure {
        if (field % 12 == 0) given.patient = _differing(given.patient, change);
        if (field % 12 == 1) given.grantee = _differing(given.grantee, change);
        if (field % 12 == 2) given.classes ^= uint32(1) << uint8(change % 32);
        if (field % 12 == 3) given.purposes ^= uint32(1) << uint8(change % 32);
        if (field % 12 == 4) given.start = _differing(given.start, change);
        if (field % 12 == 5) given.end = _differing(given.end, change);
        if (field % 12 == 6) given.oldKeyring ^= bytes32(uint256(1) << change % 256);
        if (field % 12 == 7) given.newKeyring ^= bytes32(uint256(1) << change % 256);
    }

    /// @dev A revocation has fewer fields; the spare turns forge the first again.
    function _forge(IConsents.Revocation memory revocation, uint256 field, uint256 change) private pure {
        uint256 part = field % 12;
        if (part >= 8) return;
        if (part % 5 == 0) revocation.patient = _differing(revocation.patient, change);
        if (part % 5 == 1) revocation.grantee = _differing(revocation.grantee, change);
        if (part % 5 == 2) revocation.lane = revocation.lane == Lane.Care ? Lane.ResearchAndSale : Lane.Care;
        if (part % 5 == 3) revocation.oldKeyring ^= bytes32(uint256(1) << change % 256);
        if (part % 5 == 4) revocation.newKeyring ^= bytes32(uint256(1) << change % 256);
    }

    /// @dev Another account, most often one that plays here.
    function _differing(address account, uint256 change) private pure returns (address) {
        address other = VM.addr(_keyOf(change));
        return other == account ? address(uint160(other) ^ 1) : other;
    }

    function _differing(uint40 number, uint256 change) private pure returns (uint40) {
        uint40 other = uint40(change);
        return other == number ? other ^ 1 : other;
    }

    /// @dev Keys of patients, then delegates, then one stranger.
    function _keyOf(uint256 seed) private pure returns (uint256) {
        return 1 + seed % KEYS;
    }

    function _delegateOf(uint256 seed) private pure returns (address) {
        return VM.addr(1 + PATIENTS + seed % DELEGATES);
    }
}
