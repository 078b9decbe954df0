"""Where cells run: on worker processes of this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

from argparse import Namespace
from concurrent.futures import Future
from typing import Protocol

from bench.plan.cell import Cell
from bench.run.work import Work


class Backend(Protocol):
    """Where cells run. The files in the run folder are the same whichever backend has run them.

    Attributes:
        device: "cpu" or "cuda": what cells compute on.
        description: what a person is told about it.
    """

    device: str
    description: str

    def capacity(self) -> int:
        """How many cells can run at a time, now."""

    def submit(self, cell: Cell, work: Work, keep_model: bool) -> Future:
        """Start a cell, which `bench.run.slot.Slot.run` describes; the future is for `result`."""

    def result(self, future: Future) -> dict:
        """The record of a cell that has ended, its files in the run folder.

        Raises:
            CellDied, CellHung: see `bench.run.slot.Slot.run`.
            CellRefused: it has not begun, and is to be submitted again.
            UserError: the run cannot go on.
        """

    def pause(self) -> None:
        """Let the cells that run on this machine wait; those on other machines run on."""

    def go_on(self) -> None:
        """Let cells go on after `pause`."""

    def close(self) -> None:
        """Stop what still runs."""


def open_backend(options: Namespace) -> Backend:
    """The backend that a command line asks for.

    Raises:
        UserError: it cannot be used here.
    """
    if options.backend == "dask":
        from bench.run.backends.dask import DaskBackend

        return DaskBackend(options.address, options.device, options.jobs, options.cell_timeout)
    from bench.run.backends.local import LocalBackend
    from bench.run.devices import resolve_workers

    return LocalBackend(*resolve_workers(options), options.cell_timeout)
