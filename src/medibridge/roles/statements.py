"""A patient's statement: what was sold to whom, for what, when, and what it brought or will bring."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product

from medibridge.chain import Listing, ListingId, ListingState, OrderId, OrderState, Use
from medibridge.chain.contract import Past
from medibridge.chain.events import Bought, CreditWithdrawn, Settled
from medibridge.chain.sales import in_order
from medibridge.ids import Address, DataClass, subject_of
from medibridge.roles.bridge import Bridge
from medibridge.roles.contributions import Contribution
from medibridge.roles.orders import listings_in

__all__ = ["SaleLine", "Stage", "Statement", "statement_of"]


class Stage(enum.Enum):
    """Where the patient's part of a sale is."""

    IN_ESCROW = "in escrow"
    """Paid and not final yet: the seller still delivers, or the buyer may still complain."""
    WAITING = "to be collected"
    """Final. `distribute` credits it for a record of one patient, `claim` for a dataset of many."""
    CREDITED = "credited"
    """Can be withdrawn, or was."""
    REFUNDED = "refunded"
    """Nothing was delivered in time; the buyer has the price back."""
    DISPUTED = "disputed"
    """The buyer proved that something else was delivered, and has the price back."""


@dataclass(frozen=True)
class SaleLine:
    """One purchase of a record or dataset that the patient is in; one for each share, where there are several.

    `time` is that of the purchase, seconds since 1970. `price` was paid for the whole, `amount` is the patient's part
    of it, nothing of what was paid back; both in the token's smallest unit. `patients` share the sale. `use` is what
    the buyer declared; None where this version does not know its purpose.
    """

    time: int
    order_id: OrderId
    listing_id: ListingId
    listing_state: ListingState
    data_class: DataClass
    seller: Address
    buyer: Address
    use: Use | None
    patients: int
    price: int
    amount: int
    stage: Stage

    @property
    def month(self) -> str:
        """The month of the purchase (UTC), as ``2026-11``."""
        return f"{datetime.fromtimestamp(self.time, UTC):%Y-%m}"


@dataclass(frozen=True)
class Statement:
    """All purchases, oldest first; and what can be withdrawn now and was withdrawn so far, in the smallest unit.

    `elsewhere` sales were paid in other tokens and are left out.
    """

    token: Address
    lines: tuple[SaleLine, ...] = field(repr=False)
    withdrawable: int
    withdrawn: int
    elsewhere: int

    def total(self, stage: Stage) -> int:
        """What all sales of this stage brought, or will bring."""
        return sum(line.amount for line in self.lines if line.stage is stage)

    def by_month(self) -> dict[str, dict[Stage, int]]:
        """The patient's part by month of purchase, every month from the first to the last, and by stage."""
        totals: dict[str, dict[Stage, int]] = {}
        for month in _months([line.month for line in self.lines]):
            lines = [line for line in self.lines if line.month == month]
            totals[month] = {
                stage: amount
                for stage in Stage
                if (amount := sum(line.amount for line in lines if line.stage is stage))
            }
        return totals


def statement_of(bridge: Bridge, patient: Address, contributions: Iterable[Contribution] = ()) -> Statement:
    """The statement of a patient: of the records about this account alone, and of the datasets of these shares.

    All of it is read from the chain. What a share file is not given for cannot be found: it names nobody.
    """
    shares: dict[bytes, list[Contribution]] = {}
    for each in {(one.subject, one.leaf): one for one in contributions}.values():
        shares.setdefault(each.subject, []).append(each)
    sales, token = bridge.system.data_sales, bridge.system.token.address
    lines: list[SaleLine] = []
    elsewhere = 0
    times = _Times(bridge)
    for listing_id, listing in listings_in(sales.listed()).items():
        of_patient: list[Contribution | None] = [None] if listing.subject == subject_of(patient) else []
        of_patient += shares.get(listing.subject, [])
        of_listing = list(_lines(bridge, times, listing_id, listing, of_patient)) if of_patient else []
        if listing.terms.token == token:
            lines += of_listing
        else:
            elsewhere += len({line.order_id for line in of_listing})
    accounts = {patient, *(each.payout for several in shares.values() for each in several)}
    taken = [past.event for account in accounts for past in sales.past(CreditWithdrawn, token=token, account=account)]
    return Statement(
        token=token,
        lines=tuple(sorted(lines, key=lambda line: line.time)),
        withdrawable=sum(sales.credit_of(token, account) for account in accounts),
        withdrawn=sum(event.amount_in_units for event in taken),
        elsewhere=elsewhere,
    )


def _lines(
    bridge: Bridge,
    times: _Times,
    listing_id: ListingId,
    listing: Listing,
    shares: Sequence[Contribution | None],
) -> Iterator[SaleLine]:
    """Every purchase of one listing, for each of the shares; None is the whole of a record about one patient."""
    sales = bridge.system.data_sales
    purchases: Sequence[Past[Bought]] = sales.past(Bought, listingId=listing_id)
    if not purchases:
        return
    status, each = sales.listing_status(listing_id), sales.parts_of(listing).patients
    paid = [status.distributed if share is None else sales.claimed_sales_of(listing_id, share.leaf) for share in shares]
    settled = {past.event.order_id: place for place, past in enumerate(sales.past(Settled, listingId=listing_id))}
    for past, (share, paid_sales) in product(purchases, list(zip(shares, paid, strict=True))):
        bought = past.event
        state = sales.order_status(OrderId(bought.order_id)).state
        place = settled.get(bought.order_id)  # not by the state, which may be newer
        yield SaleLine(
            time=times[past.block],
            order_id=OrderId(bought.order_id),
            listing_id=listing_id,
            listing_state=status.state,
            data_class=listing.data_class,
            seller=listing.seller,
            buyer=bought.buyer,
            use=_use_in(bought),
            patients=1 if share is None else share.proof.size,
            price=bought.price_in_units,
            amount=0 if state in _PAID_BACK else _amount(each, share, place or 0),
            stage=_PAID_BACK.get(state) or _stage(place, paid_sales),
        )


_PAID_BACK: Mapping[OrderState, Stage] = {
    OrderState.REFUNDED: Stage.REFUNDED,
    OrderState.DISPUTED: Stage.DISPUTED,
}


def _stage(place: int | None, paid: int) -> Stage:
    """Of a sale that goes through: settled ones are credited in the order in which they were settled."""
    if place is None:
        return Stage.IN_ESCROW
    return Stage.CREDITED if place < paid else Stage.WAITING


def _amount(each: int, share: Contribution | None, place: int) -> int:
    """The patient's part of the sale at this place: the whole of all sales is rounded down once, not each sale."""
    return each if share is None else share.part_of((place + 1) * each) - share.part_of(place * each)


def _use_in(bought: Bought) -> Use | None:
    try:
        return Use.from_abi(in_order(bought.use))
    except ValueError:
        return None


class _Times:
    """The times of blocks, each asked for once."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._known: dict[int, int] = {}

    def __getitem__(self, block: int) -> int:
        if block not in self._known:
            self._known[block] = self._bridge.system.chain.time_of(block)
        return self._known[block]


def _months(found: Sequence[str]) -> Iterator[str]:
    """Every month from the first to the last."""
    if not found:
        return
    year, month = map(int, min(found).split("-"))
    while (name := f"{year:04}-{month:02}") <= max(found):
        yield name
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
