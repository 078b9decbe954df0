"""difficulty.csv and difficulty_rank.csv: do harder examples leave later?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.halting.sweep import Rows, Sweep
from bench.statistics.metrics import evaluate_predictions, spearman
from bench.tables.columns import interval_columns

DIFFICULTY_KEYS = ["suite", "task", "split", "backbone", "method", "variant", "seed", "knob", "knob_value"]
DIFFICULTY = [*DIFFICULTY_KEYS, "difficulty", "n", "mean_exit_layer", "value"]
RANKS = [*DIFFICULTY_KEYS, "spearman"]


def difficulty_rows(sweep: Sweep) -> Iterator[Rows]:
    """difficulty.csv: mean exit layer and drawn metric among the examples of each known difficulty."""
    difficulty = sweep.trace.difficulty
    for level in () if difficulty is None else np.unique(difficulty):
        here = difficulty == level
        value = evaluate_predictions(sweep.task, sweep.trace.labels[here], sweep.predictions[:, here])
        mean = sweep.layers[:, here].mean(axis=1)
        yield sweep.rows(difficulty=level, n=here.sum(), mean_exit_layer=mean, value=value[sweep.task.metric])


def rank_rows(sweep: Sweep) -> Iterator[Rows]:
    """Spearman's rank correlation of exit layer and difficulty; NaN where all examples exit at one layer."""
    varies = (sweep.layers != sweep.layers[:, :1]).any(axis=1)
    if sweep.trace.difficulty is not None and varies.any():
        value = np.full(len(varies), np.nan)
        value[varies] = spearman(sweep.trace.difficulty, sweep.layers[varies])
        yield sweep.rows(spearman=value)


def rank_table(ranks: pd.DataFrame) -> pd.DataFrame:
    """difficulty_rank.csv: mean and 95 % t-interval, cut at -1 and 1, over the seeds that have a rank correlation.

    Args:
        ranks: the rows of `rank_rows`.
    """
    keys = [key for key in DIFFICULTY_KEYS if key != "seed"]
    rows = []
    for values, group in ranks.dropna(subset="spearman").groupby(keys, sort=False):
        interval = interval_columns("spearman", group["spearman"].to_numpy())
        cut = {name: np.clip(value, -1, 1) for name, value in interval.items()}
        rows.append({**dict(zip(keys, values, strict=True)), **cut, "seeds": len(group)})
    return pd.DataFrame(rows, columns=[*keys, "spearman", "spearman_low", "spearman_high", "seeds"])
