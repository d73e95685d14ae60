// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Conditions, Use, UseDecision} from "../../contracts/types/DataUse.sol";
import {PlainPurposes} from "./PlainPurposes.sol";

/// @title The Data Use Ontology as people read it
/// @notice One term after the other, by number; the contracts do it with masks.
library PlainDataUse {
    /// @notice Whether the conditions have one permission, no unknown term, and a disease exactly with DS.
    function isSound(Conditions memory conditions) internal pure returns (bool) {
        uint256 permissions = 0;
        for (uint8 term = 0; term < 32; ++term) {
            if (!has(conditions.duoTerms, term)) continue;
            if (term <= 4) ++permissions;
            else if (term < 8 || term > 25) return false;
        }
        bool namesDisease = conditions.disease != 0;
        return permissions == 1 && has(conditions.duoTerms, 3) == namesDisease;
    }

    /// @notice Whether sound conditions permit the use.
    function decide(Conditions memory conditions, Use memory use, uint8 kind) internal pure returns (UseDecision) {
        if (has(conditions.kindsDenied, kind)) return UseDecision.BuyerKindNotAllowed;
        if (conditions.kindsAllowed != 0 && !has(conditions.kindsAllowed, kind)) {
            return UseDecision.BuyerKindNotAllowed;
        }
        if (!PlainPurposes.implies(conditions.purpose, use.purpose)) return UseDecision.PurposeNotCovered;
        if (!_permitsResearch(conditions.duoTerms, use.research)) return UseDecision.ResearchNotCovered;
        if (has(conditions.duoTerms, 3) && conditions.disease != use.disease) return UseDecision.DiseaseNotCovered;
        if (has(conditions.duoTerms, 9) && has(use.research, 1)) return UseDecision.MethodsProhibited;
        if (has(conditions.duoTerms, 10) && !has(use.research, 7)) return UseDecision.OnlyGeneticStudies;
        if (has(conditions.duoTerms, 23) && has(use.research, 3)) return UseDecision.AncestryProhibited;
        for (uint8 modifier_ = 8; modifier_ <= 25; ++modifier_) {
            bool decided = modifier_ == 9 || modifier_ == 10 || modifier_ == 22 || modifier_ == 23;
            if (!decided && has(conditions.duoTerms, modifier_) && !has(use.accepted, modifier_)) {
                return UseDecision.ModifierNotAccepted;
            }
        }
        return UseDecision.Permitted;
    }

    /// @notice Whether bit `number` is set.
    function has(uint256 bits, uint256 number) internal pure returns (bool) {
        return (bits >> number) % 2 == 1;
    }

    /// @dev NRES: anything that there is. POA: ancestry alone. GRU: some research. HMB and DS: some, not of ancestry.
    function _permitsResearch(uint32 duoTerms, uint32 research) private pure returns (bool) {
        for (uint8 kind = 10; kind < 32; ++kind) {
            if (has(research, kind)) return false;
        }
        if (has(duoTerms, 0)) return true;
        if (has(duoTerms, 4)) return research == 8;
        if (research == 0) return false;
        return has(duoTerms, 1) || !has(research, 3);
    }
}
