"""scores.csv, auc.csv, budgets.csv and ranks.csv: what every run is judged by, per seed and summarised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.tables.columns import ENDS, METHOD, boot_columns, interval_columns
from bench.tables.scores import AREAS, BUDGETS, QUANTITIES, Scores


def score_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """scores.csv: one row per run, what auc.csv, budgets.csv and paired.csv summarise."""
    rows = [
        {**panel.keys, "method": method, "seed": seed, **dict(zip(QUANTITIES, values, strict=True))}
        for panel in scores
        for (method, seed), values in zip(panel.runs, panel.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*METHOD, "seed", *QUANTITIES])


def auc_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """auc.csv: the areas per panel and method, with both intervals; means over tasks end each backbone."""
    columns = [*METHOD, "seeds", "x_low", "x_high", "widest_gap", *(f"{area}{end}" for area in AREAS for end in ENDS)]
    rows = []
    for keys, values, draws in summaries(scores):
        row = {**keys, "seeds": len(values)}
        for area in AREAS:
            at = QUANTITIES.index(area)
            row |= interval_columns(area, values[:, at]) | boot_columns(area, draws[:, at])
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def budget_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """budgets.csv: the value at 25, 50, 75 and 100 % of the layers per panel and method, with both intervals."""
    columns = [*METHOD, "budget", "seeds", *(f"value{end}" for end in ENDS)]
    rows = []
    for keys, values, draws in summaries(scores):
        for at, budget in enumerate(BUDGETS, start=len(AREAS)):
            interval = interval_columns("value", values[:, at]) | boot_columns("value", draws[:, at])
            rows.append({**keys, "budget": budget, "seeds": len(values), **interval})
    return pd.DataFrame(rows, columns=columns)


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


def by_backbone(scores: Sequence[Scores]) -> dict[tuple[str, str], list[Scores]]:
    """Suite and backbone -> its panels, one per task."""
    groups: dict[tuple[str, str], list[Scores]] = {}
    for panel in scores:
        if panel.keys["split"] != "validation_mismatched":
            groups.setdefault((panel.keys["suite"], panel.keys["backbone"]), []).append(panel)
    return groups


def mean_rank_table(scores: Sequence[Scores], rivals: Sequence[str]) -> pd.DataFrame:
    """ranks.csv: mean rank over tasks (1 is best, ties share) of the mean over seeds of each quantity.

    Args:
        scores: all panels.
        rivals: the methods to rank; of these, a task ranks those with a value for every seed, and the table has those
            that all tasks of the backbone rank.
    """
    rows = []
    for (suite, backbone), panels in by_backbone(scores).items():
        for at, quantity in enumerate(QUANTITIES):
            means = [
                {m: panel.values[list(panel.rows(m).values()), at].mean() for m in panel.methods} for panel in panels
            ]
            ranked = [m for m in rivals if all(np.isfinite(task.get(m, np.nan)) for task in means)]
            if len(ranked) > 1:
                ranks = pd.DataFrame(means)[ranked].round(12).rank(axis=1, ascending=False).mean()
                keys = {"suite": suite, "backbone": backbone, "quantity": quantity, "tasks": len(panels)}
                rows += [{**keys, "method": m, "methods": len(ranked), "mean_rank": rank} for m, rank in ranks.items()]
    return pd.DataFrame(rows, columns=["suite", "backbone", "quantity", "method", "mean_rank", "tasks", "methods"])
