"""budgets.csv: what a quarter, half, three quarters and all of the layers buy, per panel and method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.tables.columns import ENDS, METHOD, boot_columns, interval_columns
from bench.tables.scores import AREAS, BUDGETS, Scores
from bench.tables.summaries import summaries

BUDGET = [*METHOD, "budget", "seeds", *(f"value{end}" for end in ENDS)]


def budget_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """budgets.csv: the height of the curve at each budget with both intervals; means over tasks end each backbone."""
    rows = []
    for keys, values, draws in summaries(scores):
        for at, budget in enumerate(BUDGETS, start=len(AREAS)):
            interval = interval_columns("value", values[:, at]) | boot_columns("value", draws[:, at])
            rows.append({**keys, "budget": budget, "seeds": len(values), **interval})
    return pd.DataFrame(rows, columns=BUDGET)
