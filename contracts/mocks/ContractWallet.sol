// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title ContractWallet
/// @notice A wallet with one owner that signs as ERC-1271 says, or as badly as a test asks. Tests only.
contract ContractWallet is IERC1271 {
    /// @notice How it answers {isValidSignature}.
    enum Manner {
        Honest,
        BurnsAllGas,
        AnswersYesToAnything,
        AnswersOnes,
        AnswersMagicWithTail,
        AnswersFourBytes,
        AnswersNothing,
        Reverts
    }

    address private _owner;
    Manner private _manner;

    /// @notice Only the owner does this.
    error NotTheOwner(address account);

    /// @notice It was asked to refuse.
    error Refused();

    /// @param owner Whose signature counts.
    constructor(address owner) {
        _owner = owner;
    }

    /// @notice Hands the wallet to another owner: what the old one signed is void.
    function changeOwner(address owner) external {
        require(msg.sender == _owner, NotTheOwner(msg.sender));
        _owner = owner;
    }

    /// @notice Chooses how it answers from now on.
    function behave(Manner manner) external {
        _manner = manner;
    }

    /// @notice Acts in the wallet's name.
    function execute(address target, bytes calldata data) external {
        require(msg.sender == _owner, NotTheOwner(msg.sender));
        (bool done, bytes memory result) = target.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        Manner manner = _manner;
        if (manner == Manner.Honest) {
            (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, signature);
            bool valid = failure == ECDSA.RecoverError.NoError && signer == _owner;
            return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
        }
        if (manner == Manner.AnswersYesToAnything) return IERC1271.isValidSignature.selector;
        if (manner == Manner.Reverts) revert Refused();
        bytes32 magic = bytes32(IERC1271.isValidSignature.selector);
        assembly ("memory-safe") {
            switch manner
            case 1 { invalid() }
            case 3 {
                mstore(0, not(0))
                return(0, 32)
            }
            case 4 {
                mstore(0, or(magic, 1))
                return(0, 32)
            }
            case 5 {
                mstore(0, magic)
                return(0, 4)
            }
            default { return(0, 0) }
        }
    }
}
