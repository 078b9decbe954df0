"""Thinking too long: answers that were right before the last layer.

Y. Kaya, S. Hong and T. Dumitras, "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking", ICML 2019.

Shapes: n examples, L layers, K operating points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overthinking:
    """What full depth does to the examples of one trained model.

    Attributes:
        destructive: bool [n], right at some earlier exit and wrong at layer L.
        wasteful: bool [n], right at layer L and already at the layer before.
        needless: int [n], layers after the earliest stable right answer: from there on all layers are right; 0 where
            layer L is wrong.
        last: bool [n], right at layer L.
    """

    destructive: np.ndarray
    wasteful: np.ndarray
    needless: np.ndarray
    last: np.ndarray


def overthinking(right: np.ndarray) -> Overthinking:
    """Find what was right before the last layer, and layers that were not needed, in what each layer answers.

    Args:
        right: bool [n, L].
    """
    run = np.logical_and.accumulate(right[:, ::-1], axis=1).sum(axis=1)  # right layers at the end, without a break
    last = right[:, -1]
    needless = np.maximum(run - 1, 0)
    return Overthinking(right[:, :-1].any(axis=1) & ~last, needless > 0, needless, last)


def recovered(found: Overthinking, right: np.ndarray, layers: np.ndarray, num_layers: int) -> dict[str, np.ndarray]:
    """What operating points make of answers that were right before the last layer: rescued, gained, lost, each [K].

    Args:
        found: of the trained model.
        right: bool [K, n], whether the answer at exit is right.
        layers: int [K, n], where each example leaves.
        num_layers: L.

    Returns:
        rescued: share of the destructive examples that are answered right; NaN without any.
        layers_recovered: share of the needless layers that are not computed; NaN without any.
        gained: share of all examples that are right at exit and wrong at L.
        lost: share of all examples that are wrong at exit and right at L.
        net: gained minus lost, the difference of the accuracies.
    """
    saved = np.minimum(num_layers - layers.astype(np.int64), found.needless).sum(axis=1)
    gained, lost = (right & ~found.last).mean(axis=1), (~right & found.last).mean(axis=1)
    return {
        "rescued": ratio((right & found.destructive).sum(axis=1), found.destructive.sum()),
        "layers_recovered": ratio(saved, found.needless.sum()),
        "gained": gained,
        "lost": lost,
        "net": gained - lost,
    }


def ratio(part: np.ndarray, whole: int) -> np.ndarray:
    """A share of what was right too early, NaN of nothing."""
    return part / whole if whole else np.full(np.shape(part), np.nan)
