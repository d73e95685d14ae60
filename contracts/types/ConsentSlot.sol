// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice One consent as it is stored, in a single word. From the lowest bit:
/// classes 32, purposes 32, start 40, end 40, version 40, changedAt 40, flags 8.
type ConsentSlot is uint256;

using {unpack, version} for ConsentSlot global;

/// @notice Who may read what, for which purpose, until when.
/// @param classes Data classes, one bit each (USCDI).
/// @param purposes Purposes of use, one bit each (HL7 v3 ActReason), all of one lane.
/// @param start First second in which it holds, seconds since 1970.
/// @param end First second in which it holds no more.
/// @param version The signing time of the last change; kept by a revocation.
/// @param changedAt The block's time of the last change.
/// @param flags `BY_DELEGATE` where a delegate made the last change.
struct Consent {
    uint32 classes;
    uint32 purposes;
    uint40 start;
    uint40 end;
    uint40 version;
    uint40 changedAt;
    uint8 flags;
}

uint8 constant BY_DELEGATE = 1;

function slotOf(
    uint32 classes,
    uint32 purposes,
    uint40 start,
    uint40 end,
    uint40 signedAt,
    uint40 changedAt,
    uint8 flags
) pure returns (ConsentSlot) {
    return ConsentSlot.wrap(
        uint256(classes) | (uint256(purposes) << 32) | (uint256(start) << 64) | (uint256(end) << 104)
            | (uint256(signedAt) << 144) | (uint256(changedAt) << 184) | (uint256(flags) << 224)
    );
}

function unpack(ConsentSlot slot) pure returns (Consent memory) {
    uint256 word = ConsentSlot.unwrap(slot);
    return Consent({
        classes: uint32(word),
        purposes: uint32(word >> 32),
        start: uint40(word >> 64),
        end: uint40(word >> 104),
        version: slot.version(),
        changedAt: uint40(word >> 184),
        flags: uint8(word >> 224)
    });
}

function version(ConsentSlot slot) pure returns (uint40) {
    return uint40(ConsentSlot.unwrap(slot) >> 144);
}
