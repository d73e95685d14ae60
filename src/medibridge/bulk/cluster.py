"""A Dask cluster as a crew: workers on several machines that share one file system."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from medibridge.bulk.crews import Crew
from medibridge.errors import UsageError

__all__ = ["cluster_at"]

_PATIENCE: Final = 30.0  # seconds until a scheduler answers
_QUIET: Final = {
    "distributed.scheduler.allowed-failures": 0,  # `crews.each` does again what a worker died of
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.diagnostics.nvml": False,
    "distributed.logging": {"distributed": "error"},
}


@contextmanager
def cluster_at(address: str, processes: int = 1) -> Iterator[Crew]:
    """The workers of the Dask scheduler at `address` (``tcp://host:8786``, ``tls://host:8786``) as a crew.

    ``local`` is a cluster of so many `processes` on this machine: it listens at 127.0.0.1, serves no web pages, and
    ends with the context. Elsewhere the workers need this version of MediBridge, and the inputs and outputs at the
    same paths. Whoever reaches a scheduler can make its workers run anything: keep it in a closed network, or use
    certificates (``tls://``, set up in Dask's own configuration).

    Raises `UsageError` where Dask is not installed, no scheduler answers, or it has no workers.
    """
    try:
        import dask  # noqa: PLC0415 - optional, and slow to import
        from distributed import Client  # noqa: PLC0415
    except ImportError:
        raise UsageError("a cluster needs extra packages; install medibridge[cluster]") from None
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(_QUIET))
        try:
            where = opened.enter_context(_local(processes)) if address == "local" else address
            client = opened.enter_context(
                Client(where, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
            )
            if address != "local":
                client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, TimeoutError, ValueError) as exc:
            raise UsageError(
                f"no Dask scheduler with workers answers at the address given ({type(exc).__name__}); check the "
                "address, or give 'local'"
            ) from None
        yield _Hired(client.get_executor(pure=False, retries=0), sum(client.nthreads().values()))


@dataclass(frozen=True)
class _Hired:
    """The workers of a cluster, which replaces those that die."""

    executor: Executor
    size: int

    @contextmanager
    def hire(self) -> Iterator[Executor]:
        """See `Crew.hire`."""
        yield self.executor


@contextmanager
def _local(processes: int) -> Iterator[object]:
    """A scheduler and workers without their web servers: no port is open but Dask's own, on 127.0.0.1."""
    from distributed import Nanny, SpecCluster  # noqa: PLC0415

    from medibridge.bulk.offline import OfflineScheduler, OfflineWorker  # noqa: PLC0415

    at_home = {"host": "127.0.0.1", "dashboard": False}
    with tempfile.TemporaryDirectory(prefix="medibridge-") as scratch:
        own = {"nthreads": 1, "worker_class": OfflineWorker, "local_directory": scratch, "silence_logs": "ERROR"}
        worker = {"cls": Nanny, "options": at_home | own}
        scheduler = {"cls": OfflineScheduler, "options": at_home}
        with SpecCluster(  # type: ignore[no-untyped-call]
            workers=dict.fromkeys(range(processes), worker), scheduler=scheduler, silence_logs="ERROR"
        ) as cluster:
            yield cluster
