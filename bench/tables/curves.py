"""curves.csv: the mean curve of every method on a common grid, with its band.

A panel is one (task, split, backbone); a run is one seed's curve: all points of a method on a panel, sorted by x.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.statistics.curves import Points, mean_curve, merge_equal_x
from bench.tables.columns import GRID, PANEL

if TYPE_CHECKING:
    from bench.halting.sweep import Rows, Sweep

#: A curve is dotted between neighbouring points that are further apart than this share of the axis.
GAP = 0.25

CURVES = ["suite", *PANEL, "method", "variant", "resolution", "x", "mean", "low", "high", "seeds", "dotted"]


def curve_table(points: pd.DataFrame, exact: pd.DataFrame) -> pd.DataFrame:
    """curves.csv: mean and 95 % t-band over seeds on a common grid, for every method with more than one point.

    The points of all variants are one curve, as with DACT's tau; where a knob is swept, too, each variant has its own.
    Between trained variants nothing can be had, so all of such a curve is dotted; another one is across gaps.

    Args:
        points: rows of points.csv.
        exact: the points of all distinct thresholds; they become the rows of resolution "exact".
    """
    tables = []
    key = [*PANEL, "method", "variant"]
    exact_groups = dict(list(exact.groupby(key, sort=False)))
    is_swept = points.groupby([*PANEL, "method"])["knob_value"].transform("nunique") > 1
    one_curve = points.assign(variant=np.where(is_swept, points["variant"], ""), trained=points["variant"])
    for keys, rows in one_curve.groupby(key, sort=False):
        widest = 0 if rows["trained"].nunique() > 1 else GAP
        for resolution, found in (("grid", rows), ("exact", exact_groups.get(keys))):
            runs = [] if found is None else list(runs_of(found).values())
            if not any(len(x) > 1 for x, _ in runs):
                continue  # a point, not a curve
            mean, low, high, seeds, dotted = mean_curve(GRID, runs, widest)
            columns = {
                "suite": rows["suite"].iloc[0],
                **dict(zip(key, keys, strict=True)),
                "resolution": resolution,
                "x": GRID,
                "mean": mean,
                "low": low,
                "high": high,
                "seeds": seeds,
                "dotted": dotted.astype(int),
            }
            tables.append(pd.DataFrame(columns)[np.isfinite(mean)])
    return pd.concat(tables, ignore_index=True)[CURVES] if tables else pd.DataFrame(columns=CURVES)


def runs_of(points: pd.DataFrame) -> dict[int, Points]:
    """What a mean curve is a mean of: the run of each seed, points of equal x merged to their mean, sorted by x."""
    return {
        seed: merge_equal_x(rows["layer_fraction"].to_numpy(), rows["value"].to_numpy())
        for seed, rows in points.groupby("seed")
    }


def exact_rows(sweep: Sweep) -> Iterator[Rows]:
    """What the exact curves of curves.csv are made of: the points of all distinct thresholds of one sweep."""
    if sweep.curve is not None:
        yield {**sweep.keys, **sweep.curve}
