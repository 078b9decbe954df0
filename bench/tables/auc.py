"""scores.csv, auc.csv, budgets.csv and ranks.csv: what every run is judged by, per seed and summarised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.tables.columns import ENDS, METHOD, boot_columns, interval_columns
from bench.tables.scores import AREAS, BUDGETS, QUANTITIES, Scores

BOUGHT = ("bought", "delivered_x", "constant_share")


def score_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """scores.csv: one row per run and resolution, what auc.csv, budgets.csv and paired.csv summarise."""
    rows = [
        {**panel.keys, "method": method, "seed": seed, **dict(zip(QUANTITIES, values, strict=True))}
        for panel in scores
        for (method, seed), values in zip(panel.runs, panel.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*METHOD, "resolution", "seed", *QUANTITIES])


def auc_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """auc.csv: the areas per panel, method and resolution, with both intervals; means over tasks end each backbone."""
    columns = [*METHOD, "resolution", "models_trained", "seeds", "x_low", "x_high", "widest_gap"]
    columns += [f"{area}{end}" for area in AREAS for end in ENDS]
    rows = []
    for keys, values, draws, _ in summaries(scores):
        row = {**keys, "seeds": len(values)}
        for area in AREAS:
            at = QUANTITIES.index(area)
            row |= interval_columns(area, values[:, at]) | boot_columns(area, draws[:, at])
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def budget_table(scores: Sequence[Scores]) -> pd.DataFrame:
    """budgets.csv: what 25, 50, 75 and 100 % of the layers give per panel and method.

    `value` is the height of the curve, with both intervals; `bought` what a buyer gets who chooses on one half of the
    validation set, `delivered_x` what it costs on the other, `constant_share` how often the constant answer was chosen.
    """
    columns = [*METHOD, "budget", "seeds", *(f"value{end}" for end in ENDS), *BOUGHT]
    rows = []
    for keys, values, draws, bought in summaries(scores):
        for number, budget in enumerate(BUDGETS):
            at = len(AREAS) + number
            interval = interval_columns("value", values[:, at]) | boot_columns("value", draws[:, at])
            means = dict(zip(BOUGHT, bought[:, :, number].mean(axis=0), strict=True))
            rows.append({**keys, "budget": budget, "seeds": len(values), **interval, **means})
    return pd.DataFrame(rows, columns=columns)


def summaries(scores: Sequence[Scores]) -> Iterator[tuple[dict, np.ndarray, np.ndarray, np.ndarray]]:
    """Each panel and method, then the means over tasks: keys, values [S, Q] and what budgets buy [S, 3, B], by seed.

    Between them the draws [D, Q] of the mean over seeds. A quantity that a task lacks is missing from the mean over
    tasks as well.
    """
    for panel in scores:
        for method in panel.methods:
            at = list(panel.rows(method).values())
            ends = {"x_low": panel.x_low, "x_high": panel.x_high, "widest_gap": panel.gaps[at].max()}
            ends |= {"models_trained": panel.models_trained[method]}
            yield {**panel.keys, "method": method, **ends}, panel.values[at], panel.mean_draws(method), panel.bought[at]
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
    """The mean over the panels that have a run of this seed, of what `Scores` holds by run."""
    return np.mean([getattr(p, name)[p.rows(method)[seed]] for p in panels if seed in p.rows(method)], axis=0)


def by_backbone(scores: Sequence[Scores]) -> dict[tuple[str, str, str], list[Scores]]:
    """Suite, backbone and resolution -> its panels, one per task."""
    groups: dict[tuple[str, str, str], list[Scores]] = {}
    for panel in scores:
        if panel.keys["split"] != "validation_mismatched":
            key = tuple(panel.keys[name] for name in ("suite", "backbone", "resolution"))
            groups.setdefault(key, []).append(panel)
    return groups


def mean_rank_table(scores: Sequence[Scores], rivals: Sequence[str]) -> pd.DataFrame:
    """ranks.csv: mean rank over tasks (1 is best, ties share) of the mean over seeds of each quantity.

    Args:
        scores: all panels.
        rivals: the methods to rank; of these, a task ranks those with a value for every seed, and the table has those
            that all tasks of the backbone rank.
    """
    rows = []
    for (suite, backbone, _), panels in by_backbone(scores).items():
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
