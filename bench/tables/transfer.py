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

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics.areas import best_within, halves
from bench.statistics.curves import TOLERANCE
from bench.tables.columns import CURVE, METHOD, groups_of, interval_columns, static_run, with_ends
from bench.tables.scores import group_runs
from bench.tables.settings import Settings

TARGET_BUDGETS = (0.25, 0.5, 0.75)
TARGET_DROPS = (0.01, 0.02, 0.05)
TARGET = [*METHOD, "target", "target_value", "quantity"]
#: The rows of single choices that transfer.csv is the mean of: one per seed and direction.
CHOICES = [*TARGET, "seed", "promised", "delivered", "kept", "constant"]
TRANSFER = [*TARGET, "seeds", "chosen", "promised", "delivered", *with_ends("gap"), "kept", "constant_share"]


#: What a number is of each setting on the half that chooses, and on the other.
Both = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Side:
    """Costs and values of the settings of one run, [1 + K] on either half, the constant answer first."""

    x: Both
    y: Both


def transfer_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """What each choice of a knob promised and delivered, for each run of a panel and each target, once per direction.

    Args:
        sweeps: all sweeps of one panel.
    """
    runs = group_runs(sweeps)
    in_a = halves(sweeps[0].trace.index)
    sides = {run: [side(here, "a", in_a), side(here, "b", ~in_a)] for run, here in runs.items()}
    for (method, seed), both in sides.items():
        first = runs[method, seed][0]
        keys = first.named(*CURVE, "seed") | {"metric": first.task.metric}
        static = sides.get(static_run(runs, seed))
        for way, here in enumerate(both):
            yield from budget_rows(keys, here)
            if static and method != "static":
                yield from drop_rows(keys, here, tuple(values[1] for values in static[way].y))


def side(sweeps: Sequence[Sweep], half: str, rows: np.ndarray) -> Side:
    """For transfer.csv: the exact settings of one run that one half, bool [n], may choose from."""
    settings = Settings(sweeps, "exact", half)
    here, there = (settings.under(np.ones((1, some.sum()), dtype=np.float32), some) for some in (rows, ~rows))
    return Side((here.x[0], there.x[0]), (here.y[0], there.y[0]))


def budget_rows(keys: dict, one: Side) -> Iterator[Rows]:
    """Rows of transfer.csv: the best setting within each budget, on the half that chose it and on the other."""
    yield from choice_rows(keys, "budget", TARGET_BUDGETS, one.x, one.y[0], {"layer_fraction": one.x, "value": one.y})


def drop_rows(keys: dict, one: Side, static: tuple[float, float]) -> Iterator[Rows]:
    """Rows of transfer.csv: the cheapest setting within each drop below static (ties: the smaller), both halves."""
    # cost and drop change places: the least cost among the settings that keep to a limit of the drop
    drop = (static[0] - one.y[0], static[1] - one.y[1])
    yield from choice_rows(keys, "drop", TARGET_DROPS, drop, -one.x[0], {"layer_fraction": one.x, "drop": drop})


def choice_rows(
    keys: dict, target: str, limits: Sequence[float], limited: Both, worth: np.ndarray, said: dict[str, Both]
) -> Iterator[Rows]:
    """Rows of transfer.csv: the best setting that keeps to each limit on the half that chooses, as both halves see it.

    Args:
        keys: the columns that name the run.
        target: what is limited.
        limits: [T].
        limited: the same of each setting.
        worth: of each setting on the half that chooses; of equals the one further from the limit is taken.
        said: quantity -> its value at each setting.
    """
    targets, (here, there) = np.array(limits), limited
    chosen, fits = best_within(here, worth, targets)
    keys = {**keys, "target": target, "target_value": targets, "constant": np.where(fits, chosen == 0, np.nan)}
    kept = np.where(fits, there[chosen] <= targets + TOLERANCE, np.nan)
    for quantity, values in said.items():
        promised, delivered = (np.where(fits, each[chosen], np.nan) for each in values)
        yield {**keys, "quantity": quantity, "promised": promised, "delivered": delivered, "kept": kept}


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
    for named, group in groups_of(per_seed, TARGET):
        means = {name: group[name].to_numpy().mean() for name in shares}
        gap = interval_columns("gap", (group["delivered"] - group["promised"]).to_numpy())
        means["constant_share"] = means.pop("constant")
        rows.append({**named, **means, **gap, "seeds": len(group), "chosen": group["directions"].sum()})
    return pd.DataFrame(rows, columns=TRANSFER)
