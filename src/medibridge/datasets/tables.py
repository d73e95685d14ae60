"""The table of who is in a dataset, and the dictionary of all its tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from medibridge.datasets.quasi import ALL
from medibridge.formats.tables import flat

__all__ = ["COHORT", "Cohort", "dictionary_of"]

COHORT: Final = "cohort"
"""The table of patients by quasi-identifiers, as coarse as the dataset tells them."""

_BATCH: Final = 5_000
_COLUMNS: Final = {
    "patient": ("text", "The id of the patient; the other tables name the patient by it."),
    "sex": ("code", "male, female, other; * where the dataset does not tell."),
    "birth": ("text", "Year of birth, or first and last year that it may be; 90+ for ages above 89; * if not told."),
    "zip": ("text", "First digits of the ZIP code; 000 where few people live; * where the dataset does not tell."),
    "death": ("text", "Year of death, or first and last year that it may be; dead; * where the dataset does not tell."),
    "class_size": ("number", "How many patients of the dataset are alike in all of these."),
}


class Cohort:
    """Writes ``cohort.parquet``: a row a patient, in memory that does not grow with them."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 - optional
        import pyarrow.parquet as pq  # noqa: PLC0415

        fields = [(name, pa.int64() if kind == "number" else pa.string()) for name, (kind, _) in _COLUMNS.items()]
        self._table, self._schema = pa.Table, pa.schema(fields)
        self._writer: Any = pq.ParquetWriter(folder / f"{COHORT}.parquet", self._schema, compression="zstd")
        self._waiting: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, patient: str, values: Mapping[str, str], size: int) -> None:
        """A patient, with the values that the dataset tells and the size of the class."""
        self._waiting.append({"patient": patient, **{name: values[name] for name in ALL}, "class_size": size})
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._table.from_pylist(self._waiting, schema=self._schema))
            self._waiting.clear()


def dictionary_of(tables: Mapping[str, int]) -> list[dict[str, str]]:
    """Table, column, type, description and source of every column of these tables, and of the cohort."""
    cohort = [
        {"table": COHORT, "column": name, "type": kind, "description": text, "source": "Patient"}
        for name, (kind, text) in _COLUMNS.items()
    ]
    return [*cohort, *(dict(each) for each in flat.dictionary() if each["table"] in tables)]
