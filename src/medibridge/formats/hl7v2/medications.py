"""RDE^O11 as MedicationRequest, RAS^O17 as MedicationAdministration.

After v2-to-FHIR, segments ORC, RXO, RXR and TQ1; RXE and RXA after the same pattern (HL7 v2.9, chapter 4A).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2 import codes
from medibridge.formats.hl7v2 import datatypes as dt
from medibridge.formats.hl7v2.draft import Draft
from medibridge.formats.hl7v2.message import Message, Part, Segment
from medibridge.record import Json, JsonObject, Number

__all__ = ["read_administrations", "read_orders"]


@dataclass
class _Order:
    """An ORC and the segments that follow it, up to the next ORC."""

    common: Segment
    drugs: list[Segment] = field(default_factory=list)
    routes: list[Segment] = field(default_factory=list)
    timings: list[Segment] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)


def _orders(message: Message, drug: str) -> list[_Order]:
    """Group the segments. `drug` names the segment that holds the drug; NTE belongs to it where it follows it."""
    orders: list[_Order] = []
    above = ""
    for segment in message.segments:
        if segment.name == "ORC":
            orders.append(_Order(segment))
        elif orders and segment.name == drug:
            orders[-1].drugs.append(segment)
        elif orders and segment.name == "RXR":
            orders[-1].routes.append(segment)
        elif orders and segment.name == "TQ1":
            orders[-1].timings.append(segment)
        elif orders and segment.name == "NTE":
            if above == drug:
                orders[-1].notes.append(segment)
            continue
        above = segment.name
    if not orders:
        raise message.missing("ORC")
    for order in orders:
        if not order.drugs:
            raise MalformedMessage(f"{order.common} has no {drug} segment; the message may be cut off, send it again")
    return orders


# --- orders ---------------------------------------------------------------------------------------------------------


def read_orders(draft: Draft) -> None:
    """Make the MedicationRequests of an RDE^O11. Raises `MalformedMessage` where ORC, RXE or the drug is missing."""
    for order in _orders(draft.message, "RXE"):
        for further in order.drugs[1:]:
            raise MalformedMessage(f"{further} is a second RXE of one order; put an ORC before it")
        _request(draft, order)


def _request(draft: Draft, order: _Order) -> None:
    orc, rxe = order.common, order.drugs[0]
    drug = dt.required_concept(rxe, 2, "the drug")
    identifiers = _identifiers(orc)
    if number := rxe[15].text():
        identifiers.append({"value": number, "type": {"text": "prescription number"}})
    requesters = draft.practitioners(orc[12]) or draft.practitioners(rxe[13])
    for further in (*orc[12].repetitions()[1:], *rxe[13].repetitions()[0 if orc[12] else 1 :]):
        further.settle_all(Outcome.UNMAPPED, "an order has one requester")
    dispense = dt.sparse(
        quantity=dt.quantity(dt.number(rxe[10]), dt.units(rxe[11]) if rxe[10] else {}),
        numberOfRepeatsAllowed=_count(rxe[12]),
    )
    draft.add(
        {
            "resourceType": "MedicationRequest",
            "id": _id(draft, "MedicationRequest", identifiers, orc),
            "status": _order_status(orc),
            "intent": "order",
            "medicationCodeableConcept": drug,
            "subject": draft.subject,
            **dt.sparse(
                identifier=identifiers,
                priority=next((found for tq1 in order.timings if (found := dt.code(tq1[9], codes.PRIORITIES))), None),
                authoredOn=dt.date_time(orc[9]),
                requester=requesters[0] if requesters else None,
                dosageInstruction=_dosages(order, rxe),
                dispenseRequest=dispense,
                note=draft.notes(order.notes),
            ),
        }
    )


def _id(draft: Draft, kind: str, identifiers: list[JsonObject], segment: Segment) -> str:
    if identifiers:
        return draft.name_by_identifier(kind, identifiers[0])
    return draft.name_by_place(kind, segment)


def _identifiers(orc: Segment) -> list[JsonObject]:
    return [found for at, kind in ((2, "PLAC"), (3, "FILL")) if (found := dt.entity_identifier(orc[at], kind))]


def _order_status(orc: Segment) -> str:
    """ORC-5 where it says more than ORC-1, which HL7 requires."""
    orc.require(1, "the order control")
    control = dt.code(orc[1], codes.ORDER_CONTROL_STATUS)
    status = dt.code(orc[5], codes.ORDER_STATUS)
    if not status and not control:
        orc[5].default("no order status that FHIR knows; unknown")
    if status and control and status != control:
        orc[1].settle(Outcome.USED, "ORC-5 says where the order stands")
    return status or control or "unknown"


def _count(part: Part) -> int | None:
    found = dt.number(part)
    if found is None:
        return None
    if found != int(found) or not 0 <= found < 10_000:
        part.settle(Outcome.INVALID, "not a count; left out")
        return None
    return int(found)


def _dosages(order: _Order, rxe: Segment) -> list[JsonObject]:
    """One Dosage for the dose, with the first route and the first timing; further ones as Dosages of their own."""
    timings = [timing for tq1 in order.timings if (timing := _timing(tq1[3][1], tq1[7], tq1[8]))]
    if timing := _timing(rxe[1][2], rxe[1][4], rxe[1][5]):
        timings.append(timing)
    routes = [_route(rxr) for rxr in order.routes]
    texts = [text for tq1 in order.timings if (text := tq1[11].whole())]
    instructions = [found for part in rxe[7].repetitions() if (found := dt.concept(part))]
    unit = dt.units(rxe[5])
    low, high = dt.number(rxe[3]), dt.number(rxe[4])
    dose = _dose(low, high, unit)
    if not dose:
        rxe[5].settle_all(Outcome.UNMAPPED, "no amount that the unit belongs to")
    first = dt.sparse(
        text="\n".join(texts),
        additionalInstruction=instructions,
        timing=timings[0] if timings else None,
        doseAndRate=[dose] if dose else [],
        **(routes[0] if routes else {}),
    )
    rest: list[JsonObject] = [{"timing": timing} for timing in timings[1:]]
    rest.extend(route for route in routes[1:] if route)
    return [dosage for dosage in (first, *rest) if dosage]


def _dose(low: Number | None, high: Number | None, unit: JsonObject) -> JsonObject:
    if low is not None and high is not None and low < high:
        return {"doseRange": {"low": dt.quantity(low, unit), "high": dt.quantity(high, unit)}}
    amount = low if low is not None else high
    return dt.sparse(doseQuantity=dt.quantity(amount, unit))


def _timing(pattern: Part, start: Part, end: Part) -> JsonObject | None:
    """A repeat pattern (table 0335) and the period it holds for."""
    text = pattern.text()
    period = dt.sparse(start=dt.date_time(start), end=dt.date_time(end))
    repeat = {**dt.sparse(boundsPeriod=period), **_repeat(text)}
    return dt.sparse(repeat=repeat, code={"text": text} if text else None) or None


def _repeat(text: str) -> dict[str, Json]:
    found = codes.TIMINGS.get(text.upper())
    if match := re.fullmatch(r"Q([1-9][0-9]?)([HD])", text.upper()):
        found = (1, int(match[1]), match[2].lower())
    return {"frequency": found[0], "period": found[1], "periodUnit": found[2]} if found else {}


def _route(rxr: Segment) -> dict[str, Json]:
    return dt.sparse(
        route=dt.concept(rxr.require(1, "the route"), "0162"),
        site=dt.concept(rxr[2], "0163"),
        method=dt.concept(rxr[4], "0165"),
    )


# --- administrations ------------------------------------------------------------------------------------------------


def read_administrations(draft: Draft) -> None:
    """Make the MedicationAdministrations of a RAS^O17.

    Raises `MalformedMessage` where ORC, RXA, the drug or the time is missing.
    """
    for order in _orders(draft.message, "RXA"):
        for rxa in order.drugs:
            _administration(draft, order, rxa)


def _administration(draft: Draft, order: _Order, rxa: Segment) -> None:
    rxa[1].settle(Outcome.IGNORED, "a sub-id counter")
    rxa.require(3, "when it was given")
    drug = dt.required_concept(rxa, 5, "the drug")
    identifiers = _identifiers(order.common)
    start, end = dt.date_time(rxa[3]), dt.date_time(rxa[4])
    if start is None:
        raise MalformedMessage(f"{rxa}-3 (when it was given) is not a date of HL7 v2; send it as YYYYMMDDHHMMSS")
    when: dict[str, Json] = {"effectiveDateTime": start}
    if end and end != start:
        when = {"effectivePeriod": {"start": start, "end": end}}
    status = dt.code(rxa[20], codes.ADMINISTRATION_STATUS)
    if rxa[21].peek() == "D":
        rxa[21].settle(Outcome.MAPPED)
        status = "entered-in-error"
    if not rxa[20] and not status:
        rxa[20].default("no completion status; unknown")
    dose = dt.quantity(dt.number(rxa[6]), dt.units(rxa[7]) if rxa[6] else {})
    route = _route(order.routes[0]) if order.routes and dose else {}  # a dosage needs a dose (FHIR R4, mad-1)
    dosage = dt.sparse(dose=dose, **route)
    performers = [{"actor": reference} for reference in draft.practitioners(rxa[10])]
    reasons = [found for part in rxa[18].repetitions() if (found := dt.concept(part))]
    own_id = (
        draft.name("MedicationAdministration", _id(draft, "order", identifiers, order.common), start, str(rxa.number))
        if identifiers
        else draft.name_by_place("MedicationAdministration", rxa)
    )
    draft.add(
        {
            "resourceType": "MedicationAdministration",
            "id": own_id,
            "status": status or "unknown",
            "medicationCodeableConcept": drug,
            "subject": draft.subject,
            **when,
            **dt.sparse(
                identifier=identifiers,
                statusReason=reasons,
                performer=performers,
                dosage=dosage,
                note=draft.notes(order.notes),
            ),
        }
    )
