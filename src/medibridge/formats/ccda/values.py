"""Values of any type: the value of an observation as value[x]."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from medibridge.formats.ccda.document import Leaf, Node
from medibridge.formats.ccda.ledger import Drafted, Taken
from medibridge.formats.ccda.mapping import Mapper, Typed
from medibridge.formats.ccda.quantities import number_of

__all__ = ["any_value", "boolean", "interval", "time"]

_CODED: Final = frozenset({"CD", "CE", "CV", "CO", "CS", "EL"})
_NUMERIC: Final = frozenset({"IVL_PQ", "IVL_INT", "IVL_REAL", "IVL_MO"})


def any_value(mapper: Mapper, node: Node) -> Drafted | Typed:
    """A value of any type (ANY), by xsi:type, or by what it looks like where that is missing."""
    kind = node["xsi:type"].rpartition(":")[2].upper()
    if not kind or kind == "ANY":
        kind = _looks_like(node)
    value = _TYPED.get(kind, _text_value)(mapper, node)
    if value is None and kind not in _CODED and not node["nullFlavor"]:
        value = _raw(mapper, node)
    return value


def _looks_like(node: Node) -> str:
    if node["code"] or node.child("translation") is not None or node.child("originalText") is not None:
        return "CD"
    if node.child("numerator") is not None:
        return "RTO"
    if bound := node.child("low") or node.child("high"):
        return "IVL_PQ" if bound["unit"] or len(bound["value"]) < 4 else "IVL_TS"
    if node["unit"] or number_of(node["value"]) is not None:
        return "PQ"
    return "BL" if node["value"] in ("true", "false") else "ST"


def _raw(mapper: Mapper, node: Node) -> Typed | None:
    """A value that is not what its type says, as it is written."""
    leaf = Leaf(node, "value")
    if not leaf.value or mapper.ledger.strict:
        return None
    unit = Leaf(node, "unit")
    leaves = (leaf, unit) if unit.value else (leaf,)
    return Typed("String", Taken(" ".join(part.value for part in leaves), leaves))


def _text_value(mapper: Mapper, node: Node) -> Typed | None:
    text = mapper.concepts.text(node)
    if text is None:
        return None
    compared = mapper.quantities.compared(text)
    return Typed("Quantity", compared) if compared else Typed("String", text)


def _concept_value(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.concepts.concept(node)
    if found is None and node["value"]:
        return _raw(mapper, node)
    return Typed("CodeableConcept", found) if found else None


def _quantity_value(mapper: Mapper, node: Node) -> Typed | None:
    leaf = Leaf(node, "value")
    if (
        leaf.value
        and number_of(leaf.value) is None
        and (found := mapper.quantities.compared(Taken(leaf.value, (leaf,))))
    ):
        return Typed("Quantity", {**found, **mapper.quantities.unit(node)})
    if not leaf.value:
        return _text_value(mapper, node)
    found = mapper.quantities.quantity(node)
    return Typed("Quantity", found) if found else None


def _integer_value(mapper: Mapper, node: Node) -> Typed | None:
    if not re.fullmatch(r"\d{1,9}", node["value"]):
        return _quantity_value(mapper, node)
    found = mapper.quantities.integer(node)
    return Typed("Integer", found) if found else None


def boolean(node: Node) -> Typed | None:
    """BL as boolean."""
    known = {"true": True, "false": False}.get(node["value"])
    return Typed("Boolean", Taken(known, (Leaf(node, "value"),))) if known is not None else None


def interval(mapper: Mapper, node: Node) -> Typed | None:
    """IVL_PQ as Range, or as Quantity with a comparator."""
    found = mapper.quantities.interval(node)
    return Typed(*found) if found else None


def time(mapper: Mapper, node: Node) -> Typed | None:
    """TS and IVL_TS as dateTime or Period."""
    found = mapper.clock.moment(node)
    return Typed(*found) if found else None


def _ratio_value(mapper: Mapper, node: Node) -> Typed | None:
    found = mapper.quantities.ratio(node)
    return Typed("Ratio", found) if found else None


_TYPED: Final[Mapping[str, Callable[[Mapper, Node], Typed | None]]] = {
    **dict.fromkeys(_CODED, _concept_value),
    **dict.fromkeys(_NUMERIC, interval),
    **dict.fromkeys(("TS", "IVL_TS"), time),
    **dict.fromkeys(("RTO", "RTO_PQ_PQ", "RTO_QTY_QTY"), _ratio_value),
    **dict.fromkeys(("PQ", "REAL", "MO"), _quantity_value),
    "INT": _integer_value,
    "BL": lambda _, node: boolean(node),
}
