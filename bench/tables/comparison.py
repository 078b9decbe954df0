"""Two results folders compared: how a new backbone, a new version or another recipe moved every method's curve.

Runs of the same panel, method and seed are paired. Everything is read from the tables of the two folders.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.errors import UserError
from bench.statistics.areas import auc_common
from bench.statistics.significance import holm
from bench.store.csv_files import read_table, write_table
from bench.store.folder import RunFolder
from bench.tables.columns import PANEL, at_exact, groups_of
from bench.tables.paired import unit_columns
from bench.tables.scores import NARROWEST, QUANTITIES

RUN = [*PANEL, "method", "metric", "seed"]
BY_SEED = ["suite_a", "suite_b", *RUN, "quantity", "value_a", "value_b", "difference"]
ROW = ["suite_a", "suite_b", *PANEL, "method", "metric", "quantity"]
TESTS = ["difference", "difference_low", "difference_high", "detectable", "p_t", "p_t_holm"]
COMPARISON = [*ROW, "units", "unit_kind", "value_a", "value_b", *TESTS]


def compare_runs(run_a: RunFolder, run_b: RunFolder, results: RunFolder) -> pd.DataFrame:
    """Write comparison.csv and comparison_seeds.csv.

    Args:
        run_a: the folder to compare with.
        run_b: the folder that is compared: differences are B - A.
        results: where the tables go.

    Returns:
        comparison.csv.

    Raises:
        UserError: a folder has no tables, the data differ, or no run is in both.
    """
    check_comparable(run_a, run_b)
    by_seed = seed_differences(run_a, run_b)
    if by_seed.empty:
        raise UserError(f"'{run_a.path}' and '{run_b.path}' have no task, backbone, method and seed in common")
    table = pd.DataFrame([*within_tasks(by_seed), *across_tasks(by_seed)])
    families = table.groupby(["task", "split", "backbone", "quantity"], dropna=False)["p_t"]
    table["p_t_holm"] = families.transform(lambda p: holm(p.to_numpy()))
    results.path.mkdir(parents=True, exist_ok=True)
    for name, rows in (("comparison", table[COMPARISON]), ("comparison_seeds", by_seed)):
        write_table(results.path / f"{name}.csv", rows)
    return table[COMPARISON]


def check_comparable(run_a: RunFolder, run_b: RunFolder) -> None:
    """Refuse to compare two folders on different examples."""
    a, b = run_a.needed(), run_b.needed()
    if a["limit"] != b["limit"]:
        raise UserError(f"runs with different --limit have different examples: {a['limit']} and {b['limit']}")
    if a.get("limits", {}) != b.get("limits", {}):
        raise UserError("runs with different [limits] in their suites have different examples")
    for task in a["data"].keys() & b["data"].keys():
        if a["data"][task] != b["data"][task]:
            raise UserError(f"the data of task '{task}' differ between '{run_a.path}' and '{run_b.path}'")


def seed_differences(run_a: RunFolder, run_b: RunFolder) -> pd.DataFrame:
    """comparison_seeds.csv: every quantity of every run that both folders have; runs without a value have no row."""
    low, high = shared_ranges(run_a, run_b)
    tables = [[read_table(run.path / f"{name}.csv") for name in ("scores", "points")] for run in (run_a, run_b)]
    scores = [with_common_area(at_exact(rows), points, low, high) for rows, points in tables]
    both = scores[0].merge(scores[1], on=RUN, suffixes=("_a", "_b"))
    rows = []
    for quantity in QUANTITIES:
        a, b = both[f"{quantity}_a"], both[f"{quantity}_b"]
        rows.append(both.assign(quantity=quantity, value_a=a, value_b=b, difference=b - a)[BY_SEED])
    return pd.concat(rows, ignore_index=True).dropna(subset="difference")


def shared_ranges(run_a: RunFolder, run_b: RunFolder) -> tuple[pd.Series, pd.Series]:
    """The ends of the range of `auc_common` that both folders have, by panel; NaN where it is narrow."""
    areas = [at_exact(read_table(run.path / "auc.csv")).dropna(subset="split") for run in (run_a, run_b)]
    ranges = pd.concat(areas).groupby(PANEL)
    low, high = ranges["x_low"].max(skipna=False), ranges["x_high"].min(skipna=False)
    wide = high - low >= NARROWEST
    return low.where(wide), high.where(wide)


def with_common_area(scores: pd.DataFrame, points: pd.DataFrame, low: pd.Series, high: pd.Series) -> pd.DataFrame:
    """Scores with `auc_common` over the range of both folders instead of one folder's own."""
    keys = [*PANEL, "method", "seed"]
    groups = points.groupby(keys)
    curves = {run: (rows["layer_fraction"].to_numpy(), rows["value"].to_numpy()) for run, rows in groups}
    runs = scores[keys].itertuples(index=False, name=None)
    areas = [float(auc_common(*curves[run], low[run[:-2]], high[run[:-2]])) for run in runs]
    return scores.assign(auc_common=areas)


def within_tasks(by_seed: pd.DataFrame) -> Iterator[dict]:
    """Rows of comparison.csv, one per panel, method and quantity: the units are the seeds."""
    for named, rows in groups_of(by_seed, ROW):
        yield {**named, "unit_kind": "seeds", **paired_columns(rows)}


def across_tasks(by_seed: pd.DataFrame) -> Iterator[dict]:
    """Rows of comparison.csv, one per backbone, method and quantity: units are tasks, each the mean of its seeds."""
    keys = ["suite_a", "suite_b", "backbone", "method", "quantity"]
    for named, rows in groups_of(by_seed[by_seed["split"] != "validation_mismatched"], keys):
        tasks = rows.groupby("task", sort=False)[["value_a", "value_b"]].mean()
        if len(tasks) > 1:
            yield {**named, "task": "mean", "unit_kind": "tasks", **paired_columns(tasks)}


def paired_columns(units: pd.DataFrame) -> dict[str, float]:
    """In comparison.csv: the test of B - A over units (rows)."""
    a, b = units["value_a"].to_numpy(), units["value_b"].to_numpy()
    return unit_columns(b, a) | {"value_a": a.mean(), "value_b": b.mean()}
