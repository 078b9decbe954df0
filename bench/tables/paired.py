"""paired.csv: every pair of methods compared, within each task over seeds and across tasks over task means.

Two intervals stand side by side. The t-interval says how the difference would move with new seeds (within a task) or
other tasks (across tasks); the bootstrap over examples says how it would move with other validation examples, the
trained models staying as they are. A winner is named only where both exclude zero.

Shapes: S seeds, T tasks, D draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from bench.statistics.significance import bootstrap_test, detectable, holm, seeds_needed, t_test
from bench.tables.columns import ENDS, METHOD, boot_columns, interval_columns, with_ends
from bench.tables.scores import QUANTITIES, Scores, by_backbone

FAMILY = [key for key in METHOD if key != "method"]
PAIR = ["quantity", "method_a", "method_b", "value_a", "value_b"]
TEST = with_ends("difference", ends=ENDS)
P_VALUES = ["p_t", "p_boot", "p_t_holm", "p_boot_holm"]
PAIRED = [*FAMILY, *PAIR, "units", "unit_kind", *TEST, "detectable", "seeds_needed", *P_VALUES, "best", "winner"]
LEVEL = 0.05
#: The difference that `seeds_needed` is about: as large as the smallest that the claims count.
RELEVANT = 0.02


def paired_table(scores: Sequence[Scores], rivals: Sequence[str]) -> pd.DataFrame:
    """paired.csv: the pairs of methods of every panel, then those of every backbone across its tasks.

    The pairs of one panel (or backbone) and quantity are one family for Holm's correction.

    Args:
        scores: all panels.
        rivals: the methods to compare, references such as truncated depth among them: what beats a method should show.
    """
    rows = []
    for panel in scores:
        for at, quantity in enumerate(QUANTITIES):
            pairs = [within_task(panel, at, *pair) for pair in combinations(rivals, 2)]
            rows += family({**panel.keys, "quantity": quantity, "unit_kind": "seeds"}, pairs)
    for (suite, backbone, _), panels in by_backbone(scores).items():
        keys = {"suite": suite, "task": "mean", "backbone": backbone, "unit_kind": "tasks"}
        for at, quantity in enumerate(QUANTITIES):
            pairs = [across_tasks(panels, at, *pair) for pair in combinations(rivals, 2)]
            rows += family({**keys, "quantity": quantity}, pairs)
    return pd.DataFrame(rows, columns=PAIRED)


def within_task(panel: Scores, at: int, method_a: str, method_b: str) -> dict | None:
    """A row of paired.csv: one pair on one panel; units are seeds that both methods have; None if there are none."""
    rows_a, rows_b = panel.rows(method_a), panel.rows(method_b)
    seeds = sorted(rows_a.keys() & rows_b.keys())
    a, b = [rows_a[seed] for seed in seeds], [rows_b[seed] for seed in seeds]
    values_a, values_b = panel.values[a, at], panel.values[b, at]
    if not seeds or not np.isfinite(values_a - values_b).all():
        return None
    draws = panel.mean_draws(method_a, seeds)[:, at] - panel.mean_draws(method_b, seeds)[:, at]
    needed = seeds_needed(values_a - values_b, RELEVANT)
    return pair_columns(method_a, method_b, values_a, values_b, draws) | {"seeds_needed": needed}


def across_tasks(panels: Sequence[Scores], at: int, method_a: str, method_b: str) -> dict | None:
    """A row of paired.csv: one pair over a backbone's tasks; units are means over seeds; None if a task lacks it."""
    pairs = [within_task(panel, at, method_a, method_b) for panel in panels]
    if len(pairs) < 2 or not all(pairs):
        return None
    values_a, values_b = (np.array([pair[name] for pair in pairs]) for name in ("value_a", "value_b"))
    return pair_columns(method_a, method_b, values_a, values_b, np.mean([pair["draws"] for pair in pairs], axis=0))


def pair_columns(method_a: str, method_b: str, a: np.ndarray, b: np.ndarray, draws: np.ndarray) -> dict:
    """One pair in paired.csv: both intervals and tests of a minus b, from paired units [U] and draws [D]."""
    pair = {"method_a": method_a, "method_b": method_b, "p_boot": np.nan, "draws": draws}
    pair |= unit_columns(a, b) | boot_columns("difference", draws)
    if np.isfinite(pair["difference_boot_low"]):
        pair["p_boot"] = float(bootstrap_test(draws[np.isfinite(draws)]))
    return pair


def unit_columns(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """In paired.csv: means, difference with t-interval, test and detectable difference of paired units [U]."""
    columns = {"value_a": a.mean(), "value_b": b.mean(), "units": len(a), **interval_columns("difference", a - b)}
    return columns | {"p_t": float(t_test(a - b)), "detectable": float(detectable(a - b))}


def family(keys: dict, pairs: list[dict | None]) -> Iterator[dict]:
    """A family of rows in paired.csv: corrected p-values; the winner where it beats the runner-up on both counts."""
    pairs = [pair for pair in pairs if pair]
    corrected = {f"{name}_holm": holm(np.array([pair[name] for pair in pairs])) for name in ("p_t", "p_boot")}
    leaders = best_two(pairs)
    for row, pair in enumerate(pairs):
        adjusted = {name: values[row] for name, values in corrected.items()}
        leading = {pair["method_a"], pair["method_b"]} == set(leaders)
        proven = leading and all(p < LEVEL for p in adjusted.values())
        best = leaders[0] if leading else ""
        yield {**keys, **pair, **adjusted, "best": best, "winner": best if proven else ""}


def best_two(pairs: list[dict]) -> list[str]:
    """For paired.csv: the method with the best mean and the runner-up; ties in the order of the methods."""
    means = {pair[f"method_{side}"]: pair[f"value_{side}"] for pair in pairs for side in "ab"}
    return sorted(means, key=lambda method: -round(means[method], 12))[:2]
