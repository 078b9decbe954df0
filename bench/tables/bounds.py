"""bounds.csv: what DACT's halting bound costs and changes: as the paper has it (Eq. 2), exact, and with slack in it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.halting.replay import replay
from bench.halting.sweep import Rows, Sweep, mean_layer_fraction
from bench.tables.columns import MODEL, task_metric
from methods.base import Knob, RuleSpec
from methods.dact import SLACK, DactRule, ExactRule

BOUNDS = [*MODEL, "bound", "eps", "layer_fraction", "metric", "value", "changed", "n"]


def bound_rows(sweep: Sweep) -> Iterator[Rows]:
    """bounds.csv of one DACT model: cost, metric, and the share of answers that differ from those at full depth.

    Args:
        sweep: the sweep of `dact` on the trace; other methods have no rows.
    """
    if sweep.keys["method"] != "dact":
        return
    asked = RuleSpec(*sweep.trace.logits.shape[1:])
    for bound, rule, values in (("paper", DactRule, SLACK[:1]), ("exact", ExactRule, SLACK)):
        result = replay(rule(asked), sweep.trace)
        layers, predictions = result.decide(Knob("eps", values, sign=-1), values)  # [K, n]
        yield {
            **sweep.keys,
            "bound": bound,
            "eps": np.array(values),
            "layer_fraction": mean_layer_fraction(layers, sweep.panel_layers),
            "metric": sweep.task.metric,
            "value": task_metric(sweep, predictions),
            "changed": (predictions != result.predictions[:, -1]).mean(axis=1),
            "n": layers.shape[1],
        }
