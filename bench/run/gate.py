"""Where worker processes of a paused run wait, and a clock that stands still meanwhile."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

#: Seconds that this process has waited at gates (`obey`).
_paused = 0.0


class Gate:
    """Where one worker process waits while it is closed.

    A signal sends it there (`obey`), a message lets it go on: a stopped process could not end with this one.

    Attributes:
        end: the end of the pipe for the worker process, which sends its process id when it is ready.
    """

    def __init__(self) -> None:
        self._ours, self.end = Pipe()
        self._pid: int | None = None

    def close(self) -> None:
        """Send the worker to wait, if it is ready; one that still starts has nothing to do yet."""
        if self._pid is None and self._ours.poll():
            self._pid = self._ours.recv()
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGUSR1)

    def open(self) -> None:
        """Let the worker go on."""
        if self._pid is not None:
            self._ours.send(None)


def obey(end: Connection) -> None:
    """Let a gate close and open before this process's main thread; what a terminal sends reaches the run alone."""
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: _wait(end))
    end.send(os.getpid())


def _wait(end: Connection) -> None:
    global _paused
    began = time.perf_counter()
    with suppress(EOFError):  # the run is gone, and this process ends with it
        end.recv()
    _paused += time.perf_counter() - began


def running_time() -> float:
    """Seconds on a clock that stands still while this process waits at a gate; only differences mean something."""
    return time.perf_counter() - _paused
