"""budgets.csv: what a quarter, half, three quarters and all of the layers buy, per panel and method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.tables.columns import ENDS, METHOD, boot_columns, interval_columns, with_ends
from bench.tables.scores import AREAS, BUDGETS, Scores
from bench.tables.summaries import summaries

BOUGHT = ("bought", "delivered_x", "constant_share")
BUDGET = [*METHOD, "budget", "seeds", *with_ends("value", ends=ENDS), *BOUGHT]


def budget_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """budgets.csv: what each budget gives, two ways; means over tasks end each backbone.

    `value` is the height of the curve, with both intervals; `bought` what a buyer gets who chooses on one half of the
    validation set, `delivered_x` what it costs on the other, `constant_share` how often the constant answer was chosen.
    """
    rows = []
    for keys, values, draws, bought in summaries(scores):
        for number, budget in enumerate(BUDGETS):
            at, means = len(AREAS) + number, bought[:, :, number].mean(axis=0)
            interval = interval_columns("value", values[:, at]) | boot_columns("value", draws[:, at])
            spent = dict(zip(BOUGHT, means, strict=True))
            rows.append({**keys, "budget": budget, "seeds": len(values), **interval, **spent})
    return pd.DataFrame(rows, columns=BUDGET)
