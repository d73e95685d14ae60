// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Who is called in the middle of a transfer.
interface IOnTransfer {
    /// @notice A transfer has begun, or was made.
    function onTransfer() external;
}

/// @title A token that behaves until its issuer changes its mind
/// @notice It gets onto a market's list, and into its books, as an honest one. Every hostile token there is, in turn.
contract FickleToken is ERC20 {
    /// @notice How it behaves.
    enum Mood {
        Honest,
        AnswersNothing,
        Reenters,
        Stopped,
        TakesAFee,
        Generous,
        AnswersFalse,
        Pretends
    }

    /// @notice How it behaves now.
    Mood public mood;
    /// @notice From and to whom it moves nothing.
    address public blocked;
    IOnTransfer private immutable CALLED;

    error TransfersStopped();
    error AccountBlocked(address account);

    /// @param called Who is called in every transfer while it re-enters.
    constructor(IOnTransfer called) ERC20("Fickle", "BAD") {
        CALLED = called;
    }

    /// @notice Changes its mind.
    function turn(Mood to, address block_) external {
        (mood, blocked) = (to, block_);
    }

    /// @notice Makes `amountInUnits` for `to`.
    function mint(address to, uint256 amountInUnits) external {
        _mint(to, amountInUnits);
    }

    /// @notice Takes away what an account holds, as rebasing tokens do.
    function shrink(address account, uint256 amountInUnits) external {
        _burn(account, amountInUnits);
    }

    /// @inheritdoc ERC20
    function transfer(address to, uint256 value) public override returns (bool) {
        return _move(msg.sender, to, value);
    }

    /// @inheritdoc ERC20
    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        if (mood != Mood.AnswersFalse && mood != Mood.Pretends) _spendAllowance(from, msg.sender, value);
        return _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private returns (bool) {
        if (mood == Mood.AnswersFalse) return false;
        if (mood == Mood.Pretends) return true;
        if (mood == Mood.Stopped) revert TransfersStopped();
        if (from == blocked) revert AccountBlocked(from);
        if (to == blocked) revert AccountBlocked(to);

        uint256 feeInUnits = mood == Mood.TakesAFee ? (value + 99) / 100 : 0;
        if (mood == Mood.Reenters) CALLED.onTransfer();
        _update(from, address(0), feeInUnits);
        _update(from, to, value - feeInUnits);
        if (mood == Mood.Generous) _update(address(0), to, 1);
        if (mood == Mood.Reenters) CALLED.onTransfer();
        if (mood == Mood.AnswersNothing) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return true;
    }
}
