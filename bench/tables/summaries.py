"""Every quantity of every method over its seeds and over tasks: what auc.csv and budgets.csv write down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.tables.scores import Scores, by_backbone


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
