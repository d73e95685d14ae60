"""Telephone numbers and addresses of electronic mail (XTN, 2.A.89) as ContactPoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import PRIMITIVES, Convert
from medibridge.formats.hl7v2.tables import table
from medibridge.record import Json

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["TELECOM"]

_CONTACT: Final = "http://hl7.org/fhir/StructureDefinition/contactpoint-"
_CDC: Final = "https://reportstream.cdc.gov/fhir/StructureDefinition/"
_PIECES: Final = ((5, "country", "+"), (6, "area", " "), (7, "local", " "), (8, "extension", " X"))
_MAIL: Final = frozenset({"INTERNET", "X.400"})


def _contact(target: str, _: str) -> Convert:
    value_path, extension_path = f"{target}.value", f"{target}.extension.valueString"
    settle_use = _use(target)
    start, end = (PRIMITIVES["dateTime"][1](f"{target}.period.{name}", "") for name in ("start", "end"))
    rank = PRIMITIVES["positiveInt"][1](f"{target}.rank", "")

    def convert(part: Part, draft: Draft) -> Json:
        if part.below is None:
            return {"system": "phone", "value": part.mapped(value_path)} if part.text else None
        pieces = [(f"{_CONTACT}{name}", mark, part[at]) for at, name, mark in _PIECES if part[at].text]
        value, is_mail = _value(part, pieces)
        if not value:
            return None
        extensions = [{"url": url, "valueString": piece.mapped(extension_path)} for url, _, piece in pieces]
        for at in (1, 4, 12):
            if part[at].text == value:
                part[at].mapped(value_path)
            elif part[at].text:
                extensions.append({"url": f"{_CDC}xtn-contact-point", "valueString": part[at].mapped(extension_path)})
        if part[9].text:
            extensions.append(
                {"url": f"{_CDC}xtn-contact-point-comment", "valueString": part[9].mapped(extension_path)}
            )
        found: dict[str, Any] = {"value": value, **settle_use(part, is_mail=is_mail and "@" in value)}
        period = {"start": start(part[13], draft), "end": end(part[14], draft)}
        if any(period.values()):
            found["period"] = {name: when for name, when in period.items() if when}
        if part[18].text and (order := rank(part[18], draft)):
            found["rank"] = order
        if extensions:
            found["extension"] = extensions
        return found

    return convert


def _value(part: Part, pieces: list[tuple[str, str, Part]]) -> tuple[str, bool]:
    """The number or address, and whether it is one of electronic mail."""
    number, use, equipment, email = (part[at].text for at in (1, 2, 3, 4))
    if email and (equipment.upper() in _MAIL or (use == "NET" and not number)):
        return email, True
    is_mail = equipment.upper() in _MAIL or use == "NET"
    whole = part[12].text or number or "".join(mark + piece.text for _, mark, piece in pieces).strip()
    return (whole, is_mail) if whole else (email, True)


def _use(target: str) -> Any:
    """What says of which system and use a number is: XTN-2 and XTN-3."""
    systems, uses = table("TelecomSystem").codes, table("TelecomUse").codes

    def settle(part: Part, *, is_mail: bool) -> dict[str, str]:
        use, equipment = part[2], part[3]
        code = systems.get(equipment.text)
        found = {"system": "email" if is_mail else code.code if code else "phone"}
        if code:
            equipment.mapped(f"{target}.system")
        if use.text == "NET":
            use.mapped(f"{target}.system")
        elif known := uses.get(use.text):
            found["use"] = known.code
            use.mapped(f"{target}.use")
        elif use.text:
            use.settle(Outcome.UNMAPPED, "a use that has no FHIR counterpart")
        if equipment.text == "CP":
            found["use"] = "mobile"
        return found

    return settle


TELECOM: Final = {"XTN": ("ContactPoint", _contact)}
