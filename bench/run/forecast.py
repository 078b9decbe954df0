"""What `--plan` says a plan will cost: hours, disk space and the time it ends, from measured cells or FLOP counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial

import torch

from bench.errors import UserError
from bench.plan.cell import Cell
from bench.plan.grid import Grid
from bench.plan.methods import known_methods
from bench.run.devices import Machine
from bench.run.environment import processor
from bench.run.estimator import Estimator
from bench.run.gpus import GPUS, is_named
from bench.run.progress import clock_time
from bench.run.todo import Todo
from bench.run.workload import PerKind, cell_macs, parameters, trace_bytes, traced_rows
from bench.sources.checkpoints import Checkpoint
from bench.store.folder import RunFolder

#: The share of a matrix product's speed that training reaches, where nothing has been measured here.
REACHED = 0.4
#: Multiply-adds per second that training reaches on a GPU at most, in small batches: BERT-base's on 300 examples of 128
#: tokens a second (11.2 G forward, twice that backward), as docs/scale.md assumes.
MOST = 300 * 3 * 11.2e9
#: Longer forecasts than a hundred years are cut: `datetime` ends with the year 9999.
LONGEST = 100 * 365 * 86400.0
#: Seconds of one core for tables and figures, for a cell and for each of its validation rows. Measured: 60 to 100 s for
#: the embedded suite's 324 cells of 400 rows; with five times the rows, 2.6 times as long a cell.
COLLECTED, COLLECTED_ROW = 0.15, 0.00025


@dataclass(frozen=True)
class Forecast:
    """What the rest of a plan will cost.

    Attributes:
        wall: seconds until the last cell ends.
        occupied: computing time of all GPUs, or cores, that are at work, in seconds.
        source: where the time comes from, in words.
        trace_bytes: of all traces.
        model_bytes: of the models kept at a time, or with `--save-models` in the end.
        collecting: seconds of one core for tables and figures of the whole plan.
    """

    wall: float
    occupied: float
    source: str
    trace_bytes: int
    model_bytes: int
    collecting: float

    def lines(self, machine: Machine) -> list[str]:
        """What `--plan` prints about it."""
        jobs, unit = machine.jobs, "GPU-hours" if machine.device == "cuda" else "core-hours"
        wall = min(self.wall, LONGEST)
        ends = (datetime.now() + timedelta(seconds=wall)).strftime("%Y-%m-%d %H:%M")
        return [
            f"about {self.occupied / 3600:.2f} {unit}: {clock_time(wall)} with {jobs} at a time, until {ends} if "
            f"started now ({self.source})",
            f"about {clock_time(self.collecting)} of one core for tables and figures, at {COLLECTED:g} s a cell and "
            f"{1000 * COLLECTED_ROW:g} ms a validation row",
            f"about {self.trace_bytes / 1e6:.0f} MB of traces and {self.model_bytes / 1e6:.0f} MB of models on disk",
        ]


def forecast(grid: Grid, todo: Todo, folder: RunFolder, machine: Machine, save_models: bool) -> Forecast:
    """What the rest of a plan will cost on a machine.

    Time is predicted from cells in the folder that have run on a processor and device like its; if none has, from the
    multiply-adds and the speed of a matrix product: timed now, or on the data sheet of a GPU that is not here.

    Args:
        grid: the plan.
        todo: what is left of it.
        folder: where it runs.
        machine: what it runs on.
        save_models: whether all models are kept.
    """
    cells, jobs = [cell for cell in todo.pending if not cell.skip], machine.jobs
    planned = [cell for cell in (*todo.pending, *todo.finished) if not cell.skip]
    known = {cell.spec["checkpoint"]: cell.checkpoint for cell in planned}
    estimator = measured_cells(grid, known, folder, machine)
    if estimator.seconds:
        macs = PerKind(cell_macs, grid)
        # cells that share a device shared it when they were measured, too: no need to count processors
        wall = sum(estimator.predict(cell.spec, macs.of(cell)) for cell in cells) / jobs
        source = "from the speed of the cells that have run here, if as many ran at a time"
        if machine.gpu:
            source = f"from the speed of the cells that have run on such a GPU, the {machine.gpu}"
    else:
        wall, source = counted(cells, grid, machine)
    models = [4 * parameters(cell.checkpoint) for cell in cells]
    # where all seeds start from one model, it is kept until the last seed
    at_a_time = max(jobs + 1, len(todo.starts)) if grid.suite.seed_scope == "heads" else jobs + 1
    return Forecast(
        wall=wall,
        occupied=wall * min(jobs, machine.processors),
        source=source,
        trace_bytes=sum(map(PerKind(trace_bytes, grid).of, cells)),
        model_bytes=sum(models) if save_models else at_a_time * max(models, default=0),
        collecting=sum(COLLECTED + COLLECTED_ROW * rows for rows in map(PerKind(traced_rows, grid).of, planned)),
    )


def counted(cells: Sequence[Cell], grid: Grid, machine: Machine) -> tuple[float, str]:
    """A forecast where nothing has been measured: seconds until the last cell ends, and where they come from."""
    on_gpu = machine.device == "cuda"
    # short texts in small batches leave most of a GPU idle: as long as the longest is nearer to the time they take
    macs = PerKind(partial(cell_macs, padded=on_gpu), grid)
    rate, source = speed(machine, grid.suite.precision)
    length = f", every text {grid.suite.max_length} tokens long" if on_gpu else ""
    return sum(map(macs.of, cells)) / rate / min(machine.jobs, machine.processors), f"{source}{length}"


def speed(machine: Machine, precision: str) -> tuple[float, str]:
    """Multiply-adds per second that training is taken to reach on one processor of a machine, and why, in words."""
    if machine.gpu:  # in 16 bits, faster than `MOST` in any case
        product = 1e12 * GPUS[machine.gpu] / 2 if precision == "float32" else float("inf")
        what = f"of the data sheet of the {machine.gpu}"
    else:
        product, what = product_speed(machine.device, precision), "of a matrix product"
    if machine.device == "cuda" and REACHED * product > MOST:
        return MOST, "from the FLOP count, at 300 training examples of BERT-base a second, assumed for small batches"
    return REACHED * product, f"from the FLOP count, at {REACHED:g} of the {2 * product / 1e9:.0f} GFLOP/s {what}"


def measured_cells(grid: Grid, checkpoints: dict[str, Checkpoint], folder: RunFolder, machine: Machine) -> Estimator:
    """For a forecast: seconds per multiply-add, from a folder's cells that have run on a machine like the one given.

    Those of the plan's tasks; where it has none, those of other tasks whose data are at hand.

    Args:
        grid: the plan.
        checkpoints: those of its cells, by fingerprint; cells of others do not count.
        folder: where cells have run.
        machine: what the plan runs on.
    """
    macs, estimator, without_data = PerKind(cell_macs, grid), Estimator(), set()
    ran, tasks = ran_on_such(grid, checkpoints, folder, machine), {task.id for task in grid.tasks}
    for record in [record for record in ran if record["spec"]["task"] in tasks] or ran:
        spec = record["spec"]
        if spec["task"] in without_data:
            continue
        try:
            amount = macs.of(Cell(spec, checkpoints[spec["checkpoint"]], None))
        except UserError:
            without_data.add(spec["task"])
        else:
            estimator.learn(spec, record["seconds"]["all"], amount)
    return estimator


def ran_on_such(grid: Grid, checkpoints: dict[str, Checkpoint], folder: RunFolder, machine: Machine) -> list[dict]:
    """What a forecast learns from: records of cells that have run on a processor, or GPU, like a machine's."""
    methods = known_methods(grid.methods)
    return [
        record
        for record in folder.records()
        if record["status"] == "ok"
        and record["spec"]["method"] in methods
        and record["spec"]["checkpoint"] in checkpoints
        and is_such(machine, folder.environment(record["environment"]))
    ]


def is_such(machine: Machine, about: dict | None) -> bool:
    """For a forecast: whether the processor, or GPU, of an environment (None: not known) is like a machine's."""
    if about is None or (about["device"] == "cpu") != (machine.device == "cpu"):
        return False
    if machine.device == "cpu":
        return about["processor"] == processor()
    if machine.gpu:
        return is_named(machine.gpu, about["device"])
    return about["device"] == torch.cuda.get_device_name(0)


@cache
def product_speed(device: str, precision: str) -> float:
    """For a forecast: multiply-adds per second of a product of square matrices on one thread, or on the GPU."""
    size = 4096 if device == "cuda" else 1024
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = torch.ones(size, size, device=device, dtype=getattr(torch, precision))
    times = []
    for _ in range(4):  # the first pays for starting up
        start = time.perf_counter()
        (matrix @ matrix)[0, 0].item()
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return size**3 / min(times)
