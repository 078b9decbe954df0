"""What a worker does for a cell: load, train, trace, and write the record. Too heavy to import anywhere else."""

from __future__ import annotations

import resource
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from bench.errors import FolderError, UserError, named, one_line
from bench.halting.replay import replay
from bench.halting.saved import EarlyExitClassifier
from bench.halting.sweep import point_rows, settings_on_offer, sweep
from bench.models.card import describe
from bench.models.costs import model_macs
from bench.models.eval_results import board
from bench.models.exit_norm import fit_norms
from bench.models.loading import (
    encoded,
    fresh_backbone,
    pretrained,
    pretrained_macs,
    tokenizer,
)
from bench.models.memory import (
    is_out_of_memory,
    out_of_memory_error,
    peak_gpu_memory_mb,
    release_memory,
    reset_peak_memory,
    training_bytes,
)
from bench.models.model import EarlyExitModel, build_model
from bench.models.probing import Probes, can_be_probed
from bench.models.tokens import Encoded
from bench.models.tracing import trace_model
from bench.models.training import inference_batch, train
from bench.plan.cell import Cell, row_limit
from bench.plan.methods import full_variant, methods_with_files, rule_spec
from bench.plan.suite import Recipe
from bench.run.environment import environment
from bench.run.gate import running_time
from bench.run.work import Work
from bench.sources.examples import Examples
from bench.sources.tasks import Task, task_of
from bench.sources.tsv import WithUnlabelled
from bench.statistics.glue_metric import GlueMetric
from bench.statistics.metrics import constant_metrics
from bench.store.files import write_bytes, write_json
from bench.store.folder import record_of
from bench.store.trace import Trace
from methods.base import Method, Methods, Variant


