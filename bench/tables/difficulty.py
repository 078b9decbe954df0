"""difficulty.csv and difficulty_rank.csv: do harder examples leave later? For tasks whose difficulty is known.

Examples that nobody can decide or whose label is wrong have a code below 0 instead of steps, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.halting.sweep import Rows, Sweep
from bench.statistics.metrics import evaluate_predictions, spearman
from bench.tables.columns import MODEL, groups_of, interval_columns, with_ends

SETTING = [*MODEL, "knob", "knob_value"]
DIFFICULTY = [*SETTING, "difficulty", "n", "mean_exit_layer", "value"]
#: The rows of single seeds that difficulty_rank.csv is the mean of.
BY_SEED = [*SETTING, "spearman"]
MEAN_KEYS = [key for key in SETTING if key != "seed"]
DIFFICULTY_RANK = [*MEAN_KEYS, *with_ends("spearman"), "seeds"]


def difficulty_rows(sweep: Sweep) -> Iterator[Rows]:
    """difficulty.csv: mean exit layer and metric among the examples of each known difficulty."""
    difficulty = sweep.trace.difficulty
    for level in () if difficulty is None else np.unique(difficulty[difficulty >= 0]):
        here = difficulty == level
        value = evaluate_predictions(sweep.task, sweep.trace.labels[here], sweep.predictions[:, here])
        mean = sweep.layers[:, here].mean(axis=1)
        yield sweep.rows(difficulty=level, n=here.sum(), mean_exit_layer=mean, value=value[sweep.task.metric])


def rank_rows(sweep: Sweep) -> Iterator[Rows]:
    """Spearman's rank correlation of exit layer and difficulty, by seed; NaN where all examples exit at one layer."""
    difficulty = sweep.trace.difficulty
    if difficulty is not None and sweep.chooses.any():
        value, known = np.full(len(sweep.chooses), np.nan), difficulty >= 0
        value[sweep.chooses] = spearman(difficulty[known], sweep.layers[sweep.chooses][:, known])
        yield sweep.rows(spearman=value)


def rank_table(ranks: pd.DataFrame) -> pd.DataFrame:
    """difficulty_rank.csv: mean and 95 % t-interval, cut at -1 and 1, over the seeds that have a rank correlation.

    Args:
        ranks: the rows of `rank_rows`.
    """
    rows = []
    for named, group in groups_of(ranks.dropna(subset="spearman"), MEAN_KEYS):
        interval = interval_columns("spearman", group["spearman"].to_numpy())
        cut = {name: np.clip(value, -1, 1) for name, value in interval.items()}
        rows.append({**named, **cut, "seeds": len(group)})
    return pd.DataFrame(rows, columns=DIFFICULTY_RANK)
