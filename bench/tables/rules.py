"""What traces show besides points: exits against difficulty, what rules see by layer, DACT's bounds, and confidence.

Shape symbols: K knob values, n examples, L layers, E chosen examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from bench.halting.replay import replay
from bench.halting.sweep import Rows, Sweep, mean_layer_fraction
from bench.statistics.metrics import evaluate_predictions
from methods.base import Knob, RuleSpec
from methods.blocks import entropy
from methods.dact import SLACK, DactRule, ExactRule

MODEL = ["suite", "task", "split", "backbone", "method", "variant", "seed"]
LAYERS = [*MODEL, "example", "index", "difficulty", "mean_exit_layer", "layer", "quantity", "value"]
BOUNDS = [*MODEL, "bound", "eps", "layer_fraction", "metric", "value", "changed", "n"]
CONFIDENCE = [*MODEL, "knob", "knob_value", "layer_fraction", "exit_entropy", "decided", "train_rows", "n"]
#: The methods that train DACT's halting values: as in the paper, without fine-tuning, with the older penalty.
DACTS = ("dact", "dact-frozen", "dact-original")
#: Halting values outside these are decided: to stop, or to go on.
UNDECIDED = (0.1, 0.9)


def chosen_examples(sweeps: Sequence[Sweep]) -> tuple[dict[str, int], np.ndarray]:
    """The examples of a panel that exit earliest, in the middle and latest, on average over all that choose an exit.

    The average is over the points of a sweep, then over the sweeps whose points do not all treat examples alike.
    Ties go to the lower index.

    Returns:
        Name -> position in the trace; mean exit layer [n].
    """
    chosen = [s.layers.mean(axis=0) for s in sweeps if (s.layers != s.layers[:, :1]).any()] or [sweeps[0].layers[0]]
    mean = np.round(np.mean(chosen, axis=0), 9)  # [n]
    index = sweeps[0].trace.index
    upwards, downwards = np.lexsort((index, mean)), np.lexsort((index, -mean))
    return {"earliest": upwards[0], "median": upwards[(len(mean) - 1) // 2], "latest": downwards[0]}, mean


def layer_rows(sweeps: Sequence[Sweep]) -> Iterator[Rows]:
    """layers.csv: what DeeBERT's and DACT's rules see at every layer, for three examples of a panel.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    names, mean = chosen_examples(sweeps)
    for source in sweeps:
        if source.keys["method"] not in ("deebert", "dact"):
            continue
        difficulty = source.trace.difficulty
        for name, at in names.items():
            keys = {**source.keys, "example": name, "index": source.trace.index[at], "mean_exit_layer": mean[at]}
            keys["difficulty"] = np.nan if difficulty is None else difficulty[at]
            for quantity, values in layer_quantities(source, at).items():
                yield {**keys, "layer": np.arange(1, len(values) + 1), "quantity": quantity, "value": values}


def layer_quantities(source: Sweep, at: int) -> dict[str, np.ndarray]:
    """Name -> [L] of one example: `entropy` (nats) for DeeBERT, `h` and p_l = h_1 .. h_l for DACT."""
    if source.trace.halting is None:
        return {"entropy": entropy(torch.from_numpy(source.trace.logits[at]).double()).numpy()}
    h = source.trace.halting[at].astype(np.float64)
    return {"h": h, "p": np.cumprod(h)}


def bound_rows(source: Sweep) -> Iterator[Rows]:
    """bounds.csv: cost, metric and changed answers of one DACT model under Eq. 2, the exact bound, and slack in it.

    Args:
        source: the sweep of `dact` on the trace; other methods have no rows.
    """
    if source.keys["method"] != "dact":
        return
    asked = RuleSpec(*source.trace.logits.shape[1:])
    for bound, rule, values in (("paper", DactRule, SLACK[:1]), ("exact", ExactRule, SLACK)):
        result = replay(rule(asked), source.trace)
        layers = result.exit_layers(Knob("eps", values, sign=-1), values)  # [K, n]
        predictions = result.predictions_at(layers)
        metrics = evaluate_predictions(source.task, source.trace.labels, predictions)
        yield {
            **source.keys,
            "bound": bound,
            "eps": np.array(values),
            "layer_fraction": mean_layer_fraction(layers, source.panel_layers),
            "metric": source.task.metric,
            "value": metrics[source.task.metric],
            "changed": (predictions != result.predictions[:, -1]).mean(axis=1),
            "n": layers.shape[1],
        }


def confidence_rows(source: Sweep) -> Iterator[Rows]:
    """confidence.csv: how sure the answers are at exit, and how sure the halting values.

    Args:
        source: a sweep of `deebert`, whose answers are its logits, or of a method of DACT's family with models of its
            own, whose answers are the accumulated a_l; other methods have no rows.
    """
    trace, method = source.trace, source.keys["method"]
    decided = np.nan
    if method in DACTS:
        a = torch.from_numpy(replay(DactRule(RuleSpec(*trace.logits.shape[1:])), trace).answers)
        unsure = torch.special.entr(a).sum(dim=-1).numpy()  # [n, L]
        # h_L is penalised, but layer L halts whatever it says
        h, (low, high) = trace.halting[:, :-1], UNDECIDED
        if h.size:
            decided = ((h < low) | (h > high)).mean()
    elif method == "deebert":
        unsure = entropy(torch.from_numpy(trace.logits).double()).numpy()
    else:
        return
    at_exit = unsure[np.arange(len(unsure)), source.layers - 1]  # [K, n]
    sizes = {"train_rows": source.train_rows, "n": source.layers.shape[1]}
    yield source.rows(layer_fraction=source.layer_fraction, exit_entropy=at_exit.mean(axis=1), decided=decided, **sizes)
