// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IInstitutions} from "../../contracts/interfaces/IInstitutions.sol";
import {IRequests} from "../../contracts/interfaces/IRequests.sol";
import {Requests} from "../../contracts/Requests.sol";
import {Request, RequestId} from "../../contracts/types/Request.sol";
import {Listing, ListingId, Terms} from "../../contracts/types/Sale.sol";
import {StandingOffer} from "../../contracts/types/StandingOffer.sol";
import {VM} from "./Cheats.sol";
import {Contributor, Contributors} from "./Contributors.sol";
import {Market} from "./Market.sol";
import {LABORATORY, RESEARCH, datasetOf, datasetTermsOf, healthResearch} from "./Stage.sol";

/// @notice A buyer who asks, two hospitals that answer, and patients who offered once for many buyers.
abstract contract Demand is Market {
    address internal constant CLINIC = address(0xA6);
    uint256 internal constant PATIENTS = 6;
    uint128 internal constant EACH = 10_000_000;

    // forgefmt: disable-next-item
    bytes32 private constant OFFER_TYPEHASH = keccak256(
        "StandingOffer(address patient,address seller,uint32 classes,uint32 purposes,uint16 kindsAllowed,uint16 kindsDenied,address token,uint128 leastInUnits,uint32 uses,uint40 until,address payout,uint64 nonce)"
    );
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    Requests internal requests;
    address[] private _patients;
    uint256 private _datasets;

    /// @dev All patients consent to sales by both hospitals; the buyer has made the requests its agent.
    function _openDemand() internal {
        _openMarket(250);
        requests = _newRequests(sales);
        institutions.enrol(CLINIC, IInstitutions.Kind.Practice, 0);
        for (uint256 i = 0; i < PATIENTS; ++i) {
            _patients.push(VM.addr(_keyOf(i)));
            _consent(_patient(i), CUSTODIAN);
            _consent(_patient(i), CLINIC);
        }
        VM.prank(BUYER);
        sales.allowAgent(address(requests), true);
    }

    /// @dev Two to five patients' laboratory data for health research, within ten days.
    function _request() internal view returns (Request memory) {
        return Request({
            buyer: BUYER,
            token: token,
            pricePerPatientInUnits: EACH,
            budgetInUnits: 5 * EACH,
            fewest: 2,
            most: 5,
            until: uint40(NOW + 10 days),
            classes: uint32(1) << LABORATORY,
            use: healthResearch(),
            criteria: keccak256("criteria"),
            profile: keccak256("profile"),
            nonce: 1
        });
    }

    function _ask(Request memory request) internal returns (RequestId) {
        token.mint(request.buyer, request.budgetInUnits);
        VM.prank(request.buyer);
        token.approve(address(requests), request.budgetInUnits);
        VM.prank(request.buyer);
        return requests.ask(request);
    }

    function _patient(uint256 i) internal view returns (address) {
        return _patients[i];
    }

    function _keyOf(uint256 i) internal pure returns (uint256) {
        return 0xA000 + i;
    }

    /// @dev What patient i offers: two uses for health research by this seller, for half the price.
    function _offerOf(uint256 i, address seller) internal view returns (StandingOffer memory) {
        return StandingOffer({
            patient: _patient(i),
            seller: seller,
            classes: uint32(1) << LABORATORY,
            purposes: uint32(1) << RESEARCH,
            kindsAllowed: 0,
            kindsDenied: 0,
            token: token,
            leastInUnits: EACH / 2,
            uses: 2,
            until: uint40(NOW + 20 days),
            payout: address(uint160(0xD00 + i)),
            nonce: 7
        });
    }

    /// @dev EIP-712, domain and type written out once more.
    function _digestOf(StandingOffer memory offer) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256("MediBridge Requests"), keccak256("1"), block.chainid, address(requests)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(OFFER_TYPEHASH, offer))));
    }

    function _joinerOf(StandingOffer memory offer, uint256 key) internal view returns (IRequests.Joiner memory) {
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(key, _digestOf(offer));
        return IRequests.Joiner(offer, abi.encodePacked(r, s, v), _saltOf(offer));
    }

    /// @dev What hides the patient in the datasets here.
    function _saltOf(StandingOffer memory offer) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", offer.payout));
    }

    /// @dev So many patients, from patient `first` on, each with a signed offer to the seller.
    function _joiners(uint256 first, uint256 count, address seller)
        internal
        view
        returns (IRequests.Joiner[] memory joiners)
    {
        joiners = new IRequests.Joiner[](count);
        for (uint256 i = 0; i < count; ++i) {
            joiners[i] = _joinerOf(_offerOf(first + i, seller), _keyOf(first + i));
        }
    }

    /// @dev The dataset of these patients, each with the same share.
    function _contributorsOf(IRequests.Joiner[] memory joiners) internal pure returns (Contributor[] memory all) {
        all = new Contributor[](joiners.length);
        for (uint256 i = 0; i < joiners.length; ++i) {
            all[i] = Contributor(joiners[i].offer.patient, joiners[i].salt, joiners[i].offer.payout, 1);
        }
    }

    /// @dev Terms of an answer with so many patients, kept for the asker.
    function _answerTerms(Request memory request, uint256 patients) internal view returns (Terms memory terms) {
        terms = datasetTermsOf(token);
        terms.priceInUnits = uint128(patients * request.pricePerPatientInUnits);
        terms.securityInUnits = terms.priceInUnits;
        terms.reservedFor = address(requests);
    }

    /// @dev Lists a dataset of these patients under these terms.
    function _listAnswer(address seller, IRequests.Joiner[] memory joiners, Terms memory terms)
        internal
        returns (Listing memory)
    {
        bytes32 subject = Contributors.subjectOf(_contributorsOf(joiners));
        return _list(seller, datasetOf(seller, subject, ++_datasets), terms);
    }

    /// @dev A seller lists so many patients, from `first` on, and answers with them.
    function _answer(Request memory request, address seller, uint256 first, uint256 count)
        internal
        returns (Listing memory listing)
    {
        IRequests.Joiner[] memory joiners = _joiners(first, count, seller);
        listing = _listAnswer(seller, joiners, _answerTerms(request, count));
        VM.prank(seller);
        requests.answer(request, listing, joiners);
    }

    function _idOf(Request memory request) internal view returns (RequestId) {
        return request.requestIdOf(address(requests));
    }

    function _idOf(Listing memory listing) internal view returns (ListingId) {
        return listing.listingIdOf(address(sales));
    }

    function _assertState(Request memory request, IRequests.RequestState state) internal view {
        VM.assertEq(uint256(requests.requestStatusOf(_idOf(request)).state), uint256(state), "the request's state");
    }
}
