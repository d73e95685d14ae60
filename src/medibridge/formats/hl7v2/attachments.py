"""Documents inside a message (ED) and addresses of documents (RP) as Attachment."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

from medibridge.formats.conversion import Outcome
from medibridge.formats.hl7v2.message import Part
from medibridge.formats.hl7v2.primitives import Convert, is_code
from medibridge.record import Json

if TYPE_CHECKING:
    from medibridge.formats.hl7v2.draft import Draft

__all__ = ["ATTACHMENTS"]


def _encapsulated(target: str, _: str) -> Convert:
    """ED (2.A.24) as Attachment: the type of the data, and the data in base64."""

    def convert(part: Part, _draft: Draft) -> Json:
        source, kind, subtype, encoding, data = (part[at] for at in (1, 2, 3, 4, 5))
        if not data:
            return None
        text = "".join(leaf.text for leaf in data.leaves())
        found: dict[str, Any] = {}
        if encoding.text.upper() == "BASE64":
            clean = re.sub(r"\s+", "", text)
            try:
                base64.b64decode(clean, validate=True)
            except (binascii.Error, ValueError):
                data.settle_all(Outcome.INVALID, "not base64; left out")
                return None
            found["data"] = clean
        elif encoding.text.upper() == "HEX":
            try:
                found["data"] = base64.b64encode(bytes.fromhex(text)).decode("ascii")
            except ValueError:
                data.settle_all(Outcome.INVALID, "not hexadecimal; left out")
                return None
        else:
            found["data"] = base64.b64encode(text.encode()).decode("ascii")
        data.whole(f"{target}.data")
        encoding.mapped(f"{target}.data")
        found |= _content_type(kind, subtype, target)
        if source:
            found["title"] = source.whole(f"{target}.title")
        return found

    return convert


_TYPES: Final = {"PDF": "application/pdf", "JPEG": "image/jpeg", "JPG": "image/jpeg", "GIF": "image/gif",
                 "TIFF": "image/tiff", "PNG": "image/png", "RTF": "application/rtf", "HTML": "text/html",
                 "XML": "text/xml", "PLAIN": "text/plain", "TEXT": "text/plain", "TXT": "text/plain",
                 "DICOM": "application/dicom", "MSWORD": "application/msword"}  # fmt: skip


def _content_type(kind: Part, subtype: Part, target: str) -> dict[str, Any]:
    major = {"IM": "image", "AP": "application", "TX": "text", "TEXT": "text", "APPLICATION": "application",
             "IMAGE": "image", "AU": "audio", "VI": "video", "AUDIO": "audio", "VIDEO": "video"}.get(
        kind.text.upper()
    )  # fmt: skip
    known = _TYPES.get(subtype.text.upper()) or _TYPES.get(kind.text.upper())
    media = known or (f"{major}/{subtype.text.lower()}" if major and is_code(subtype.text) else None)
    if media is None and re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", kind.text.lower()):
        media = kind.text.lower()
    if media is None:
        return {}
    kind.mapped(f"{target}.contentType")
    subtype.mapped(f"{target}.contentType")
    return {"contentType": media}


def _pointer(target: str, _: str) -> Convert:
    """RP (2.A.65) as Attachment: the address of the data."""

    def convert(part: Part, _draft: Draft) -> Json:
        if not part[1].text:
            return None
        found: dict[str, Any] = {}
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", part[1].text):
            found["url"] = part[1].mapped(f"{target}.url")
        else:
            found["title"] = part[1].mapped(f"{target}.title")
        found |= _content_type(part[3], part[4], target)
        if part[2]:
            shown = part[2].whole(f"{target}.title")
            found["title"] = f"{found['title']} {shown}" if "title" in found else shown
        return found

    return convert


ATTACHMENTS: Final = {"ED": ("Attachment", _encapsulated), "RP": ("Attachment", _pointer)}
