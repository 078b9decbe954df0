"""knobs.csv: cost and value of every setting of every knob, mean over seeds."""

from __future__ import annotations

import pandas as pd

from bench.tables.columns import SETTING, groups_of, interval_columns, with_ends

KNOBS = [*SETTING, *with_ends("layer_fraction", "value"), "seeds"]


def knob_table(points: pd.DataFrame) -> pd.DataFrame:
    """knobs.csv from points.csv: mean and 95 % t-interval over seeds of cost and value, for every setting."""
    rows = []
    for named, group in groups_of(points, SETTING, dropna=False):
        cost, value = (interval_columns(column, group[column].to_numpy()) for column in ("layer_fraction", "value"))
        rows.append({**named, **cost, **value, "seeds": len(group)})
    return pd.DataFrame(rows, columns=KNOBS)
