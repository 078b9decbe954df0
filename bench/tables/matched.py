"""matched.csv: how many examples use each layer when every method costs about the same; Figure 3 is drawn from it.

The settings are the exact ones, every threshold at which a decision changes, so that no method is judged by where the
grid of its paper happens to stand.

Shapes: K settings, n examples, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics.curves import TOLERANCE, nearest_in_x
from bench.tables.columns import CURVE, taus
from bench.tables.scores import Runs, group_runs

MATCHED = [*CURVE, "seed", "at", "cost", "variant", "knob_value", "layer_fraction", "layer", "used_count", "n"]
#: Costs that are compared in a run without DACT, whose own costs the paper compares at.
BUDGETS = {f"x={cost:g}": cost for cost in (0.25, 0.5, 0.75)}


def matched_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """matched.csv: each method's setting nearest in cost, within one layer, for each cost of a panel.

    The costs are those of the seed's DACT models, one per tau, as in the paper; without DACT they are `BUDGETS`.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    runs = {run: ones for run, ones in group_runs(sweeps).items() if not np.isnan(ones[0].knob_values).all()}
    costs = costs_by_seed(runs)
    for (method, seed), ones in runs.items():
        for at, cost in (costs.get(seed, {}) if any(costs.values()) else BUDGETS).items():
            # DACT stands at its own tau; the others where they cost the same
            own = [one for one in ones if one.keys["variant"] == at] if method == "dact" and costs.get(seed) else ones
            yield from rows_of(own, at, cost)


def costs_by_seed(runs: Runs) -> dict[int, dict[str, float]]:
    """The costs of matched.csv: seed -> name of a DACT model that differs in tau alone -> the layers' share it uses."""
    found: dict[int, dict[str, float]] = {}
    for (method, seed), ones in runs.items():
        if method == "dact":
            known = taus(pd.Series([one.keys["variant"] for one in ones])).notna()
            models = [one for one, differs_in_tau in zip(ones, known, strict=True) if differs_in_tau]
            found[seed] = {one.keys["variant"]: float(one.layer_fraction[0]) for one in models}
    return found


def rows_of(ones: Sequence[Sweep], at: str, cost: float) -> Iterator[Rows]:
    """The rows of matched.csv of one method at one cost, one per layer; none where no setting is within one layer."""
    found = nearest_setting(ones, cost, within=1) if ones else None
    if found is None:
        return
    one, setting, x = found
    layers, each = one.exact().layers[setting], np.arange(1, one.panel_layers + 1)
    yield {
        **one.named(*CURVE, "seed", "variant"),
        "at": at,
        "cost": cost,
        "knob_value": one.exact().knob_values[setting],
        "layer_fraction": x,
        "layer": each,
        "used_count": (layers >= each[:, None]).sum(axis=1),
        "n": len(layers),
    }


def nearest_setting(
    ones: Sequence[Sweep], cost: float, within: float = np.inf, weights: np.ndarray | None = None
) -> tuple[Sweep, int, float] | None:
    """The exact setting of a method that costs nearest to a share of the layers (ties: the cheaper).

    Args:
        ones: the sweeps of one run, one per trained model, at least one.
        cost: that share.
        within: how many layers away it may lie.
        weights: how much each example [n] counts; None: all the same.

    Returns:
        Its model, its position among that model's exact settings, and its cost; None where none is near enough.
    """
    offered = [(one, setting) for one in ones for setting in range(len(one.exact().layers))]
    costs = np.concatenate([cost_of(one, one.exact().layers, weights) for one in ones])
    place = nearest_in_x(np.array([cost]), costs)[0]
    near = abs(costs[place] - cost) <= within / ones[0].panel_layers + TOLERANCE
    return (*offered[place], float(costs[place])) if near else None


def cost_of(one: Sweep, layers: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean layer fraction [K] of settings [K, n], of examples that count by weights [n]; None: all the same."""
    return np.average(layers, axis=1, weights=weights) / one.panel_layers
