"""What `--plan` says a plan will cost: hours, disk space and the time it ends, from measured cells or FLOP counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import torch
from transformers import AutoModel, PreTrainedConfig

from bench.errors import UserError
from bench.models.costs import estimated_macs, example_macs
from bench.models.loading import load_config
from bench.models.training import keeps_features
from bench.plan.cell import Cell, row_limit
from bench.plan.grid import Grid
from bench.plan.methods import full_variant, known_methods
from bench.plan.suite import Recipe
from bench.run.environment import processor
from bench.run.estimator import Estimator
from bench.run.progress import clock_time
from bench.run.todo import Todo
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Source, load_split
from bench.sources.tasks import Task, task_of
from bench.store.folder import RunFolder
from methods.base import ExitSpec, Method
from methods.blocks import exit_of

#: Characters of English per token: tokenising for a forecast would take too long.
CHARACTERS = 4
#: Forward passes that a training step costs: the backward pass counts as two.
TRAINED = 3
#: The share of a matrix product's speed that training reaches, where nothing has been measured here.
REACHED = 0.4
#: Longer forecasts than a hundred years are cut: `datetime` ends with the year 9999.
LONGEST = 100 * 365 * 86400.0


@dataclass(frozen=True)
class Forecast:
    """What the rest of a plan will cost.

    Attributes:
        wall: seconds until the last cell ends.
        occupied: computing time of all GPUs, or cores, that are at work, in seconds.
        source: where the time comes from, in words.
        trace_bytes: of all traces.
        model_bytes: of the models kept at a time, or with `--save-models` in the end.
    """

    wall: float
    occupied: float
    source: str
    trace_bytes: int
    model_bytes: int

    def lines(self, device: str, jobs: int) -> list[str]:
        """What `--plan` prints about it, for so many cells at a time."""
        wall, unit = min(self.wall, LONGEST), "GPU-hours" if device == "cuda" else "core-hours"
        ends = (datetime.now() + timedelta(seconds=wall)).strftime("%Y-%m-%d %H:%M")
        return [
            f"about {self.occupied / 3600:.2f} {unit}: {clock_time(wall)} with {jobs} at a time, until {ends} if "
            f"started now ({self.source})",
            f"about {self.trace_bytes / 1e6:.0f} MB of traces and {self.model_bytes / 1e6:.0f} MB of models on disk",
        ]


def forecast(
    grid: Grid, todo: Todo, folder: RunFolder, device: str, jobs: int, processors: int, save_models: bool
) -> Forecast:
    """What the rest of a plan will cost on this machine.

    Time is predicted from cells in the folder that have run on a processor and device like this one; if none has,
    from the multiply-adds and a matrix product timed now.

    Args:
        grid: the plan.
        todo: what is left of it.
        folder: where it runs.
        device: "cpu" or "cuda".
        jobs: cells at a time.
        processors: GPUs or cores that they share.
        save_models: whether all models are kept.
    """
    cells = [cell for cell in todo.pending if not cell.skip]
    macs = PerKind(cell_macs, grid)
    known = {cell.spec["checkpoint"]: cell.checkpoint for cell in (*todo.pending, *todo.finished) if cell.checkpoint}
    estimator = measured_cells(grid, known, folder, device)
    if estimator.seconds:
        # cells that share a device shared it when they were measured, too: no need to count processors
        wall = sum(estimator.predict(cell.spec, macs.of(cell)) for cell in cells) / jobs
        source = "from the speed of the cells that have run here, if as many ran at a time"
    else:
        speed = REACHED * product_speed(device, grid.suite.precision)
        wall = sum(map(macs.of, cells)) / speed / min(jobs, processors)
        rate = 2 * speed / REACHED / 1e9
        source = f"from the FLOP count, at {REACHED:g} of the {rate:.0f} GFLOP/s of a matrix product"
    models = [4 * parameters(cell.checkpoint) for cell in cells]
    # where all seeds start from one model, it is kept until the last seed
    at_a_time = max(jobs + 1, len(todo.starts)) if grid.suite.seed_scope == "heads" else jobs + 1
    kept = sum(models) if save_models else at_a_time * max(models, default=0)
    return Forecast(wall, wall * min(jobs, processors), source, sum(map(PerKind(trace_bytes, grid).of, cells)), kept)


class PerKind:
    """A number of each cell of a plan, computed once for all seeds, which have it in common."""

    def __init__(self, function: Callable[[Cell, Grid], float], grid: Grid) -> None:
        self.function, self.grid, self.known = function, grid, {}

    def of(self, cell: Cell) -> float:
        """The number of a cell, from the first cell of its kind that was asked about."""
        kind = tuple(cell.spec[name] for name in ("backbone", "task", "method", "variant"))
        if kind not in self.known:
            self.known[kind] = self.function(cell, self.grid)
        return self.known[kind]


def measured_cells(grid: Grid, checkpoints: dict[str, Checkpoint], folder: RunFolder, device: str) -> Estimator:
    """Seconds per multiply-add, learnt from the cells in a folder that have run on a machine like this one.

    Those of the plan's tasks; where it has none, those of other tasks whose data are at hand.

    Args:
        grid: the plan.
        checkpoints: those of its cells, by fingerprint; cells of others do not count.
        folder: where cells have run.
        device: "cpu" or "cuda".
    """
    macs, estimator, without_data = PerKind(cell_macs, grid), Estimator(), set()
    ran, tasks = ran_here(grid, checkpoints, folder, device), {task.id for task in grid.tasks}
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


def ran_here(grid: Grid, checkpoints: dict[str, Checkpoint], folder: RunFolder, device: str) -> list[dict]:
    """The records of cells that have run on a processor, or GPU, like this one; see `measured_cells`."""
    here = processor() if device == "cpu" else torch.cuda.get_device_name(0)
    methods = known_methods(grid.methods)
    return [
        record
        for record in folder.records()
        if record["status"] == "ok"
        and record["spec"]["method"] in methods
        and record["spec"]["checkpoint"] in checkpoints
        and ran_on(folder, record, device) == here
    ]


def ran_on(folder: RunFolder, record: dict, device: str) -> str | None:
    """Name of the processor, or GPU, that a cell ran on; None where it ran on the other kind or is not known."""
    about = folder.environment(record["environment"])
    if about is None or (about["device"] == "cpu") != (device == "cpu"):
        return None
    return about["processor"] if device == "cpu" else about["device"]


def cell_macs(cell: Cell, grid: Grid) -> float:
    """Multiply-adds of training and tracing a cell, for a forecast."""
    spec, task = cell.spec, task_of(cell.spec)
    config, recipe = configuration(cell.checkpoint), Recipe(**spec["recipe"])
    forward = {split: forward_macs(config, tokens_of(spec, split, grid.source)) for split in task.splits}
    method, layers = known_methods(grid.methods)[spec["method"]], config.num_hidden_layers
    kept = method.depth(layers, full_variant(method, spec["variant"]))
    rows = len(tokens_of(spec, "train", grid.source))
    read, taught = (1 if keeps_features(rows, n, config.hidden_size) else recipe.epochs for n in (kept, layers))
    if method.trains("backbone", kept, kept):
        passes = TRAINED * recipe.epochs
    elif spec["compat"] == "released" or reads_sequence(method, config, task.num_labels):
        passes = recipe.epochs  # dropout makes every pass another one, or exits read more than what is kept
    else:
        passes = read
    traced = sum(forward[split] for split in task.validation_splits)
    return kept / layers * (passes * forward["train"] + traced) + method.has_teacher * taught * forward["train"]


def reads_sequence(method: Method, config: PreTrainedConfig, num_labels: int) -> bool:
    """Whether a method's exits read the states of all tokens."""
    with torch.device("meta"):  # what they look like is enough
        exits = [exit_of(method, ExitSpec(config.hidden_size, num_labels, 0.0, 0.02, layer, 2)) for layer in (1, 2)]
    return any(getattr(module, "reads_sequence", False) for module in exits)


