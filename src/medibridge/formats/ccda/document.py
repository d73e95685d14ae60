"""A clinical document (HL7 CDA R2) as a tree of nodes. XML is read without entities, without network, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from medibridge.errors import MalformedMessage

__all__ = ["MAX_SIZE", "Leaf", "Node", "Work", "find_root", "parse"]

MAX_SIZE: Final = 32 * 2**20
"""Bytes of a document; the largest of the samples has a quarter of a megabyte."""

_MAX_DEPTH: Final = 100
_MAX_ITEMS: Final = 1_000_000
_STEPS: Final = 40
"""How often each element may be looked at on average; in real documents it is three times."""
_BLOCK: Final = 64 * 2**10

_V3: Final = "urn:hl7-org:v3"
_PREFIXES: Final = {
    _V3: "",
    "urn:hl7-org:sdtc": "sdtc:",
    "http://www.w3.org/2001/XMLSchema-instance": "xsi:",
    "http://www.w3.org/XML/1998/namespace": "xml:",
}
_INLINE: Final = frozenset({"content", "sub", "sup", "linkHtml", "footnote", "footnoteRef", "reference"})
"""Elements of the narrative that stand within a word or line."""

_NAME = re.compile(r"([a-z]{3,4}:)?[A-Za-z][A-Za-z0-9]{0,39}")
_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?ClinicalDocument(?=[\s/>])[^<]*")
_BYTE_ORDER_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


class Work:
    """How much may be looked at, so that a document costs time in proportion to its size, however it is built."""

    def __init__(self) -> None:
        self._left = 200_000

    def allow(self, steps: int) -> None:
        """More may be looked at."""
        self._left += steps

    def spend(self, steps: int) -> None:
        """So much is looked at. Raises `MalformedMessage` where it is too much."""
        self._left -= steps
        if self._left < 0:
            raise MalformedMessage("one entry repeats its parts too often to be read; split it into several entries")


class Leaf(NamedTuple):
    """An attribute of a node, or its text where `attribute` is empty: the smallest thing that the report names."""

    node: Node
    attribute: str

    @property
    def value(self) -> str:
        """Without white space around it."""
        return self.node[self.attribute] if self.attribute else self.node.text

    @property
    def place(self) -> str:
        """For instance ``component.structuredBody.component[2].section.code@code``; positions count from 1."""
        return f"{self.node.place}@{_shown(self.attribute)}" if self.attribute else self.node.place


class Node:
    """An element. Its name is that of CDA; elements of other namespaces begin with ``sdtc:``, ``xsi:`` or ``?:``.

    `content` is what stands in it, in order: texts and nodes.
    """

    __slots__ = ("_named", "_place", "attributes", "content", "name", "parent", "position", "work")

    def __init__(self, name: str, attributes: Mapping[str, str], parent: Node | None, work: Work) -> None:
        self.name = name
        self.attributes = attributes
        self.parent = parent
        self.work = work
        self.content: list[Node | str] = []
        self.position = 0
        self._named: dict[str, list[Node]] | None = None
        self._place = ""

    def __getitem__(self, attribute: str) -> str:
        """An attribute's value without white space around it; empty where there is none."""
        return self.attributes.get(attribute, "").strip()

    def __repr__(self) -> str:
        return f"<Node {self.place}>"

    @property
    def children(self) -> list[Node]:
        """The elements in this one."""
        return [item for item in self.content if isinstance(item, Node)]

    def named(self, name: str) -> list[Node]:
        """The children of that name."""
        if self._named is None:
            self._named = {}
            for child in self.children:
                alike = self._named.setdefault(child.name, [])
                alike.append(child)
                child.position = len(alike)
        return self._named.get(name, [])

    def child(self, name: str) -> Node | None:
        """The first child of that name."""
        return next(iter(self.named(name)), None)

    @property
    def text(self) -> str:
        """What stands directly in this element, its white space put together."""
        return " ".join("".join(item for item in self.content if isinstance(item, str)).split())

    def all_text(self) -> str:
        """What stands in this element and below, as one line."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        pending: list[Node | str] = [self]
        while pending:
            item = pending.pop()
            if isinstance(item, str):
                yield item
            elif item.name in _INLINE:
                pending.extend(reversed(item.content))
            else:
                pending.extend((" ", *reversed(item.content), " "))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in the order of the document."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node.children))

    def ancestors(self) -> Iterator[Node]:
        """From the parent up."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def leaves(self) -> Iterator[Leaf]:
        """The attributes that have a value, then the text."""
        for name, value in self.attributes.items():
            if value.strip():
                yield Leaf(self, name)
        if self.text:
            yield Leaf(self, "")

    @property
    def place(self) -> str:
        """The path from below the root; a position stands where several elements of one name stand together."""
        if not self._place and self.parent is not None:
            above = self.parent.place + "." if self.parent.parent is not None else ""
            self._place = above + self._step()
        return self._place or "ClinicalDocument"

    def _step(self) -> str:
        alone = self.parent is None or len(self.parent.named(self.name)) == 1
        return _shown(self.name) if alone else f"{_shown(self.name)}[{self.position}]"


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else "?"


