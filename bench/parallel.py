"""Independent calls on local processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from joblib import Parallel, cpu_count, delayed

#: A process takes some seconds to start; so many calls, at least, must make up for it.
CALLS_PER_PROCESS = 6


def call_all(function: Callable, arguments: Iterable[tuple]) -> list:
    """Call a function that workers can import once per tuple of arguments; the results in the same order."""
    todo = list(arguments)
    workers = max(1, min(cpu_count(), len(todo) // CALLS_PER_PROCESS))
    return Parallel(workers)(delayed(function)(*each) for each in todo)
