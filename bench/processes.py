"""Run independent calls on all cores (`call_all`), in worker processes that end when the main process does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm import tqdm

#: Fewest quick calls that are worth another process, which takes some seconds to start.
CALLS_PER_PROCESS = 6
#: As PYTHONWARNINGS: what cleans up after a killed worker (a `resource_tracker`) adds no line after our last one.
QUIET_TRACKERS = "ignore:resource_tracker"


class Lifeline:
    """A pipe that breaks when the process that made it ends, however it ends; its workers wait for that (`tie_to`).

    Nobody writes into it. Only the maker holds the writing end, so the reading end breaks the moment that it is gone.

    Attributes:
        end: the reading end, to be handed to worker processes.
    """

    def __init__(self) -> None:
        self.end, self._ours = Pipe(duplex=False)
        os.environ.setdefault("PYTHONWARNINGS", QUIET_TRACKERS)  # trackers are started with the workers, from here


def tie_to(end: Connection) -> None:
    """End this process as soon as the maker of a lifeline is gone, even if that one was killed."""
    threading.Thread(target=_wait_and_end, args=(end,), daemon=True).start()


def _wait_and_end(end: Connection) -> None:
    end.poll(None)  # for ever, or until the pipe breaks
    os._exit(1)  # from a thread, `sys.exit` would end only the thread


def call_all(function: Callable, arguments: Iterable[tuple], what: str, per_process: int = CALLS_PER_PROCESS) -> list:
    """Call a function once for each tuple of arguments, on several processes; results in the order of the arguments.

    Args:
        function: one that a worker process can import.
        arguments: one tuple per call.
        what: is made by the calls; a terminal shows how many of them are done.
        per_process: fewest of them that are worth another process.
    """
    todo = list(arguments)
    workers = max(1, min(cpu_count(), len(todo) // per_process))
    with parallel_config(backend="loky", initializer=tie_to, initargs=(lifeline().end,)):
        results = Parallel(workers, return_as="generator")(delayed(function)(*each) for each in todo)
        shown = "{desc}: {n_fmt}/{total_fmt}, {elapsed}"  # disable=None: on a terminal only
        return list(tqdm(results, what, len(todo), bar_format=shown, leave=False, disable=None))


@cache
def lifeline() -> Lifeline:
    """This process's lifeline: one for all calls, or joblib would start new workers every time."""
    return Lifeline()
