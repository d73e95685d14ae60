"""Runs other free converters over files, for scripts/conformance.py and scripts/bench_conversion.py.

    PYTHON scripts/peers.py TOOL <FILES

PYTHON is one where the tools are installed (they need not share an environment with MediBridge); TOOL is one of
`TOOLS`; FILES has the path of a file on each line. Writes a line of JSON for each: its output or its error, and the
seconds of a core that the conversion took.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
import warnings
from pathlib import Path

TOOLS = ("brightohir", "hl7v2-fhir-bridge", "ccda-to-fhir", "microsoft-ccda", "microsoft-stu3")


def main() -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    convert = CONVERTERS[sys.argv[1]]()
    out, sys.stdout = sys.stdout, io.StringIO()
    for line in sys.stdin:
        data = Path(line.rstrip("\n")).read_bytes()
        began = time.process_time()
        try:
            found = {"output": convert(data)}
        except Exception as problem:  # noqa: BLE001 - whatever another tool raises is its answer
            found = {"error": type(problem).__name__}
        print(json.dumps({**found, "seconds": time.process_time() - began}, default=str), file=out, flush=True)


def _brightohir():
    from brightohir import v2_to_r5

    return lambda data: v2_to_r5(data.decode("utf-8-sig"))


def _bridge():
    from v2fhir.config import Config
    from v2fhir.convert import convert
    from v2fhir.hl7.parser import parse_bytes

    return lambda data: convert(parse_bytes(data), Config()).bundle


def _ccda_to_fhir():
    from ccda_to_fhir import convert_document

    return lambda data: convert_document(data.decode("utf-8-sig"))["bundle"]


def _microsoft_ccda():
    from fhir_converter.renderers import CcdaRenderer

    renderer = CcdaRenderer()
    return lambda data: json.loads(renderer.render_fhir_string("CCD", data.decode("utf-8-sig")))


def _microsoft_stu3():
    from fhir_converter.renderers import Stu3FhirRenderer

    renderer = Stu3FhirRenderer()

    def convert(data: bytes) -> object:
        kind = json.loads(data)["resourceType"]
        return json.loads(renderer.render_fhir_string(kind, data.decode("utf-8-sig")))

    return convert


CONVERTERS = dict(zip(TOOLS, (_brightohir, _bridge, _ccda_to_fhir, _microsoft_ccda, _microsoft_stu3), strict=True))

if __name__ == "__main__":
    main()
