"""Tables, figures and report of the seeds that are complete, made in a process of its own while cells run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from bench.processes import lifeline, tie_to
from bench.report.outputs import write_outputs
from bench.run.gate import Gate, obey
from bench.store.beside import open_run
from bench.store.folder import RunFolder
from bench.store.locks import Locks


class Refresher:
    """What `bench.run.seeds.Refresh` asks for.

    One process of its own, with one thread, so that the run can hand out cells meanwhile and the workers keep most of
    the cores. What it makes is not stamped as up to date: the end of the run makes everything again.

    Args:
        folder: the run folder.
        figures: where figures go.
        focus: the method that focus.csv is about, or None.
    """

    def __init__(self, folder: RunFolder, figures: Path, focus: str | None) -> None:
        self.folder, self.figures, self.focus = folder, figures, focus
        self.seconds, self.started = 0.0, 0.0
        self.process: multiprocessing.Process | None = None
        self.gate = Gate()

    def start(self, unfinished: frozenset[int]) -> bool:
        """Begin, without the seeds that have unfinished cells; False where one is under way."""
        if self.process is not None:
            return False
        self.gate = Gate()
        what = (self.gate.end, self.folder.path, unfinished, self.figures, self.focus)
        # a daemon: it ends with this process, and draws without processes of its own
        self.process = multiprocessing.get_context("spawn").Process(
            target=refresh, args=(lifeline().end, *what), daemon=True
        )
        self.started = time.monotonic()
        self.process.start()
        return True

    def look(self) -> str:
        """What to say about one that has ended; empty where none has."""
        if self.process is None or self.process.is_alive():
            return ""
        failed, self.process = self.process.exitcode != 0, None
        self.seconds = time.monotonic() - self.started
        if failed:
            return "tables and figures could not be made yet; the end of the run tells why"
        return f"a seed is complete: tables and figures so far, read {self.folder.path / 'report.html'}"

    def pause(self) -> None:
        """Let one that is under way wait."""
        if self.process is not None:
            self.gate.close()

    def go_on(self) -> None:
        """Let it go on after `pause`."""
        self.gate.open()

    def close(self) -> None:
        """End one that is under way."""
        if self.process is not None:
            self.process.terminate()
            self.process.join()


def refresh(
    end: Connection, gate: Connection, path: Path, unfinished: frozenset[int], figures: Path, focus: str | None
) -> None:
    """Make tables, figures and report in this process, silently, while workers have the cores."""
    import torch

    tie_to(end)
    obey(gate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process ends this one
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by an exception: files half written are removed
    torch.set_num_threads(1)  # threads that wait for one another on busy cores take five times the work
    sys.stdout = sys.stderr = open(os.devnull, "w")
    locks = Locks(RunFolder(path))  # held as long as it has a name
    if locks.take("tables"):  # else another run on this folder is making them now
        write_outputs(replace(open_run(path), without=unfinished), figures, focus)