def run_cell(cell: Cell, work: Work, keep_model: bool) -> dict:
    """Run a cell and write its traces and its record; a failure becomes a record too.

    Args:
        cell: what to run.
        work: where.
        keep_model: whether other cells start from the trained model.

    Returns:
        The record, as written.

    Raises:
        FolderError: a file cannot be written, which is no fault of the cell.
    """
    started = running_time()
    try:
        entry = record_of(cell, "ok") | train_and_trace(cell, work, keep_model)
    except FolderError:
        raise
    except Exception as error:
        why = one_line(error) if isinstance(error, UserError) else named(error)
        entry = record_of(cell, "failed", why) | {"traceback": traceback.format_exc()}
    entry["seconds"] = {**entry.get("seconds", {}), "all": round(running_time() - started, 3)}
    entry["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    entry["environment"] = environment_id(work)
    work.folder.write_record(entry)
    return entry


def train_and_trace(cell: Cell, work: Work, keep_model: bool) -> dict:
    """A worker trains and traces a cell, in smaller parts if memory runs out; gives the results for its record.

    The second attempt computes every batch in twice as many parts.

    Raises:
        UserError: memory runs out again.
    """
    if work.device == "cpu":
        torch.set_num_threads(1)  # sums in another order would change the numbers
    recipe = Recipe(**cell.spec["recipe"])
    smaller = replace(recipe, accumulation=2 * recipe.accumulation)
    try:
        return attempt(cell, work, keep_model, recipe)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # not inside the except block: the error's traceback keeps all tensors of the failed attempt alive
    release_memory()
    try:
        return attempt(cell, work, keep_model, smaller)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        rows, needed = needed_memory(cell, work, smaller)
        raise out_of_memory_error(work.device, needed, rows, smaller.accumulation) from error


def needed_memory(cell: Cell, work: Work, recipe: Recipe) -> tuple[int, int]:
    """For a worker out of memory: rows that a cell computes at once with a recipe, and an estimate of their bytes."""
    method = all_methods(work.method_files, cell.spec["compat"])[cell.spec["method"]]
    backbone, precision = pretrained(cell.checkpoint), cell.spec["precision"]
    is_trained = method.trains("backbone", backbone.num_layers, backbone.num_layers)
    length = int(rows_of(cell, work, "train")[1].lengths.max())
    reading = inference_batch(recipe.accumulation)
    rows = -(-recipe.batch_size // recipe.accumulation) if is_trained else reading
    teacher = training_bytes(backbone, False, reading, length, precision) if method.has_teacher else 0
    return rows, training_bytes(backbone, is_trained, rows, length, precision) + teacher


def attempt(cell: Cell, work: Work, keep_model: bool, recipe: Recipe) -> dict:
    """A worker trains and traces a cell with one recipe; gives the results for its record."""
    reset_peak_memory(work.device)
    spec, task = cell.spec, task_of(cell.spec)
    known = all_methods(work.method_files, spec["compat"])
    method = known[spec["method"]]
    if method.content != spec.get("content", ""):
        raise UserError(f"the file of '{method.name}' has changed since the plan was made: run the command again")
    clock = running_time()
    examples, data = rows_of(cell, work, "train")
    variant = full_variant(method, spec["variant"])
    start = load_file(work.folder.checkpoint_path(cell.start)) if cell.start else None
    names = (spec["backbone"], task.id, spec["seed"])
    exit_norm = spec.get("exit_norm", "")

    def built(method: Method, variant: Variant | None = None) -> EarlyExitModel:
        backbone = fresh_backbone(cell.checkpoint, spec.get("pooling"))
        return build_model(method, backbone, task.num_labels, names, start, variant, exit_norm).to(work.device)

    model = built(method, variant)
    how = (work.device, spec["precision"], inference_batch(recipe.accumulation))
    fit_norms(model, data, *how)
    teacher = built(known[method.starts_from]) if method.has_teacher else None
    loaded = running_time()

    order, computed = (task.id, spec["seed"]), (work.device, spec["precision"], spec["compat"])
    seen = train(model, method, variant, data, recipe, order, *computed, teacher)
    trained = running_time()

    probes = Probes(model, examples, data, *how) if can_be_probed(model) else None
    traced = {split: trace_split(cell, work, model, method, split, how, probes) for split in task.validation_splits}
    kept = write_bytes(work.folder.checkpoint_path(cell.key), save(model.cpu().state_dict())) if keep_model else None
    panel, width = pretrained_macs(cell.family_checkpoint)
    seconds = {"load": loaded - clock, "train": trained - loaded, "trace": running_time() - trained}
    found = {
        "traces": {split: digest for split, (digest, _) in traced.items()},
        "model": kept,
        "layers": model.num_layers,
        "pooling": model.backbone.pooling,
        "panel_layers": len(panel["layers"]),
        "macs": model_macs(model, pretrained_macs(cell.checkpoint)[0], panel, width),
        "accumulation": recipe.accumulation,
        "peak_gpu_memory_mb": peak_gpu_memory_mb(work.device),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "examples_seen": seen,
        "examples_per_second": round(seen / seconds["train"], 1),
        "tokens_per_second": round(recipe.epochs * int(data.lengths.sum()) / seconds["train"], 1),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "full_depth": {split: values for split, (_, values) in traced.items()},
        "constant_label": constant_label(task, examples.labels),
    }
    if work.save_models:
        save_model(cell, work, model, method, found)
    return found


def save_model(cell: Cell, work: Work, model: EarlyExitModel, method: Method, found: dict) -> None:
    """A worker keeps a trained model for others to use, with the curve of its first validation split."""
    split, shared, record = next(iter(found["traces"])), work.folder.shared(), record_of(cell, "ok") | found
    points = sweep(method, record, split, shared["suite"], work.folder.trace(cell.key, split))
    base = "@".join(filter(None, (Path(cell.checkpoint.path).name, cell.checkpoint.revision)))
    about = describe(record, shared, point_rows(points), settings_on_offer(points), method, base)
    if shown := board(work.source, cell.spec, task_of(cell.spec), found["full_depth"]):
        about["board"] = shown
    saved = EarlyExitClassifier(model.cpu(), method, tokenizer(cell.checkpoint), about)
    saved.save_pretrained(work.folder.model_path(cell.spec))


def trace_split(
    cell: Cell,
    work: Work,
    model: EarlyExitModel,
    method: Method,
    split: str,
    how: tuple[str, str, int],
    probes: Probes | None,
) -> tuple[str, dict[str, float]]:
    """A worker traces the model that it has trained on a split, with what probes answer there.

    Args:
        cell: what was trained.
        work: where.
        model: the trained model.
        method: its method.
        split: of the task.
        how: device, precision and rows computed at once.
        probes: of the model, where it can be probed.

    Returns:
        The sha256 of the trace, and the GLUE metrics without early exit, by the `evaluate` library.
    """
    examples, data = rows_of(cell, work, split)
    trace = trace_model(model, examples, data, *how)
    if probes:
        trace = replace(trace, **probes.answers(data))
    if not np.isfinite(trace.logits[:, -1]).all():
        raise FloatingPointError(f"answers on {split} are not finite: training diverged in its last steps")
    digest = trace.save(work.folder.trace_path(cell.key, split))
    return digest, full_depth_values(method, cell.spec["variant"], trace, task_of(cell.spec))


def full_depth_values(method: Method, variant: str, trace: Trace, task: Task) -> dict[str, float]:
    """What a worker records of a trace's last answers: the GLUE metrics."""
    asked = rule_spec(method, trace.logits.shape[1], task.num_labels, variant)
    result = replay(method.halting_rule(asked), trace)
    values = GlueMetric(task).compute(predictions=result.predictions[:, -1], references=trace.labels)
    return {name: float(value) for name, value in values.items()}


def constant_label(task: Task, labels: np.ndarray) -> float:
    """What a worker records: the label that alone gives the best main metric on training labels [n] (regression: mean).

    Rows without a label, -1 or NaN, do not count.
    """
    labels = labels[labels >= 0]
    if task.regression:
        return float(labels.mean())
    return int(constant_metrics(task, labels).argmax())


def rows_of(cell: Cell, work: Work, split: str) -> tuple[Examples, Encoded]:
    """What a worker loads for its cell: the examples and tokens of a split of the task."""
    spec = cell.spec
    source = WithUnlabelled(work.source, work.unlabelled) if "unlabelled" in spec else work.source
    return encoded(source, task_of(spec), split, row_limit(spec, split), cell.checkpoint, spec["max_length"])


# What neighbouring cells share is kept in the worker.


@cache
def all_methods(files: tuple[str, ...], compat: str) -> Methods:
    """The methods of the project and of files outside it, imported once per process."""
    return methods_with_files(files, compat)


@cache
def environment_id(work: Work) -> str:
    """The id of this process's environment, whose description is in environments/."""
    name, description = environment(work.device)
    path = work.folder.environment_path(name)
    if not path.is_file():
        write_json(path, description)
    return name
