"""plateau.csv: would a method gain from twice the steps? From a run and the same with twice the steps, paired by seed.

The second run is in RESULTS/plateau, made by `run_all.py --check-plateau`; without it the table is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.statistics.intervals import t_interval
from bench.store.csv_files import read_table
from bench.tables.columns import CURVE, PANEL, at_exact, groups_of, with_ends
from bench.tables.scores import Scores, score_table

PLATEAU = [*CURVE, "quantity", "units", "unit_kind", "once", "twice", *with_ends("gain")]
PLATEAU += ["above_constant", "verdict"]
AT_PLATEAU, STARVED, NOT_SHOWN = "at plateau", "starved", "not shown"
#: A gain that matters, and the smallest mean gain that says a method was starved.
RELEVANT, NOTICED = 0.02, 0.01
COVERAGE = 0.90
RUN = [*PANEL, "method", "seed"]


def plateau_table(scores: Sequence[Scores], points: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """plateau.csv: the gain of every method on every task, then its mean over tasks with the verdict.

    Args:
        scores: of all panels at the exact settings.
        points: points.csv.
        folder: with the tables of the run with twice the steps.
    """
    if not (folder / "scores.csv").is_file():
        return pd.DataFrame(columns=PLATEAU)
    once = measured(score_table(scores), points)
    twice = measured(at_exact(read_table(folder / "scores.csv")), read_table(folder / "points.csv"))
    budgets = read_table(folder / "budgets.csv")
    constant = budgets[(budgets["budget"] == 1) & (budgets["constant_share"] == 1)]
    at_constant = {tuple(row) for row in constant[[*PANEL, "method"]].itertuples(index=False, name=None)}
    both = once.merge(twice[[*RUN, "quantity", "value"]], on=[*RUN, "quantity"], suffixes=("_once", "_twice"))
    rows = []
    for named, group in groups_of(both, [*CURVE, "quantity"]):
        above = tuple(named[name] for name in (*PANEL, "method")) not in at_constant
        means = {"once": group["value_once"].mean(), "twice": group["value_twice"].mean()}
        row = {**named, "units": len(group), "unit_kind": "seeds", **means, "gain": means["twice"] - means["once"]}
        rows.append({**row, "above_constant": int(above)})
    tasks = pd.DataFrame(rows, columns=PLATEAU)
    by_method = tasks[tasks["split"] != "validation_mismatched"]  # MNLI counts once
    for named, group in groups_of(by_method, ["suite", "backbone", "method", "quantity"]):
        rows.append({**named, "task": "mean", "unit_kind": "tasks", **over_tasks(group)})
    return pd.DataFrame(rows, columns=PLATEAU)


def measured(scores: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """What plateau.csv compares, by run: `auc_budget`, of methods with a single point its value, `value`."""
    counts = points.groupby(RUN)["value"].agg(["size", "first"]).reset_index()
    table = scores.merge(counts, on=RUN)
    single = table.groupby("method")["size"].transform("max") == 1
    value = np.where(single, table["first"], table["auc_budget"])
    return table.assign(quantity=np.where(single, "value", "auc_budget"), value=value)


def over_tasks(tasks: pd.DataFrame) -> dict[str, object]:
    """In plateau.csv: the mean gain over tasks with its 90 % t-interval, and the verdict."""
    gain, low, high = (float(end) for end in t_interval(tasks["gain"].to_numpy(dtype=float), COVERAGE))
    above = bool(tasks["above_constant"].all())
    columns = {"units": len(tasks), "once": tasks["once"].mean(), "twice": tasks["twice"].mean()}
    ends = {"gain": gain, "gain_low": low, "gain_high": high}
    return {**columns, **ends, "above_constant": int(above), "verdict": verdict(gain, low, high, above)}


def verdict(gain: float, low: float, high: float, above: bool) -> str:
    """At plateau, starved or not shown: what a gain and its 90 % interval say; starved goes before a small gain."""
    if gain >= NOTICED and low > 0:
        return STARVED
    return AT_PLATEAU if high < RELEVANT and above else NOT_SHOWN


def starved(table: pd.DataFrame | None) -> pd.DataFrame:
    """The rows of plateau.csv of methods that are starved; none where there is no plateau.csv."""
    if table is None:
        return pd.DataFrame(columns=PLATEAU)
    return table[(table["task"] == "mean") & (table["verdict"] == STARVED)]
