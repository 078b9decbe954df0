"""latency.csv and its figure (`--measure-latency`): the live engine's time over that of full depth, on saved models.

Both sides answer the same batches of the validation set, ready on the device, in turn in one process, in the precision
that the model was trained in; on the CPU with one thread. Full depth is the model's own backbone with its last exit
alone, as a static model computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from bench.errors import UserError
from bench.halting.live import Decisions, run_full, run_live
from bench.halting.replay import replay
from bench.halting.saved import EarlyExitClassifier
from bench.halting.sweep import KEYS, keys_of
from bench.models.backbones import Batch
from bench.models.tokens import Encoded, encode, sorted_batches
from bench.plan.cell import Cell, row_limit
from bench.plan.grid import Grid
from bench.plan.methods import rule_spec
from bench.report.figures.draw import Wanted, draw_one
from bench.report.figures.setting import Setting
from bench.sources.examples import load_split
from bench.sources.tasks import task_of
from bench.store.csv_files import write_table
from bench.store.files import make_writable
from bench.store.folder import RunFolder
from bench.store.trace import Trace
from bench.tables.collect import methods_of
from bench.timing import in_turn, ratio
from methods.base import HaltingRule, Knob, Method

LATENCY = [*KEYS, "device", "batch_size", "n", "layer_fraction", "time_fraction", "milliseconds", "full_milliseconds"]
BATCH_SIZES = (1, 8, 32, 128)
#: The settings of a knob that are measured are those nearest to these shares of the layers.
SHARES = (0.25, 0.5, 0.75)
#: At most so many examples, in at most so many batches, are answered.
ROWS, BATCHES, ROUNDS = 256, 32, 5


def measure_latency(grid: Grid, folder: RunFolder, figures: Path, devices: list[str]) -> int:
    """Write latency.csv and its figure from the saved models of a plan; the exit status.

    Args:
        grid: the plan.
        folder: the run folder.
        figures: folder for the pictures.
        devices: "cpu", "cuda".

    Raises:
        UserError: no model of the plan that exits early was saved.
    """
    make_writable(figures, "figures")
    known, rows = methods_of(folder), []
    cells = [
        cell for cell in grid.cells(grid.shared()) if folder.has_saved_model(cell) and folder.is_finished(cell.key)
    ]
    for method in (known[name] for name in grid.methods if name in known and known[name].every_layer):
        trained = known[method.trained_by or method.name]
        for cell in (cell for cell in cells if cell.spec["method"] == trained.name):
            print(f"{cell.label}, halting as {method.name}")
            for device in devices:
                rows += latency_rows(grid, folder, cell, method, trained, device)
    if not rows:
        where = folder.path / "models"
        raise UserError(f"'{where}' holds no early-exit model of this plan: repeat the run with --save-models first")
    table = pd.DataFrame(rows, columns=LATENCY)
    write_table(folder.path / "latency.csv", table)
    drawn = [
        path for name in grid.backbones for path in draw_one("latency", name, folder.path, figures, Wanted(), Setting())
    ]
    print(f"{len(table)} rows in {folder.path / 'latency.csv'}, {len(drawn)} figure files in {figures}")
    return 0


def latency_rows(
    grid: Grid, folder: RunFolder, cell: Cell, method: Method, trained: Method, device: str
) -> Iterator[dict[str, object]]:
    """Rows of latency.csv of one method on one saved model: every batch size at some settings of the knob."""
    spec, task = cell.spec, task_of(cell.spec)
    split = task.validation_splits[0]
    saved = EarlyExitClassifier.from_pretrained(folder.model_path(spec), trained, device)
    model, examples = saved.model, load_split(grid.source, task, split, row_limit(spec, split))
    data = encode(saved.tokenizer, examples, spec["max_length"])
    asked = rule_spec(method, model.num_layers, task.num_labels, spec["variant"])
    rule, knob = method.halting_rule(asked), method.knob(asked)
    values = settings(rule, knob, folder.trace(cell.key, split))
    keys = keys_of(cell.key, spec, grid.suite.name, split, method, knob)
    for size in BATCH_SIZES:
        batches = list(batches_of(data, size, device))
        n = sum(len(batch["input_ids"]) for batch in batches)
        full = partial(run_full, model, precision=spec["precision"])
        ways = [partial(run_live, model, rule, knob, value, precision=spec["precision"]) for value in values]
        runs = in_turn(full, *ways, items=[(batch,) for batch in batches], rounds=ROUNDS)
        for i, value in enumerate(values, start=1):
            yield {
                **keys,
                "knob_value": value,
                "device": device,
                "batch_size": size,
                "n": n,
                "layer_fraction": depth(ways[i - 1], batches) / model.num_layers,
                "time_fraction": ratio(runs, i, 0),
                "milliseconds": 1000 * median(run[i] for run in runs) / n,
                "full_milliseconds": 1000 * median(run[0] for run in runs) / n,
            }


def settings(rule: HaltingRule, knob: Knob, trace: Trace) -> list[float]:
    """The knob values whose time is measured: with a mean depth nearest to `SHARES` on a trace, each once."""
    depths = replay(rule, trace).exit_layers(knob, knob.values).mean(axis=1) / trace.logits.shape[1]  # [K]
    return [knob.values[i] for i in sorted({int(np.abs(depths - share).argmin()) for share in SHARES})]


def batches_of(data: Encoded, size: int, device: str) -> Iterator[Batch]:
    """What time is measured on: the same random examples for every model, in batches of similar length on a device."""
    rows = np.random.default_rng(0).permutation(len(data))[: min(ROWS, size * BATCHES)]
    some = data.take(rows)
    return (some.batch(batch, device) for batch in sorted_batches(some.lengths, size))


def depth(answer: Callable[[Batch], Decisions], batches: list[Batch]) -> float:
    """The mean layer (1..L) that the live engine answers batches at while its time is measured."""
    return float(np.mean(np.concatenate([answer(batch).layers.cpu().numpy() for batch in batches])))
