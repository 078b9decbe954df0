"""Running one cell: load, train, trace, record. Runs in a worker process; everything it knows comes from its spec."""

from __future__ import annotations

import resource
import time
import traceback
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from bench.checkpoints import Checkpoint
from bench.data import Examples, Source, load_split
from bench.environment import environment
from bench.errors import UserError
from bench.files import write_bytes, write_json
from bench.metrics import evaluate_predictions
from bench.plan import Cell, full_variant
from bench.store import RunFolder
from bench.suite import Recipe
from bench.tasks import TASKS, Task
from methods.base import Method


@dataclass(frozen=True)
class Work:
    """Where and on what cells run; nothing here changes a number."""

    folder: RunFolder
    source: Source
    device: str
    method_files: tuple[str, ...] = ()


def run_cell(cell: Cell, work: Work, keep_model: bool) -> dict:
    """Run a cell and write its traces and its record; a failure becomes a record too.

    Args:
        cell: what to run.
        work: where.
        keep_model: whether other cells start from the trained model.

    Returns:
        The record, as written.
    """
    started = time.perf_counter()
    record = {"key": cell.key, "label": cell.label, "status": "ok", "reason": "", "spec": cell.spec}
    try:
        record |= train_and_trace(cell, work, keep_model)
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        record |= {"status": "failed", "reason": reason.strip().splitlines()[0], "traceback": traceback.format_exc()}
    record["seconds"] = {**record.get("seconds", {}), "all": round(time.perf_counter() - started, 3)}
    record["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    record["environment"] = environment_of(work)
    write_json(work.folder.record_path(cell.key), record)
    return record


def skipped_record(cell: Cell) -> dict:
    """The record of a cell that has a reason not to run."""
    return {"key": cell.key, "label": cell.label, "status": "skipped", "reason": cell.skip, "spec": cell.spec}


def train_and_trace(cell: Cell, work: Work, keep_model: bool) -> dict:
    """The work of a cell; what it returns goes into the record."""
    import torch
    from safetensors.torch import load_file, save

    from bench.backbones import load_config
    from bench.model import build_model
    from bench.trace import record
    from bench.training import train

    if work.device == "cpu":
        torch.set_num_threads(1)  # sums in another order would change the numbers
    spec, task = cell.spec, TASKS[cell.spec["task"]]
    method = known_methods(work.method_files)[spec["method"]]
    seconds = {}
    clock = time.perf_counter()
    train_set = encoded(work.source, task.id, "train", spec["limit"], cell.checkpoint, spec["max_length"])
    start = load_file(work.folder.checkpoint_path(cell.start)) if cell.start else None
    names = (spec["backbone"], task.id, spec["seed"])
    model = build_model(method, fresh_backbone(cell.checkpoint), task.num_labels, names, start).to(work.device)
    clock, seconds["load"] = lap(clock)

    recipe = Recipe(**spec["recipe"])
    variant = full_variant(method, spec["variant"])
    order = (task.id, spec["seed"])
    seen = train(model, method, variant, train_set[1], recipe, order, work.device, spec["precision"])
    clock, seconds["train"] = lap(clock)

    splits, full_depth = [name for name in task.splits if name != "train"], {}
    for split in splits:
        examples, data = encoded(work.source, task.id, split, spec["limit"], cell.checkpoint, spec["max_length"])
        trace = record(model, examples, data, work.device, spec["precision"])
        trace.save(work.folder.trace_path(cell.key, split))
        full_depth[split] = full_depth_values(method, trace, task)
    clock, seconds["trace"] = lap(clock)
    if keep_model:
        write_bytes(work.folder.checkpoint_path(cell.key), save(model.cpu().state_dict()))
    tokens = int(train_set[1].lengths.sum()) * recipe.epochs
    return {
        "splits": splits,
        "layers": model.num_layers,
        "panel_layers": load_config(cell.panel_checkpoint).num_hidden_layers,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "examples_seen": seen,
        "examples_per_second": round(seen / seconds["train"], 1),
        "tokens_per_second": round(tokens / seconds["train"], 1),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "full_depth": full_depth,
        "constant_label": constant_label(task, train_set[0].labels),
    }


def lap(clock: float) -> tuple[float, float]:
    """Now, and the seconds since `clock`."""
    now = time.perf_counter()
    return now, now - clock


def full_depth_values(method: Method, trace, task) -> dict[str, float]:
    """The GLUE metrics of a trained model without early exit, by the `evaluate` library."""
    from bench.glue_metric import GlueMetric
    from bench.replay import replay

    result = replay(method.halting_rule(trace.logits.shape[1], task.num_labels), trace)
    values = GlueMetric(task.id).compute(predictions=result.predictions[:, -1], references=trace.labels)
    return {name: float(value) for name, value in values.items()}


def constant_label(task: Task, labels: np.ndarray) -> float:
    """The label that alone gives the best drawn metric on training labels [n] (regression: their mean)."""
    if task.regression:
        return float(labels.mean())
    guesses = np.repeat(np.arange(task.num_labels)[:, None], len(labels), axis=1)
    return int(evaluate_predictions(task, labels, guesses)[task.metric].argmax())


@cache
def known_methods(files: tuple[str, ...]) -> dict[str, Method]:
    """The methods of the project and of files outside it."""
    from pathlib import Path

    from methods import discover, from_file

    return {**discover(), **{method.name: method for file in files for method in from_file(Path(file))}}


@lru_cache(maxsize=16)
def encoded(
    source: Source, task: str, split: str, limit: int | None, checkpoint: Checkpoint, max_length: int
) -> tuple[Examples, object]:
    """A split and its tokens; kept, because neighbouring cells use the same."""
    from bench.encoding import encode

    examples = load_split(source, TASKS[task], split, limit)
    if not len(examples):
        raise UserError(f"{task}/{split} has no rows")
    return examples, encode(tokenizer(checkpoint), examples, max_length)


@lru_cache(maxsize=4)
def tokenizer(checkpoint: Checkpoint):
    """The tokenizer of a checkpoint, kept."""
    from bench.backbones import load_tokenizer

    return load_tokenizer(checkpoint)


@lru_cache(maxsize=2)
def _pretrained(checkpoint: Checkpoint):
    from bench.backbones import load_encoder

    return load_encoder(checkpoint)


def fresh_backbone(checkpoint: Checkpoint):
    """A copy of the pre-trained encoder, for one training to change."""
    import copy

    return copy.deepcopy(_pretrained(checkpoint))


@cache
def environment_of(work: Work) -> str:
    """The id of this process's environment, whose description is in environments/."""
    name, description = environment(work.device)
    path = work.folder.path / "environments" / f"{name}.json"
    if not path.is_file():
        write_json(path, description)
    return name
