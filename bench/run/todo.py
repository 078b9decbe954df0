"""Which cells of a plan are still to be run, and which models they start from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.plan.cell import Cell
from bench.run.work import Work
from bench.store.files import remove
from bench.store.folder import RunFolder, record_of
from bench.store.locks import Locks


@dataclass
class Todo:
    """What is left of a plan.

    Attributes:
        pending: cells to run, in order.
        finished: cells that are done or have a reason not to run.
        starts: keys of the cells whose models others start from -> keys of the unfinished cells that need them.
        models: those cells themselves, by key.
    """

    pending: list[Cell] = field(default_factory=list)
    finished: list[Cell] = field(default_factory=list)
    starts: dict[str, set[str]] = field(default_factory=dict)
    models: dict[str, Cell] = field(default_factory=dict)


def find_todo(
    cells: Sequence[Cell], folder: RunFolder, force: bool = False, retry: bool = True, save_models: bool = False
) -> Todo:
    """The cells of a plan to run: unfinished ones, and those whose models are needed again and no longer kept.

    Args:
        cells: the plan.
        folder: the run folder.
        force: run finished cells, too.
        retry: run failed cells, too.
        save_models: a finished cell whose model was not saved is unfinished.
    """
    todo = Todo()
    written = folder.recorded()  # listed once: asking for every cell's file would take most of the time of a plan
    unfinished = {
        cell.key
        for cell in cells
        if not cell.skip and (force or cell.key not in written or is_open(cell, folder, retry, save_models))
    }
    for cell in cells:
        if cell.key in unfinished and cell.start:
            todo.starts.setdefault(cell.start, set()).add(cell.key)
    for cell in cells:
        if cell.key in todo.starts:
            todo.models[cell.key] = cell
        model_is_missing = cell.key in todo.starts and not folder.has_model(cell.key)
        (todo.pending if cell.key in unfinished or model_is_missing else todo.finished).append(cell)
    return todo


def is_open(cell: Cell, folder: RunFolder, retry: bool, save_models: bool) -> bool:
    """Whether a cell has not ended, or has failed and is to be tried again."""
    record = folder.record(cell.key)
    if record is None:
        return True
    if record["status"] == "ok":
        return not folder.has_traces(record) or (save_models and not folder.has_saved_model(cell))
    return retry or record["status"] != "failed"


def tidy(todo: Todo, folder: RunFolder) -> None:
    """Before a run: write records of skipped cells, and delete models that a killed run has left behind."""
    for cell in todo.finished:
        if cell.skip:
            record = record_of(cell, "skipped", cell.skip)
            if folder.record(cell.key) != record:
                folder.write_record(record)
        if cell.start and cell.start not in todo.starts:
            remove(folder.checkpoint_path(cell.start))


def clear_unfinished(todo: Todo, work: Work, locks: Locks, force: bool) -> None:
    """Before a run: delete the records of its unfinished cells, so that any record seen later is another run's result.

    What another run works on, or has finished by now, is left alone. Damaged files are kept, in a folder where nothing
    reads them.
    """
    folder = work.folder
    for cell in todo.pending:
        if locks.take(cell.key):
            for path in folder.damaged_of(cell.key):
                moved = folder.set_aside(path)
                print(f"not as it was written, set aside as {moved}: {cell.label}", file=sys.stderr)
            if force or is_open(cell, folder, True, work.save_models):
                folder.remove_record(cell.key)
            locks.drop(cell.key)
