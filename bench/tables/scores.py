"""scores.csv: areas and budget values of every run, on the validation set as it is and on resamples of its examples.

A resample is a vector of weights: how often each example was drawn. Costs, values and areas are functions of the
weights, so one pass of array operations gives all resamples, and weights of 1 give the numbers themselves. One set of
resamples serves all methods, seeds and backbones of a task and split: differences between them stay paired by example.

Shapes: D resamples, n examples, K points of one run, R runs of a panel, Q quantities.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.halting.sweep import Sweep
from bench.statistics.areas import auc_budget, auc_common, budget_values, halves, widest_gap
from bench.statistics.curves import interpolate
from bench.statistics.metrics import weighted_metric
from bench.tables.columns import METHOD, PAPER_METHODS

#: A common x-range narrower than this says too little about curves: `auc_common` is left empty.
NARROWEST = 0.1
BUDGETS = (0.25, 0.5, 0.75, 1.0)
AREAS = ("auc_common", "auc_budget", "auc_budget_half")
QUANTITIES = (*AREAS, *(f"value_{100 * budget:.0f}" for budget in BUDGETS))
SCORES = [*METHOD, "seed", *QUANTITIES]
#: Resamples of the examples.
DRAWS = 2000
#: Weights, and points under them, that are held at once; a block of resamples has at least one.
BLOCK = 2**21

MethodSeed = tuple[str, int]
MethodSeeds = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Scores:
    """What the runs of one panel score; a run is one seed of a method, with all of its variants.

    Attributes:
        keys: suite, task, split, backbone and metric.
        runs: [R] method and seed.
        values: [R, Q]; NaN where a run has no value.
        draws: [D, Q] of a method and some of its seeds: the mean of their values on resamples of the examples. There is
            one for all seeds of each method, and one for those it shares with another: a thousand runs would not fit.
        x_low: lower end of the common range; NaN where there is none.
        x_high: upper end.
        gaps: [R] widest gap between neighbouring points inside that range.
    """

    keys: dict[str, str]
    runs: list[MethodSeed]
    values: np.ndarray
    draws: dict[MethodSeeds, np.ndarray]
    x_low: float
    x_high: float
    gaps: np.ndarray

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
    """scores.csv: one row per run, what auc.csv, budgets.csv and paired.csv summarise."""
    rows = [
        {**panel.keys, "method": method, "seed": seed, **dict(zip(QUANTITIES, values, strict=True))}
        for panel in scores
        for (method, seed), values in zip(panel.runs, panel.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=SCORES)


def by_backbone(scores: Sequence[Scores]) -> dict[tuple[str, str], list[Scores]]:
    """Suite and backbone -> its panels, one per task: MNLI counts once, by its matched split."""
    groups: dict[tuple[str, str], list[Scores]] = {}
    for panel in scores:
        if panel.keys["split"] != "validation_mismatched":
            groups.setdefault((panel.keys["suite"], panel.keys["backbone"]), []).append(panel)
    return groups


def panel_scores(sweeps: Sequence[Sweep], draws: int = DRAWS) -> Scores:
    """The scores of every run of a panel, and those of `draws` resamples of its examples.

    Args:
        sweeps: all sweeps of the panel; their traces list the same examples in the same order.
        draws: D, how many resamples.
    """
    first = sweeps[0]
    keys = {name: first.keys[name] for name in ("suite", "task", "split", "backbone")} | {"metric": first.task.metric}
    runs = group_runs(sweeps)
    ones = np.ones((1, len(first.trace.index)), dtype=np.float32)
    values, (low,), (high,) = quantities(runs, ones)
    width = max(ones.shape[1], sum(len(one.knob_values) for one in sweeps))
    resampled = resamples(ones.shape[1], draws, examples_seed(first), max(1, BLOCK // width))
    blocks = [group_means(list(runs), quantities(runs, weights)[0]) for weights in resampled]
    means = {group: np.concatenate([block[group] for block in blocks]) for group in blocks[0]}
    if not high - low >= NARROWEST:  # no range for the panel: none for a resample of it, either
        for array in (values[0], *means.values()):
            array[:, 0] = np.nan
        low, high = np.nan, np.nan
    gaps = [widest_gap(plane(run, ones)[0][0], low, high) for run in runs.values()]
    return Scores(keys, list(runs), values[0], means, float(low), float(high), np.array(gaps))


def group_means(runs: Sequence[MethodSeed], values: np.ndarray) -> dict[MethodSeeds, np.ndarray]:
    """The mean [D, Q] of values [D, R, Q] over the runs of each group that `Scores.draws` has."""
    rows = {run: row for row, run in enumerate(runs)}
    seeds: dict[str, set[int]] = {}
    for method, seed in runs:
        seeds.setdefault(method, set()).add(seed)
    groups = {(method, tuple(sorted(own & other))) for method, own in seeds.items() for other in seeds.values()}
    return {(m, own): values[:, [rows[m, seed] for seed in own]].mean(axis=1) for m, own in sorted(groups) if own}


def group_runs(sweeps: Sequence[Sweep]) -> dict[MethodSeed, list[Sweep]]:
    """The sweeps of each method and seed: one per trained variant."""
    runs: dict[MethodSeed, list[Sweep]] = {}
    for one in sweeps:
        runs.setdefault((one.keys["method"], one.keys["seed"]), []).append(one)
    return runs


def examples_seed(sweep: Sweep) -> int:
    """The seed of what is random about the examples of a panel: one for all methods, seeds and backbones."""
    return zlib.crc32(f"{sweep.keys['task']}/{sweep.keys['split']}".encode())


def resamples(n: int, draws: int, seed: int, block: int) -> Iterator[np.ndarray]:
    """Weights of bootstrap resamples, float32 [block, n] at a time; what is drawn does not depend on the block."""
    rng = np.random.default_rng(seed)
    for start in range(0, draws, block):
        count = min(draws - start, block)
        # examples of resample i are counted from i n on, so that one call counts those of all
        examples = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(examples.ravel(), minlength=count * n).reshape(count, n).astype(np.float32)


def quantities(runs: dict[MethodSeed, list[Sweep]], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every one of `QUANTITIES` of every run under weights [D, n].

    Returns:
        values [D, R, Q], and the ends [D] of the common range.
    """
    # a budget is spent on points chosen on one half of the examples and measured on the other, both ways
    in_a = halves(next(iter(runs.values()))[0].trace.index)
    planes = {run: plane(sweeps, weights) for run, sweeps in runs.items()}
    low, high = shared_range(planes, len(weights))
    values = np.empty((len(weights), len(runs), len(QUANTITIES)))
    for row, (run, sweeps) in enumerate(runs.items()):
        x, y, _ = planes[run]
        (x_a, y_a, fallback_a), (x_b, y_b, fallback_b) = (plane(sweeps, weights, half) for half in (in_a, ~in_a))
        by_budget = budget_values(x_a, y_a, x_b, y_b, fallback_a, fallback_b, sweeps[0].panel_layers)
        values[:, row, 0] = auc_common(x, y, low, high)
        values[:, row, 1] = auc_budget(by_budget)
        values[:, row, 2] = auc_budget(by_budget, limit=0.5)
        values[:, row, 3:] = interpolate(BUDGETS, x, y)
    return values, low, high


