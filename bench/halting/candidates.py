"""The settings of a knob that a buyer may choose from: the exact curve, thinned on a lattice of costs.

A method with a knob is its whole curve, every threshold at which a decision changes, not the grid that its paper swept.
Forty-eight of them, evenly spread over cost, lose at most .002 of an area and keep a bootstrap fast.

Shapes: K settings, n examples, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.halting.replay import Replay
from bench.statistics.paths import threshold_path
from methods.base import Knob

MOST = 48


@dataclass(frozen=True)
class Candidates:
    """Some operating points of one trained model, and what every example does there.

    Attributes:
        knob_values: [K], in the paper's unit; NaN for a method without a knob.
        layers: int8 [K, n], the layer at which each example halts.
        predictions: [K, n], what is answered there.
    """

    knob_values: np.ndarray
    layers: np.ndarray
    predictions: np.ndarray


def exact_candidates(
    result: Replay, knob: Knob, rows: np.ndarray | slice = slice(None), most: int = MOST
) -> Candidates:
    """The settings of a knob to choose from: full depth first, then where some decision changes, at most so many.

    Args:
        result: the rule's view of the whole trace.
        knob: in whose unit the settings are given.
        rows: bool [n], the examples that may be looked at; what the others do is told, and changes nothing.
        most: K at most, spread evenly over what those examples cost.
    """
    thresholds, layers_used = exact_settings(result.take(rows))
    chosen = on_lattice(layers_used, most)
    layers, predictions = result.decide(Knob(), tuple(thresholds[chosen]))  # where the score is at least the threshold
    counted = result.score_kind == "count" and not knob.strict
    values = knob.sign * (whole(thresholds) if counted else between(thresholds))
    return Candidates(values[chosen], layers.astype(np.int8), predictions)


def exact_settings(result: Replay) -> tuple[np.ndarray, np.ndarray]:
    """Every setting one may choose: thresholds where a decision changes [K], infinity first, and sums of layers [K]."""
    scores, _, depth = result.places()
    path = threshold_path(scores)
    last = path.ends - 1  # of ties: they move together
    saved = np.cumsum(depth[path.target] - depth[path.source])[last]
    layers = len(scores) * depth[-1] + np.concatenate([[0], saved])
    return np.concatenate([[np.inf], path.thresholds[last]]), layers


def on_lattice(costs: np.ndarray, most: int) -> np.ndarray:
    """Which settings to keep, at most so many, by falling costs [K]: for evenly spaced costs the dearest not above."""
    if len(costs) <= most:
        return np.arange(len(costs))
    lattice = np.linspace(costs[-1], costs[0], most)
    return np.unique(np.searchsorted(-costs, -lattice, side="left").clip(max=len(costs) - 1))


def whole(thresholds: np.ndarray) -> np.ndarray:
    """Thresholds of a score that counts, as they are; full depth, the first, gets the next whole number."""
    return thresholds if len(thresholds) == 1 else np.append(thresholds[1] + 1, thresholds[1:])


def between(thresholds: np.ndarray) -> np.ndarray:
    """Thresholds that decide as these falling ones [K], each half way to the next: last bits of a score matter less.

    Full depth, the first, gets the smallest number above every score. The last is the number just below its score, so
    that a strict rule halts there, too.
    """
    if len(thresholds) == 1:
        return thresholds
    finite = thresholds[1:]
    halfway = (finite + np.append(finite[1:], np.nextafter(finite[-1], -np.inf))) / 2
    halfway[-1] = np.nextafter(finite[-1], -np.inf)
    return np.concatenate([[np.nextafter(finite[0], np.inf)], halfway])
