"""undecidable.csv: layers spent on what nobody can answer, against hard examples that can be, at equal mean cost.

For generated data, whose examples know how many steps they take or that they are `UNDECIDABLE`. A method that gives up
early on the latter has a difference above 0. Methods are compared at the costs of DACT's trained models, which have no
knob to turn: each at its exact setting nearest in cost.

Shapes: n examples, K settings, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.sources.examples import UNDECIDABLE
from bench.statistics.curves import TOLERANCE
from bench.tables.columns import PANEL, groups_of, interval_columns, with_ends
from bench.tables.matched import BUDGETS, cost_of, nearest_setting
from bench.tables.scores import Runs, group_runs

#: Costs at which methods are compared: at the ends of the axis everybody leaves early, or late.
INSIDE = (0.25, 0.75)
#: The farthest that a setting may lie from the cost that it is matched to, in layers.
FARTHEST = 0.5
MEASURES = ("layer_fraction", "hard", "undecidable", "difference")
#: One seed of one method; the rows that undecidable.csv is the mean of.
BY_SEED = ["suite", *PANEL, "method", "seed", "matched", "costs", *MEASURES]
BY_SEED += ["hard_rows", "undecidable_rows", "static_top"]
UNDECIDED = ["suite", *PANEL, "method", "units", "unit_kind", "matched", "costs", *MEASURES[:-1]]
UNDECIDED += [*with_ends("difference"), "hard_rows", "undecidable_rows", "static_top"]


@dataclass(frozen=True)
class Groups:
    """Which examples [n] are hard and can be decided, and which nobody can decide."""

    hard: np.ndarray
    undecidable: np.ndarray

    @classmethod
    def of(cls, difficulty: np.ndarray | None) -> Groups | None:
        """From the difficulties [n] of a trace; None where there are no examples of either kind.

        Hard are those with most steps, at most half of the decidable ones unless a single number of steps has more.
        """
        if difficulty is None or not (difficulty == UNDECIDABLE).any() or not (difficulty >= 0).any():
            return None
        decidable = difficulty >= 0  # flipped labels are neither
        steps = np.unique(difficulty[decidable])
        few = [least for least in steps if (difficulty >= least).sum() <= decidable.sum() / 2]
        return cls(difficulty >= (few[0] if few else steps[-1]), difficulty == UNDECIDABLE)

    def means(self, layers: np.ndarray) -> tuple[float, float, float]:
        """The mean exit layer of both kinds, and their difference, from the layers [n] of one setting."""
        hard, undecidable = float(layers[self.hard].mean()), float(layers[self.undecidable].mean())
        return hard, undecidable, hard - undecidable


def inside(sweeps: Sequence[Sweep], weights: np.ndarray | None = None) -> list[float]:
    """For undecidable.csv: the costs of trained models with one setting each that lie `INSIDE`."""
    costs = [float(cost_of(one, one.layers, weights)[0]) for one in sweeps]
    return [x for x in costs if INSIDE[0] - TOLERANCE <= x <= INSIDE[1] + TOLERANCE]


def layers_near(sweeps: Sequence[Sweep], x: float, weights: np.ndarray | None = None) -> np.ndarray | None:
    """The exit layers [n] at the exact setting of some models that costs nearest to x; None: over half a layer away."""
    found = nearest_setting(sweeps, x, FARTHEST, weights)
    return None if found is None else found[0].exact().layers[found[1]]


def undecidable_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """undecidable.csv of one panel: every seed of methods that choose exits, at the costs that it is matched to.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    first, by_run = sweeps[0], group_runs(sweeps)
    groups = Groups.of(first.trace.difficulty)
    if groups is None:
        return
    keys = first.named("suite", *PANEL)
    sizes = {"hard_rows": groups.hard.sum(), "undecidable_rows": groups.undecidable.sum()}
    sizes["static_top"] = static_top(by_run, groups)
    for (method, seed), own in by_run.items():
        if not any(one.chooses.any() for one in own):
            continue
        costs = inside(by_run["dact", seed]) if ("dact", seed) in by_run else BUDGETS.values()
        near = [layers for x in costs if (layers := layers_near(own, x)) is not None]
        found = [(layers.mean() / first.panel_layers, *groups.means(layers)) for layers in near]
        means = np.mean(found, axis=0) if found else [np.nan] * len(MEASURES)
        columns = dict(zip(MEASURES, map(float, means), strict=True))
        yield {**keys, "method": method, "seed": seed, "matched": len(found), "costs": len(costs), **columns, **sizes}


def static_top(by_run: Runs, groups: Groups) -> float:
    """The static models' mean top probability on undecidable examples: far above chance, they learnt coins by heart."""
    tops = []
    for (method, _), (one, *_) in by_run.items():
        if method == "static":
            logits = torch.from_numpy(one.trace.logits[groups.undecidable, -1]).double()
            tops.append(float(logits.softmax(dim=-1).amax(dim=-1).mean()))
    return float(np.mean(tops)) if tops else float("nan")


def undecidable_table(by_seed: pd.DataFrame) -> pd.DataFrame:
    """undecidable.csv: means over seeds of every panel, then over the tasks of a backbone, with 95 % t-intervals.

    Args:
        by_seed: the rows of `undecidable_rows`.
    """
    rows = [
        {**named, "unit_kind": "seeds", **summary(group)}
        for named, group in groups_of(by_seed, ["suite", *PANEL, "method"])
    ]
    tasks = pd.DataFrame(rows, columns=UNDECIDED)
    tasks = tasks[tasks["split"] != "validation_mismatched"]  # MNLI counts once
    for named, group in groups_of(tasks, ["suite", "backbone", "method"]):
        rows.append({**named, "task": "mean", "unit_kind": "tasks", **summary(group)})
    return pd.DataFrame(rows, columns=UNDECIDED)


def summary(units: pd.DataFrame) -> dict[str, float]:
    """In undecidable.csv: means over units with a value, and the t-interval of the difference; matches are summed."""
    found = units.dropna(subset="difference")
    columns = {name: units[name].sum() for name in ("matched", "costs")} | {"units": len(found)}
    columns |= {name: found[name].mean() for name in MEASURES[:-1]}
    differences = found["difference"].to_numpy(dtype=float) if len(found) else np.array([np.nan])
    columns |= interval_columns("difference", differences)
    columns |= {name: units[name].mean() for name in ("hard_rows", "undecidable_rows")}
    return columns | {"static_top": units["static_top"].mean()}
