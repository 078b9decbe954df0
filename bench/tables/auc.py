"""auc.csv: the areas under the efficiency-performance curves, per panel and method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.tables.columns import ENDS, METHOD, boot_columns, interval_columns, with_ends
from bench.tables.scores import AREAS, QUANTITIES, Scores
from bench.tables.summaries import summaries

AUC = [*METHOD, "resolution", "models_trained", "seeds", "x_low", "x_high", "widest_gap"]
AUC += with_ends(*AREAS, ends=ENDS)


def auc_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """auc.csv: every area with both intervals, the common range and its widest gap; means over tasks end a backbone."""
    rows = []
    for keys, values, draws, _ in summaries(scores):
        row = {**keys, "seeds": len(values)}
        for area in AREAS:
            at = QUANTITIES.index(area)
            row |= interval_columns(area, values[:, at]) | boot_columns(area, draws[:, at])
        rows.append(row)
    return pd.DataFrame(rows, columns=AUC)
