"""What `--plan` and `--prepare` print: what is fetched, every cell with its state, hours and disk."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.plan.cell import Cell
from bench.plan.grid import Grid
from bench.run.devices import resolve_machine
from bench.run.todo import Todo
from bench.sources.checkpoints import find_checkpoint
from bench.sources.hub_rows import Hub
from bench.sources.known_sizes import UNKNOWN, known_checkpoints, known_task
from bench.store.folder import RunFolder

#: Stands in place of a key that is not known yet.
NO_KEY = 12 * "-"


@dataclass(frozen=True)
class Fetch:
    """One thing that is not on this machine, with its published size in bytes; None where none is known."""

    name: str
    download: int | None = None
    disk: int | None = None

    def __str__(self) -> str:
        return f"{self.name} ({'size unknown' if self.download is None else f'{self.download / 1e6:.1f} MB'})"


def missing_tasks(grid: Grid) -> list[Fetch]:
    """The tasks that a plan's printout calls missing: their rows come from the hub and are not on this machine."""
    if not isinstance(grid.source, Hub):
        return []
    missing = [task for task in grid.tasks if not grid.source.is_at_hand(task)]
    known = [(task.id, known_task(grid.source, task)) for task in missing]
    return [Fetch(name, size.download, size.disk) if size else Fetch(name) for name, size in known]


def missing_checkpoints(grid: Grid) -> list[Fetch]:
    """The checkpoints that a plan's printout calls missing: their weights are not on this machine."""
    found = [find_checkpoint(path, grid.pins) for path in dict.fromkeys(grid.paths().values())]
    sizes = known_checkpoints()
    missing = [each.path for each in found if not each.is_at_hand()]
    return [Fetch(path, *2 * [sizes[path]["bytes"]]) if path in sizes else Fetch(path) for path in missing]


def fetch_lines(grid: Grid) -> list[str]:
    """What a run fetches before it starts, with published sizes."""
    tasks, checkpoints = missing_tasks(grid), missing_checkpoints(grid)
    if not (tasks or checkpoints):
        return ["nothing to fetch: data and checkpoints are on this machine"]
    lines = [f"to fetch from {grid.source.repo}: {', '.join(map(str, tasks))}"] if tasks else []
    if checkpoints:
        lines.append(f"to fetch, checkpoints: {', '.join(map(str, checkpoints))}")
    known = [each for each in (*tasks, *checkpoints) if each.download is not None]
    download, disk = (sum(getattr(each, name) for each in known) / 1e6 for name in ("download", "disk"))
    more = "" if len(known) == len(tasks) + len(checkpoints) else ", and what is of unknown size"
    return [*lines, f"about {download:.0f} MB to download, {disk:.0f} MB on disk{more}"]


def print_plan(cells: Sequence[Cell], todo: Todo, grid: Grid, folder: RunFolder, options: Namespace) -> int:
    """Print every cell with its state and, for local runs, a forecast of the time and space that is left to spend."""
    from bench.run.forecast import forecast

    print(*cell_lines(cells, todo), sep="\n")
    replayed = [f"{method.name} (from {method.trained_by})" for method in grid.methods.values() if method.trained_by]
    if replayed:
        print(f"replayed, not trained: {', '.join(replayed)}")
    if todo.pending:
        print(*fetch_lines(grid), sep="\n")
        if options.backend == "local":
            machine = resolve_machine(options)
            print(*forecast(grid, todo, folder, machine, options.save_models).lines(machine), sep="\n")
    print(f"{len(cells)} cells, {len(todo.pending)} to run, {len(todo.finished)} done or skipped")
    return 0


def cell_lines(cells: Sequence[Cell], todo: Todo) -> Iterator[str]:
    """What `--plan` prints of each cell: its key, its name, and whether it is to run."""
    to_run = {cell.key for cell in todo.pending}
    unknown = {cell.key for cell in cells if UNKNOWN in (cell.spec["data"], cell.spec["checkpoint"])}
    for cell in cells:
        state = f"skipped: {cell.skip}" if cell.skip else "to run" if cell.key in to_run else "done"
        # the key of the model that a cell starts from is a part of its own
        key = NO_KEY if unknown & {cell.key, cell.start} else cell.key[:12]
        yield f"{key}  {cell.label:50}  {state}"
    if unknown:
        yield f"{NO_KEY}: no key before its data and checkpoint are here; their published sizes are planned with"
