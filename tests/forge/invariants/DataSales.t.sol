// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataSales} from "../../../contracts/DataSales.sol";
import {IInstitutions} from "../../../contracts/interfaces/IInstitutions.sol";
import {TestDollar} from "../../../contracts/mocks/TestDollar.sol";
import {BatchProof, RecordDescription} from "../../../contracts/types/Record.sol";
import {Calls, VM} from "../Cheats.sol";
import {Stage, recordOf} from "../Stage.sol";
import {DataSalesHandler} from "./DataSalesHandler.sol";

/// @notice What holds of money whatever is listed, bought, delivered, withdrawn, suspended and left alone, in any order.
contract DataSalesInvariants is Stage {
    uint16 private constant FEE_IN_BPS = 250;
    uint64 private constant ADMIN_ROLE = 0;

    DataSales private sales;
    DataSalesHandler private handler;

    /// @notice Deploys the contracts, with two hospitals, a record of a patient in each, and two buyers.
    function setUp() external {
        _deploy();
        sales = _newSales(FEE_IN_BPS);
        address[] memory custodians = new address[](2);
        RecordDescription[] memory descriptions = new RecordDescription[](2);
        BatchProof[] memory proofs = new BatchProof[](2);
        TestDollar[] memory tokens = new TestDollar[](2);
        for (uint256 i = 0; i < 2; ++i) {
            custodians[i] = address(uint160(0xCC01 + i));
            institutions.enrol(custodians[i], IInstitutions.Kind.Hospital, 0);
            descriptions[i] = recordOf(custodians[i], address(uint160(0xAA01 + i)), i);
            proofs[i] = _deposit(descriptions[i]);
            tokens[i] = new TestDollar(address(this));
            sales.allowToken(tokens[i], true);
        }
        DataSalesHandler.Place memory place = DataSalesHandler.Place(institutions, consents, sales, tokens);
        handler = new DataSalesHandler(place, descriptions, proofs, custodians);

        governance.grantRole(ADMIN_ROLE, address(handler), 0);
        for (uint256 i = 0; i < 2; ++i) {
            institutions.enrol(handler.buyerOf(i), IInstitutions.Kind.Buyer, 0);
            tokens[i].transferOwnership(address(handler));
        }
    }

    /// @notice Only the handler is called.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice Only its verbs, not its questions; those named twice or more are called as much more often.
    function targetSelectors() external view returns (Calls[] memory calls) {
        bytes4[22] memory verbs = [
            DataSalesHandler.list.selector,
            DataSalesHandler.list.selector,
            DataSalesHandler.list.selector,
            DataSalesHandler.buy.selector,
            DataSalesHandler.buy.selector,
            DataSalesHandler.buy.selector,
            DataSalesHandler.buy.selector,
            DataSalesHandler.deliver.selector,
            DataSalesHandler.deliver.selector,
            DataSalesHandler.deliver.selector,
            DataSalesHandler.settle.selector,
            DataSalesHandler.settle.selector,
            DataSalesHandler.refund.selector,
            DataSalesHandler.withdraw.selector,
            DataSalesHandler.withdraw.selector,
            DataSalesHandler.consent.selector,
            DataSalesHandler.consent.selector,
            DataSalesHandler.unlist.selector,
            DataSalesHandler.sendUnasked.selector,
            DataSalesHandler.withdrawConsent.selector,
            DataSalesHandler.changeStanding.selector,
            DataSalesHandler.changeToken.selector
        ];
        calls = new Calls[](1);
        calls[0] = Calls(address(handler), new bytes4[](verbs.length));
        for (uint256 i = 0; i < verbs.length; ++i) {
            calls[0].selectors[i] = verbs[i];
        }
    }

    /// @notice Invariant 1: the market holds what is in escrow and what is credited, and what came unasked; no unit less or
    /// more.
    function invariant_balance_isEscrowAndCredits() external view {
        TestDollar[] memory tokens = handler.tokens();
        address[] memory parties = handler.parties();
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 owed = handler.escrowOf(tokens[i]) + handler.unaskedOf(tokens[i]);
            for (uint256 j = 0; j < parties.length; ++j) {
                owed += sales.creditOf(tokens[i], parties[j]);
            }
            VM.assertEq(tokens[i].balanceOf(address(sales)), owed, "escrow and credits");
        }
        VM.assertTrue(handler.remembersEveryOrder(), "every order as its parties remember it");
    }

    /// @notice Invariant 2: from here, time and a stranger are enough for everybody to get out what is theirs, to the unit.
    function invariant_everybody_getsOutWhatIsTheirs() external {
        uint256 here = VM.snapshotState();
        handler.closeEverything();

        TestDollar[] memory tokens = handler.tokens();
        address[] memory parties = handler.parties();
        for (uint256 i = 0; i < tokens.length; ++i) {
            for (uint256 j = 0; j < parties.length; ++j) {
                uint256 due = handler.dueTo(tokens[i], parties[j]);
                VM.assertEq(tokens[i].balanceOf(parties[j]), due, "what is theirs");
            }
            VM.assertEq(tokens[i].balanceOf(address(sales)), handler.unaskedOf(tokens[i]), "nothing stays behind");
        }
        VM.revertToState(here);
    }
}
