// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The directory of verified institutions
/// @notice Who is a hospital, a laboratory, a buyer; and whether it may act. Patients need no entry here.
interface IInstitutions {
    /// @notice What an institution is.
    enum Kind {
        Unknown,
        Hospital,
        Laboratory,
        Practice,
        Pharmacy,
        Buyer,
        Insurer,
        AiService
    }

    /// @notice Whether an institution may act.
    enum Standing {
        Unknown,
        Good,
        Suspended
    }

    /// @notice An institution as the directory knows it.
    /// @param kind What it is.
    /// @param standing Whether it may act.
    /// @param profile SHA-256 of a block with its public name and address; zero where it has none.
    struct Institution {
        Kind kind;
        Standing standing;
        bytes32 profile;
    }

    /// @notice An institution was verified, or its entry renewed.
    /// @param account The institution.
    /// @param kind What it is.
    /// @param profile SHA-256 of its public profile block.
    event Enrolled(address indexed account, Kind kind, bytes32 profile);

    /// @notice An institution may no longer act.
    /// @param account The institution.
    event Suspended(address indexed account);

    /// @notice A suspended institution may act again.
    /// @param account The institution.
    event Reinstated(address indexed account);

    /// @notice An institution needs a kind and an account; choose a kind and give its address.
    error InvalidInstitution(address account, Kind kind);

    /// @notice The directory does not hold the institution in this standing; look it up before changing it.
    error StandingIsNot(address account, Standing expected, Standing actual);

    /// @notice Verifies an institution as of good standing, or changes its kind and profile.
    /// @dev Restricted by the access manager. A suspended institution stays suspended.
    /// Reverts with {InvalidInstitution} for the zero address or `Kind.Unknown`.
    function enrol(address account, Kind kind, bytes32 profile) external;

    /// @notice Stops an institution from depositing, vouching and buying. Consents and open orders run on.
    /// @dev Restricted by the access manager. Reverts with {StandingIsNot} unless in good standing.
    function suspend(address account) external;

    /// @notice Lets a suspended institution act again.
    /// @dev Restricted by the access manager. Reverts with {StandingIsNot} unless suspended.
    function reinstate(address account) external;

    /// @notice The directory's entry; all zero for a stranger.
    function institutionOf(address account) external view returns (Institution memory);

    /// @notice Whether the account is a verified institution that may act now.
    function isInGoodStanding(address account) external view returns (bool);
}
