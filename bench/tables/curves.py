"""The derived tables of one method at a time: curves, knobs, areas, budgets, stability, ranks.

A panel is one (task, split, backbone); a run is one seed's curve: all points of a method on a panel, sorted by x.
Rows with task `mean` are means over the tasks of a backbone, MNLI counting once, by its matched split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.statistics.intervals import Run, mean_curve, merge_equal_x, t_interval
from bench.statistics.significance import percentile_interval
from bench.tables.scores import AREAS, BUDGETS, QUANTITIES, Scores

PANEL = ["task", "split", "backbone"]
GRID = np.round(np.arange(1, 101) / 100, 2)
#: A band is dotted across gaps wider than this many layers.
GAP_LAYERS = 3
#: A bootstrap interval is left empty where more than this share of the draws have no value.
MISSING_DRAWS = 0.05

CURVES = ["suite", *PANEL, "method", "variant", "resolution", "x", "mean", "low", "high", "seeds", "dotted"]
KNOB_KEYS = ["suite", *PANEL, "method", "variant", "knob", "knob_value"]
METHOD = ["suite", *PANEL, "method", "metric"]
ENDS = ("", "_low", "_high", "_boot_low", "_boot_high")


def curve_table(points: pd.DataFrame, exact: pd.DataFrame) -> pd.DataFrame:
    """curves.csv: mean and 95 % t-band over seeds on a common grid, for every method with more than one point.

    The points of all variants are one curve, as with DACT's tau; where a knob is swept, too, each variant has its own.

    Args:
        points: rows of points.csv with `panel_layers`.
        exact: the points of all distinct thresholds; they become the rows of resolution "exact".
    """
    tables = []
    key = [*PANEL, "method", "variant"]
    exact_groups = dict(list(exact.groupby(key, sort=False)))
    is_swept = points.groupby([*PANEL, "method"])["knob_value"].transform("nunique") > 1
    one_curve = points.assign(variant=np.where(is_swept, points["variant"], ""))
    for keys, rows in one_curve.groupby(key, sort=False):
        for resolution, source in (("grid", rows), ("exact", exact_groups.get(keys))):
            runs = [] if source is None else list(runs_of(source).values())
            if not any(len(x) > 1 for x, _ in runs):
                continue  # a point, not a curve
            mean, low, high, seeds, dotted = mean_curve(GRID, runs, GAP_LAYERS / rows["panel_layers"].iloc[0])
            named = {"suite": rows["suite"].iloc[0], **dict(zip(key, keys, strict=True))}
            columns = {"x": GRID, "mean": mean, "low": low, "high": high, "seeds": seeds, "dotted": dotted.astype(int)}
            table = pd.DataFrame({**named, "resolution": resolution, **columns})
            tables.append(table[np.isfinite(mean)])
    return pd.concat(tables, ignore_index=True)[CURVES] if tables else pd.DataFrame(columns=CURVES)


def runs_of(points: pd.DataFrame) -> dict[int, Run]:
    """The run of each seed: points of equal x merged to their mean, sorted by x."""
    return {
        seed: merge_equal_x(rows["layer_fraction"].to_numpy(), rows["value"].to_numpy())
        for seed, rows in points.groupby("seed")
    }


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


def interval_columns(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % t-interval of values [S] as columns."""
    mean, low, high = t_interval(values)
    return {name: float(mean), f"{name}_low": float(low), f"{name}_high": float(high)}


def boot_columns(name: str, draws: np.ndarray) -> dict[str, float]:
    """95 % percentile interval of draws [D] as columns."""
    found = draws[np.isfinite(draws)]
    if len(found) < (1 - MISSING_DRAWS) * len(draws) or not len(found):
        return {f"{name}_boot_low": np.nan, f"{name}_boot_high": np.nan}
    low, high = percentile_interval(found)
    return {f"{name}_boot_low": float(low), f"{name}_boot_high": float(high)}


def score_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """scores.csv: one row per run, what auc.csv, budgets.csv and paired.csv summarise."""
    rows = [
        {**panel.keys, "method": method, "seed": seed, **dict(zip(QUANTITIES, values, strict=True))}
        for panel in scores
        for (method, seed), values in zip(panel.runs, panel.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*METHOD, "seed", *QUANTITIES])


