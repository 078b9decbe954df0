"""Worker processes that end with the one they work for, and independent calls on local processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from joblib import Parallel, cpu_count, delayed, parallel_config

#: A process takes some seconds to start; so many calls, at least, must make up for it.
CALLS_PER_PROCESS = 6


class Lifeline:
    """A pipe into which nobody writes.

    The process that makes it has the writing end alone, so the reading end breaks the moment that it is gone.

    Attributes:
        end: the reading end, for `tie_to` in worker processes.
    """

    def __init__(self) -> None:
        self.end, self._ours = Pipe(duplex=False)


def tie_to(end: Connection) -> None:
    """End this process when the maker of a lifeline is gone."""
    threading.Thread(target=_wait_and_end, args=(end,), daemon=True).start()


def _wait_and_end(end: Connection) -> None:
    end.poll(None)
    os._exit(1)


def call_all(function: Callable, arguments: Iterable[tuple]) -> list:
    """Call a function that workers can import once per tuple of arguments; the results in the same order."""
    todo = list(arguments)
    workers = max(1, min(cpu_count(), len(todo) // CALLS_PER_PROCESS))
    with parallel_config(backend="loky", initializer=tie_to, initargs=(lifeline().end,)):
        return Parallel(workers)(delayed(function)(*each) for each in todo)


@cache
def lifeline() -> Lifeline:
    """One for all calls, so that joblib keeps its processes from one to the next."""
    return Lifeline()
