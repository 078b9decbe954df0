"""knobs.csv and stability.csv: what a fixed setting of a knob gives, and how far it moves from seed to seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables.columns import KNOB_KEYS, PANEL, interval_columns
from bench.tables.scores import Scores


def knob_table(points: pd.DataFrame) -> pd.DataFrame:
    """knobs.csv: mean and 95 % t-interval over seeds of cost and value, for every setting of every knob."""
    rows = []
    for keys, group in points.groupby(KNOB_KEYS, sort=False, dropna=False):
        row = dict(zip(KNOB_KEYS, keys, strict=True))
        for column in ("layer_fraction", "value"):
            row |= interval_columns(column, group[column].to_numpy())
        rows.append({**row, "seeds": len(group)})
    columns = [f"{name}{end}" for name in ("layer_fraction", "value") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*KNOB_KEYS, *columns, "seeds"])


def stability_table(points: pd.DataFrame, scores: Sequence[Scores]) -> pd.DataFrame:
    """stability.csv: how far a fixed knob's cost and value move from seed to seed.

    Only knobs count whose mean cost lies inside the panel's common range: outside it a knob that stops everybody at the
    same end looks stable. Knobs with one seed have no spread.
    """
    ranges = {tuple(panel.keys[name] for name in PANEL): (panel.x_low, panel.x_high) for panel in scores}
    spread = points.groupby(KNOB_KEYS, sort=False, dropna=False).agg(
        x=("layer_fraction", "mean"), x_var=("layer_fraction", "var"), y_var=("value", "var"), seeds=("seed", "count")
    )
    rows = []
    for keys, knobs in spread.reset_index().groupby(["suite", *PANEL, "method"], sort=False):
        low, high = ranges[keys[1:4]]
        inside = knobs[knobs["x"].between(low, high) & (knobs["seeds"] > 1)]
        if len(inside):
            x_sd, y_sd = (float(np.sqrt(inside[name].mean())) for name in ("x_var", "y_var"))
            named = dict(zip(["suite", *PANEL, "method"], keys, strict=True))
            named |= {"knobs": len(inside), "seeds": inside["seeds"].max(), "x_low": low, "x_high": high}
            rows.append({**named, "x_sd": x_sd, "x_sd_max": float(np.sqrt(inside["x_var"].max())), "value_sd": y_sd})
    columns = ["knobs", "seeds", "x_low", "x_high", "x_sd", "x_sd_max", "value_sd"]
    return pd.DataFrame(rows, columns=["suite", *PANEL, "method", *columns])