def forward_macs(config: PreTrainedConfig, tokens: np.ndarray) -> float:
    """Multiply-adds of one pass over examples of so many tokens [n], without exits."""
    layers = config.num_hidden_layers
    macs = {**estimated_macs(config), "exits": [[0, 0, 0]] * layers}
    return float(example_macs(macs, np.full(len(tokens), layers), tokens).sum())


def tokens_of(spec: dict, split: str, source: Source) -> np.ndarray:
    """Tokens of each example of a split that a cell reads: [n]."""
    return token_counts(source, task_of(spec), split, row_limit(spec, split), spec["max_length"])


@cache
def token_counts(source: Source, task: Task, split: str, limit: int | None, max_length: int) -> np.ndarray:
    """Tokens of each example of a split, estimated from its characters: float64 [n]."""
    rows = load_split(source, task, split, limit)
    characters = np.array([len(text) for text in rows.text_a], dtype=np.float64)
    if rows.text_b is not None:
        characters += [len(text) for text in rows.text_b]
    return np.minimum(characters / CHARACTERS + (2 if rows.text_b is None else 3), max_length)


@cache
def product_speed(device: str, precision: str) -> float:
    """Multiply-adds per second of a product of square matrices on one thread, or on the GPU."""
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


@cache
def configuration(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The configuration of a checkpoint, read once for the hundreds of cells that share it."""
    return load_config(checkpoint)


@cache
def parameters(checkpoint: Checkpoint) -> int:
    """Parameters of an encoder, counted without its weights."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoModel.from_config(configuration(checkpoint)).parameters())


def trace_bytes(cell: Cell, grid: Grid) -> int:
    """Size of the traces of a cell: logits and halting values of every layer in float32, and three numbers a row."""
    spec, task = cell.spec, task_of(cell.spec)
    rows = sum(len(tokens_of(spec, split, grid.source)) for split in task.validation_splits)
    return rows * (4 * configuration(cell.checkpoint).num_hidden_layers * (task.num_labels + 1) + 24)
