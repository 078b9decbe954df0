"""What each layer of a model is worth: the share of the last layer's gain over a constant answer.

Shapes: L layers.
"""

from __future__ import annotations

import numpy as np

from bench.statistics.curves import interpolate

#: Where the last layer gains less than this over the constant answer, a share of it means nothing.
SMALLEST_GAIN = 0.02
#: The fractions of the layers at which two profiles are compared: layers 1, 2, 3, 4, 6 and 9 of 12.
COMPARED_AT = np.array([1, 2, 3, 4, 6, 9]) / 12


def gain_shares(scores: np.ndarray, final: float, constant: float) -> np.ndarray:
    """The share of the final gain over the constant answer that scores [L] have: at least 0, NaN without such a gain.

    Args:
        scores: of the layers, in the task's metric.
        final: score of the whole model.
        constant: score of the constant answer.
    """
    gain = final - constant
    if not gain >= SMALLEST_GAIN:
        return np.full(np.shape(scores), np.nan)
    return np.maximum(0.0, (np.asarray(scores, dtype=np.float64) - constant) / gain)


def half_gain_layer(shares: np.ndarray) -> float:
    """The layer at which shares [L] first reach one half, between two layers by a straight line."""
    at = int(np.argmax(shares >= 0.5))
    return at + 1.0 if at == 0 else at + (0.5 - shares[at - 1]) / (shares[at] - shares[at - 1])


def profile_gap(x: np.ndarray, shares: np.ndarray, other_x: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two profiles at `COMPARED_AT`, by straight lines between layers.

    NaN where no fraction is in the range of both.

    Args:
        x: fractions of the layers of the one, rising.
        shares: what they are worth.
        other_x: those of the other.
        other: what they are worth.
    """
    apart = np.abs(interpolate(COMPARED_AT, x, shares) - interpolate(COMPARED_AT, other_x, other))
    return float(np.nanmean(apart)) if np.isfinite(apart).any() else float("nan")
