"""transfer.csv: what a knob chosen on one half of the validation set promises, and what it gives on the other.

Two ways to choose, as a practitioner would: the best value among the settings that keep to a budget of layers, or the
cheapest setting whose value falls no more than a tolerated drop below the static model's. Both halves take each role.

The exact settings are on offer, and the constant answer at no cost.

Shapes: K settings of one run, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.halting.sweep import Rows, Sweep
from bench.statistics.areas import best_within, halves
from bench.statistics.curves import TOLERANCE
from bench.tables.columns import CURVE, METHOD, T_ENDS, interval_columns, static_seed
from bench.tables.scores import group_runs
from bench.tables.settings import Settings

TARGET_BUDGETS = (0.25, 0.5, 0.75)
TARGET_DROPS = (0.01, 0.02, 0.05)
TARGET = [*METHOD, "target", "target_value", "quantity"]
#: The rows of single choices that transfer.csv is the mean of: one per seed and direction.
CHOICES = [*TARGET, "seed", "promised", "delivered", "kept", "constant"]
TRANSFER = [*TARGET, "seeds", "chosen", "promised", "delivered", *(f"gap{end}" for end in T_ENDS)]
TRANSFER += ["kept", "constant_share"]


@dataclass(frozen=True)
class Side:
    """The settings of one run on the half that chooses and on the other, [1 + K] each, the constant answer first."""

    x: np.ndarray
    y: np.ndarray
    x_other: np.ndarray
    y_other: np.ndarray


def transfer_rows(sweeps: Sequence[Sweep]) -> Iterator[Rows]:
    """What each choice of a knob promised and delivered, for each run of a panel and each target, once per direction.

    Args:
        sweeps: all sweeps of one panel.
    """
    runs = group_runs(sweeps)
    in_a = halves(sweeps[0].trace.index)
    sides = {run: [side(here, "a", in_a), side(here, "b", ~in_a)] for run, here in runs.items()}
    seeds = {method: [seed for other, seed in runs if other == method] for method, _ in runs}
    for (method, seed), both in sides.items():
        first = runs[method, seed][0]
        keys = {name: first.keys[name] for name in (*CURVE, "seed")} | {"metric": first.task.metric}
        static = sides.get(("static", static_seed(seeds, seed))) if "static" in seeds else None
        for way, here in enumerate(both):
            yield from budget_rows(keys, here)
            if static and method != "static":
                yield from drop_rows(keys, here, static[way].y[1], static[way].y_other[1])


def side(sweeps: Sequence[Sweep], half: str, rows: np.ndarray) -> Side:
    """For transfer.csv: the exact settings of one run that one half, bool [n], may choose from."""
    settings = Settings(sweeps, "exact", half)
    here, there = (settings.under(np.ones((1, some.sum()), dtype=np.float32), some) for some in (rows, ~rows))
    return Side(here.x[0], here.y[0], there.x[0], there.y[0])


def budget_rows(keys: dict, one: Side) -> Iterator[Rows]:
    """Rows of transfer.csv: the best setting within each budget, on the half that chose it and on the other."""
    targets = np.array(TARGET_BUDGETS)
    chosen, fits = best_within(one.x, one.y, targets)
    keys = {**keys, "target": "budget", "target_value": targets, "constant": np.where(fits, chosen == 0, np.nan)}
    kept = np.where(fits, one.x_other[chosen] <= targets + TOLERANCE, np.nan)
    for quantity, at, other in (("layer_fraction", one.x, one.x_other), ("value", one.y, one.y_other)):
        yield {**keys, "quantity": quantity, **promise(at, other, chosen, fits), "kept": kept}


def drop_rows(keys: dict, one: Side, static: float, static_other: float) -> Iterator[Rows]:
    """Rows of transfer.csv: the cheapest setting within each drop below static (ties: the smaller), both halves."""
    targets = np.array(TARGET_DROPS)
    drop, drop_other = static - one.y, static_other - one.y_other
    # cost and drop change places: the least cost among the settings that keep to a limit of the drop
    chosen, fits = best_within(drop, -one.x, targets)
    keys = {**keys, "target": "drop", "target_value": targets, "constant": np.where(fits, chosen == 0, np.nan)}
    kept = np.where(fits, drop_other[chosen] <= targets + TOLERANCE, np.nan)
    for quantity, at, other in (("layer_fraction", one.x, one.x_other), ("drop", drop, drop_other)):
        yield {**keys, "quantity": quantity, **promise(at, other, chosen, fits), "kept": kept}


def promise(at: np.ndarray, other: np.ndarray, chosen: np.ndarray, fits: np.ndarray) -> Rows:
    """In transfer.csv: what each choice [T] gives on its own half and on the other; NaN where no setting fits."""
    return {"promised": np.where(fits, at[chosen], np.nan), "delivered": np.where(fits, other[chosen], np.nan)}


def transfer_table(choices: pd.DataFrame) -> pd.DataFrame:
    """transfer.csv: means over both directions and the seeds; the gap with its 95 % t-interval over seeds.

    Args:
        choices: the rows of `transfer_rows`.

    Returns:
        Targets that no run can meet have no row; a seed counts where one of its directions meets the target.
    """
    shares = ["promised", "delivered", "kept", "constant"]
    found = choices.dropna(subset="promised").groupby([*TARGET, "seed"], sort=False)
    # one row per seed; pandas' groups of groups would take most of the time of all tables
    per_seed = found[shares].mean().assign(directions=found.size()).reset_index()
    rows = []
    for keys, group in per_seed.groupby(TARGET, sort=False):
        means = {name: group[name].to_numpy().mean() for name in shares}
        gap = interval_columns("gap", (group["delivered"] - group["promised"]).to_numpy())
        counts = {"seeds": len(group), "chosen": group["directions"].sum()}
        means["constant_share"] = means.pop("constant")
        rows.append({**dict(zip(TARGET, keys, strict=True)), **means, **gap, **counts})
    return pd.DataFrame(rows, columns=TRANSFER)
