"""stability.csv: how far the cost and value of a fixed knob move from seed to seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables.columns import CURVE, PANEL, SETTING, groups_of
from bench.tables.scores import Scores

STABILITY = [*CURVE, "knobs", "seeds", "x_low", "x_high", "x_sd", "x_sd_max", "value_sd"]


def stability_table(points: pd.DataFrame, scores: Sequence[Scores]) -> pd.DataFrame:
    """stability.csv: how far a fixed knob's cost and value move from seed to seed.

    Only knobs count whose mean cost lies inside the panel's common range: outside it a knob that stops everybody at the
    same end looks stable. Knobs with one seed have no spread.
    """
    ranges = {tuple(panel.keys[name] for name in PANEL): (panel.x_low, panel.x_high) for panel in scores}
    spread = points.groupby(SETTING, sort=False, dropna=False).agg(
        x=("layer_fraction", "mean"), x_var=("layer_fraction", "var"), y_var=("value", "var"), seeds=("seed", "count")
    )
    rows = []
    for named, knobs in groups_of(spread.reset_index(), CURVE):
        low, high = ranges[tuple(named[name] for name in PANEL)]
        inside = knobs[knobs["x"].between(low, high) & (knobs["seeds"] > 1)]
        if len(inside):
            rows.append(
                {
                    **named,
                    "knobs": len(inside),
                    "seeds": inside["seeds"].max(),
                    "x_low": low,
                    "x_high": high,
                    "x_sd": np.sqrt(inside["x_var"].mean()),
                    "x_sd_max": np.sqrt(inside["x_var"].max()),
                    "value_sd": np.sqrt(inside["y_var"].mean()),
                }
            )
    return pd.DataFrame(rows, columns=STABILITY)
