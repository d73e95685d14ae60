// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Everyone's registered encryption key
/// @notice One digest per account: the SHA-256 of a key card, a block that holds the public key (HPKE, ML-KEM-768 and
/// X25519), the owner's address, this chain and contract, and a proof that its maker holds the private key.
/// *Warning*: the chain cannot check that proof. Whoever fetches a card verifies it, and owner, chain and contract,
/// before sealing anything to it; a card that was copied from another account fails there.
interface IKeyCards {
    /// @notice An account published a key card, the first or a new one.
    /// @param owner The account.
    /// @param card SHA-256 of the card's block.
    event CardRegistered(address indexed owner, bytes32 card);

    /// @notice A key card needs a digest; publish the card's block and give its SHA-256.
    error CardMissing();

    /// @notice Publishes the caller's key card, in place of an earlier one. Only ever for the caller itself.
    /// @dev Reverts with {CardMissing} for zero.
    function register(bytes32 card) external;

    /// @notice The digest of an account's card; zero where it has none.
    function cardOf(address owner) external view returns (bytes32);
}
