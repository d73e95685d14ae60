// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PurposeOfUse} from "./PurposeOfUse.sol";

/// @notice Whether a use is one that the conditions permit, with the reason.
enum UseDecision {
    Permitted,
    BuyerKindNotAllowed,
    PurposeNotCovered,
    ResearchNotCovered,
    DiseaseNotCovered,
    MethodsProhibited,
    OnlyGeneticStudies,
    AncestryProhibited,
    ModifierNotAccepted
}

/// @notice For which use, and to which buyers, data is sold.
/// @param purpose A purpose of the research-and-sale lane, as a bit number; it implies its children.
/// @param duoTerms One permission and any modifiers of the GA4GH Data Use Ontology, one bit each: see {DataUse}.
/// @param disease For disease-specific research, the number of the disease in MONDO (5148 for MONDO:0005148); else zero.
/// @param kindsAllowed Kinds of institutions that may buy, one bit each; zero for any.
/// @param kindsDenied Kinds of institutions that may not, one bit each; they outweigh the allowed ones.
struct Conditions {
    uint8 purpose;
    uint32 duoTerms;
    uint32 disease;
    uint16 kindsAllowed;
    uint16 kindsDenied;
}

/// @notice What a buyer declares to do with the data.
/// @param purpose A purpose of use, as a bit number.
/// @param research Kinds of investigation of the Data Use Ontology, one bit each: see {DataUse}.
/// @param disease The number of the disease in MONDO; zero where it is about none.
/// @param accepted The modifiers that the buyer meets or undertakes to keep, one bit each.
struct Use {
    uint8 purpose;
    uint32 research;
    uint32 disease;
    uint32 accepted;
}

/// @title Terms of use: the GA4GH Data Use Ontology as bit numbers
/// @notice Permissions, exactly one of them (DUO number in parentheses):
/// 0 NRES no restriction (4), 1 GRU general research (42), 2 HMB health, medical, biomedical research (6),
/// 3 DS disease-specific research (7), 4 POA population origins and ancestry only (11).
/// Modifiers that this library decides: 9 NMDS no methods development (15), 10 GSO genetic studies only (16),
/// 23 NPOA no population origins or ancestry (44). 22 CC clinical care (43) permits more than a sale asks, and binds nobody.
/// Modifiers that a buyer must accept, since no contract sees whether they are kept: 8 RS research-specific (12),
/// 11 NPUNCU not for profit and non-commercial (18), 12 PUB publication (19), 13 COL collaboration (20), 14 IRB ethics
/// approval (21), 15 GS geography (22), 16 MOR publication moratorium (24), 17 TS time limit (25), 18 US user-specific (26),
/// 19 PS project-specific (27), 20 IS institution-specific (28), 21 RTN return to the source (29), 24 NPU not-for-profit
/// organisation (45), 25 NCU non-commercial (46).
/// Kinds of investigation: 0 control (36), 1 methods development (31), 2 population (32), 3 ancestry (33), 4 age (34),
/// 5 gender (35), 6 health, medical, biomedical (37), 7 genetic (38), 8 drug development (39), 9 disease (40).
library DataUse {
    uint32 internal constant NRES = 1 << 0;
    uint32 internal constant GRU = 1 << 1;
    uint32 internal constant HMB = 1 << 2;
    uint32 internal constant DS = 1 << 3;
    uint32 internal constant POA = 1 << 4;
    uint32 internal constant NMDS = 1 << 9;
    uint32 internal constant GSO = 1 << 10;
    uint32 internal constant CC = 1 << 22;
    uint32 internal constant NPOA = 1 << 23;

    uint32 internal constant PERMISSIONS = NRES | GRU | HMB | DS | POA;
    uint32 internal constant MODIFIERS = 0x03ffff00;
    uint32 internal constant TO_ACCEPT = MODIFIERS & ~(NMDS | GSO | CC | NPOA);

    uint32 internal constant KINDS_OF_RESEARCH = 1 << 10;
    uint32 internal constant METHODS = 1 << 1;
    uint32 internal constant ANCESTRY = 1 << 3;
    uint32 internal constant GENETIC = 1 << 7;

    /// @notice Whether the conditions say one thing: one permission, known modifiers, a disease where one is needed only.
    function isSound(Conditions memory conditions) internal pure returns (bool) {
        uint32 permission = conditions.duoTerms & PERMISSIONS;
        if (permission == 0 || permission & (permission - 1) != 0) return false;
        if (conditions.duoTerms & ~(PERMISSIONS | MODIFIERS) != 0) return false;
        return (permission == DS) == (conditions.disease != 0);
    }

    /// @notice Whether an institution of this kind may buy for this use.
    /// @param kind `IInstitutions.Kind` of the buyer, as a number below 16.
    function decide(Conditions memory conditions, Use memory use, uint8 kind) internal pure returns (UseDecision) {
        if (!allowsKind(conditions.kindsAllowed, conditions.kindsDenied, kind)) return UseDecision.BuyerKindNotAllowed;
        if (PurposeOfUse.coveredBy(use.purpose) & (uint256(1) << conditions.purpose) == 0) {
            return UseDecision.PurposeNotCovered;
        }
        if (!_permitsResearch(conditions.duoTerms, use.research)) return UseDecision.ResearchNotCovered;
        if (conditions.duoTerms & DS != 0 && use.disease != conditions.disease) return UseDecision.DiseaseNotCovered;
        return _decideModifiers(conditions.duoTerms, use);
    }

    /// @notice Whether a kind of institution is among the allowed, and not among the denied.
    function allowsKind(uint16 allowed, uint16 denied, uint8 kind) internal pure returns (bool) {
        uint256 bit = uint256(1) << kind;
        return (allowed == 0 || allowed & bit != 0) && denied & bit == 0;
    }

    /// @dev The permission alone. Health, medical and biomedical research is not about ancestry.
    function _permitsResearch(uint32 terms, uint32 research) private pure returns (bool) {
        if (research >= KINDS_OF_RESEARCH) return false;
        if (terms & NRES != 0) return true;
        if (terms & POA != 0) return research == ANCESTRY;
        return research != 0 && (terms & GRU != 0 || research & ANCESTRY == 0);
    }

    function _decideModifiers(uint32 terms, Use memory use) private pure returns (UseDecision) {
        if (terms & NMDS != 0 && use.research & METHODS != 0) return UseDecision.MethodsProhibited;
        if (terms & GSO != 0 && use.research & GENETIC == 0) return UseDecision.OnlyGeneticStudies;
        if (terms & NPOA != 0 && use.research & ANCESTRY != 0) return UseDecision.AncestryProhibited;
        if (terms & TO_ACCEPT & ~use.accepted != 0) return UseDecision.ModifierNotAccepted;
        return UseDecision.Permitted;
    }
}
