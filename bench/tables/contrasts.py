"""What each claim of the paper is about, as one number per task and seed, from the runs of one panel.

An effect is signed so that the claim says that it lies above 0 (or, for a claim of equality, at 0). Methods with a knob
are their exact curves, except where a claim is about fixed settings (4a, 4b). The common range of a claim is that of
its own pair of methods, so that no other method's file moves it. Seeds without a value have no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.halting.sweep import Sweep, mean_layer_fraction
from bench.statistics.areas import auc_common
from bench.statistics.curves import Points, interpolate
from bench.tables.confidence import decided_share, exit_entropy
from bench.tables.matched import nearest_setting
from bench.tables.scores import (
    NARROWEST,
    QUANTITIES,
    PanelRuns,
    Runs,
    Scores,
    by_cost,
    group_runs,
    panel_keys,
)
from bench.tables.undecidable import Groups, inside, layers_near

#: "Saving little computation": a common range that ends below this share of the layers says nothing about it.
HIGH = 0.75

Effects = Iterator[tuple[float, float]]  # seed (NaN for a number about all seeds) and effect


@dataclass(frozen=True)
class Compared:
    """The runs of one panel, as claims compare them.

    Attributes:
        scores: their scores at resolution "exact".
        sweeps: the sweeps of each run.
        weights: how much each example [n] counts; None: all the same.
    """

    scores: Scores
    sweeps: Runs
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, scores: Scores, sweeps: list[Sweep]) -> Compared:
        """From what a panel was replayed to."""
        return cls(scores, group_runs(sweeps))

    @classmethod
    def under(cls, sweeps: Sequence[Sweep], weights: np.ndarray) -> Compared:
        """Some runs of a panel at their exact settings, each example [n] counting by its weight; without resamples."""
        by_run = group_runs(sweeps)
        values, bought, curves, _ = PanelRuns(by_run, "exact").scores(weights[None])
        lines = [by_cost(x[0], y[0]) for x, y in curves]
        nowhere = np.full(len(by_run), np.nan)
        scores = Scores(
            panel_keys(sweeps[0], "exact"),
            list(by_run),
            values[0],
            {},
            np.nan,
            np.nan,
            nowhere,
            lines,
            {},
            bought[:, :, 0],
        )
        return cls(scores, by_run, weights)

    def seeds(self, *methods: str) -> list[int]:
        """The seeds that all of some methods have."""
        return sorted(set.intersection(*(set(self.scores.rows(method)) for method in methods)))

    def quantity(self, name: str, method: str, seed: int) -> float:
        """A column of scores.csv."""
        return float(self.scores.values[self.scores.rows(method)[seed], QUANTITIES.index(name)])

    def curve(self, method: str, seed: int) -> Points:
        """Cost and value of a run's exact settings."""
        return self.scores.curves[self.scores.rows(method)[seed]]

    def common_range(self, *methods: str) -> tuple[float, float]:
        """The x-range that all seeds of some methods cover; NaN where it is narrow."""
        costs = [self.curve(method, seed)[0] for method in methods for seed in self.scores.rows(method)]
        low, high = max(x.min() for x in costs), min(x.max() for x in costs)
        return (low, high) if high - low >= NARROWEST else (np.nan, np.nan)


def in_quantity(panel: Compared, quantity: str, method: str, rival: str) -> Effects:
    """A column of scores.csv: method minus rival, by seed."""
    for seed in panel.seeds(method, rival):
        yield seed, panel.quantity(quantity, method, seed) - panel.quantity(quantity, rival, seed)


def in_area(panel: Compared, method: str, rival: str) -> Effects:
    """Mean height over the range that both cover: method minus rival, by seed."""
    ends = panel.common_range(method, rival)
    for seed in panel.seeds(method, rival):
        yield seed, float(auc_common(*panel.curve(method, seed), *ends) - auc_common(*panel.curve(rival, seed), *ends))


def at_high_x(panel: Compared, method: str, rival: str) -> Effects:
    """Height of the curves at the upper end of the range: method minus rival, by seed; where that end is `HIGH`."""
    _, high = panel.common_range(method, rival)
    if high >= HIGH:
        for seed in panel.seeds(method, rival):
            heights = [interpolate(np.array([high]), *panel.curve(name, seed))[0] for name in (method, rival)]
            yield seed, float(heights[0] - heights[1])


def in_spread(panel: Compared, method: str, rival: str) -> Effects:
    """Standard deviation of x over seeds at a fixed setting inside the range: rival minus method; one number a task."""
    ends = panel.common_range(method, rival)
    own, other = (spread_over_seeds(panel, name, ends) for name in (method, rival))
    yield np.nan, other - own


