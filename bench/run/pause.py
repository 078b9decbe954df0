"""A run that pauses and goes on: `kill -TSTP PID` (Ctrl-Z) and `kill -CONT PID` (`fg`), so that others may measure.

The run stops handing out cells, its workers wait wherever they are (`bench.run.gate`), and the process itself stops, as
a shell expects. No clock counts the pause: not the time limit of a cell, not the times in its record, not the display.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from bench.run.backends import Backend
    from bench.run.progress import Progress
    from bench.run.seeds import Refresh


class Pauses:
    """Pauses a run when it is told to, between two looks of its scheduler; a context in which the signal counts.

    Args:
        backend: whose workers wait.
        progress: says so.
        refresh: the process that makes tables waits, too.
    """

    def __init__(self, backend: Backend, progress: Progress, refresh: Refresh | None) -> None:
        self.progress, self.waiting = progress, [backend, refresh] if refresh else [backend]
        self.is_asked = False

    def __enter__(self) -> Self:
        self.is_main = threading.current_thread() is threading.main_thread()  # no other may say what a signal does
        if self.is_main:
            self.before = signal.signal(signal.SIGTSTP, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_main:
            signal.signal(signal.SIGTSTP, self.before)

    def _ask(self, *_: object) -> None:
        self.is_asked = True  # no more than that: a signal may come in the middle of anything

    def look(self) -> None:
        """Pause now, if a signal has asked for it; returns when another one lets the run go on."""
        if not self.is_asked:
            return
        for each in self.waiting:
            each.pause()
        self.progress.pause()
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGSTOP)  # the next line runs after SIGCONT
        self.progress.go_on(time.monotonic() - began)
        self.is_asked = False
        for each in self.waiting:
            each.go_on()
