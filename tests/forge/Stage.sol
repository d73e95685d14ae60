// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Consents} from "../../contracts/Consents.sol";
import {DataSales} from "../../contracts/DataSales.sol";
import {Governance} from "../../contracts/Governance.sol";
import {Institutions} from "../../contracts/Institutions.sol";
import {IConsents} from "../../contracts/interfaces/IConsents.sol";
import {IInstitutions} from "../../contracts/interfaces/IInstitutions.sol";
import {MerkleTree} from "../../contracts/MerkleTree.sol";
import {Records} from "../../contracts/Records.sol";
import {Lane} from "../../contracts/types/PurposeOfUse.sol";
import {BatchProof, RecordDescription, RecordId} from "../../contracts/types/Record.sol";
import {Listing, Terms} from "../../contracts/types/Sale.sol";
import {VM} from "./Cheats.sol";

/// @notice The contracts, deployed once, and the few things that every story begins with.
abstract contract Stage {
    uint256 internal constant NOW = 1_800_000_000;
    address internal constant TREASURY = address(0x7EA5);

    IInstitutions internal institutions;
    Records internal records;
    Consents internal consents;
    Governance internal governance;

    /// @dev The test itself is the administrator.
    function _deploy() internal {
        VM.warp(NOW);
        governance = new Governance(address(this));
        institutions = new Institutions(address(governance));
        records = new Records(institutions);
        consents = new Consents();
    }

    function _newSales(uint16 feeInBps) internal returns (DataSales) {
        return new DataSales(address(governance), institutions, records, consents, feeInBps, TREASURY);
    }

    /// @dev Deposits a record in a batch of one.
    function _deposit(RecordDescription memory record) internal returns (BatchProof memory proof) {
        bytes32 root = MerkleTree.leafOf(RecordId.unwrap(record.idOf()));
        VM.prank(record.custodian);
        records.deposit(root, 1, 0);
        return BatchProof({batchRoot: root, index: 0, path: new bytes32[](0)});
    }

    function _revoke(address patient, address grantee, Lane lane) internal {
        VM.prank(patient);
        consents.revoke(IConsents.Revocation(patient, grantee, lane, 0, 0));
    }
}

/// @notice A de-identified record of one patient.
function recordOf(address custodian, address patient, uint256 salt) pure returns (RecordDescription memory) {
    return RecordDescription({
        custodian: custodian,
        subject: bytes32(uint256(uint160(patient))),
        dataClass: 1,
        epoch: 1,
        deidentified: true,
        sealId: keccak256("seal id"),
        manifestDigest: keccak256("manifest"),
        salt: bytes32(salt)
    });
}

/// @notice The listing that a seller makes of a record.
function listingOf(address seller, RecordDescription memory record, Terms memory terms) pure returns (Listing memory) {
    return Listing({
        seller: seller,
        custodian: record.custodian,
        subject: record.subject,
        dataClass: record.dataClass,
        sealId: record.sealId,
        manifestDigest: record.manifestDigest,
        terms: terms
    });
}
