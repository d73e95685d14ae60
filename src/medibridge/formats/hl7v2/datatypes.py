"""HL7 v2 data types (v2.9, chapter 2A) as FHIR R4 data types. Each function says what became of every part it reads."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Final

from medibridge.errors import MalformedMessage
from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2 import codes
from medibridge.formats.hl7v2.message import Part, Segment
from medibridge.record import Json, JsonObject, Number

__all__ = [
    "address",
    "annotation_text",
    "code",
    "coding",
    "compared",
    "concept",
    "date",
    "date_time",
    "entity_identifier",
    "human_name",
    "identifier",
    "identifier_type",
    "instant",
    "number",
    "quantity",
    "range_of",
    "required_concept",
    "sparse",
    "structured_number",
    "system_uri",
    "telecom",
    "text_number",
    "units",
]

UCUM: Final = "http://unitsofmeasure.org"

_DTM = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?)?)?)?)?(?P<offset>[+-]\d{4})?",
    re.ASCII,
)
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d", re.ASCII)
_NM = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?", re.ASCII)
_CODE = re.compile(r"\S+( \S+)*")
_COMPARATORS: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">="}
_COMPARED = re.compile(r"(<=|>=|=<|=>|<|>|≤|≥)\s*(.+)")
_RANGE = re.compile(r"(-?[0-9.]+)\s*-\s*(-?[0-9.]+)")


def sparse(**elements: Json) -> dict[str, Json]:
    """A FHIR object without its empty elements; ``class_`` stands for ``class``."""
    return {name.rstrip("_"): value for name, value in elements.items() if value not in (None, "", [], {})}


# --- text and codes -------------------------------------------------------------------------------------------------


def code(part: Part, table: Mapping[str, str]) -> str | None:
    """The FHIR code that `table` gives for an ID, IS or CWE; reported where it gives none."""
    value = part.peek()
    target = table.get(value) or table.get(value.upper())
    if target:
        part.settle(Outcome.MAPPED)
    else:
        part.settle(Outcome.UNMAPPED, "a code that has no FHIR counterpart here")
    return target


def concept(part: Part, table: str = "") -> JsonObject | None:
    """CE, CWE, CNE, CF, IS or ID as CodeableConcept; `table` names the HL7 table that holds where no system is given.

    A system without a URI is reported, and its code stands without a system.
    """
    codings = [found for first in _CODINGS if (found := coding(part, first, table))]
    original = part[9].text()
    if not original and not any("code" in found for found in codings):  # a text alone is no coding
        original = " ".join(str(found["display"]) for found in codings)
        codings = []
    return sparse(coding=codings, text=original) or None


def required_concept(segment: Segment, number: int, what: str) -> JsonObject:
    """A CWE that HL7 requires. Raises `MalformedMessage` where it has neither code nor text."""
    found = concept(segment.require(number, what))
    if found is None:
        raise MalformedMessage(f"{segment}-{number} ({what}) has neither a code nor a text; give one of them")
    return found


_CODINGS: Final = {1: (7, 14), 4: (8, 17), 10: (13, 20)}
"""CWE: where a coding begins (code, text, system) and where its version and the OID of its system stand."""


def coding(part: Part, first: int = 1, table: str = "") -> JsonObject | None:
    """The coding of a CWE whose code is component `first` (1, 4 or 10) as Coding."""
    value, display, named = part[first].text(), part[first + 1].text(), part[first + 2]
    version, oid = (part[at] for at in _CODINGS[first])
    if not _CODE.fullmatch(value):
        return sparse(display=f"{value} {display}".strip()) or None
    system = codes.system_of(named.peek()) or codes.system_of(oid.peek())
    for source in (named, oid):
        if system is not None and system == codes.system_of(source.peek()):
            source.settle(Outcome.MAPPED)
        else:
            source.settle(Outcome.UNMAPPED, "a coding system without a known URI, or a second one")
    if not named and not oid and table:
        system = codes.table(table)
    return sparse(system=system, version=version.text(), code=value, display=display)


def annotation_text(part: Part) -> str:
    """FT or TX; repetitions are lines."""
    return "\n".join(repetition.whole() for repetition in part.repetitions())


# --- dates ----------------------------------------------------------------------------------------------------------


def date_time(part: Part) -> str | None:
    """DTM, TS or DT as dateTime (2.A.22). Partial dates stay partial.

    A time needs an offset: its own, or that of MSH-7, which holds for the message; without one, or without
    minutes, only the date is kept, and the report says so.
    """
    return _date_time(part, 5)


def date(part: Part) -> str | None:
    """DTM or DT as date: what follows the day is reported."""
    whole = _date_time(part, 3, note=False)
    if whole is not None and len(part.peek().partition("+")[0].partition("-")[0]) > 8:
        part.settle(Outcome.PARTLY, "FHIR has a date here; the time is left out")
    return whole


def instant(part: Part) -> str | None:
    """DTM as instant, which must be complete; anything less is reported."""
    whole = _date_time(part, 5, note=False)
    if whole is not None and "T" not in whole:
        part.settle(Outcome.INVALID, "FHIR asks for a time with offset here; left out")
        return None
    return whole


def _date_time(part: Part, precision: int, *, note: bool = True) -> str | None:
    value = part.peek()
    if not value:
        part.settle(Outcome.MAPPED)
        return None
    match = _DTM.fullmatch(value)
    if match is None or not _is_calendar(match) or not _is_clock(match):
        part.settle(Outcome.INVALID, "not a date of HL7 v2 (YYYYMMDDHHMMSS and offset); left out")
        return None
    part.settle(Outcome.MAPPED)
    day = "-".join(piece for piece in (match["year"], match["month"], match["day"]) if piece)
    if match["hour"] is None or precision < 4:
        if match["offset"] and match["hour"] is None:
            part.settle(Outcome.PARTLY, "an offset without a time; only the date is kept")
        return day
    offset = match["offset"] or _message_offset(part)
    if match["minute"] is None or offset is None:
        if note:
            missing = "minutes" if match["minute"] is None else "an offset from UTC, here and in MSH-7"
            part.settle(Outcome.PARTLY, f"the time lacks {missing}; only the date is kept")
        return day
    seconds = (match["second"] or "00") + (match["fraction"] or "")
    return f"{day}T{match['hour']}:{match['minute']}:{seconds}{offset[:3]}:{offset[3:]}"


def _message_offset(part: Part) -> str | None:
    match = _DTM.fullmatch(part.segment.message.header[7].peek())
    return match["offset"] if match and match["offset"] and _OFFSET.fullmatch(match["offset"]) else None


def _is_calendar(match: re.Match[str]) -> bool:
    try:
        datetime.date(int(match["year"]), int(match["month"] or 1), int(match["day"] or 1))
    except ValueError:
        return False
    return True


def _is_clock(match: re.Match[str]) -> bool:
    in_day = int(match["hour"] or 0) < 24 and int(match["minute"] or 0) < 60 and int(match["second"] or 0) < 60
    offset = match["offset"]
    return in_day and (offset is None or (bool(_OFFSET.fullmatch(offset)) and offset[1:] <= "1400"))


# --- numbers --------------------------------------------------------------------------------------------------------


def text_number(text: str) -> Number | None:
    """NM (2.A.47) as a FHIR decimal: the digits stay, ``+5`` is 5, ``.5`` is 0.5, ``007`` is 7; None for others."""
    match = _NM.fullmatch(text)
    if match is None or not (match[2] or match[3]) or len(text) > 60:
        return None
    sign = "-" if match[1] == "-" else ""
    fraction = "." + match[3] if match[3] else ""
    return Number(sign + (match[2].lstrip("0") or "0") + fraction)


def number(part: Part) -> Number | None:
    """NM; reported as invalid where it is none."""
    found = text_number(part.peek())
    if found is None:
        part.settle(Outcome.INVALID, "not a number of HL7 v2; left out")
    else:
        part.settle(Outcome.MAPPED)
    return found


def compared(text: str) -> tuple[str | None, Number] | None:
    """``<5``, ``>= 200`` or a plain number: comparator and value."""
    match = _COMPARED.fullmatch(text)
    found = text_number(match[2] if match else text)
    if found is None:
        return None
    return (_COMPARATORS[match[1]] if match else None), found


def units(part: Part) -> JsonObject:
    """CE or CWE as the unit of a Quantity: a code where the code system says UCUM, else the text alone."""
    for first in (1, 4):
        value, display, system = part[first].peek(), part[first + 1].peek(), part[first + 2].peek()
        if value and _CODE.fullmatch(value) and codes.system_of(system) == UCUM:
            for at in (first, first + 1, first + 2):
                part[at].settle(Outcome.MAPPED)
            return {"unit": display or value, "system": UCUM, "code": value}
    value, display = part[1].text(), part[2].peek()
    if not value:
        return sparse(unit=part[2].text())
    if display == value:
        part[2].settle(Outcome.MAPPED)
    else:
        part[2].settle(Outcome.UNMAPPED, "the code stands as the unit")
    return {"unit": value}


def quantity(value: Number | None, unit: JsonObject, comparator: str | None = None) -> dict[str, Json] | None:
    """A Quantity, or None without a value."""
    return None if value is None else sparse(value=value, comparator=comparator, **unit)


def range_of(text: str, unit: JsonObject) -> dict[str, Json]:
    """A reference range (OBX-7, NR): low and high where it is ``4.0-10.5``, ``<5`` or ``>60``; nothing else."""
    if match := _RANGE.fullmatch(text):
        low, high = text_number(match[1]), text_number(match[2])
        if low is not None and high is not None and low <= high:
            return {"low": quantity(low, unit), "high": quantity(high, unit)}
    limit = compared(text)
    if limit is None or limit[0] is None:
        return {}
    return {"high" if limit[0] in ("<", "<=") else "low": quantity(limit[1], unit)}


def structured_number(part: Part, unit: JsonObject) -> dict[str, Json] | None:
    """SN (2.A.71) as ``valueQuantity``, ``valueRange``, ``valueRatio``, or ``valueString`` where it is none of them."""
    sign, first, separator, second = (part[at].text() for at in (1, 2, 3, 4))
    low, high = text_number(first), text_number(second)
    if low is not None and not separator and not second and (sign in _COMPARATORS or sign in ("", "=")):
        return {"valueQuantity": quantity(low, unit, _COMPARATORS.get(sign))}
    if low is not None and high is not None and not sign:
        if separator == "-" and low <= high:
            return {"valueRange": {"low": quantity(low, unit), "high": quantity(high, unit)}}
        if separator in (":", "/"):
            return {"valueRatio": {"numerator": quantity(low, {}), "denominator": quantity(high, {})}}
    text = " ".join(piece for piece in (sign, first, separator, second) if piece)
    return {"valueString": text} if text else None


# --- people, places and identifiers ---------------------------------------------------------------------------------


def system_uri(part: Part, universal: int, kind: int) -> str | None:
    """The URI of an assigning authority (HD), given where its universal id and the kind of that stand."""
    value, named = part[universal].peek(), part[kind].peek().upper()
    uri = None
    if named == "ISO" and re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))+", value):
        uri = f"urn:oid:{value}"
    elif named in ("UUID", "GUID") and re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", value):
        uri = f"urn:uuid:{value.lower()}"
    elif named in ("URI", "URL") and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", value):
        uri = value
    if uri:
        part[universal].settle(Outcome.MAPPED)
        part[kind].settle(Outcome.MAPPED)
    return uri


def identifier(part: Part, kind: str = "") -> JsonObject | None:
    """CX as Identifier; `kind` is the identifier type (table 0203) where CX-5 is empty."""
    value = part[1].text()
    if not value:
        return None
    system = system_uri(part[4], 2, 3)
    named = part[5].text() or kind
    return sparse(
        value=value,
        system=system,
        type=identifier_type(named),
        assigner=sparse(display=part[4][1].text()),
        period=sparse(start=date_time(part[7]), end=date_time(part[8])),
    )


def entity_identifier(part: Part, kind: str) -> JsonObject | None:
    """EI as Identifier of a type of table 0203 (PLAC, FILL …)."""
    value = part[1].text()
    if not value:
        return None
    system = system_uri(part, 3, 4)
    return sparse(value=value, system=system, type=identifier_type(kind), assigner=sparse(display=part[2].text()))


def identifier_type(kind: str) -> JsonObject | None:
    """A code of table 0203 as the type of an Identifier."""
    if not kind:
        return None
    return {"coding": [{"system": codes.table("0203"), "code": kind}]} if _CODE.fullmatch(kind) else {"text": kind}


def human_name(part: Part) -> JsonObject | None:
    """XPN as HumanName."""
    name = sparse(
        family=part[1].text(),
        given=[text for at in (2, 3) if (text := part[at].text())],
        suffix=[text for at in (4, 6) if (text := part[at].text())],
        prefix=[text for at in (5,) if (text := part[at].text())],
    )
    if not name:
        return None
    period = sparse(start=date_time(part[12]), end=date_time(part[13]))
    return {**name, **sparse(use=code(part[7], codes.NAME_USES), period=period)}


def address(part: Part) -> JsonObject | None:
    """XAD as Address."""
    street = " ".join(text for text in (part[1][3].text(), part[1][2].text()) if text)
    found = sparse(
        line=[text for text in (part[1].text(), street, part[2].text()) if text],
        city=part[3].text(),
        state=part[4].text(),
        postalCode=part[5].text(),
        country=part[6].text(),
        district=part[9].text(),
    )
    if found and part[7].peek() in ("M", "SH"):
        part[7].settle(Outcome.MAPPED)
        return {**found, "type": "postal"}
    return {**found, **sparse(use=code(part[7], codes.ADDRESS_USES))} if found else None


def telecom(part: Part, use: str = "") -> JsonObject | None:
    """XTN as ContactPoint; `use` holds where XTN-2 is empty."""
    email = part[4].text()
    value = part[1].text()
    if not value and not email:
        value = (
            "".join(
                mark + text for at, mark in ((5, "+"), (6, " "), (7, " "), (8, " x")) if (text := part[at].text())
            ).strip()
            or part[12].text()
        )
    if not value and not email:
        return None
    equipment = code(part[3], codes.TELECOM_SYSTEMS)
    system = "email" if email and not value else equipment or "phone"
    mobile = "mobile" if part[3].peek() == "CP" else None
    named = code(part[2], codes.TELECOM_USES) if part[2].peek() != "NET" else None
    if part[2].peek() == "NET":
        part[2].settle(Outcome.MAPPED)
        system = "email" if "@" in (value or email) else system
    if email and value:
        part[4].settle(Outcome.MAPPED if email == value else Outcome.UNMAPPED)
    return sparse(system=system, value=value or email, use=mobile or named or use)
