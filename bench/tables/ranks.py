"""ranks.csv: the mean rank of every method over the tasks of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables.scores import QUANTITIES, Scores, by_backbone

RANKS = ["suite", "backbone", "quantity", "method", "mean_rank", "tasks", "methods"]


def mean_rank_table(scores: Sequence[Scores], rivals: Sequence[str]) -> pd.DataFrame:
    """ranks.csv: mean rank over tasks (1 is best, ties share) of each quantity's mean over seeds.

    Args:
        scores: all panels.
        rivals: the methods to rank; of these, a task ranks those with a value for every seed, and the table has those
            that all tasks of the backbone rank.
    """
    rows = []
    for (suite, backbone, _), panels in by_backbone(scores).items():
        for at, quantity in enumerate(QUANTITIES):
            means = [
                {m: panel.values[list(panel.rows(m).values()), at].mean() for m in panel.methods} for panel in panels
            ]
            ranked = [m for m in rivals if all(np.isfinite(task.get(m, np.nan)) for task in means)]
            if len(ranked) > 1:
                ranks = pd.DataFrame(means)[ranked].round(12).rank(axis=1, ascending=False).mean()
                keys = {"suite": suite, "backbone": backbone, "quantity": quantity, "tasks": len(panels)}
                rows += [{**keys, "method": m, "methods": len(ranked), "mean_rank": rank} for m, rank in ranks.items()]
    return pd.DataFrame(rows, columns=RANKS)
