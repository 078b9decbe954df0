"""How much of what choosing exits could give at all a method gets: its curve between truncated depth and the oracle.

The *oracle curve* of a trained model: everybody leaves at layer 1, except that examples which some exit gets right may
leave at the earliest such layer; these are let through cheapest first until the mean cost is x.

Shapes: n examples, L layers, K operating points, D sets of example weights: the resamples of a bootstrap, or only 1s.
"""

from __future__ import annotations

import numpy as np

from bench.statistics.areas import auc_common
from bench.statistics.curves import interpolate


def earliest_right(right: np.ndarray) -> np.ndarray:
    """Whether each layer is the earliest that answers right, of right answers bool [n, L]: bool [n, L]."""
    return right & (np.cumsum(right, axis=1) == 1)


def oracle_curve(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the oracle curve: mean layers and accuracy once all that need at most l layers are let through.

    Between corners it is a straight line. It ends at layer L's corner: more layers would buy nothing.

    Args:
        share: [D, L], the share of the examples of which each layer is the earliest right one.

    Returns:
        mean layers [D, L] and accuracy [D, L], both rising.
    """
    return 1 + np.cumsum(share * np.arange(share.shape[1]), axis=1), np.cumsum(share, axis=1)


def share_parts(
    right: np.ndarray, layers: np.ndarray, right_at_exit: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far the points of one trained model, and the best choice of exits, rise above truncated depth.

    Over the range of layers that the points span, as areas; where the points share one cost, as heights there.

    Args:
        right: bool [n, L], whether each layer answers right.
        layers: int [K, n], where examples leave.
        right_at_exit: bool [K, n].
        weights: float32 [D, n].

    Returns:
        points minus truncated [D], oracle minus truncated [D], both times the width of the range, and that width [D]
        (1 for heights).
    """
    total = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    columns = np.concatenate([layers.T, right_at_exit.T, right, earliest_right(right)], axis=1).astype(np.float32)
    sums = weights @ columns / total  # of whole numbers: exact in float32
    points, num_layers = len(layers), right.shape[1]
    x, y, flat, share = np.split(sums, np.cumsum([points, points, num_layers]), axis=1)
    depth = np.broadcast_to(np.arange(1.0, num_layers + 1), flat.shape)  # truncated depth
    best_x, best_y = oracle_curve(share)
    best_x, best_y = np.append(best_x, total * 0 + num_layers + 1, axis=1), np.append(best_y, best_y[:, -1:], axis=1)
    low, high = x.min(axis=1), x.max(axis=1)
    if (layers == layers[:1]).all():
        heights = [interpolate(low[:, None], *curve)[:, 0] for curve in ((depth, flat), (best_x, best_y))]
        return y[:, 0] - heights[0], heights[1] - heights[0], np.ones(len(x))
    width = high - low
    areas = [auc_common(*curve, low, high) * width for curve in ((x, y), (depth, flat), (best_x, best_y))]
    return areas[0] - areas[1], areas[2] - areas[1], width
