"""How fast sealing and opening are, beside the bare cipher and the bare hash of the same run.

    python scripts/bench_sealing.py [MiB]

Seals a file of random bytes (256 MiB by default) into files and opens these again, in one thread,
with and without writing the result, and prints MiB/s and the peak memory of the process. Only
figures of one run compare.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from medibridge.ids import Digest
from medibridge.sealing.records import Manifest, RecordKey, SealedRecord, open_record, seal

MIB = 1 << 20
T = TypeVar("T")


def measured(what: str, size: int, job: Callable[[], T]) -> T:
    """Run the job and print its speed, reading and writing included: by the core's time, and by the clock."""
    started, busy = time.perf_counter(), time.process_time()
    result = job()
    elapsed, busy = time.perf_counter() - started, time.process_time() - busy
    print(f"{what:<26}{size / MIB / busy:6.0f} MiB/s of one core, {size / MIB / elapsed:6.0f} by the clock")
    return result


def peak_memory() -> int:
    """MiB that this process ever held at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def encrypt_only(size: int) -> None:
    """Bare ChaCha20-Poly1305, in buffers of 1 MiB that are used again."""
    cipher, plain, sealed = ChaCha20Poly1305(bytes(32)), bytes(MIB), bytearray(MIB + 16)
    for _ in range(size // MIB):
        cipher.encrypt_into(bytes(12), plain, None, sealed)


def hash_only(size: int) -> None:
    """Bare SHA-256, 1 MiB at a time."""
    plain = bytes(MIB)
    for _ in range(size // MIB):
        sha256(plain).digest()


def seal_only(source: Path, size: int) -> None:
    """Seal a file and drop the blocks."""
    with source.open("rb") as file:
        seal(file, size, lambda block: None)


def seal_file(source: Path, size: int, store: Path) -> SealedRecord:
    """Seal a file; the blocks become files named by their number."""
    numbers = count()

    def put(block: bytes) -> None:
        (store / str(next(numbers))).write_bytes(block)

    with source.open("rb") as file:
        return seal(file, size, put)


def open_file(manifest: Manifest, key: RecordKey, store: Path, target: Path | None) -> None:
    """Open the record into a file, or drop its content."""
    numbers = {digest: str(number) for number, digest in enumerate(manifest.blocks)}

    def fetch(digest: Digest) -> bytes:
        return (store / numbers[digest]).read_bytes()

    with Path(target or os.devnull).open("wb") as file:
        file.writelines(open_record(manifest, key, fetch))


def main(size: int) -> None:
    """Measure and print."""
    measured("bare ChaCha20-Poly1305", size, lambda: encrypt_only(size))
    measured("bare SHA-256", size, lambda: hash_only(size))
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory)
        source, target = store / "source", store / "target"
        with source.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        before = peak_memory()
        measured("seal, blocks dropped", size, lambda: seal_only(source, size))
        sealed = measured("seal, file to files", size, lambda: seal_file(source, size, store))
        manifest = sealed.manifest([])
        measured("open, content dropped", size, lambda: open_file(manifest, sealed.key, store, None))
        measured("open, files to file", size, lambda: open_file(manifest, sealed.key, store, target))
        print(f"{'peak memory':<26}{peak_memory():6} MiB, {before} of them before sealing")


if __name__ == "__main__":
    main(int(sys.argv[1]) * MIB if len(sys.argv) > 1 else 256 * MIB)
