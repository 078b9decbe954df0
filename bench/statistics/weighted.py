"""GLUE's drawn metrics under example weights: all resamples of a bootstrap at once, in numpy.

Shapes: D resamples, n examples, K knob values, C classes. With weights of 1 the values are those of `bench.statistics.metrics`.
"""

from __future__ import annotations

import numpy as np

from bench.sources.tasks import Task
from bench.statistics.metrics import values_from_confusion


def weighted_metric(task: Task, labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The drawn metric where example i counts `weights[:, i]` times.

    Args:
        task: names the metric.
        labels: [n] class ids or scores.
        predictions: [K, n] class ids or scores.
        weights: [D, n] whole numbers.

    Returns:
        [D, K] float64; NaN where no example has weight.
    """
    if task.regression:
        return weighted_pearson(labels, predictions, weights.astype(np.float64))
    if task.metric == "accuracy":
        return _ratio(weights @ (predictions == labels).T.astype(np.float32), weights.sum(axis=1)[:, None])
    counts = weighted_confusion(labels, predictions, weights, task.num_labels)
    with np.errstate(invalid="ignore"):  # no example has weight: 0 / 0
        values = values_from_confusion(counts)[task.metric]
    return np.where(weights.any(axis=1)[:, None], values, np.nan)


def weighted_confusion(
    labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray, num_classes: int
) -> np.ndarray:
    """Weighted counts of the pairs (true class, predicted class), [D, K, C, C], rows true.

    Sums of whole numbers below 2^24: exact in float32, whatever the order of summation.
    """
    codes = labels * num_classes + predictions  # [K, n]
    cells = np.arange(num_classes**2)[:, None]
    indicators = (codes[:, None] == cells).astype(np.float32)  # [K, C * C, n]
    counts = weights @ indicators.reshape(-1, len(labels)).T
    return counts.reshape(len(weights), len(predictions), num_classes, num_classes)


def weighted_pearson(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation under weights; 0 where labels or predictions are constant, as in `bench.statistics.metrics.pearson`.

    Args:
        labels: [n].
        predictions: [K, n].
        weights: float64 [D, n].

    Returns:
        [D, K].
    """
    total = weights.sum(axis=1)[:, None]
    # moments about the unweighted means, or a large common offset would cost digits
    x = predictions - predictions.mean(axis=1, keepdims=True, dtype=np.float64)
    y = labels - labels.mean(dtype=np.float64)
    mean_x, mean_y = _ratio(weights @ x.T, total), _ratio(weights @ y[:, None], total)  # [D, K], [D, 1]
    covariance = _ratio(weights @ (x * y).T, total) - mean_x * mean_y
    variance_x = _ratio(weights @ (x * x).T, total) - mean_x**2
    variance_y = _ratio(weights @ (y * y)[:, None], total) - mean_y**2
    scale = np.sqrt(np.maximum(variance_x, 0) * np.maximum(variance_y, 0))
    constant = scale < 1e-12
    return np.where(constant, 0.0, np.clip(covariance / np.where(constant, 1, scale), -1, 1))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide in float64, NaN where the denominator is 0."""
    denominator = np.asarray(denominator, dtype=np.float64)
    return numerator / np.where(denominator > 0, denominator, np.nan)
