"""Scores the converter on suites of other people's files, beside other free tools, in one run.

    python scripts/conformance.py DIR... [--peer PYTHON] [--files]

Looks through the folders for whatever `medibridge detect` knows. Where a file has an expected output beside it
(``NAME.fhir``, or ``expected/NAME-expected.json``), the share of its leaves that ours has is given too: a leaf is an
element's path without positions, with its value; ids, references, meta and narratives are left out. Expected outputs
are opinions, so no score is meant to reach 1.

PYTHON is an interpreter where peers are installed (see scripts/peers.py).

The columns: files; converted; outputs of which every resource is valid FHIR R4; values of the source that the report
accounts for, that it says are mapped, and that stand in the output as they are (dates and numbers normalised); leaves
of the expected output without extensions and Provenance, and of all of it; files whose second conversion gives the
same bytes; files a second of one core.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medibridge.errors import FormatError
from medibridge.formats import Conversion, Outcome, detect, fhir, read_all
from medibridge.formats.registry import LOOK
from medibridge.record import canonical_json, parse_json

PEERS = {
    "HL7 v2": ("brightohir", "hl7v2-fhir-bridge"),
    "C-CDA": ("ccda-to-fhir", "microsoft-ccda"),
    "STU3": ("microsoft-stu3",),
}
SHARES = ("accounted", "mapped", "present", "leaves", "all leaves")
COLUMNS = ("tool", "files", "converted", "valid", *SHARES, "same", "files/s")


@dataclass
class Score:
    """What is counted for one tool on one kind of file."""

    files: int = 0
    converted: int = 0
    valid: int = 0
    same: int = 0
    seconds: float = 0.0
    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def add(self, share: str, part: float, whole: float) -> None:
        self.shares[share][0] += part
        self.shares[share][1] += whole

    def row(self, tool: str) -> list[str]:
        shares = []
        for name in SHARES:
            part, whole = self.shares[name]
            shares.append(f"{part / whole:.3f}" if whole else "")
        same = str(self.same) if self.same or tool == "medibridge" else ""
        speed = f"{self.files / self.seconds:.0f}" if self.seconds else ""
        return [tool, str(self.files), str(self.converted), str(self.valid), *shares, same, speed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter where other tools are installed")
    parser.add_argument("--files", action="store_true", help="name the files that are not converted, or not valid")
    arguments = parser.parse_args()
    suites: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder in arguments.folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "expected" not in path.parts and (kind := kind_of(path)):
                suites[(folder.name, kind)].append(path)
    for (suite, kind), paths in sorted(suites.items()):
        print(f"\n{kind} in {suite}: {len(paths)} files")
        rows = [ours(paths, name_files=arguments.files).row("medibridge")]
        for label, tools in PEERS.items():
            if arguments.peer and label in kind:
                rows += [theirs(arguments.peer, tool, paths).row(tool) for tool in tools]
        show(rows)


def kind_of(path: Path) -> str:
    """The format of a file, in the words that its tools are known by; empty for what is no input."""
    if path.suffix in (".fhir", ".csv", ".md") or path.name.endswith("-expected.json"):
        return ""
    with path.open("rb") as file:
        start = file.read(LOOK)
    try:
        name = detect(start).name
    except FormatError:
        return "not recognised"
    return "HL7 v2" if name.startswith("HL7") else name


def show(rows: list[list[str]]) -> None:
    table = [list(COLUMNS), *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(COLUMNS))]
    for row in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def ours(paths: list[Path], *, name_files: bool) -> Score:
    score = Score()
    for path in paths:
        data = path.read_bytes()
        began = time.process_time()
        found = list(converted(data))
        score.seconds += time.process_time() - began
        score.files += 1
        good = [one for one in found if isinstance(one, Conversion)]
        if not good or len(good) < len(found):
            if name_files:
                problems = {str(one.error) for one in found if not isinstance(one, Conversion)}
                print(f"  not converted: {path}: {'; '.join(sorted(problems))}")
            continue
        score.converted += 1
        resources = [resource for one in good for resource in one.resources]
        problems = [problem for one in good for problem in fhir.validate(one.to_bundle())]
        score.valid += not problems
        if problems and name_files:
            print(f"  not valid: {path}: {problems[0]}")
        bundles = [canonical_json(one.to_bundle()) for one in good]
        again = [canonical_json(one.to_bundle()) for one in converted(data) if isinstance(one, Conversion)]
        score.same += bundles == again
        count(score, data, path, resources, good)
    return score


def converted(data: bytes) -> Iterator[Any]:
    try:
        yield from read_all(data)
    except FormatError as problem:
        yield problem


def count(score: Score, data: bytes, path: Path, resources: list[Any], conversions: list[Conversion]) -> None:
    findings = [
        finding for one in conversions for finding in one.report.findings if finding.outcome is not Outcome.DEFAULT
    ]
    findings = [finding for finding in findings if not finding.place.startswith("output.")]
    counts = Counter(finding.outcome for finding in findings)
    useful = counts.total() - counts[Outcome.USED] - counts[Outcome.IGNORED]
    score.add("mapped", counts[Outcome.MAPPED] + counts[Outcome.PARTLY], useful)
    if places := places_in(data):
        score.add("accounted", min(len({finding.place for finding in findings}), places), places)
    values = source_values(data)
    haystack = "\n".join(normal(value) for _, value in leaves(resources))
    score.add("present", sum(normal(value) in haystack for value in values), len(values))
    expect(score, path, resources)


def expect(score: Score, path: Path, resources: list[Any]) -> None:
    expected = expected_of(path)
    if expected is None:
        return
    for share, is_counted in (("leaves", is_of_r4), ("all leaves", lambda _: True)):
        wanted = Counter(leaf for leaf in leaves(resources_in(expected)) if leaf[1].strip() and is_counted(leaf))
        score.add(share, sum((wanted & Counter(leaves(resources))).values()), wanted.total())


def is_of_r4(leaf: tuple[str, str]) -> bool:
    """Whether a leaf is of R4 itself: extensions are a converter's own choice, and Provenance is about itself."""
    return "xtension" not in leaf[0] and not leaf[0].startswith("Provenance.")


