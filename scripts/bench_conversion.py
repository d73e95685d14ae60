"""How fast a folder of many files is converted, and how much memory that takes.

    python scripts/bench_conversion.py [files] [--peer PYTHON] [--documents DIR]

Makes a folder of mixed files (10 000 by default) out of the samples, each with numbers of its own, and converts it
with one process and with two: read, mapped, checked against FHIR R4, and written with reports, each file flushed to
the disk. Then HL7 v2 alone, in memory, on one core.

With the Python of an environment that has other converters (scripts/peers.py), some of the same HL7 v2 messages and
C-CDA documents (or those of ``--documents``) go through them in the same run: their rate counts what they convert, and
no check against R4. Microsoft's templates read no HL7 v2 in Python. Only figures of one run compare.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from medibridge import samples
from medibridge.bulk import Crew, Inline, Processes, Summary, convert_folder
from medibridge.formats import Conversion, Profile, Settings, dicom, read_all
from medibridge.record import canonical_json

SETTINGS = Settings(source="bench", profile=Profile.from_yaml(samples.read(samples.PROFILE).decode()))
FOLDERS = 20


def sample(number: int) -> tuple[str, bytes]:
    """One of the samples with numbers of its own: another patient, another message."""
    name = samples.NAMES[number % len(samples.NAMES)]
    data = samples.read(name)
    for one in (b"L240307-0042", b"4711") if not name.endswith(".dcm") else ():
        data = data.replace(one, one + b"%06d" % number)
    if name.endswith(".dcm"):
        study = (dicom.study_of(data) or "").encode()
        data = data.replace(study, study[:-6] + b"%06d" % (number + 100_000))
    return name, data


def make(folder: Path, count: int) -> int:
    """A folder of so many files; their size in bytes."""
    size = 0
    for number in range(count):
        name, data = sample(number)
        path = folder / f"ward {number % FOLDERS:02}" / f"{number:06}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        size += len(data)
    return size


def peak() -> int:
    """MiB of the process, and of the largest of its children."""
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(own, children) // 1024


def busy() -> float:
    """Seconds of cores that this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def convert(what: str, source: Path, out: Path, crew: Crew) -> Summary:
    """Convert the folder, and print how that went: by the clock, and by the time of the cores."""
    before = busy()
    summary = convert_folder([source], out, SETTINGS, crew=crew)
    rate, core = summary.messages / summary.seconds, summary.messages / (busy() - before)
    print(
        f"{what:<34}{rate:7.0f} messages/s, {core:6.0f} of one core, {summary.size / summary.seconds / 1e6:6.2f} MB/s"
        f" in, {summary.seconds:6.1f} s, {summary.refused} refused, peak memory {peak()} MiB"
    )
    return summary


def on_one_core(what: str, paths: Iterable[Path]) -> float:
    """Messages a second of one core: from bytes to the bytes of Bundles, each checked against FHIR R4."""
    data = [path.read_bytes() for path in paths]
    done = 0
    started = time.process_time()
    for each in data:
        for found in read_all(each, settings=SETTINGS):
            if isinstance(found, Conversion):
                canonical_json(found.to_bundle())
                done += 1
    seconds = time.process_time() - started
    size = sum(map(len, data))
    print(f"{what:<34}{done / seconds:7.0f} messages/s of one core, {size / seconds / 1e6:6.2f} MB/s, {done} converted")
    return done / seconds


def peer(tool: str, python: str, paths: list[Path], ours: float) -> None:
    """The same files through another converter, in a process of its own, and the ratio."""
    command = [python, Path(__file__).with_name("peers.py"), tool]
    names = "".join(f"{path}\n" for path in paths)
    ran = subprocess.run(command, input=names, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    done = [one["seconds"] for one in told if "output" in one]
    if not done:
        print(f"{tool:<34}converts none of them, or cannot be run there: {ran.stderr.strip().splitlines()[-1:]}")
        return
    theirs = len(done) / sum(done)
    print(f"{tool:<34}{theirs:7.0f} messages/s of one core, {len(done)} converted, {len(told) - len(done)} failed")
    print(f"{'ratio, ours to that':<34}{ours / theirs:7.2f}")


def main(count: int, python: str | None, documents: Path | None) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="medibridge-bench-") as directory:
        source = Path(directory, "in")
        size = make(source, count)
        print(f"{count} files, {size / 1e6:.1f} MB")
        one = convert("convert, 1 process", source, Path(directory, "one"), Inline())
        two = convert("convert, 2 processes", source, Path(directory, "two"), Processes(2))
        print(f"{'2 processes to 1':<34}{one.seconds / two.seconds:7.2f}")
        again = convert_folder([source], Path(directory, "two"), SETTINGS)
        print(f"{'again, nothing changed':<34}{again.seconds:7.1f} s, {again.unchanged} unchanged")
        messages = sorted(source.rglob("*.hl7"))[:2000]
        speed = on_one_core("HL7 v2, in memory", messages)
        found = sorted(path for path in (documents or source).rglob("*.*") if path.name.endswith((".ccda", "ccd.xml")))
        ccda = on_one_core("C-CDA, in memory", found[:200])
        if python:
            for tool in ("brightohir", "hl7v2-fhir-bridge"):
                peer(tool, python, messages[:300], speed)
            for tool in ("microsoft-ccda", "ccda-to-fhir"):
                peer(tool, python, found[:200], ccda)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="?", type=int, default=10_000)
    parser.add_argument("--peer", metavar="PYTHON", help="a Python that has the other converters")
    parser.add_argument("--documents", type=Path, metavar="DIR", help="C-CDA documents for the comparison")
    given = parser.parse_args()
    main(given.files, given.peer, given.documents)
