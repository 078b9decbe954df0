"""scores.csv: areas and budget values of every run, on the validation set as it is and on resamples of its examples.

A resample is a vector of weights: how often each example was drawn. Costs, values and areas are functions of the
weights, so one pass of array operations gives all resamples, and weights of 1 give the numbers themselves. One set of
resamples serves all methods, seeds and backbones of a task and split: differences between them stay paired by example.

A buyer chooses a setting on one half of the validation set and gets what the other half says, both ways; the constant
answer, at no cost, is always among the choices. At resolution "exact" the settings are the thresholds at which a
decision changes on the half that chooses; at "grid" they are the values that the method's paper swept.

Shapes: D resamples, n examples, K settings of one run, F counts, R runs of a panel, Q quantities, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.halting.sweep import PanelSweeps, Sweep
from bench.statistics.areas import auc_budget, auc_common, every_budget, halves, spend, widest_gap
from bench.statistics.curves import Points, gap_mask, interpolate
from bench.statistics.intervals import resamples
from bench.statistics.metrics import metric_of_counts
from bench.statistics.mixing import spend_exactly
from bench.tables.columns import METHOD, PANEL, PAPER_METHODS, examples_seed
from bench.tables.settings import Halved, Settings, Way, by_half

#: A common x-range narrower than this says too little about curves: `auc_common` is left empty.
NARROWEST = 0.1
#: Over a wider stretch without a point nothing is said about the height of a curve.
WIDEST = 0.25
BUDGETS = (0.25, 0.5, 0.75, 1.0)
AREAS = ("auc_common", "auc_budget", "auc_budget_half", "auc_mixed", "auc_mixed_half")
QUANTITIES = (*AREAS, *(f"value_{100 * budget:.0f}" for budget in BUDGETS))
SCORES = [*METHOD, "resolution", "seed", *QUANTITIES]
#: Resamples of the examples.
DRAWS = 2000
#: Weights, and settings under them, that are held at once; a block of resamples has at least one.
BLOCK = 2**21

MethodSeed = tuple[str, int]
#: The sweeps of every method and seed, one per trained variant.
Runs = dict[MethodSeed, list[Sweep]]
MethodSeeds = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Scores:
    """The runs of one panel at one resolution.

    Attributes:
        keys: suite, task, split, backbone, metric and resolution.
        runs: [R] method and seed.
        values: [R, Q]; NaN where a run has no value.
        draws: [D, Q] of a method and some of its seeds: the mean of their values on resamples of the examples. There is
            one for all seeds of each method, and one for those it shares with another: a thousand runs would not fit.
        x_low: lower end of the common range; NaN where there is none.
        x_high: upper end.
        gaps: [R] widest gap between neighbouring points inside that range.
        curves: [R] cost and value of every setting, sorted by cost.
        models_trained: how many models each method trains for one run, and its buyer picks from.
        bought: [R, 3, B] at each of `BUDGETS` the value that it buys, its cost on the half that did not choose, and how
            often the constant answer was chosen (0, .5, 1).
    """

    keys: dict[str, str]
    runs: list[MethodSeed]
    values: np.ndarray
    draws: dict[MethodSeeds, np.ndarray]
    x_low: float
    x_high: float
    gaps: np.ndarray
    curves: list[Points]
    models_trained: dict[str, int]
    bought: np.ndarray

    def rows(self, method: str) -> dict[int, int]:
        """Seed -> position among the runs, of one method."""
        return {seed: row for row, (name, seed) in enumerate(self.runs) if name == method}

    def mean_draws(self, method: str, seeds: Sequence[int] | None = None) -> np.ndarray:
        """The mean [D, Q] over seeds of a method on resamples: over all, or over those it shares with another."""
        return self.draws[method, tuple(sorted(self.rows(method) if seeds is None else seeds))]

    @property
    def methods(self) -> list[str]:
        """The methods, each once."""
        return list(dict.fromkeys(method for method, _ in self.runs))


def score_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """scores.csv: one row per run and resolution, what auc.csv, budgets.csv and paired.csv summarise."""
    rows = [
        {**panel.keys, "method": method, "seed": seed, **dict(zip(QUANTITIES, values, strict=True))}
        for panel in scores
        for (method, seed), values in zip(panel.runs, panel.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=SCORES)


def by_backbone(scores: Sequence[Scores]) -> dict[tuple[str, str, str], list[Scores]]:
    """Suite, backbone and resolution -> its panels, one per task: MNLI counts once, by its matched split."""
    groups: dict[tuple[str, str, str], list[Scores]] = {}
    for panel in scores:
        if panel.keys["split"] != "validation_mismatched":
            key = tuple(panel.keys[name] for name in ("suite", "backbone", "resolution"))
            groups.setdefault(key, []).append(panel)
    return groups


#: What is called while a panel is scored, with a run, the weights, and both ways to choose.
Watch = Callable[[MethodSeed, Halved, list[Way]], None]


def panel_scores(
    sweeps: PanelSweeps, resolution: str = "exact", draws: int = DRAWS, also: Watch | None = None
) -> Scores:
    """Score every run of a panel, for scores.csv.

    Args:
        sweeps: all sweeps of the panel; their traces list the same examples in the same order.
        resolution: "exact" or "grid".
        draws: D.
        also: called for each run, first with weights of 1 and then block by block with those of the resamples.
    """
    first = sweeps[0]
    by_run = group_runs(sweeps)
    panel = PanelRuns(by_run, resolution)
    ones = np.ones((1, len(first.trace.index)), dtype=np.float32)
    values, bought, curves, (low, high) = panel.scores(ones, also)
    block = max(1, BLOCK // max(ones.shape[1], panel.size))
    blocks = [
        group_means(list(by_run), panel.scores(w, also)[0])
        for w in resamples(ones.shape[1], draws, examples_seed(first), block)
    ]
    drawn = {group: np.concatenate([some[group] for some in blocks]) for group in blocks[0]}
    low, high = float(low[0]), float(high[0])
    if not high - low >= NARROWEST:  # no range for the panel: none for a resample of it, either
        for array in (values[0], *drawn.values()):
            array[:, 0] = np.nan
        low, high = np.nan, np.nan
    lines = [by_cost(x[0], y[0]) for x, y in curves]
    for row, (x, _) in enumerate(lines):
        values[0, row, len(AREAS) :][gap_mask(BUDGETS, x, WIDEST)] = np.nan
    gaps = np.array([widest_gap(x, low, high) for x, _ in lines])
    models = {method: len(some) for (method, _), some in by_run.items()}
    return Scores(
        panel_keys(first, resolution), list(by_run), values[0], drawn, low, high, gaps, lines, models, bought[:, :, 0]
    )


def panel_keys(first: Sweep, resolution: str) -> dict[str, str]:
    """What names the panel of a sweep in scores.csv; see `Scores.keys`."""
    return first.named("suite", *PANEL) | {"metric": first.task.metric, "resolution": resolution}


def by_cost(x: np.ndarray, y: np.ndarray) -> Points:
    """For scores.csv: costs [K] and values [K], the cheapest first."""
    order = np.argsort(x, kind="stable")
    return x[order], y[order]


class PanelRuns:
    """The runs of a panel as arrays that scores are computed from, under any weights.

    Args:
        by_run: the sweeps of every method and seed.
        resolution: "exact" or "grid".
    """

    def __init__(self, by_run: Runs, resolution: str) -> None:
        self.in_a = halves(next(iter(by_run.values()))[0].trace.index)
        self.runs = list(by_run)
        self.settings = {
            which: [Settings(sweeps, resolution, which) for sweeps in by_run.values()] for which in ("all", "a", "b")
        }
        self.ranging = ranging(by_run)

    @property
    def size(self) -> int:
        """The settings of all runs."""
        return sum(len(one.layers) for one in self.settings["all"])

    def scores(
        self, weights: np.ndarray, also: Watch | None = None
    ) -> tuple[np.ndarray, np.ndarray, list, tuple[np.ndarray, np.ndarray]]:
        """Every quantity of every run under weights [D, n]; `also` is called with the halves of each run.

        Returns:
            values [D, R, Q]; what `BUDGETS` buy [R, 3, D, B]; costs and values of each run, two of [D, K]; the ends [D]
            of the common range.
        """
        whole = [one.under(weights) for one in self.settings["all"]]
        curves = [(one.x[:, 1:], one.y[:, 1:]) for one in whole]
        low, high = shared_range([x for x, _ in curves], self.runs, self.ranging)
        values = np.empty((len(weights), len(self.runs), len(QUANTITIES)))
        bought = np.empty((len(self.runs), 3, len(weights), len(BUDGETS)))
        in_halves = by_half(weights, self.in_a)
        for row, (x, y) in enumerate(curves):
            ways = self.ways(row, in_halves)
            if also:
                also(self.runs[row], in_halves, ways)
            stepped, cost, constant, mixed = self.budgets(row, ways)
            values[:, row, 0] = auc_common(x, y, low, high)
            for at, by_budget in ((1, stepped[:, : -len(BUDGETS)]), (3, mixed[:, : -len(BUDGETS)])):
                values[:, row, at] = auc_budget(by_budget)
                values[:, row, at + 1] = auc_budget(by_budget, limit=0.5)
            values[:, row, len(AREAS) :] = interpolate(BUDGETS, x, y)
            bought[row] = [part[:, -len(BUDGETS) :] for part in (stepped, cost, constant)]
        return values, bought, curves, (low, high)

    def ways(self, row: int, weights: Halved) -> list[Way]:
        """One run, chosen on half A and read on B, and chosen on B and read on A."""
        (a, b), in_a = weights, self.in_a
        on_a, on_b = self.settings["a"][row], self.settings["b"][row]
        return [(on_a.under(a, in_a), on_a.under(b, ~in_a)), (on_b.under(b, ~in_a), on_b.under(a, in_a))]

    def budgets(self, row: int, ways: list[Way]) -> list[np.ndarray]:
        """What budgets buy of one run, chosen on one half and read on the other, both ways.

        Returns:
            Four of [D, L + B], for 1/L, 2/L, .. 1 and then `BUDGETS`: the value of the best setting within the budget,
            its cost, whether it is the constant answer, and the value of the two settings whose mixture costs exactly
            the budget.
        """
        settings, found = self.settings["all"][row], []
        budgets = np.concatenate([every_budget(settings.panel_layers), BUDGETS])
        for here, there in ways:
            value, cost, chosen = spend(here.x, here.y, there.x, there.y, budgets)
            mixed = spend_exactly(here.x, here.y, budgets).of_counts(there.counts)
            found.append([value, cost, (chosen == 0).astype(np.float64), metric_of_counts(settings.task, mixed)])
        return [(one + other) / 2 for one, other in zip(*found, strict=True)]


def ranging(by_run: Runs) -> set[str]:
    """For scores.csv: methods whose curves make the common range: the paper's three if all ran, else all with one."""
    paper = set(PAPER_METHODS)
    if paper <= {method for method, _ in by_run}:
        return paper
    swept = {method for (method, _), sweeps in by_run.items() if sum(len(one.knob_values) for one in sweeps) > 1}
    return swept - {"truncated"}


