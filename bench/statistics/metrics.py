"""GLUE's metrics for many predictions of the same examples at once: every knob value, and every bootstrap resample.

Shapes: n examples, C classes, K knob values (or layers, or draws of a random reference), D bootstrap resamples. A
resample is a weight for every example, how often it was drawn; with weights of 1 the values are the plain ones.
`bench.statistics.glue_metric` computes them another way; a test holds the two equal to 1e-12.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.sources.tasks import Task


def evaluate_predictions(task: Task, labels: np.ndarray, predictions: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of a task, for each of many predictions [K] at once.

    Args:
        task: names the metrics.
        labels: [n] class ids or scores.
        predictions: [K, n] class ids or scores.

    Returns:
        Metric name -> [K] float64, in the order of `task.metrics`.
    """
    if task.regression:
        return {"pearson": pearson(labels, predictions), "spearman": spearman(labels, predictions)}
    values = values_from_confusion(confusion(labels, predictions, task.num_labels))
    return {name: values[name] for name in task.metrics}


def confusion(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Confusion matrices: counts of the pairs (true class, predicted class), for each of K predictions.

    Args:
        labels: [n] class ids.
        predictions: [K, n] class ids.
        num_classes: C; every id is below it.

    Returns:
        [K, C, C] int64, rows true, columns predicted.
    """
    num_knobs, num_pairs = len(predictions), num_classes**2
    # every (knob value, true, predicted) has a number of its own, so that one bincount serves all knob values
    codes = np.arange(num_knobs)[:, None] * num_pairs + labels * num_classes + predictions  # (K, n)
    return np.bincount(codes.ravel(), minlength=num_knobs * num_pairs).reshape(num_knobs, num_classes, num_classes)


def values_from_confusion(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, F1 (two classes only; class 1 is positive) and Matthews' correlation from confusion matrices.

    F1 and Matthews are 0 where they are undefined (as in scikit-learn): no positive label or prediction; only one
    class among the labels or among the predictions. Matthews for C classes is Gorodkin's R_K (2004).

    Args:
        confusion: [..., C, C] counts, rows true, columns predicted.

    Returns:
        "accuracy", "matthews" and, if C = 2, "f1" -> [...] float64.
    """
    # classes first: sums over two or three neighbours in memory would take most of the time of all scores
    counts = np.moveaxis(np.asarray(confusion), (-2, -1), (0, 1)).astype(np.float64, order="C")  # (C, C, ...)
    true, predicted = counts.sum(1), counts.sum(0)  # (C, ...)
    total, right = true.sum(0), np.trace(counts)  # (...)
    covariance = total * right - (true * predicted).sum(0)
    spread = (total**2 - (true**2).sum(0)) * (total**2 - (predicted**2).sum(0))
    values = {"accuracy": right / total, "matthews": _ratio(covariance, np.sqrt(spread))}
    if len(counts) == 2:
        values["f1"] = _ratio(2 * counts[1, 1], true[1] + predicted[1])
    return values


def constant_metrics(task: Task, labels: np.ndarray) -> np.ndarray:
    """The main metric of each answer that is the same to all n examples, on their labels [n]: [C]."""
    guesses = np.repeat(np.arange(task.num_labels)[:, None], len(labels), axis=1)
    return evaluate_predictions(task, labels, guesses)[task.metric]


def pearson(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Pearson's correlation of labels with each of K predictions.

    Constant labels or predictions give 0 (scipy: nan), because a constant explains nothing; nan among the predictions
    gives nan.

    Args:
        labels: [n] scores.
        predictions: [K, n] scores.

    Returns:
        [K] float64.
    """
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    # Asked before the means are taken: a constant's deviations from its rounded mean need not be 0.
    constant = (x == x[:, :1]).all(-1) | (y == y[:1]).all()
    x, y = x - x.mean(-1, keepdims=True), y - y.mean()
    correlation = _ratio(x @ y, np.linalg.norm(x, axis=-1) * np.linalg.norm(y))
    return np.where(constant, 0.0, np.clip(correlation, -1, 1))


def spearman(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Spearman's correlation: that of the ranks, ties sharing their mean rank; otherwise as `pearson`."""
    return pearson(pd.Series(labels).rank(), pd.DataFrame(predictions).rank(axis=1))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(denominator)), where=denominator != 0)


