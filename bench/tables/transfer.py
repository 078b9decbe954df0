"""transfer.csv: what a knob chosen on one half of the validation set promises, and what it gives on the other.

Two ways to choose, as a practitioner would: the best value among the points that keep to a budget of layers, or the
cheapest point whose value falls no more than a tolerated drop below the static model's. Both halves take each role.

Shapes: K points of one run, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.halting.sweep import Rows, Sweep
from bench.statistics.areas import best_within, halves
from bench.statistics.curves import TOLERANCE
from bench.tables.columns import CURVE, METHOD, T_ENDS, interval_columns, static_seed
from bench.tables.scores import group_runs, plane

TARGET_BUDGETS = (0.25, 0.5, 0.75)
TARGET_DROPS = (0.01, 0.02, 0.05)
TARGET = [*METHOD, "target", "target_value", "quantity"]
#: The rows of single choices that transfer.csv is the mean of: one per seed and direction.
CHOICES = [*TARGET, "seed", "promised", "delivered", "kept"]
TRANSFER = [*TARGET, "seeds", "chosen", "promised", "delivered", *(f"gap{end}" for end in T_ENDS), "kept"]


def transfer_rows(sweeps: Sequence[Sweep]) -> Iterator[Rows]:
    """What each choice of a knob promised and delivered, for each run of a panel and each target, once per direction.

    Args:
        sweeps: all sweeps of one panel.
    """
    runs = group_runs(sweeps)
    in_a = halves(sweeps[0].trace.index)
    ones = np.ones((1, len(in_a)), dtype=np.float32)
    planes = {run: [plane(here, ones, half)[:2] for half in (in_a, ~in_a)] for run, here in runs.items()}
    seeds = {method: [seed for other, seed in runs if other == method] for method, _ in runs}
    for (method, seed), sides in planes.items():
        first = runs[method, seed][0]
        keys = {name: first.keys[name] for name in (*CURVE, "seed")} | {"metric": first.task.metric}
        static = planes.get(("static", static_seed(seeds, seed))) if "static" in seeds else None
        for here, there in ((0, 1), (1, 0)):
            (x, y), (x_other, y_other) = ([v[0] for v in sides[side]] for side in (here, there))
            yield from budget_rows(keys, x, y, x_other, y_other)
            if static and method != "static":
                yield from drop_rows(keys, x, static[here][1][0, 0] - y, x_other, static[there][1][0, 0] - y_other)


def budget_rows(keys: dict, x: np.ndarray, y: np.ndarray, x_other: np.ndarray, y_other: np.ndarray) -> Iterator[Rows]:
    """The best point [K] within each budget, on the half that chose it and on the other."""
    targets = np.array(TARGET_BUDGETS)
    chosen, fits = best_within(x, y, targets)
    keys = {**keys, "target": "budget", "target_value": targets}
    kept = np.where(fits, x_other[chosen] <= targets + TOLERANCE, np.nan)
    for quantity, at, other in (("layer_fraction", x, x_other), ("value", y, y_other)):
        yield {**keys, "quantity": quantity, **promise(at, other, chosen, fits), "kept": kept}


def drop_rows(
    keys: dict, x: np.ndarray, drop: np.ndarray, x_other: np.ndarray, drop_other: np.ndarray
) -> Iterator[Rows]:
    """The cheapest point [K] within each tolerated drop (ties: the smaller drop), on both halves."""
    targets = np.array(TARGET_DROPS)
    # `best_within` gives the highest value within a limit of cost: here the drop is limited, and -x is the value
    chosen, fits = best_within(drop, -x, targets)
    keys = {**keys, "target": "drop", "target_value": targets}
    kept = np.where(fits, drop_other[chosen] <= targets + TOLERANCE, np.nan)
    for quantity, at, other in (("layer_fraction", x, x_other), ("drop", drop, drop_other)):
        yield {**keys, "quantity": quantity, **promise(at, other, chosen, fits), "kept": kept}


def promise(at: np.ndarray, other: np.ndarray, chosen: np.ndarray, fits: np.ndarray) -> Rows:
    """What each choice [T] gives on its own half and on the other; NaN where no point fits."""
    return {"promised": np.where(fits, at[chosen], np.nan), "delivered": np.where(fits, other[chosen], np.nan)}


def transfer_table(choices: pd.DataFrame) -> pd.DataFrame:
    """transfer.csv: means over both directions and the seeds; the gap with its 95 % t-interval over seeds.

    Args:
        choices: the rows of `transfer_rows`.

    Returns:
        Targets that no run can meet have no row; a seed counts where one of its directions meets the target.
    """
    shares = ["promised", "delivered", "kept"]
    found = choices.dropna(subset="promised").groupby([*TARGET, "seed"], sort=False)
    # one row per seed; pandas' groups of groups would take most of the time of all tables
    per_seed = found[shares].mean().assign(directions=found.size()).reset_index()
    rows = []
    for keys, group in per_seed.groupby(TARGET, sort=False):
        means = {name: group[name].to_numpy().mean() for name in shares}
        gap = interval_columns("gap", (group["delivered"] - group["promised"]).to_numpy())
        counts = {"seeds": len(group), "chosen": group["directions"].sum()}
        rows.append({**dict(zip(TARGET, keys, strict=True)), **means, **gap, **counts})
    return pd.DataFrame(rows, columns=TRANSFER)
