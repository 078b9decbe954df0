"""Worker processes end with the process that they work for, however it ends: another run may redo the work at once."""

from __future__ import annotations

import os
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection


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
