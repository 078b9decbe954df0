"""overthinking.csv: how often a model was right before its last layer, and what each halting rule makes of that.

Shapes: S seeds, n examples, L layers, K operating points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.sources.examples import UNDECIDABLE
from bench.statistics.overthinking import Overthinking, overthinking, recovered
from bench.tables.calibration import by_model
from bench.tables.columns import CURVE, seed_columns, with_ends

MEASURES = ("destructive", "wasteful", "needless_layers", "rescued", "layers_recovered", "gained", "lost", "net")
OVERTHINKING = [*CURVE, "variant", "knob", "knob_value", "examples", "seeds", "n"]
OVERTHINKING += [*with_ends(*MEASURES), "status"]


def overthinking_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """overthinking.csv of one panel: every operating point of methods whose models have an exit at each layer.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    for group in by_model(sweeps):
        first = group[0]
        if not first.method.every_layer or first.by_layer.shape[1] == 1:
            continue
        keys = first.named(*CURVE, "variant", "knob") | {"seeds": len(group)}
        if first.task.regression:
            blank = dict.fromkeys([name for name in OVERTHINKING if name not in keys], np.nan)
            words = {"examples": "all", "n": len(first.trace.labels), "status": "needs classes"}
            yield {**keys, **blank, **words}
            continue
        for examples, here in parts(first).items():
            found = [measured(one, here) for one in group]
            columns: Rows = {}
            for name in MEASURES:
                columns |= seed_columns(name, np.stack([each[name] for each in found]))
            where = {"knob_value": first.knob_values, "examples": examples, "n": here.sum(), "status": ""}
            yield {**keys, **where, **columns}


def parts(one: Sweep) -> dict[str, np.ndarray]:
    """Whom overthinking.csv counts: all examples and, where it is known, those that can be decided and that cannot."""
    difficulty = one.trace.difficulty
    every = {"all": np.ones(len(one.trace.labels), dtype=bool)}
    if difficulty is None or not (difficulty == UNDECIDABLE).any():
        return every
    return {**every, "decidable": difficulty >= 0, "undecidable": difficulty == UNDECIDABLE}


def measured(one: Sweep, here: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure [K] of overthinking.csv for one trained model, among some examples (bool [n])."""
    labels, num_layers = one.trace.labels[here], one.by_layer.shape[1]
    found: Overthinking = overthinking(one.by_layer[here] == labels[:, None])
    points = recovered(found, one.predictions[:, here] == labels, one.layers[:, here], num_layers)
    shares = {"destructive": found.destructive, "wasteful": found.wasteful, "needless_layers": found.needless}
    return {**{name: np.full(len(one.layers), each.mean()) for name, each in shares.items()}, **points}