class _Builder:
    """Builds the tree from what the parser meets; refuses what no clinical document needs."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._work = Work()
        self._open: list[Node] = []
        self._items = 0
        self._is_narrative = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._count(1 + len(attributes))
        self._work.allow(_STEPS)
        if len(self._open) >= _MAX_DEPTH:
            raise MalformedMessage(f"the document is nested deeper than {_MAX_DEPTH} elements; send flat sections")
        parent = self._open[-1] if self._open else None
        node = Node(
            _name(tag), {_attribute_name(name): value for name, value in attributes.items()}, parent, self._work
        )
        if parent is None:
            self.root = node
        else:
            parent.content.append(node)
        self._open.append(node)
        self._is_narrative = self._is_narrative or node.name == "text"

    def end(self, tag: str) -> None:  # noqa: ARG002 - the parser's interface
        if self._open.pop().name == "text":
            self._is_narrative = any(node.name == "text" for node in self._open)

    def data(self, text: str) -> None:
        content = self._open[-1].content
        if text.isspace() and not self._is_narrative and not (content and isinstance(content[-1], str)):
            return
        self._count(1)
        content.append(text)

    def doctype(self, name: str, public: str | None, system: str | None) -> None:  # noqa: ARG002 - the parser's interface
        raise MalformedMessage("the document has a DOCTYPE; CDA has none, and entities are not read; leave it out")

    def close(self) -> Node | None:
        return self.root

    def _count(self, more: int) -> None:
        self._items += more
        if self._items > _MAX_ITEMS:
            raise MalformedMessage(f"the document has more than {_MAX_ITEMS} elements, attributes and texts; split it")


def _name(tag: str) -> str:
    namespace, _, name = tag.rpartition("}")
    # A prefix that the document forgot to declare leaves no namespace; it is nearly always sdtc.
    return _PREFIXES.get(namespace[1:], "?:") + name if namespace else "sdtc:" + name


def _attribute_name(tag: str) -> str:
    namespace, _, name = tag.rpartition("}")
    if namespace:
        return _PREFIXES.get(namespace[1:], "?:") + name
    return "xsi:type" if name == "type" else name


def parse(data: bytes) -> Node:
    """Read a document. Raises `MalformedMessage`, naming the line, for what is not XML, not a ClinicalDocument, has a
    DOCTYPE, or is larger than `MAX_SIZE`.
    """
    from lxml import etree  # noqa: PLC0415 - slow to import

    if len(data) > MAX_SIZE:
        raise MalformedMessage(f"the document is larger than {MAX_SIZE // 2**20} MiB; split it")
    builder: Any = _Builder()  # lxml asks its target only for what it has
    parser = etree.XMLParser(
        target=builder, resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    data = data.lstrip(b" \t\r\n")
    try:
        for start in range(0, len(data), _BLOCK):
            parser.feed(data[start : start + _BLOCK])
        root = parser.close()
    except etree.XMLSyntaxError as problem:
        where = f"line {problem.lineno}" if problem.lineno else "its beginning"
        raise MalformedMessage(f"the XML breaks at {where}; it may be cut off, send it complete") from None
    except (LookupError, ValueError, AssertionError):
        raise MalformedMessage("the XML is not in the encoding that it names; send it in UTF-8") from None
    if not isinstance(root, Node) or root.name != "ClinicalDocument":
        raise MalformedMessage("line 1 does not begin a ClinicalDocument of urn:hl7-org:v3; send a clinical document")
    return root


def find_root(start: bytes) -> bool:
    """Whether bytes begin an XML document whose root is a ClinicalDocument of HL7 v3. Never raises."""
    encoding = "utf-8"
    for mark, name in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            start, encoding = start[len(mark) :], name
            break
    else:
        if start[:4] in (b"<\0?\0", b"\0<\0?"):
            encoding = "utf-16-le" if start[1] == 0 else "utf-16-be"
    text = start.decode(encoding, "replace")
    at = 0
    while True:
        while text[at : at + 1].isspace():
            at += 1
        if text.startswith("<?", at):
            end, width = text.find("?>", at), 2
        elif text.startswith("<!--", at):
            end, width = text.find("-->", at + 4), 3
        elif text.startswith("<!DOCTYPE", at):
            inner, close = text.find("[", at), text.find(">", at)
            end = text.find("]", inner) if 0 <= inner < close else close
            end, width = (text.find(">", end), 1) if end >= 0 else (-1, 1)
        else:
            match = _ROOT.match(text, at)
            return match is not None and _V3 in match[0]
        if end < 0:
            return False
        at = end + width
