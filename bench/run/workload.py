"""How much there is to do in a cell and what it leaves on the disk, without loading data that are not at hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import AutoModel

from bench.models.costs import estimated_macs, example_macs
from bench.models.loading import load_config
from bench.models.training import keeps_features
from bench.plan.cell import Cell, row_limit
from bench.plan.grid import Grid
from bench.plan.methods import full_variant, known_methods
from bench.plan.suite import Recipe
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Source, load_split
from bench.sources.known_sizes import KnownCheckpoint, known_task
from bench.sources.tasks import Task, task_of
from methods.base import ExitSpec, Method
from methods.blocks import exit_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

#: Characters of English per token: tokenising for a forecast would take too long.
CHARACTERS = 4
#: Forward passes that a training step costs: the backward pass counts as two.
TRAINED = 3


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


def cell_macs(cell: Cell, grid: Grid, padded: bool = False) -> float:
    """Multiply-adds of training and tracing a cell, for a forecast.

    Args:
        cell: the cell.
        grid: its plan.
        padded: whether every example is counted at the full length of inputs.
    """
    spec, task = cell.spec, task_of(cell.spec)
    config, recipe = configuration(cell.checkpoint), Recipe(**spec["recipe"])
    tokens = {split: tokens_of(spec, split, grid.source) for split in task.splits}
    if padded:
        tokens = {split: np.full(len(counts), spec["max_length"]) for split, counts in tokens.items()}
    forward = {split: forward_macs(config, counts) for split, counts in tokens.items()}
    method, layers = known_methods(grid.methods)[spec["method"]], config.num_hidden_layers
    kept = method.depth(layers, full_variant(method, spec["variant"]))
    rows = len(tokens["train"])
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
    """For the work in a cell: whether a method's exits read the states of all tokens."""
    with torch.device("meta"):  # what they look like is enough
        exits = [exit_of(method, ExitSpec(config.hidden_size, num_labels, 0.0, 0.02, layer, 2)) for layer in (1, 2)]
    return any(getattr(module, "reads_sequence", False) for module in exits)


def forward_macs(config: PreTrainedConfig, tokens: np.ndarray) -> float:
    """For the work in a cell: multiply-adds of one pass over examples of so many tokens [n], without exits."""
    layers = config.num_hidden_layers
    macs = {**estimated_macs(config), "exits": [[0, 0, 0]] * layers}
    return float(example_macs(macs, np.full(len(tokens), layers), tokens).sum())


def tokens_of(spec: dict, split: str, source: Source) -> np.ndarray:
    """Tokens of each example of a split that a cell reads: [n]."""
    return token_counts(source, task_of(spec), split, row_limit(spec, split), spec["max_length"])


@cache
def token_counts(source: Source, task: Task, split: str, limit: int | None, max_length: int) -> np.ndarray:
    """Tokens of each example of a split, estimated from its characters: float64 [n].

    Of data that are not on this machine every example counts as one of average length.
    """
    special = 1 + len(task.texts)  # [CLS], and [SEP] after each text
    if known := known_task(source, task):
        n = min(known.rows[split], limit or known.rows[split])
        return np.full(n, min(known.characters[split] / CHARACTERS + special, max_length))
    rows = load_split(source, task, split, limit)
    characters = np.array([len(text) for text in rows.text_a], dtype=np.float64)
    if rows.text_b is not None:
        characters += [len(text) for text in rows.text_b]
    return np.minimum(characters / CHARACTERS + special, max_length)


@cache
def configuration(checkpoint: Checkpoint) -> PreTrainedConfig | SimpleNamespace:
    """For the work in a cell: a checkpoint's configuration, or its published sizes; read once for all that share it."""
    return SimpleNamespace(**checkpoint.about) if isinstance(checkpoint, KnownCheckpoint) else load_config(checkpoint)


@cache
def parameters(checkpoint: Checkpoint) -> int:
    """For the work in a cell and what it leaves: parameters of an encoder, counted without its weights."""
    if isinstance(checkpoint, KnownCheckpoint):
        return checkpoint.about["parameters"]
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoModel.from_config(configuration(checkpoint)).parameters())


def trace_bytes(cell: Cell, grid: Grid) -> int:
    """Size of the traces of a cell: logits and halting values of every layer in float32, and three numbers a row."""
    layers, classes = configuration(cell.checkpoint).num_hidden_layers, task_of(cell.spec).num_labels
    return traced_rows(cell, grid) * (4 * layers * (classes + 1) + 24)


def traced_rows(cell: Cell, grid: Grid) -> int:
    """Validation examples of a cell."""
    splits = task_of(cell.spec).validation_splits
    return sum(len(tokens_of(cell.spec, split, grid.source)) for split in splits)