def weighted_counts(task: Task, labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What the main metric is computed from: sums over examples, which mix when examples are dealt to two settings.

    Accuracy: right answers and examples. F1, Matthews: the pairs (true class, predicted class). Pearson: examples and
    moments.

    Args:
        task: names the metric.
        labels: [n] class ids or scores.
        predictions: [K, n] class ids or scores.
        weights: [D, n] whole numbers.

    Returns:
        [D, K, F]; whole numbers are exact in float32, whatever the order of summation (below 2^24).
    """
    if task.regression:
        return weighted_moments(labels, predictions, weights.astype(np.float64))
    weights = weights.astype(np.float32, copy=False)
    if task.metric == "accuracy":
        right = weights @ (predictions == labels).T.astype(np.float32)  # [D, K]
        return np.stack([right, np.broadcast_to(weights.sum(axis=1)[:, None], right.shape)], axis=-1)
    codes = labels * task.num_labels + predictions  # [K, n]
    cells = np.arange(task.num_labels**2)[:, None]
    indicators = (codes[:, None] == cells).astype(np.float32)  # [K, C * C, n]
    counts = weights @ indicators.reshape(len(predictions) * len(cells), len(labels)).T
    return counts.reshape(len(weights), len(predictions), len(cells))


def weighted_moments(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums of 1, x, y, xy, xx and yy, about the labels' mean: a large common offset would cost digits.

    Args:
        labels: [n], y.
        predictions: [K, n], x.
        weights: float64 [D, n].

    Returns:
        [D, K, 6].
    """
    offset = labels.mean(dtype=np.float64) if len(labels) else 0.0  # a half of very few examples may be empty
    x, y = predictions - offset, np.broadcast_to(labels - offset, predictions.shape)
    return np.stack([weights @ part.T for part in (np.ones(x.shape), x, y, x * y, x * x, y * y)], axis=-1)


def metric_of_counts(task: Task, counts: np.ndarray) -> np.ndarray:
    """The main metric [...] of `weighted_counts` [..., F]; NaN where no example has weight."""
    counts = np.asarray(counts, dtype=np.float64)
    if task.regression:
        return pearson_of_moments(counts)
    if task.metric == "accuracy":
        return _ratio_or_nan(counts[..., 0], counts[..., 1])
    pairs = counts.reshape(*counts.shape[:-1], task.num_labels, task.num_labels)
    with np.errstate(invalid="ignore"):  # no example has weight: 0 / 0
        values = values_from_confusion(pairs)[task.metric]
    return np.where(counts.any(axis=-1), values, np.nan)


def pearson_of_moments(moments: np.ndarray) -> np.ndarray:
    """Pearson's correlation [...] from `weighted_moments` [..., 6]; 0 where labels or predictions are constant."""
    x, y, xy, xx, yy = np.moveaxis(_ratio_or_nan(moments[..., 1:], moments[..., :1]), -1, 0)
    variance_x, variance_y = xx - x**2, yy - y**2
    # of a constant rounding leaves a little of its square
    constant = (variance_x <= 1e-12 * xx) | (variance_y <= 1e-12 * yy)
    scale = np.sqrt(np.where(constant, 1.0, variance_x * variance_y))
    correlation = np.where(constant, 0.0, np.clip((xy - x * y) / scale, -1, 1))
    return np.where(np.isnan(xx), np.nan, correlation)


def _ratio_or_nan(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide in float64, NaN where the denominator is 0."""
    denominator = np.asarray(denominator, dtype=np.float64)
    return numerator / np.where(denominator > 0, denominator, np.nan)
