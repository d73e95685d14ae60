"""Where a dataset lies while it is made: in duckdb on the disk, so that memory does not grow with it.

Nothing of the source is here but what the policy lets through, under new ids already.
"""

# ruff: noqa: S608 - what goes into these queries is in the code, none of it is from outside

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from medibridge.datasets.quasi import ALIVE, ALL, UNKNOWN
from medibridge.errors import UsageError
from medibridge.record import Json, JsonObject, canonical_json, parse_json

if TYPE_CHECKING:
    import duckdb

__all__ = ["Staging", "object_in", "references_and_codes"]

_BATCH: Final = 4_000
_MEMORY: Final = "256MB"

Prune = Callable[[JsonObject, frozenset[str]], JsonObject | None]
"""From a resource and the references in it that lead nowhere to the resource without them; None where it must go."""


class Staging:
    """The patients and resources of a dataset on their way into it."""

    def __init__(self, directory: Path) -> None:
        try:
            import duckdb  # noqa: PLC0415 - optional
            import pyarrow  # noqa: F401, PLC0415 - optional
        except ImportError:
            raise UsageError("datasets need extra packages; install medibridge[datasets]") from None
        self._failure: type[Exception] = duckdb.Error
        self._connection = duckdb.connect(str(directory / "staging.duckdb"))
        self._connection.execute(f"SET memory_limit = '{_MEMORY}'")
        self._connection.execute(f"SET temp_directory = '{directory / 'spill'}'".replace("\\", "/"))
        self._connection.execute("SET preserve_insertion_order = false")
        self._connection.execute("SET enable_progress_bar = false")
        values = ", ".join(f"{name} VARCHAR" for name in ALL)
        self._connection.execute(
            f"CREATE TABLE met (seq BIGINT, patient VARCHAR, {values}, whole VARCHAR, account VARCHAR)"
        )
        self._connection.execute(
            "CREATE TABLE staged (seq BIGINT, patient VARCHAR, kind VARCHAR, id VARCHAR, content VARCHAR, "
            "code VARCHAR, codes VARCHAR[], refs VARCHAR[])"
        )
        self._waiting: dict[str, list[dict[str, object]]] = {"met": [], "staged": []}
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(exc, self._failure):
            raise UsageError(
                "the dataset cannot be made here; see that the disk has room, and memory is left"
            ) from None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The database: tables `people` (one row a patient) and `alive` (one a resource), once `settle` was called."""
        return self._connection

    def add_patient(
        self, patient: str, values: Mapping[str, str], whole: JsonObject | None, account: str | None
    ) -> None:
        """A patient of the source; what comes later of the same one counts.

        `whole` are the elements of the Patient, for a dataset that tells them whole.
        """
        content = None if whole is None else canonical_json(whole).decode()
        self._add("met", {"patient": patient, **values, "whole": content, "account": account})

    def add_resource(self, patient: str, resource: JsonObject, code: str | None, systems: frozenset[str]) -> None:
        """A resource that passed. `systems` are those whose codes may turn out to be rare."""
        references, codes = references_and_codes(resource)
        rare = sorted(each for each in codes if each.rpartition("|")[0] in systems)
        self._add(
            "staged",
            {
                "patient": patient,
                "kind": resource["resourceType"],
                "id": resource["id"],
                "content": canonical_json(resource).decode(),
                "code": code,
                "codes": rare,
                "refs": sorted(references - {f"Patient/{patient}"}),
            },
        )

    def settle(self) -> None:
        """All is in: of each patient and each resource the last version counts."""
        self._flush("met")
        self._flush("staged")
        values = ", ".join(f"coalesce(m.{name}, '{ALIVE if name == 'death' else UNKNOWN}') AS {name}" for name in ALL)
        self.run(
            f"""CREATE TABLE people AS
            SELECT p.patient, {values}, m.whole, a.account
            FROM (SELECT patient FROM met UNION SELECT patient FROM staged) p
            LEFT JOIN (SELECT * FROM met QUALIFY row_number() OVER (PARTITION BY patient ORDER BY seq DESC) = 1) m
            ON p.patient = m.patient
            LEFT JOIN (SELECT patient, max(account) AS account FROM met GROUP BY patient) a ON p.patient = a.patient"""
        )
        self.run(
            """CREATE TABLE alive AS SELECT * FROM staged
            QUALIFY row_number() OVER (PARTITION BY kind, id ORDER BY seq DESC) = 1"""
        )
        self.run("DROP TABLE met")
        self.run("DROP TABLE staged")

    def keep_only_released(self) -> int:
        """Leave out what is of no patient in the table `released`; how many resources that were."""
        return self._delete("patient NOT IN (SELECT patient FROM released)")

    def drop_rare(self, k: int) -> int:
        """Leave out the resources with a code that fewer than k patients have; how many these were."""
        self.run(
            f"""CREATE TABLE rare AS SELECT code FROM
            (SELECT DISTINCT patient, unnest(codes) AS code FROM alive) GROUP BY code HAVING count(*) < {int(k)}"""
        )
        return self._delete("list_has_any(codes, (SELECT coalesce(list(code), []) FROM rare))")

    def drop_dangling(self, prune: Prune) -> tuple[int, int]:
        """Take out references that lead nowhere, until none does: how many resources were changed, and dropped."""
        changed = dropped = 0
        while True:
            self.run(
                """CREATE OR REPLACE TABLE dangling AS SELECT kind, id, list(ref) AS refs FROM
                (SELECT kind, id, unnest(refs) AS ref FROM alive) r
                WHERE ref NOT IN (SELECT kind || '/' || id FROM alive) GROUP BY kind, id"""
            )
            self.run("CREATE OR REPLACE TABLE staged AS SELECT * FROM alive LIMIT 0")
            self.run("ALTER TABLE staged ADD COLUMN seen BIGINT")
            found = self._select(
                """SELECT a.seq, a.patient, a.kind, a.id, a.content, a.code, a.codes, a.refs, d.refs AS dead
                FROM dangling d JOIN alive a ON a.kind = d.kind AND a.id = d.id"""
            )
            count = lost = 0
            for seq, patient, kind, own_id, content, code, codes, refs, dead in found:
                count += 1
                pruned = prune(object_in(content), frozenset(dead))
                row = {"patient": patient, "kind": kind, "id": own_id, "code": code, "codes": codes, "content": None}
                row |= {"refs": [each for each in refs if each not in set(dead)], "seen": seq}
                if pruned is not None:
                    row["content"] = canonical_json(pruned).decode()
                else:
                    lost += 1
                self._add("staged", row)
            if not count:
                return changed, dropped
            self._flush("staged")
            self.run("DELETE FROM alive WHERE kind || '/' || id IN (SELECT kind || '/' || id FROM dangling)")
            self.run(
                """INSERT INTO alive SELECT seen, patient, kind, id, content, code, codes, refs FROM staged
                WHERE content IS NOT NULL"""
            )
            changed, dropped = changed + count - lost, dropped + lost

    def released(self) -> Iterator[tuple[str, dict[str, str], str | None, str | None, int]]:
        """Each patient of the dataset: id, values of the quasi-identifiers, whole, account, size of the class."""
        names = ", ".join(ALL)
        for patient, *rest in self._select(
            f"SELECT patient, {names}, whole, account, size FROM released ORDER BY patient"
        ):
            values = dict(zip(ALL, rest, strict=False))
            whole, account, size = rest[len(ALL) :]
            yield patient, values, whole, account, size

    def resources(self) -> Iterator[tuple[str, str, str]]:
        """Each resource of the dataset: patient, type and content. By patient; what others refer to comes first."""
        yield from self._select(
            """SELECT patient, kind, content FROM alive
            ORDER BY patient, CASE kind WHEN 'Medication' THEN 0 ELSE 1 END, kind, id"""
        )

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query that gives few."""
        return self._connection.execute(query).fetchall()

    def _select(self, query: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that may give many. Its cursor is its own, so that others may write meanwhile."""
        cursor = self._connection.cursor()
        for batch in cursor.sql(query).to_arrow_reader(_BATCH):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def _delete(self, condition: str) -> int:
        [(count,)] = self.run(f"SELECT count(*) FROM alive WHERE {condition}")
        self.run(f"DELETE FROM alive WHERE {condition}")
        return int(count)

    def _add(self, table: str, row: dict[str, object]) -> None:
        self._count += 1
        waiting = self._waiting[table]
        waiting.append({"seq": self._count, **row})
        if len(waiting) >= _BATCH:
            self._flush(table)

    def _flush(self, table: str) -> None:
        import pyarrow as pa  # noqa: PLC0415 - optional

        waiting = self._waiting[table]
        if not waiting:
            return
        text, texts = pa.string(), pa.list_(pa.string())
        kinds = {"seq": pa.int64(), "seen": pa.int64(), "codes": texts, "refs": texts}
        schema = pa.schema([(name, kinds.get(name, text)) for name in waiting[0]])
        self._connection.register("batch", pa.Table.from_pylist(waiting, schema=schema))
        self.run(f"INSERT INTO {table} BY NAME SELECT * FROM batch")
        self._connection.unregister("batch")
        waiting.clear()


def references_and_codes(resource: JsonObject) -> tuple[set[str], set[str]]:
    """The references in a resource that passed, and its codes as ``system|code``."""
    references: set[str] = set()
    codes: set[str] = set()
    pending: list[Json] = [resource]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(reference := value.get("reference"), str):
                references.add(reference)
            elif isinstance(code := value.get("code"), str) and isinstance(value.get("system"), str):
                codes.add(f"{value['system']}|{code}")
            pending.extend(value.values())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            pending.extend(value)
    return references, codes


def object_in(content: str) -> JsonObject:
    """The JSON object that `Staging` wrote."""
    value = parse_json(content.encode())
    assert isinstance(value, Mapping)  # noqa: S101 - it did
    return value
