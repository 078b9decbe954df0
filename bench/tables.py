"""The derived tables: curves on a common grid, knobs, and areas under curves, each from the rows of points.

A panel is one (task, split, backbone); a run is one seed's curve: all points of a method on a panel, sorted by x.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.statistics import (
    Run,
    auc_budget,
    auc_common,
    common_range,
    mean_curve,
    merge_equal_x,
    t_interval,
    widest_gap,
)

PANEL = ["task", "split", "backbone"]
#: The x-range of `auc_common` is the one that these share, whatever else is drawn.
RANGE_METHODS = ("dact", "deebert", "pabee")
NARROWEST = 0.1
GRID = np.round(np.arange(1, 101) / 100, 2)
#: A band is dotted across gaps wider than this many layers.
GAP_LAYERS = 3

CURVES = ["suite", *PANEL, "method", "resolution", "x", "mean", "low", "high", "seeds", "dotted"]
KNOB_KEYS = ["suite", *PANEL, "method", "variant", "knob", "knob_value"]
AREAS = ("auc_common", "auc_budget", "auc_budget_half")


def curve_table(points: pd.DataFrame, exact: pd.DataFrame) -> pd.DataFrame:
    """curves.csv: mean and 95 % t-band over seeds on a common grid, for every method with more than one point.

    Args:
        points: rows of points.csv with `panel_layers`.
        exact: the points of all distinct thresholds; they become the rows of resolution "exact".
    """
    tables = []
    for panel, method, rows in by_method(points):
        panel_exact = exact[(exact[PANEL] == list(panel)).all(axis=1) & (exact["method"] == method)]
        for resolution, source in (("grid", rows), ("exact", panel_exact)):
            runs = list(runs_of(source).values())
            if not any(len(x) > 1 for x, _ in runs):
                continue  # a point, not a curve
            mean, low, high, seeds, dotted = mean_curve(GRID, runs, GAP_LAYERS / rows["panel_layers"].iloc[0])
            keys = {"suite": rows["suite"].iloc[0], **dict(zip(PANEL, panel, strict=True)), "method": method}
            columns = {"x": GRID, "mean": mean, "low": low, "high": high, "seeds": seeds, "dotted": dotted.astype(int)}
            table = pd.DataFrame({**keys, "resolution": resolution, **columns})
            tables.append(table[np.isfinite(mean)])
    return pd.concat(tables, ignore_index=True)[CURVES] if tables else pd.DataFrame(columns=CURVES)


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


def auc_table(points: pd.DataFrame) -> pd.DataFrame:
    """auc.csv: the areas of DESIGN, "Statistics", per panel and method; a mean over tasks ends each backbone."""
    rows, areas = [], []
    for panel, group in points.groupby(PANEL, sort=False):
        low, high = panel_range(group)
        for _, method, method_rows in by_method(group):
            runs = runs_of(method_rows)
            values = pd.DataFrame(
                {
                    "auc_common": auc_common(list(runs.values()), low, high),
                    "auc_budget": [budget_area(seed_rows, 1.0) for _, seed_rows in method_rows.groupby("seed")],
                    "auc_budget_half": [budget_area(seed_rows, 0.5) for _, seed_rows in method_rows.groupby("seed")],
                },
                index=list(runs),
            )
            gaps = [widest_gap(x, low, high) for x, _ in runs.values()]
            keys = {"suite": group["suite"].iloc[0], **dict(zip(PANEL, panel, strict=True)), "method": method}
            keys |= {"metric": method_rows["metric"].iloc[0], "x_low": low, "x_high": high}
            # a method with one point, or none inside the range, has no gap there
            rows.append({**keys, "widest_gap": max(gaps), **area_columns(values)})
            areas.append(values.assign(**keys, seed=values.index))
    columns = ["suite", *PANEL, "method", "metric", "seeds", "x_low", "x_high", "widest_gap"]
    columns += [f"{area}{end}" for area in AREAS for end in ("", "_low", "_high")]
    return pd.DataFrame([*rows, *task_means(areas)], columns=columns)


def task_means(areas: list[pd.DataFrame]) -> Iterator[dict]:
    """The last rows of auc.csv: mean over tasks per backbone and method, the interval over seeds of that mean.

    MNLI counts once, by its matched split. An area that a task lacks is missing from the mean as well.
    """
    if not areas:
        return
    every = pd.concat(areas)
    every = every[every["split"] != "validation_mismatched"]
    for (suite, backbone, method), group in every.groupby(["suite", "backbone", "method"], sort=False):
        per_seed = group.groupby("seed")[list(AREAS)].agg(lambda column: column.mean(skipna=False))
        keys = {"suite": suite, "task": "mean", "backbone": backbone, "method": method}
        yield {**keys, **area_columns(per_seed)}


def area_columns(values: pd.DataFrame) -> dict[str, float]:
    """Mean and interval of each area over seeds (rows)."""
    columns = {"seeds": len(values)}
    for area in AREAS:
        columns |= interval_columns(area, values[area].to_numpy())
    return columns


def interval_columns(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % t-interval of values [S] as columns."""
    mean, low, high = t_interval(values)
    return {name: float(mean), f"{name}_low": float(low), f"{name}_high": float(high)}


def panel_range(points: pd.DataFrame) -> tuple[float, float]:
    """The x-range that all seeds of the range methods share on a panel; NaN where one is missing or it is narrow."""
    methods = [list(runs_of(points[points["method"] == name]).values()) for name in RANGE_METHODS]
    if not all(methods):
        return np.nan, np.nan
    low, high = common_range(methods)
    return (low, high) if high - low >= NARROWEST else (np.nan, np.nan)


def budget_area(rows: pd.DataFrame, limit: float) -> float:
    """`auc_budget` of one run, from its points' costs and values on the two halves."""
    halves = [rows[name].to_numpy() for name in ("x_a", "y_a", "x_b", "y_b")]
    first = rows.iloc[0]
    return auc_budget(*halves, first["fallback_a"], first["fallback_b"], int(first["panel_layers"]), limit)


def by_method(points: pd.DataFrame) -> Iterator[tuple[tuple, str, pd.DataFrame]]:
    """Each panel and method with its points, in order of appearance."""
    for keys, rows in points.groupby([*PANEL, "method"], sort=False):
        yield keys[:3], keys[3], rows


def runs_of(points: pd.DataFrame) -> dict[int, Run]:
    """The run of each seed: points of equal x merged to their mean, sorted by x."""
    return {
        seed: merge_equal_x(rows["layer_fraction"].to_numpy(), rows["value"].to_numpy())
        for seed, rows in points.groupby("seed")
    }
