"""exits.csv: how many examples leave at each layer, and how many have it computed."""

from __future__ import annotations

import numpy as np

from bench.halting.sweep import Rows, Sweep


def exit_rows(sweep: Sweep) -> Rows:
    """Rows of exits.csv: how many examples exit at each layer and how many have it computed, at each knob value."""
    layers, each = sweep.layers, np.arange(1, sweep.trace.logits.shape[1] + 1, dtype=np.int32)
    exits = np.stack([(layers == layer).sum(axis=1, dtype=np.int32) for layer in each], axis=1)  # [K, L]
    used = exits[:, ::-1].cumsum(axis=1, dtype=np.int32)[:, ::-1]
    rows = {**sweep.keys, "knob_value": np.repeat(sweep.knob_values, len(each)), "layer": np.tile(each, len(layers))}
    return {**rows, "exit_count": exits.ravel(), "used_count": used.ravel()}


def exits_at_most(one: Sweep) -> np.ndarray:
    """The largest share of examples that leave at each layer, over all settings [L]."""
    layers = one.exact().layers
    return np.stack([(layers == layer).mean(axis=1).max() for layer in range(1, one.trace.logits.shape[1] + 1)])
