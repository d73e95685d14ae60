"""One message as FHIR R4: segments are placed into groups, each is seen by its views; ids and references follow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from medibridge.errors import MalformedMessage, UnknownFormat
from medibridge.formats.conversion import Conversion, Detected, Finding, Origin, Outcome, Piece
from medibridge.formats.hl7v2.draft import Draft, Item, named_by
from medibridge.formats.hl7v2.groups import ATTACHED, Group, MessageMap, message_map, message_types, place_segments
from medibridge.formats.hl7v2.message import Message, Part, Segment, parse
from medibridge.formats.hl7v2.rules import fresh
from medibridge.formats.hl7v2.site import add_site_segment
from medibridge.formats.hl7v2.steps import conversion_of, run_on_segment
from medibridge.formats.hl7v2.views import Link, View
from medibridge.formats.settings import Settings

__all__ = ["ACCEPTS", "read"]

_VERSION = re.compile(r"2\.[1-9](\.[0-9]){0,2}")
_UNKNOWN_SUBJECT: Final = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}


_MAX_PATIENTS: Final = 200
"""In one message; what comes before the first is read with each."""


def _accepts() -> str:
    events: dict[str, list[str]] = {}
    for name in message_types():
        kind, _, event = name.partition("^")
        if event != "*":
            events.setdefault(kind, []).append(event)
    named = ", ".join(f"{kind}^{'/'.join(sorted(found))}" for kind, found in sorted(events.items()))
    return f"HL7 v2.1 to v2.9 {named}, and other messages by their segments"


ACCEPTS: Final = _accepts()


def read(piece: Piece, settings: Settings) -> list[Conversion]:
    """Read one message: one conversion for each PID. Raises `UnknownFormat` for other versions, `MalformedMessage` for
    broken messages.
    """
    message = parse(piece.data)
    kind, event, version = _kind_of(message)
    shown = f"{kind}^{event}" if event else kind
    detected = Detected(f"HL7 v{version} {shown}", f"it begins with MSH, MSH-9 says {shown} and MSH-12 {version}")
    found = message_map(kind, event)
    _compare_batch(message, piece)
    return [_converted(one, found, settings, detected, piece.place) for one in _by_patient(message)]


def _by_patient(message: Message) -> list[Message]:
    """The message, or where it is about several patients (A17, some ORU) one for each, all with what comes first."""
    starts = [at for at, segment in enumerate(message.segments) if segment.name == "PID"]
    if len(starts) < 2:
        return [message]
    if len(starts) > _MAX_PATIENTS:
        raise MalformedMessage(f"the message is about more than {_MAX_PATIENTS} patients; send one for each")
    first = message.segments[: starts[0]]
    ends = [*starts[1:], len(message.segments)]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        is_last = end == len(message.segments)
        part = Message(
            first + message.segments[start:end], message.grammar, unterminated=message.unterminated and is_last
        )
        part.defaults.extend(message.defaults if is_last else ())
        parts.append(part)
    return parts


def _converted(message: Message, found: MessageMap, settings: Settings, detected: Detected, place: str) -> Conversion:
    draft = Draft(message, settings)
    pending = list(_build(draft, Group(found.root, None), message))
    _refuse_cut(message, pending)
    if settings.strict:
        _refuse_incomplete(message, found, pending)
    for wanted in _lacking(message, found):
        message.default(str(message.segments[-1]), f"the message lacks {wanted}; read without it")
    _finish(draft, pending)
    if message.unterminated:
        message.default(str(message.segments[-1]), "the last segment has no line end; taken as complete")
    report = message.report()
    if settings.strict:
        for finding in report.findings:
            if finding.outcome is Outcome.INVALID:
                raise MalformedMessage(f"{finding.place} is {finding.reason.partition(';')[0]}; send it as HL7 v2 says")
    header = message.header
    sent = conversion_of("instant", "", "")[1](Part(header[7].text), draft)
    origin = Origin(" ".join(filter(None, (header[4].text, header[3].text))), header[10].text, str(sent or ""))
    return Conversion(detected, draft.finish(), report, found.about, origin=origin, place=place)


def _kind_of(message: Message) -> tuple[str, str, str]:
    """Message type, event and version (MSH-9, MSH-12)."""
    header = message.header
    for at, what in ((9, "the message type"), (12, "the HL7 version")):
        if not header[at]:
            raise MalformedMessage(
                f"MSH[1]-{at} ({what}) is empty, but HL7 v2 requires it; the message may be cut off, send it complete"
            )
    version = header[12].text
    if not _VERSION.fullmatch(version):
        raise UnknownFormat(f"MSH[1]-12 names no version of HL7 that is read; accepted is {ACCEPTS}")
    kind, event, structure = (header[9][at].text.upper() for at in (1, 2, 3))
    if not event and "_" in kind:
        kind, _, event = kind.partition("_")
    if not event and "_" in structure:
        event = structure.partition("_")[2]
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", kind) or not re.fullmatch(r"([A-Z][A-Z0-9]{2})?", event):
        raise UnknownFormat(f"MSH[1]-9 names a message that is not read; accepted is {ACCEPTS}")
    return kind, event, version


def _build(draft: Draft, root: Group, message: Message) -> Iterator[tuple[Item, View, Group, Segment]]:
    """Let every view read its segment. Gives each pair of resource and view once, in order."""
    for segment, group, views in place_segments(message.segments, root):
        for view in views:
            if view.when is not None and not view.when(segment, group):
                continue
            known = group.items.get(view.name)
            if view.joins:
                above = group.nearest(view.name)
                if above is None:
                    continue
                item = above
            elif known:
                item = known[-1]
            else:
                item = draft.item(view.kind, segment)
                group.add(view.name, item)
            run_on_segment(view.steps, segment, item.elements, draft, group)
            yield item, view, group, segment
            if segment.name in ATTACHED:
                break
        if segment.name[0] == "Z" and segment.name in draft.profile.segments:
            add_site_segment(segment, draft, draft.profile.segments[segment.name])


# --- what is missing ------------------------------------------------------------------------------------------------


def _refuse_cut(message: Message, pending: list[tuple[Item, View, Group, Segment]]) -> None:
    """A message whose last segment has no line end and ends before what it must have is cut off."""
    last = message.segments[-1]
    if not message.unterminated:
        return
    if last.name == "MSH" and last.width < 12:
        raise MalformedMessage("the message ends within MSH[1]; it is cut off, send it again")
    for _, view, _, segment in pending:
        if segment is not last:
            continue
        for field, what in view.required:
            if not last[field] and last.width <= field:
                raise MalformedMessage(
                    f"{last}-{field} ({what}) is empty, but HL7 v2 requires it; the message may be cut off; "
                    "send it complete"
                )
    if last.width < _VALUES.get(last.name, 0):
        raise MalformedMessage(
            f"{last} ends before its value ({last}-{_VALUES[last.name]}) and without a line end; it is cut off, "
            "send it again"
        )
    elders = [segment for segment in message.all(last.name) if segment is not last]
    if elders and last.name in _ENDS and all(segment[_ENDS[last.name]] for segment in elders):
        field = _ENDS[last.name]
        if last.width < field:
            raise MalformedMessage(
                f"{last}-{field} is empty, but is valued in every {last.name} before; the message may be cut off; "
                "send it complete"
            )


_VALUES: Final = {"OBX": 5, "RXA": 5, "RXE": 2, "DG1": 3, "AL1": 3}
"""The field for which a segment is sent."""

_ENDS: Final = {"OBX": 11, "RXA": 20}
"""A field late in a segment: a last segment that lacks it, unlike its elders, was cut."""


def _refuse_incomplete(message: Message, found: MessageMap, pending: list[tuple[Item, View, Group, Segment]]) -> None:
    """What strict reading asks for: the segments that the message needs, and the fields that these need."""
    for wanted in _lacking(message, found):
        raise MalformedMessage(
            f"the message lacks {wanted}, which it needs; it may be cut off after {message.segments[-1]}, send it again"
        )
    for _, view, _, segment in pending:
        for field, what in view.required:
            if not segment[field]:
                raise MalformedMessage(f"{segment}-{field} ({what}) is empty, but HL7 v2 requires it; send it complete")


def _lacking(message: Message, found: MessageMap) -> list[str]:
    """The segments that the message needs and does not have: ``ORC or OBR``."""
    present = {segment.name for segment in message.segments}
    return [name.replace("/", " or ") for name in found.requires if not present.intersection(name.split("/"))]


# --- ids and references ---------------------------------------------------------------------------------------------


def _finish(draft: Draft, pending: list[tuple[Item, View, Group, Segment]]) -> None:
    """Defaults, then ids, then references, which need both."""
    first: dict[int, tuple[Item, View, Group]] = {}
    for item, view, group, segment in pending:
        for default in view.defaults:
            if not default.target.is_present(item.elements) and (default.when is None or default.when(segment, group)):
                default.target.put(item.elements, fresh(default.constant), None)
                shown = default.constant if isinstance(default.constant, str) else "a code for it"
                draft.message.default(f"{segment}-{default.field}", f"no {default.target.name}; {shown}")
        if id(item) not in first or (view.identities and not first[id(item)][1].identities):
            first[id(item)] = (item, view, group)
    for item, view, group in first.values():
        _identify(draft, item, view, group)
    for item, view, _, segment in pending:
        if view.rest:
            _keep_rest(item, view.rest, segment)
    linked: set[tuple[int, str]] = set()
    for item, view, group, _ in pending:
        for link in view.links:
            if (id(item), link.target.name) not in linked:
                linked.add((id(item), link.target.name))
                _link(draft, item, link, group)


def _keep_rest(item: Item, url: str, segment: Segment) -> None:
    """Keep every value that nothing has mapped in an extension, by its place: ``PV1.3.6``."""
    target = f"{item.kind}.extension.extension.valueString"
    unread: list[tuple[str, Part]] = []
    for field, repetitions in segment.fields.items():
        for part in repetitions:
            part.unread(f"{segment.name}.{field}", unread)
    kept = [{"url": place, "valueString": leaf.text} for place, leaf in unread]
    for _, leaf in unread:
        leaf.outcome, leaf.reason, leaf.target = Outcome.MAPPED, "R4 has no element for it", target
    if kept:
        known = item.elements.setdefault("extension", [])
        found = next((one for one in known if one.get("url") == url and "extension" in one), None)
        if found is None:
            known.append({"url": url, "extension": kept})
        else:
            found["extension"].extend(kept)


def _identify(draft: Draft, item: Item, view: View, group: Group) -> None:
    for identity in view.identities:
        if identity.identifier:
            for identifier in _identifiers(item.elements, identity.identifier):
                if own_id := draft.id_by(item.kind, identifier):
                    draft.name(item, own_id)
                    return
        else:
            around = next((found for name in identity.within if (found := group.nearest(name)) and found.id), None)
            values = [
                item.segment[int(name)].words() if name.isdigit() else item.elements.get(name) for name in identity.by
            ]
            if around is not None and any(values):
                named = named_by(values)
                draft.name(item, draft.names.of(item.kind, "within", around.key, named))
                return
    draft.name(item, draft.place_id(item))


def _identifiers(elements: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for identifier in elements.get("identifier", ()):
        if kind == "any":
            yield identifier
            continue
        for coding in identifier.get("type", {}).get("coding", ()):
            if coding.get("code") == kind:
                yield identifier


def _link(draft: Draft, item: Item, link: Link, group: Group) -> None:
    if link.mode == "each":
        for one in group.below.get(link.to, ()):
            link.target.put(item.elements, {"reference": one.key}, fresh(link.constants))
        return
    if link.target.is_taken(item.elements) or (link.mode == "else" and link.target.is_present(item.elements)):
        return
    found = group.sole(link.to) if link.mode == "sole" else group.nearest(link.to)
    if found is not None and found is not item:
        link.target.put(item.elements, {"reference": found.key}, fresh(link.constants))
    elif link.required:
        link.target.put(item.elements, fresh(_UNKNOWN_SUBJECT), fresh(link.constants))
        draft.message.default(str(item.segment), f"no {link.to} for {link.target.name}; unknown")


def _compare_batch(message: Message, piece: Piece) -> None:
    """BTS-1, the number of messages of a batch, where its trailer follows this message."""
    counted, _, trailer = piece.start.partition(b" ")
    said = trailer[4:].split(trailer[3:4] or b"|")[0].strip()
    if counted.isdigit() and said.isdigit() and int(said) != int(counted):
        reason = "the batch has another number of messages than its trailer says"
        message.defaults.append(Finding("BTS[1]-1", Outcome.INVALID, reason))
