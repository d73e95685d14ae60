"""Listings, escrow, delivery and settlement; and the token that pays."""

from __future__ import annotations

from collections.abc import Sequence

from eth_account.signers.local import LocalAccount

from medibridge.chain.contract import BoundContract
from medibridge.chain.events import (
    Approval,
    Bought,
    CreditWithdrawn,
    Delivered,
    Listed,
    Refunded,
    Settled,
    TokenAllowed,
    Transfer,
    Unlisted,
)
from medibridge.chain.records import record_as_abi
from medibridge.chain.values import Listing, ListingId, ListingState, Order, OrderId, OrderState, OrderStatus, Terms
from medibridge.ids import Address, Digest, RecordDescription

__all__ = ["DataSales", "Token"]


class Token(BoundContract):
    """An ERC-20 with permit (ERC-2612), as prices are paid in. Amounts in its smallest unit."""

    NAME = "TestDollar"

    def decimals(self) -> int:
        """Digits after the point when people write an amount."""
        return int(self._read("decimals"))

    def symbol(self) -> str:
        """The token's short name."""
        return str(self._read("symbol"))

    def balance_of(self, account: Address) -> int:
        """What the account holds."""
        return int(self._read("balanceOf", account))

    def approve(self, account: LocalAccount, spender: Address, amount: int) -> Approval:
        """Let `spender` take up to `amount`."""
        return self._write(account, Approval, "approve", spender, amount)

    def mint(self, owner: LocalAccount, to: Address, amount: int) -> Transfer:
        """Make money. Only on local chains, and only the token's owner."""
        return self._write(owner, Transfer, "mint", to, amount)

    def sign_permit(
        self, account: LocalAccount, spender: Address, amount: int, deadline: int
    ) -> tuple[int, bytes, bytes]:
        """Sign an approval for somebody else to submit (ERC-2612): v, r and s."""
        types = [
            {"name": "owner", "type": "address"},
            {"name": "spender", "type": "address"},
            {"name": "value", "type": "uint256"},
            {"name": "nonce", "type": "uint256"},
            {"name": "deadline", "type": "uint256"},
        ]
        _, name, version, chain_id, contract, _, _ = self._read("eip712Domain")
        domain = {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract}
        message = {
            "owner": account.address,
            "spender": spender,
            "value": amount,
            "nonce": self._read("nonces", account.address),
            "deadline": deadline,
        }
        signed = account.sign_typed_data(domain, {"Permit": types}, message)
        return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


class DataSales(BoundContract):
    """Fair exchange of sealed records for money in escrow (protocol, section 6)."""

    NAME = "DataSales"

    def allow_token(self, admin: LocalAccount, token: Address, allowed: bool = True) -> TokenAllowed:
        """Let a token be used for new listings and purchases, or no longer."""
        return self._write(admin, TokenAllowed, "allowToken", token, allowed)

    def offer(
        self,
        seller: LocalAccount,
        terms: Terms,
        record: RecordDescription,
        root: bytes,
        index: int,
        path: Sequence[bytes],
    ) -> Listed:
        """List a deposited, de-identified record for sale."""
        proof = (root, index, list(path))
        return self._write(seller, Listed, "list", terms.as_abi(), record_as_abi(record), proof)

    def unlist(self, seller: LocalAccount, listing: Listing) -> Unlisted:
        """End an offer; open orders run on."""
        return self._write(seller, Unlisted, "unlist", listing.as_abi())

    def buy(
        self, buyer: LocalAccount, listing: Listing, commitment: bytes, sealed_secret: Digest, nonce: int
    ) -> Bought:
        """Pay the price into escrow; the buyer has approved it before."""
        return self._write(buyer, Bought, "buy", listing.as_abi(), (commitment, sealed_secret, nonce))

    def buy_with_permit(
        self,
        buyer: LocalAccount,
        listing: Listing,
        commitment: bytes,
        sealed_secret: Digest,
        nonce: int,
        *,
        deadline: int,
        permit: tuple[int, bytes, bytes],
    ) -> Bought:
        """As `buy`, with the approval that `Token.sign_permit` signed in the same transaction."""
        purchase = (commitment, sealed_secret, nonce)
        return self._write(buyer, Bought, "buyWithPermit", listing.as_abi(), purchase, (deadline, *permit))

    def deliver(self, seller: LocalAccount, order: Order, listing: Listing, masked_key: bytes) -> Delivered:
        """Hand over the masked key. A delivery that fails has shown the key: check everything before."""
        return self._write(seller, Delivered, "deliver", order.as_abi(), listing.as_abi(), masked_key)

    def settle(self, account: LocalAccount, order: Order, listing: Listing) -> Settled:
        """Credit the price of a delivered order once its dispute window is over; anybody may."""
        return self._write(account, Settled, "settle", order.as_abi(), listing.as_abi())

    def refund(self, account: LocalAccount, order: Order, listing: Listing) -> Refunded:
        """Credit the price back to the buyer of an order that was not delivered in time; anybody may."""
        return self._write(account, Refunded, "refund", order.as_abi(), listing.as_abi())

    def withdraw(self, account: LocalAccount, token: Address, to: Address) -> CreditWithdrawn:
        """Send all that is credited to the account in this token to `to`."""
        return self._write(account, CreditWithdrawn, "withdraw", token, to)

    def credit_of(self, token: Address, account: Address) -> int:
        """What is credited and not yet withdrawn, in the token's smallest unit."""
        return int(self._read("creditOf", token, account))

    def is_token_allowed(self, token: Address) -> bool:
        """Whether the token may be used for new listings and purchases."""
        return bool(self._read("isTokenAllowed", token))

    def listing_state(self, listing_id: ListingId) -> ListingState:
        """Where a listing stands."""
        return ListingState(self._read("listingStatusOf", listing_id)[0])

    def order_status(self, order_id: OrderId) -> OrderStatus:
        """Where an order stands."""
        state, deadline, delivery = self._read("orderStatusOf", order_id)
        return OrderStatus(OrderState(state), deadline, delivery)

    def fee(self) -> tuple[int, Address]:
        """The fee in hundredths of a percent, and who is credited."""
        share, treasury = self._read("fee")
        return int(share), Address(treasury)

    def listed(self, *, seller: Address | None = None) -> list[Listed]:
        """All offers ever made, oldest first; of one seller only, where one is given."""
        return [past.event for past in self._past(Listed, {} if seller is None else {"seller": seller})]

    def bought(self, *, confirmations: int = 0, **filters: bytes | Address) -> list[Bought]:
        """All purchases, oldest first; filter by `orderId`, `listingId` or `buyer`.

        Those in the newest `confirmations` blocks are left out.
        """
        return [past.event for past in self._past(Bought, filters, confirmations=confirmations)]

    def delivered(self, order_id: OrderId) -> Delivered | None:
        """The delivery of an order, if there is one."""
        return next((past.event for past in self._past(Delivered, {"orderId": order_id})), None)

    def settled(self, order_id: OrderId) -> Settled | None:
        """The settlement of an order, if there is one."""
        return next((past.event for past in self._past(Settled, {"orderId": order_id})), None)