def plane(
    sweeps: Sequence[Sweep], weights: np.ndarray, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost and value of the points of one run under weights, and the value of the constant answer.

    Args:
        sweeps: the sweeps of the run.
        weights: float32 [D, n].
        rows: bool [n], the examples that count; all of them if not given.

    Returns:
        x [D, K], y [D, K], value of the constant answer [D]; NaN where no example has weight.
    """
    weights = np.ascontiguousarray(weights[:, rows])
    task, labels = sweeps[0].task, sweeps[0].trace.labels[rows]
    total = weights.sum(axis=1, dtype=np.float64)[:, None]
    total[total == 0] = np.nan
    layers = np.concatenate([one.layers for one in sweeps])[:, rows]
    predictions = np.concatenate([one.predictions for one in sweeps])[:, rows]
    always = np.full((1, len(labels)), sweeps[0].constant, dtype=predictions.dtype)
    # sums of whole numbers: exact in float32, whatever the order of summation
    x = weights @ layers.T.astype(np.float32) / total / sweeps[0].panel_layers
    y = weighted_metric(task, labels, np.concatenate([predictions, always]), weights)
    return x, y[:, :-1], y[:, -1]


def shared_range(planes: dict[MethodSeed, tuple], draws: int) -> tuple[np.ndarray, np.ndarray]:
    """The ends [D] of the x-range that all seeds of the paper's methods cover; NaN where a method is missing."""
    if not {method for method, _ in planes} >= set(PAPER_METHODS):
        return np.full(draws, np.nan), np.full(draws, np.nan)
    costs = [x for (method, _), (x, _, _) in planes.items() if method in PAPER_METHODS]
    return np.max([x.min(axis=1) for x in costs], axis=0), np.min([x.max(axis=1) for x in costs], axis=0)
