// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that anybody may mint, for tests
abstract contract HostileToken is ERC20 {
    constructor(string memory name) ERC20(name, "BAD") {}

    /// @notice Makes `amountInUnits` for `to`.
    function mint(address to, uint256 amountInUnits) external {
        _mint(to, amountInUnits);
    }
}

/// @notice Keeps a hundredth of every transfer.
contract FeeOnTransferToken is HostileToken {
    constructor() HostileToken("Fee on transfer") {}

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        super._update(from, address(0), value / 100);
        super._update(from, to, value - value / 100);
    }
}

/// @notice Brings one unit more than was asked.
contract GenerousToken is HostileToken {
    constructor() HostileToken("Generous") {}

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0)) super._update(address(0), to, 1);
    }
}

/// @notice Answers false, and moves nothing.
contract FalseToken is HostileToken {
    bool private _failing;

    constructor() HostileToken("False") {}

    function fail(bool failing) external {
        _failing = failing;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return !_failing && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return !_failing && super.transferFrom(from, to, value);
    }
}

/// @notice Answers true, and moves nothing.
contract PretendingToken is HostileToken {
    constructor() HostileToken("Pretending") {}

    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return true;
    }
}

/// @notice Answers nothing at all, as USDT does.
contract NoReturnToken is HostileToken {
    constructor() HostileToken("No return") {}

    function transfer(address to, uint256 value) public override returns (bool) {
        super.transfer(to, value);
        assembly ("memory-safe") {
            return(0, 0)
        }
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        super.transferFrom(from, to, value);
        assembly ("memory-safe") {
            return(0, 0)
        }
    }
}

/// @notice Moves nothing while it is stopped.
contract StoppableToken is HostileToken {
    bool private _stopped;

    error TransfersStopped();

    constructor() HostileToken("Stoppable") {}

    function stop(bool stopped) external {
        _stopped = stopped;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!_stopped, TransfersStopped());
        super._update(from, to, value);
    }
}

/// @notice Moves nothing from or to whom it has blocked.
contract BlocklistToken is HostileToken {
    mapping(address account => bool) private _blocked;

    error AccountBlocked(address account);

    constructor() HostileToken("Block list") {}

    function blockAccount(address account) external {
        _blocked[account] = true;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!_blocked[from], AccountBlocked(from));
        require(!_blocked[to], AccountBlocked(to));
        super._update(from, to, value);
    }
}

/// @notice Takes balances away where it likes, as rebasing tokens do.
contract RebasingToken is HostileToken {
    constructor() HostileToken("Rebasing") {}

    function shrink(address account, uint256 amountInUnits) external {
        _burn(account, amountInUnits);
    }
}

/// @notice Calls out in the middle of the next transfer, before or after it moves the balance. It acts in its own name, so
/// that it can itself be buyer, seller or creditor.
contract ReenteringToken is HostileToken {
    struct Step {
        address target;
        bytes data;
    }

    Step[] private _steps;
    bool private _before;

    /// @notice A planned call was made, and went well or not.
    event Reentered(address target, bool done, bytes result);

    constructor() HostileToken("Re-entering") {}

    /// @notice Plans one more call for the next transfer.
    function plan(address target, bytes calldata data, bool before) external {
        _steps.push(Step(target, data));
        _before = before;
    }

    /// @notice Acts in the token's own name.
    function execute(address target, bytes calldata data) external {
        _call(target, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (_before) _reenter();
        super._update(from, to, value);
        if (!_before) _reenter();
    }

    function _reenter() private {
        while (_steps.length != 0) {
            Step memory step = _steps[_steps.length - 1];
            _steps.pop();
            _call(step.target, step.data);
        }
    }

    function _call(address target, bytes memory data) private {
        (bool done, bytes memory result) = target.call(data);
        emit Reentered(target, done, result);
    }
}