def auc_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """auc.csv: the areas per panel and method, with both intervals; means over tasks end each backbone."""
    columns = [*METHOD, "seeds", "x_low", "x_high", "widest_gap", *(f"{area}{end}" for area in AREAS for end in ENDS)]
    rows = []
    for keys, values, draws in summaries(scores):
        row = {**keys, "seeds": len(values)}
        for area in AREAS:
            at = QUANTITIES.index(area)
            row |= interval_columns(area, values[:, at]) | boot_columns(area, draws[:, at])
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def budget_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """budgets.csv: the value at 25, 50, 75 and 100 % of the layers per panel and method, with both intervals."""
    columns = [*METHOD, "budget", "seeds", *(f"value{end}" for end in ENDS)]
    rows = []
    for keys, values, draws in summaries(scores):
        for at, budget in enumerate(BUDGETS, start=len(AREAS)):
            interval = interval_columns("value", values[:, at]) | boot_columns("value", draws[:, at])
            rows.append({**keys, "budget": budget, "seeds": len(values), **interval})
    return pd.DataFrame(rows, columns=columns)


def summaries(scores: Sequence[Scores]) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Keys, values [S, Q] by seed and draws [D, Q] of their mean, for each panel and method, then for means over tasks.

    A quantity that a task lacks is missing from the mean over tasks as well.
    """
    for panel in scores:
        for method in panel.methods:
            at = list(panel.rows(method).values())
            ends = {"x_low": panel.x_low, "x_high": panel.x_high, "widest_gap": panel.gaps[at].max()}
            yield {**panel.keys, "method": method, **ends}, panel.values[at], panel.mean_draws(method)
    for (suite, backbone), panels in by_backbone(scores).items():
        for method in dict.fromkeys(method for panel in panels for method in panel.methods):
            here = [panel for panel in panels if method in panel.methods]
            seeds = sorted({seed for panel in here for seed in panel.rows(method)})
            values = [mean_over_tasks(here, method, seed) for seed in seeds]
            draws = [panel.mean_draws(method) for panel in here]
            keys = {"suite": suite, "task": "mean", "backbone": backbone, "method": method}
            yield keys, np.array(values), np.mean(draws, axis=0)


def mean_over_tasks(panels: Sequence[Scores], method: str, seed: int) -> np.ndarray:
    """Mean [Q] over the panels that have a run of this seed."""
    return np.mean([panel.values[panel.rows(method)[seed]] for panel in panels if seed in panel.rows(method)], axis=0)


def by_backbone(scores: Sequence[Scores]) -> dict[tuple[str, str], list[Scores]]:
    """Suite and backbone -> its panels, one per task."""
    groups: dict[tuple[str, str], list[Scores]] = {}
    for panel in scores:
        if panel.keys["split"] != "validation_mismatched":
            groups.setdefault((panel.keys["suite"], panel.keys["backbone"]), []).append(panel)
    return groups


def mean_rank_table(scores: Sequence[Scores], rivals: Sequence[str]) -> pd.DataFrame:
    """ranks.csv: mean rank over tasks (1 is best, ties share) of the mean over seeds of each quantity.

    Args:
        scores: all panels.
        rivals: the methods to rank; of these, a task ranks those with a value for every seed, and the table has those
            that all tasks of the backbone rank.
    """
    rows = []
    for (suite, backbone), panels in by_backbone(scores).items():
        for at, quantity in enumerate(QUANTITIES):
            means = [
                {m: panel.values[list(panel.rows(m).values()), at].mean() for m in panel.methods} for panel in panels
            ]
            ranked = [m for m in rivals if all(np.isfinite(task.get(m, np.nan)) for task in means)]
            if len(ranked) > 1:
                ranks = pd.DataFrame(means)[ranked].round(12).rank(axis=1, ascending=False).mean()
                keys = {"suite": suite, "backbone": backbone, "quantity": quantity, "tasks": len(panels)}
                rows += [{**keys, "method": m, "methods": len(ranked), "mean_rank": rank} for m, rank in ranks.items()]
    return pd.DataFrame(rows, columns=["suite", "backbone", "quantity", "method", "mean_rank", "tasks", "methods"])


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
