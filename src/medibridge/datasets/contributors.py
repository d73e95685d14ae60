"""The patients who let their data be sold: a CSV that names each by an identifier, and the account to be paid."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from medibridge.errors import UsageError
from medibridge.ids import Address, address

__all__ = ["Contributors"]

_COLUMNS: Final = ("system", "value", "address")


@dataclass(frozen=True)
class Contributors:
    """Who may be in a dataset: the account of each patient, by system and value of an identifier of his.

    One patient may be named by several identifiers, with the same account.
    """

    accounts: Mapping[tuple[str, str], Address] = field(repr=False)

    @classmethod
    def from_csv(cls, text: str) -> Contributors:
        """Read ``system,value,address`` with that heading. Raises `UsageError`, with the line but no value."""
        reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
        accounts: dict[tuple[str, str], Address] = {}
        try:
            heading = [cell.strip().lower() for cell in next(reader, [])]
            if not set(_COLUMNS) <= set(heading):
                raise UsageError(f"the contributors' file begins with the heading {','.join(_COLUMNS)}")
            at = [heading.index(column) for column in _COLUMNS]
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                place = f"line {reader.line_num} of the contributors' file"
                if len(row) <= max(at):
                    raise UsageError(f"{place} has {len(row)} cells; it needs {', '.join(_COLUMNS)}")
                system, value, account = (row[index].strip() for index in at)
                if not value:
                    raise UsageError(f"{place} has no value; give the patient's identifier")
                found = _account(account, place)
                if accounts.setdefault((system, value), found) != found:
                    raise UsageError(f"{place} gives a patient another account than an earlier line; keep one of them")
        except csv.Error:
            raise UsageError(f"line {reader.line_num} of the contributors' file is not CSV; save it again") from None
        if not accounts:
            raise UsageError("the contributors' file names nobody; a dataset needs contributors to be sold")
        return cls(accounts)

    def account_of(self, identifiers: Iterable[tuple[str, str]]) -> Address | None:
        """The account of the patient with these identifiers; None for who is no contributor.

        Raises `UsageError` where they are those of two contributors.
        """
        found = {self.accounts[each] for each in identifiers if each in self.accounts}
        if len(found) > 1:
            raise UsageError("a patient of the source is named twice in the contributors' file, with two accounts")
        return next(iter(found), None)


def _account(text: str, place: str) -> Address:
    try:
        return address(text)
    except UsageError:
        raise UsageError(f"{place} has no Ethereum address; expected 0x and 40 hexadecimal digits") from None