def shared_range(costs: list[np.ndarray], runs: list[MethodSeed], methods: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """For scores.csv: the ends [D] of the x-range that all seeds of some methods cover, from all costs [D, K]."""
    covered = [x for x, (method, _) in zip(costs, runs, strict=True) if method in methods]
    if not covered:
        nowhere = np.full(len(costs[0]), np.nan)
        return nowhere, nowhere
    return np.max([x.min(axis=1) for x in covered], axis=0), np.min([x.max(axis=1) for x in covered], axis=0)


def group_means(runs: Sequence[MethodSeed], values: np.ndarray) -> dict[MethodSeeds, np.ndarray]:
    """From scores, the mean [D, Q] of values [D, R, Q] over the runs of each group that `Scores.draws` has."""
    rows = {run: row for row, run in enumerate(runs)}
    seeds: dict[str, set[int]] = {}
    for method, seed in runs:
        seeds.setdefault(method, set()).add(seed)
    groups = {(method, tuple(sorted(own & other))) for method, own in seeds.items() for other in seeds.values()}
    return {(m, own): values[:, [rows[m, seed] for seed in own]].mean(axis=1) for m, own in sorted(groups) if own}


def group_runs(sweeps: PanelSweeps) -> Runs:
    """The sweeps that a run's scores come from, by method and seed: one per trained variant."""
    runs: Runs = {}
    for one in sweeps:
        runs.setdefault((one.keys["method"], one.keys["seed"]), []).append(one)
    return runs
