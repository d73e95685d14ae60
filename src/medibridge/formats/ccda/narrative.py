"""The narrative of sections: StrucDocText (CDA R2, 4.3.5) as the XHTML that FHIR allows (R4, Narrative, 2.4.0)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final

from medibridge.formats.ccda.document import Node

__all__ = ["Texts", "div", "texts_by_id"]

_ELEMENTS: Final = {
    "content": "span", "paragraph": "p", "list": "ul", "item": "li", "caption": "span", "linkHtml": "a",
    "renderMultiMedia": "span", "footnote": "span", "footnoteRef": "span", "sub": "sub", "sup": "sup", "br": "br",
    "table": "table", "thead": "thead", "tbody": "tbody", "tfoot": "tfoot", "tr": "tr", "th": "th", "td": "td",
    "col": "col", "colgroup": "colgroup",
}  # fmt: skip
_EMPTY: Final = frozenset({"br", "col"})
_ATTRIBUTES: Final = {"colspan": re.compile(r"\d{1,3}"), "rowspan": re.compile(r"\d{1,3}"),
                      "span": re.compile(r"\d{1,3}")}  # fmt: skip
_STYLES: Final = {"Bold": "font-weight:bold", "Italics": "font-style:italic", "Underline": "text-decoration:underline",
                  "Emphasis": "font-style:italic"}  # fmt: skip
_MAX_TEXT: Final = 32 * 2**20

_LINK = re.compile(r"(https?://|mailto:|#)[^\s\"'<>]{1,500}")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_INLINE_PARENTS: Final = frozenset({"table", "thead", "tbody", "tfoot", "tr", "colgroup", "list"})


def div(node: Node) -> str | None:
    """The narrative as one ``div``; None where it holds no text."""
    if not node.all_text():
        return None
    out = ['<div xmlns="http://www.w3.org/1999/xhtml">']
    _write(node, out)
    out.append("</div>")
    return "".join(out)


def _write(top: Node, out: list[str]) -> None:
    """What stands in a node. Elements that FHIR does not allow give way to what stands in them."""
    for item in top.content:
        if isinstance(item, str):
            if top.name not in _INLINE_PARENTS or item.strip():
                out.append(html.escape(_FORBIDDEN.sub("", item), quote=False))
            continue
        name = _ELEMENTS.get(item.name)
        if name == "ul" and item["listType"] == "ordered":
            name = "ol"
        if name is None or (name == "a" and not _LINK.fullmatch(item["href"])):
            _write(item, out)
            continue
        if item.name == "caption":
            name = "caption" if top.name == "table" else "span"
        out.append(f"<{name}{_attributes(item, name)}")
        if name in _EMPTY:
            out.append("/>")
            continue
        out.append(">")
        _write(item, out)
        out.append(f"</{name}>")


def _attributes(node: Node, name: str) -> str:
    found = [f' {key}="{node[key]}"' for key, shape in _ATTRIBUTES.items() if shape.fullmatch(node[key])]
    styles = [_STYLES[code] for code in node["styleCode"].split() if code in _STYLES]
    if styles:
        found.append(f' style="{";".join(styles)}"')
    if name == "a":
        found.append(f' href="{html.escape(node["href"])}"')
    return "".join(found)


class Texts:
    """The parts of the narrative by their ID.

    Gives out no more than `_MAX_TEXT` characters in all, so that small references make no huge output.
    """

    def __init__(self, by_id: Mapping[str, str]) -> None:
        self._by_id = by_id
        self._left = _MAX_TEXT

    def find(self, name: str) -> str:
        """The text of that ID, on one line; empty where there is none."""
        text = self._by_id.get(name, "")
        self._left -= len(text)
        return text if self._left >= 0 else ""


def texts_by_id(root: Node) -> Texts:
    """The text of each part of the narrative that has an ID; nested parts as one text each."""
    found: dict[str, str] = {}
    budget = 0
    for node in root.walk():
        if name := node.attributes.get("ID"):
            text = node.all_text()
            budget += len(text)
            if budget > _MAX_TEXT:
                break
            if text:
                found.setdefault(name.strip(), text)
    return Texts(found)
