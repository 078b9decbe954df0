"""Independent calls on local processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from joblib import Parallel, cpu_count, delayed, parallel_config

from bench.lifeline import Lifeline, tie_to

#: A process takes some seconds to start; so many calls, at least, must make up for it.
CALLS_PER_PROCESS = 6


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
