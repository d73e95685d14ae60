"""What becomes of a message that a listener got: an output and a report, as for a file of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medibridge.bulk.listening import Acknowledgement, acknowledge
from medibridge.bulk.publishing import Draft
from medibridge.bulk.reports import Reports, line_of
from medibridge.bulk.shapes import Shape, lines_of
from medibridge.errors import MalformedMessage
from medibridge.formats import Conversion, Refused, Settings, read_all

__all__ = ["Receiver"]


@dataclass(frozen=True)
class Receiver:
    """Converts one message after the other into a folder: a `Handle` of `bulk.listening`.

    The files are named by the SHA-256 of the message, so a message that comes again changes nothing. `then` is
    called with the conversions before they are written; what it raises, the sender is told.
    """

    out: Path
    settings: Settings
    reports: Reports = Reports.FINDINGS
    then: Callable[[list[Conversion]], None] = lambda _: None

    def __call__(self, message: bytes) -> Acknowledgement:
        """Convert a message. Raises `FormatError` where any part of it cannot be read: then nothing is written."""
        conversions = []
        for found in read_all(message, settings=self.settings):
            if isinstance(found, Refused):
                raise found.error
            conversions.append(found)
        if not conversions:
            raise MalformedMessage("the input holds no message; send it complete")
        self.then(conversions)
        name = hashlib.sha256(message).hexdigest()
        with Draft(self.out / f"{name}.report.ndjson") as report, Draft(self.out / f"{name}.ndjson") as output:
            for conversion in conversions:
                report.write(line_of(conversion, self.reports))
                for line in lines_of(conversion, Shape.BUNDLE):
                    output.write(line)
            report.publish()
            output.publish()
        return acknowledge(None)
