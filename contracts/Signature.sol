// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Who signed a hash
/// @notice Accounts and contract wallets alike.
library Signature {
    /// @notice Whether `signer` signed `hash`: by the key of an account (ECDSA, low s), or as a contract wallet (ERC-1271).
    /// @dev The key of the account first: it needs no look at the account's code, and speaks for an EIP-7702 account too.
    function isBy(address signer, bytes32 hash, bytes memory signature) internal view returns (bool) {
        // What is left out is the wrong length or s, in case of a failure.
        // slither-disable-next-line unused-return
        (address recovered, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, signature);
        if (failure == ECDSA.RecoverError.NoError && recovered == signer) return true;
        return signer.code.length != 0 && SignatureChecker.isValidERC1271SignatureNow(signer, hash, signature);
    }
}