def expected_of(path: Path) -> Any:
    for candidate in (
        path.with_suffix(".fhir"),
        path.parent / "expected" / f"{path.stem}-expected.json",
        path.parent / "expected" / f"{path.stem}.json",
    ):
        if candidate.is_file():
            return parse_json(candidate.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    return None


def resources_in(found: Any) -> list[Any]:
    if isinstance(found, dict) and found.get("resourceType") == "Bundle":
        return [entry["resource"] for entry in found.get("entry", ()) if "resource" in entry]
    return [found]


def leaves(resources: list[Any]) -> Iterator[tuple[str, str]]:
    """Path without positions and value, of all but ids, references, meta and narratives."""
    for resource in resources:
        yield from _leaves(resource, str(resource.get("resourceType")))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key not in ("id", "reference", "fullUrl", "meta", "text", "resourceType") or (
                key == "text" and isinstance(child, str)
            ):
                yield from _leaves(child, f"{path}.{key}")
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child, path)
    elif value is not None:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def hl7_values(text: str) -> list[str]:
    """Every subcomponent of an HL7 v2 message that is not empty (usual delimiters); without MSH-1 and MSH-2."""
    found = []
    for line in re.split(r"[\r\n]+", text.strip("\x0b\x1c\r\n ")):
        fields = line.split("|")[2 if line.startswith("MSH") else 1 :]
        found += [part.strip() for each in fields for part in re.split(r"[~^&]", each)]
    return [value for value in found if value]


def is_hl7(text: str) -> bool:
    return text.lstrip("\x0b \r\n")[:3] == "MSH"


def places_in(data: bytes) -> int:
    """How many places of a source have a value, counted without our readers; 0 where that is not known."""
    text = data.decode("utf-8-sig", "replace")
    return len(hl7_values(text)) if is_hl7(text) else 0


def source_values(data: bytes) -> list[str]:
    """The values of a source, found without our readers: fields of HL7 v2, attributes and texts of XML, leaves of JSON.

    Of HL7 v2 those of two characters and more: set ids and flags say nothing by being found somewhere.
    """
    text = data.decode("utf-8-sig", "replace")
    if is_hl7(text):
        return [value for value in hl7_values(text) if len(value) > 1 and value != '""']
    if text.lstrip().startswith("<"):
        attributes = re.findall(r'\s(?:code|displayName|value|extension|unit|use)="([^"]+)"', text)
        return attributes + [value.strip() for value in re.findall(r">([^<>]+)<", text) if value.strip()]
    try:
        return [value for _, value in leaves(resources_in(parse_json(data)))]
    except FormatError:
        return []


def normal(value: str) -> str:
    """Dates as digits, numbers without trailing zeros, text in lower case without blanks."""
    if re.fullmatch(r"[-+\d:.TZ]{4,}", value):
        return re.sub(r"\D", "", value)[:14]
    return re.sub(r"\s+", "", value).lower()


def theirs(python: str, tool: str, paths: list[Path]) -> Score:
    """The same score for another tool, as far as it can be had: it has no report."""
    score = Score()
    script = Path(__file__).with_name("peers.py")
    names = "".join(f"{path}\n" for path in paths)
    ran = subprocess.run([python, script, tool], input=names, capture_output=True, text=True, check=False)
    for path, line in zip(paths, ran.stdout.splitlines(), strict=False):
        found = json.loads(line)
        score.files += 1
        score.seconds += found["seconds"]
        if "error" in found:
            continue
        score.converted += 1
        output = parse_json(json.dumps(found["output"]).encode())
        score.valid += not fhir.validate(output)
        resources = resources_in(output)
        values = source_values(path.read_bytes())
        haystack = "\n".join(normal(value) for _, value in leaves(resources))
        score.add("present", sum(normal(value) in haystack for value in values), len(values))
        expect(score, path, resources)
    if not score.files:
        print(f"  {tool} did not run: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return score


if __name__ == "__main__":
    main()
