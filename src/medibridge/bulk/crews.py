"""Who does the work: this process, processes of this machine, or a Dask cluster. One seam, `concurrent.futures`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from typing import Any, Final, Protocol, TypeVar

__all__ = ["Crew", "Inline", "Lost", "Processes", "each"]

T = TypeVar("T")
R = TypeVar("R")

_AHEAD: Final = 2
"""Jobs in flight for each worker: one that it does, and one that waits for it."""


class Crew(Protocol):
    """Makes executors, and makes them again where one broke."""

    @property
    def size(self) -> int:
        """How many jobs it does at once."""

    def hire(self) -> AbstractContextManager[Executor]:
        """An executor, for as long as the context lasts."""


class Inline:
    """This process does it all. A crash of a reader is a crash of the run."""

    size = 1

    def hire(self) -> AbstractContextManager[Executor]:
        """See `Crew.hire`."""
        return _AtOnce()


class _AtOnce(Executor):
    """Does at `submit` what it is asked for."""

    def submit(self, work: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """See `Executor.submit`."""
        future: Future[R] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(exc)
        return future


@dataclass(frozen=True)
class Processes:
    """So many processes of this machine. They end with this one, however it ends."""

    size: int

    @contextmanager
    def hire(self) -> Iterator[Executor]:
        """See `Crew.hire`."""
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.size, mp_context=fresh, initializer=_begin_worker) as executor:
            yield executor


def _begin_worker() -> None:
    """Leave Ctrl-C to the process that began this one, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


@dataclass(frozen=True)
class Lost:
    """There is no result: the worker that did it died twice."""


def each(
    work: Callable[[T], R], items: Iterable[T], crew: Crew, stop: Callable[[], None] = lambda: None
) -> Generator[tuple[T, R | Lost], None, None]:
    """Let a crew work on items, and give each with its result, in the order in which they are done.

    No more items are taken than the crew has in hand. Where a worker dies, those that were in hand are done again,
    each alone; the one that kills its worker again is `Lost`. What `work` raises is raised here. Where this is left
    before its end, `stop` is called, and what is not begun is not done.
    """
    pending = iter(items)
    while True:
        suspects: list[T] = []
        with crew.hire() as executor:
            yield from _together(work, pending, _Hands(executor, crew.size * _AHEAD, stop), suspects)
        for item in suspects:
            yield item, _alone(work, item, crew, stop)
        if not suspects:
            return


@dataclass(frozen=True)
class _Hands:
    """An executor, how many items it is given at once, and how to stop it."""

    executor: Executor
    room: int
    stop: Callable[[], None]

    def drop(self) -> None:
        self.stop()
        self.executor.shutdown(wait=False, cancel_futures=True)


def _together(
    work: Callable[[T], R], pending: Iterator[T], hands: _Hands, suspects: list[T]
) -> Iterator[tuple[T, R | Lost]]:
    """Until all is done, or a worker dies: then `suspects` are those that were in hand."""
    room = 1 if isinstance(hands.executor, _AtOnce) else hands.room
    held: dict[Future[R], T] = {}
    try:
        while True:
            while len(held) < room and not suspects and (taken := next(((one,) for one in pending), None)):
                try:
                    held[hands.executor.submit(work, taken[0])] = taken[0]
                except BrokenExecutor:
                    suspects.append(taken[0])
            if not held:
                return
            for future in wait(held, return_when=FIRST_COMPLETED).done:
                item = held.pop(future)
                if _died(future.exception()):
                    suspects.append(item)
                else:
                    yield item, future.result()
    except BaseException:
        hands.drop()
        raise


def _alone(work: Callable[[T], R], item: T, crew: Crew, stop: Callable[[], None]) -> R | Lost:
    suspects: list[T] = []
    with crew.hire() as executor:
        done = list(_together(work, iter([item]), _Hands(executor, 1, stop), suspects))
    return done[0][1] if done else Lost()


def _died(error: BaseException | None) -> bool:
    """Whether a worker died. Dask's error is known by its name: Dask need not be installed."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"
