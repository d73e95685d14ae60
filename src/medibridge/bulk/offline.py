"""Dask's scheduler and worker, without the web servers that both open."""

from __future__ import annotations

from typing import Any

from distributed import Scheduler, Worker

__all__ = ["OfflineScheduler", "OfflineWorker"]


class _Offline:
    """A node of Dask that listens at no port for browsers."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Do not."""


class OfflineScheduler(_Offline, Scheduler):
    """A scheduler."""


class OfflineWorker(_Offline, Worker):
    """A worker."""
