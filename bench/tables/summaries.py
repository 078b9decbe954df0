"""Every quantity of every method over its seeds and over tasks: what auc.csv and budgets.csv write down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.tables.scores import Scores, by_backbone


def summaries(scores: Sequence[Scores]) -> Iterator[tuple[dict, np.ndarray, np.ndarray, np.ndarray]]:
    """For each panel and method, then for means over tasks: keys, values, draws and what `BUDGETS` buy.

    Values [S, Q] and what budgets buy [S, 3, B] are by seed, draws [D, Q] of the mean over seeds. A quantity that a
    task lacks is missing from the mean over tasks as well.
    """
    for panel in scores:
        for method in panel.methods:
            at = list(panel.rows(method).values())
            ends = {"x_low": panel.x_low, "x_high": panel.x_high, "widest_gap": panel.gaps[at].max()}
            keys = {**panel.keys, "method": method, "models_trained": panel.models_trained[method], **ends}
            yield keys, panel.values[at], panel.mean_draws(method), panel.bought[at]
    for (suite, backbone, resolution), panels in by_backbone(scores).items():
        for method in dict.fromkeys(method for panel in panels for method in panel.methods):
            here = [panel for panel in panels if method in panel.methods]
            seeds = sorted({seed for panel in here for seed in panel.rows(method)})
            values, bought = (
                np.array([mean_over_tasks(here, name, method, seed) for seed in seeds]) for name in ("values", "bought")
            )
            draws = np.mean([panel.mean_draws(method) for panel in here], axis=0)
            keys = {"suite": suite, "task": "mean", "backbone": backbone, "method": method, "resolution": resolution}
            yield {**keys, "models_trained": here[0].models_trained[method]}, values, draws, bought


def mean_over_tasks(panels: Sequence[Scores], name: str, method: str, seed: int) -> np.ndarray:
    """For auc and budgets: the mean over the panels that have a run of this seed of what `Scores` holds of each."""
    return np.mean([getattr(p, name)[p.rows(method)[seed]] for p in panels if seed in p.rows(method)], axis=0)
