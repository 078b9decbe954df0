"""What traces show besides points: exits against difficulty, what halting rules see by layer, DACT's bounds compared.

Shape symbols: K knob values, n examples, L layers, E chosen examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from bench.metrics import evaluate_predictions, spearman
from bench.replay import replay
from bench.sweep import Sweep
from bench.tables import interval_columns
from methods.base import Knob, entropy
from methods.dact import DactRule, ExactRule

DIFFICULTY_KEYS = ["suite", "task", "split", "backbone", "method", "variant", "seed", "knob", "knob_value"]
DIFFICULTY = [*DIFFICULTY_KEYS, "difficulty", "n", "mean_exit_layer", "value"]
RANK_KEYS = [key for key in DIFFICULTY_KEYS if key != "seed"]
RANKS = [*RANK_KEYS, "spearman", "spearman_low", "spearman_high", "seeds"]
RUN_KEYS = ["suite", "task", "split", "backbone", "method", "variant", "seed"]
LAYERS = [*RUN_KEYS, "example", "index", "difficulty", "mean_exit_layer", "layer", "quantity", "value"]
BOUND_KEYS = ["suite", "task", "split", "backbone", "variant", "seed"]
BOUNDS = [*BOUND_KEYS, "bound", "eps", "layer_fraction", "metric", "value", "changed", "n"]
#: Margins by which the exact bound may be missed; 0 keeps every answer.
EPS = (0.0, 0.05, 0.1, 0.2, 0.5)


def difficulty_rows(sweep: Sweep) -> pd.DataFrame:
    """difficulty.csv: mean exit layer and drawn metric among the examples of each known difficulty."""
    difficulty, tables = sweep.trace.difficulty, []
    for level in () if difficulty is None else np.unique(difficulty):
        here = difficulty == level
        values = evaluate_predictions(sweep.task, sweep.trace.labels[here], sweep.predictions[:, here])
        columns = {"n": here.sum(), "mean_exit_layer": sweep.layers[:, here].mean(axis=1)}
        tables.append(sweep.rows(difficulty=level, **columns, value=values[sweep.task.metric]))
    return pd.concat(tables)[DIFFICULTY] if tables else pd.DataFrame(columns=DIFFICULTY)


def rank_rows(sweep: Sweep) -> pd.DataFrame:
    """Spearman's rank correlation of exit layer and difficulty; no row where all examples exit at one layer."""
    if sweep.trace.difficulty is None:
        return pd.DataFrame(columns=[*DIFFICULTY_KEYS, "spearman"])
    varies = (sweep.layers != sweep.layers[:, :1]).any(axis=1)
    table = sweep.rows()[varies]
    return table.assign(spearman=spearman(sweep.trace.difficulty, sweep.layers[varies]) if len(table) else [])


def rank_table(ranks: pd.DataFrame) -> pd.DataFrame:
    """difficulty_rank.csv: mean and 95 % t-interval, cut at -1 and 1, over the seeds that have a rank correlation.

    Args:
        ranks: the rows of `rank_rows`.
    """
    rows = [
        {
            **dict(zip(RANK_KEYS, keys, strict=True)),
            **interval_columns("spearman", group["spearman"].to_numpy()),
            "seeds": len(group),
        }
        for keys, group in ranks.groupby(RANK_KEYS, sort=False)
    ]
    table = pd.DataFrame(rows, columns=RANKS)
    ends = ["spearman_low", "spearman_high"]
    return table.assign(**{end: table[end].astype(float).clip(-1, 1) for end in ends})


def chosen_examples(sweeps: Sequence[Sweep]) -> tuple[dict[str, int], np.ndarray]:
    """The examples of a panel that exit earliest, in the middle and latest, on average over all that choose an exit.

    The average is over the points of a sweep, then over the sweeps whose points do not all treat examples alike.
    Ties go to the lower index.

    Returns:
        Name -> position in the trace; mean exit layer [n].
    """
    chosen = [s.layers.mean(axis=0) for s in sweeps if (s.layers != s.layers[:, :1]).any()]
    mean = np.round(np.mean(chosen, axis=0), 9)  # [n]
    index = sweeps[0].trace.index
    upwards, downwards = np.lexsort((index, mean)), np.lexsort((index, -mean))
    return {"earliest": upwards[0], "median": upwards[(len(mean) - 1) // 2], "latest": downwards[0]}, mean


def layer_rows(sweeps: Sequence[Sweep]) -> pd.DataFrame:
    """layers.csv: what DeeBERT's and DACT's rules see at every layer, for three examples of a panel.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    sources = [s for s in sweeps if s.keys["method"] in ("deebert", "dact")]
    if not sources:
        return pd.DataFrame(columns=LAYERS)
    names, mean = chosen_examples(sweeps)
    tables = []
    for source in sources:
        for name, at in names.items():
            known = source.trace.difficulty
            keys = {key: source.keys[key] for key in RUN_KEYS}
            keys |= {"example": name, "index": source.trace.index[at], "mean_exit_layer": mean[at]}
            keys["difficulty"] = np.nan if known is None else known[at]
            for quantity, values in layer_quantities(source, at).items():
                layer = np.arange(1, len(values) + 1)
                tables.append(pd.DataFrame({**keys, "layer": layer, "quantity": quantity, "value": values}))
    return pd.concat(tables)[LAYERS]


def layer_quantities(source: Sweep, at: int) -> dict[str, np.ndarray]:
    """Name -> [L] of one example: `entropy` (nats) for DeeBERT, `h` and p_l = h_1 .. h_l for DACT."""
    if source.trace.halting is None:
        return {"entropy": entropy(torch.from_numpy(source.trace.logits[at]).double()).numpy()}
    h = source.trace.halting[at].astype(np.float64)
    return {"h": h, "p": np.cumprod(h)}


def bound_rows(source: Sweep) -> pd.DataFrame:
    """bounds.csv: cost, metric and changed answers of one DACT model under Eq. 2, the exact bound, and slack in it.

    Args:
        source: the sweep of `dact` on the trace.
    """
    num_layers, n = source.trace.logits.shape[1], len(source.trace.labels)
    tables = []
    for bound, rule, values in (("paper", DactRule, EPS[:1]), ("exact", ExactRule, EPS)):
        result = replay(rule(num_layers), source.trace)
        layers = result.exit_layers(Knob("eps", values, sign=-1), values)  # [K, n]
        predictions = result.predictions_at(layers)
        metrics = evaluate_predictions(source.task, source.trace.labels, predictions)
        columns = {
            "bound": bound,
            "eps": values,
            "layer_fraction": layers.mean(axis=1) / source.panel_layers,
            "metric": source.task.metric,
            "value": metrics[source.task.metric],
            "changed": (predictions != result.predictions[:, -1]).mean(axis=1),
            "n": n,
        }
        tables.append(pd.DataFrame({**{key: source.keys[key] for key in BOUND_KEYS}, **columns}))
    return pd.concat(tables)[BOUNDS]
