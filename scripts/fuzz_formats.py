"""Feeds the readers with what a coverage-guided fuzzer makes of the samples (atheris, libFuzzer).

    python scripts/fuzz_formats.py [SECONDS] [libFuzzer options]

Needs atheris (Apache-2.0), which is in no lock: pip install atheris.

Whatever comes in, a reader answers with FHIR R4 that is valid, or with an error of MediBridge's own; it never raises
anything else, and never needs more than 10 seconds or 2 GiB. An input that breaks this is kept as ``crash-…``,
``timeout-…`` or ``oom-…`` in build/fuzz, and the exit code tells.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["medibridge.formats"]):
    from medibridge.errors import FormatError
    from medibridge.formats import Conversion, Profile, Settings, read_all
    from medibridge.formats.r4 import mend

from medibridge import samples

SETTINGS = Settings(profile=Profile.from_yaml(samples.read(samples.PROFILE).decode()))
PLACE = Path(__file__).parent.parent / "build/fuzz"


def one_input(data: bytes) -> None:
    try:
        for found in read_all(data, settings=SETTINGS):
            if isinstance(found, Conversion):
                for resource in found.resources:
                    _, problems = mend(resource)
                    assert not problems, problems[0].reason
    except FormatError:
        pass


def main() -> None:
    seconds, *options = sys.argv[1:] or ["60"]
    corpus = PLACE / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for name in samples.NAMES:
        (corpus / name).write_bytes(samples.read(name))
    fixed = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=1"]
    limits = [f"-max_total_time={seconds}", f"-artifact_prefix={PLACE}/"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, *fixed, *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
