// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VM} from "../Cheats.sol";

/// @notice What a handler says of itself.
interface ICounting {
    /// @notice How often a verb ended so: refused by this name, or zero where it worked.
    function reached(bytes4 verb, bytes4 outcome) external view returns (uint256);
}

/// @notice A cheatcode that only these long runs need.
interface GasMeter {
    /// @notice From here, gas costs nothing.
    function pauseGasMetering() external;
}

/// @title No invariant holds for want of trying
abstract contract Reach {
    uint256 private constant MOST_RUNS = 200;
    uint256 private constant DEPTH = 128;

    /// @dev Plays runs until every outcome was there: eight bytes each, the verb and how it ended.
    function _reach(address handler, bytes4[] memory verbs, bytes memory outcomes) internal {
        GasMeter(address(VM)).pauseGasMetering();
        uint256 start = VM.snapshotState();
        uint256 left = outcomes.length;
        for (uint256 i = 0; i < MOST_RUNS && left != 0; ++i) {
            for (uint256 j = 0; j < DEPTH; ++j) {
                uint256 seed = uint256(keccak256(abi.encode(i, j)));
                bytes4 verb = verbs[seed % verbs.length];
                (bool works, bytes memory reason) = handler.call(abi.encodeWithSelector(verb, seed, seed >> 8));
                VM.assertTrue(works, string(reason));
            }
            left = _strike(ICounting(handler), outcomes, left);
            VM.revertToState(start);
        }
        VM.assertEq(left, 0, VM.toString(uint64(bytes8(_word(outcomes, 0)) | (bytes8(_word(outcomes, 4)) >> 32))));
    }

    /// @dev Keeps in front those that were not reached, and says how many bytes these are.
    function _strike(ICounting handler, bytes memory outcomes, uint256 length) private view returns (uint256 left) {
        for (uint256 i = 0; i < length; i += 8) {
            if (handler.reached(_word(outcomes, i), _word(outcomes, i + 4)) != 0) continue;
            for (uint256 j = 0; j < 8; ++j) {
                outcomes[left + j] = outcomes[i + j];
            }
            left += 8;
        }
    }

    /// @dev The four bytes at `index`.
    function _word(bytes memory text, uint256 index) private pure returns (bytes4 word) {
        assembly ("memory-safe") {
            word := mload(add(add(text, 32), index))
        }
    }
}