def spread_over_seeds(panel: Compared, method: str, ends: tuple[float, float]) -> float:
    """For a claim's contrast: root mean variance of x over seeds, over settings of mean costs inside the range."""
    costs: dict[tuple[str, float], list[float]] = {}
    for seed in panel.scores.rows(method):
        for one in panel.sweeps[method, seed]:
            for value, x in zip(one.knob_values, mean_layer_fraction(one.layers, one.panel_layers), strict=True):
                costs.setdefault((one.keys["variant"], value), []).append(x)
    inside = [np.var(x, ddof=1) for x in costs.values() if len(x) > 1 and ends[0] <= np.mean(x) <= ends[1]]
    return float(np.sqrt(np.mean(inside))) if inside else np.nan


def in_steepness(panel: Compared) -> Effects:
    """How far x moves when the knob doubles, DeeBERT's threshold minus DACT's tau, by seed.

    Over the fixed settings whose x lies inside the range, at least two: the sum of the moves between neighbours,
    divided by log2 of the largest setting over the smallest. A ratio has no unit, so that S and tau can be compared.
    """
    ends = panel.common_range("dact", "deebert")
    for seed in panel.seeds("dact", "deebert"):
        yield seed, steepness(panel, "deebert", seed, ends) - steepness(panel, "dact", seed, ends)


def steepness(panel: Compared, method: str, seed: int, ends: tuple[float, float]) -> float:
    """A claim's contrast for one run; see `in_steepness`. NaN with fewer than two settings inside the range."""
    found = []
    for one in panel.sweeps[method, seed]:
        tau = one.spec.variant.get("tau") if method == "dact" else None
        settings = one.knob_values if tau is None else [tau]
        found += zip(settings, mean_layer_fraction(one.layers, one.panel_layers), strict=True)
    found = sorted((setting, x) for setting, x in found if setting > 0 and ends[0] <= x <= ends[1])
    if len(found) < 2:
        return np.nan
    doublings = np.log2(found[-1][0] / found[0][0])
    return float(np.abs(np.diff([x for _, x in found])).sum() / doublings)


def in_pruning(panel: Compared, against: bool) -> Effects:
    """Trailing layers that no example uses with DACT, per model inside the range, mean over taus, by seed.

    Args:
        panel: the runs.
        against: whether to subtract the same of DeeBERT at the exact threshold nearest in x, of the same seed.
    """
    for seed, one, x in dact_inside(panel):
        unused = int(one.trace.logits.shape[1] - one.layers.max())
        if against:
            rival, at, _ = nearest_setting(panel.sweeps["deebert", seed], x)
            unused -= int(rival.trace.logits.shape[1] - rival.exact().layers[at].max())
        yield seed, unused


def in_decided(panel: Compared) -> Effects:
    """Share of decided halting values, Eq. 1 minus the original penalty at the same tau, by seed and tau."""
    for seed in panel.seeds("dact", "dact-original"):
        taus = {one.spec.variant["tau"]: one for one in panel.sweeps["dact", seed]}
        for one in panel.sweeps["dact-original", seed]:
            if one.spec.variant["tau"] in taus:
                yield seed, decided_share(taus[one.spec.variant["tau"]].trace) - decided_share(one.trace)


def in_exit_entropy(panel: Compared) -> Effects:
    """Entropy of the answers at exit, DACT minus DeeBERT of the same seed at equal x, by seed and tau.

    DeeBERT's entropy is interpolated between its exact thresholds.
    """
    curves = {}
    for seed, one, x in dact_inside(panel):
        if seed not in curves:
            (rival,) = panel.sweeps["deebert", seed]
            layers = rival.exact().layers
            curves[seed] = mean_layer_fraction(layers, rival.panel_layers), exit_entropy(rival, layers)
        yield seed, float(exit_entropy(one, one.layers)[0] - interpolate(np.array([x]), *curves[seed])[0])


def in_giving_up(panel: Compared, against: bool) -> Effects:
    """Layers that DACT spends on hard decidable examples more than on undecidable ones, by seed and tau.

    Of the models whose cost lies `INSIDE` and for which DeeBERT, same seed, has an exact setting within half a layer.

    Args:
        panel: the runs.
        against: whether to subtract the same of DeeBERT at that setting.
    """
    for seed in panel.seeds("dact", "deebert"):
        groups = Groups.of(panel.sweeps["dact", seed][0].trace.difficulty)
        for one in panel.sweeps["dact", seed] if groups else ():
            for x in inside([one], panel.weights):
                near = layers_near(panel.sweeps["deebert", seed], x, panel.weights)
                if near is not None:
                    yield seed, groups.means(one.layers[0])[-1] - (groups.means(near)[-1] if against else 0.0)


def dact_inside(panel: Compared) -> Iterator[tuple[int, Sweep, float]]:
    """What contrasts take of DACT: seed, sweep and cost of models inside the range that DACT and DeeBERT share."""
    low, high = panel.common_range("dact", "deebert")
    for seed in panel.seeds("dact", "deebert"):
        for one in panel.sweeps["dact", seed]:
            x = float(mean_layer_fraction(one.layers, one.panel_layers)[0])
            if low <= x <= high:
                yield seed, one, x
