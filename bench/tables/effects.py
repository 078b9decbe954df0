"""effects.csv: what every claim of the paper comes to, by task and seed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from bench.halting.sweep import Rows
from bench.tables.claims import Claim, claims
from bench.tables.columns import PANEL
from bench.tables.contrasts import Compared, Effects
from bench.tables.scores import BUDGETS

EFFECTS = ["suite", *PANEL, "claim", "seed", "effect", "effect_mixed", "train_rows", "both_constant"]


def effect_rows(panel: Compared, only: Collection[str] = ()) -> Iterator[Rows]:
    """effects.csv: every claim whose methods ran in a panel, by seed; MNLI counts once, by its matched split.

    Args:
        panel: the runs.
        only: ids of claims; none: all.
    """
    keys = {name: panel.scores.keys[name] for name in ("suite", *PANEL)}
    if keys["split"] == "validation_mismatched":
        return
    for claim in claims():
        if not set(claim.methods) <= set(panel.scores.methods) or (only and claim.id not in only):
            continue
        mixed = by_seed(claim.mixed(panel)) if claim.mixed else {}
        (first, *_) = panel.sweeps[next(run for run in panel.sweeps if run[0] == claim.methods[0])]
        for seed, effect in by_seed(claim.effects(panel)).items():
            yield {
                **keys,
                "claim": claim.id,
                "seed": seed,
                "effect": effect,
                "effect_mixed": mixed.get(seed, np.nan),
                "train_rows": first.train_rows,
                "both_constant": int(both_constant(panel, claim, seed)),
            }


def by_seed(found: Effects) -> dict[float, float]:
    """For effects.csv: the mean effect of each seed, of those that are finite."""
    values: dict[float, list[float]] = {}
    for seed, effect in found:
        if np.isfinite(effect):
            values.setdefault(seed, []).append(effect)
    return {seed: float(np.mean(some)) for seed, some in values.items()}


def both_constant(panel: Compared, claim: Claim, seed: float) -> bool:
    """For effects.csv: whether a claim compares two methods that both buy the constant answer up to half the layers."""
    at_half = BUDGETS.index(0.5)  # what is best within half of the layers is best within less, where it fits
    rows = [panel.scores.rows(method)[seed] for method in claim.methods] if claim.mixed else []
    return bool(rows) and all(panel.scores.bought[row, 2, at_half] == 1 for row in rows)
