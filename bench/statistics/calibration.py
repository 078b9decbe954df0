"""Does a confidence of 80 % mean right in 80 %? Calibration errors, proper scores and the temperature.

The *confidence* of an answer is its largest class probability.

Shapes: R sets of answers, each to the same n examples; C classes; B bins; D draws.
"""

from __future__ import annotations

import numpy as np

BINS = 15
#: Probabilities below this count as this much in the log likelihood, as in scikit-learn.
SMALLEST = np.finfo(np.float64).eps
#: Inverse temperatures are looked for in here: an exit that is always right could be arbitrarily sure.
COLDEST, WARMEST = 100.0, 0.01
#: One is known when a step changes it by no more than this share.
PRECISION = 1e-6


def equal_mass_bins(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of every example when each is to hold n / bins of them; equal confidences share the bin of the first.

    Args:
        confidence: [R, n], rising in each row.
        bins: B.

    Returns:
        int [R, n], rising; bins that ties leave empty do not occur.
    """
    n = confidence.shape[1]
    starts = np.ones(confidence.shape, dtype=bool)
    starts[:, 1:] = confidence[:, 1:] != confidence[:, :-1]
    first = np.maximum.accumulate(np.where(starts, np.arange(n), 0), axis=1)
    return first * bins // n


def binned(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many answers each equal-mass bin holds, the sum of their confidences, and how many are right: [R, B] each.

    Args:
        confidence: [R, n] in any order.
        right: bool [R, n].
        bins: B.
    """
    order = np.argsort(confidence, axis=1)  # equal confidences share a bin, in whatever order
    confidence, right = np.take_along_axis(confidence, order, 1), np.take_along_axis(right, order, 1)
    cells = equal_mass_bins(confidence, bins) + bins * np.arange(len(confidence))[:, None]
    sums = (np.bincount(cells.ravel(), each, bins * len(cells)) for each in (None, confidence.ravel(), right.ravel()))
    count, sure, correct = (each.reshape(-1, bins).astype(np.float64) for each in sums)
    return count, sure, correct


def ece(count: np.ndarray, sure: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Expected calibration error [R]: mean over examples of |accuracy - mean confidence| of their bin.

    M. Naeini, G. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015.
    Never 0 on a sample, however well calibrated: compare it with `null_ece`.

    Args:
        count: [R, B], as the other two from `binned`.
        sure: [R, B].
        correct: [R, B].
    """
    return np.abs(correct - sure).sum(axis=1) / count.sum(axis=1)


def squared_error(count: np.ndarray, sure: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Squared calibration error [R], debiased: what chance alone adds to each bin is taken away, so it may be below 0.

    A. Kumar, P. Liang and T. Ma, "Verified uncertainty calibration", 2019: mean over examples of
    (accuracy - mean confidence)^2 - accuracy (1 - accuracy) / (m - 1) in bins of m. A bin of one example says nothing
    about its own variance, and is left out.

    Args:
        count: [R, B], as the other two from `binned`.
        sure: [R, B].
        correct: [R, B].
    """
    several = count > 1
    m = np.where(several, count, 2)
    accuracy, confidence = correct / m, sure / m
    bins = np.where(several, (accuracy - confidence) ** 2 - accuracy * (1 - accuracy) / (m - 1), 0)
    total = np.where(several, count, 0).sum(axis=1)
    return np.where(total > 0, (count * bins).sum(axis=1) / np.where(total > 0, total, 1), np.nan)


def null_ece(confidence: np.ndarray, uniform: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The ECE [R] that a perfectly calibrated exit with these confidences would show: mean over redrawn labels.

    Args:
        confidence: [R, n] in any order.
        uniform: [D, n] draws from 0 .. 1; an answer is right in a draw where its confidence exceeds it.
        bins: B.
    """
    confidence = np.sort(confidence, axis=1)
    found = np.empty(len(confidence))
    for at, (row, cells) in enumerate(zip(confidence, equal_mass_bins(confidence, bins), strict=True)):
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        members = (cells[:, None] == cells[starts]).astype(np.float32)
        correct = (uniform < row).astype(np.float32) @ members  # [D, B]; whole numbers are exact in float32
        found[at] = np.abs(correct - np.add.reduceat(row, starts)).sum(axis=1).mean() / len(row)
    return found


def brier_scores(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Brier score of each answer: squared distance to the label's 0s and a 1, summed over classes (G. Brier, 1950).

    Args:
        probabilities: [R, n, C].
        labels: [n].

    Returns:
        [R, n]; their mean over the examples is the score.
    """
    return (probabilities**2).sum(axis=2) - 2 * of_label(probabilities, labels) + 1


def log_losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log likelihood [R, n] of each of the labels [n] under probabilities [R, n, C], in nats."""
    return -np.log(np.clip(of_label(probabilities, labels), SMALLEST, 1))


def of_label(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The entries [R, n] of values [R, n, C] that belong to the labels [n]."""
    return np.take_along_axis(values, np.broadcast_to(labels[None, :, None], (*values.shape[:2], 1)), axis=2)[..., 0]


def tempered(log_probabilities: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Probabilities [R, n, C] of logits (or log probabilities) divided by a temperature, given as 1 / T [R, n]."""
    return np.moveaxis(softmax(classes_first(log_probabilities) * inverse), 0, 2)


def classes_first(values: np.ndarray) -> np.ndarray:
    """A copy [C, R, n] of values [R, n, C]: sums over so few classes are several times as fast along the first axis."""
    return np.ascontiguousarray(np.moveaxis(values, 2, 0))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits along the first axis."""
    scaled = np.exp(logits - logits.max(axis=0))
    return scaled / scaled.sum(axis=0)


def inverse_temperature(logits: np.ndarray, labels: np.ndarray, steps: int = 40) -> np.ndarray:
    """1 / T for the temperature T that fits best (C. Guo et al., "On calibration of modern neural networks", 2017).

    The log loss is convex in 1 / T, so its minimum is where its slope changes sign: found by Newton's method, and by
    halving an interval of logarithms where a step would leave it. Where the loss still falls at an end of the
    interval, the end is the answer; where it is 0 to the last digit, a temperature at which it became so.

    Args:
        logits: [R, n, C], or log probabilities.
        labels: [n], at least one.
        steps: at most; it ends before when no answer moves.

    Returns:
        [R].
    """
    low, high = np.full(len(logits), WARMEST), np.full(len(logits), COLDEST)
    found, true, values = np.ones(len(logits)), of_label(logits, labels).mean(axis=1), classes_first(logits)
    moving = np.arange(len(logits))
    for _ in range(steps):
        at, here = found[moving], values[:, moving]
        weights = softmax(here * at[:, None])
        means = (weights * here).sum(axis=0)  # [R, n]: of the logits, under the answer
        slope = means.mean(axis=1) - true[moving]
        curvature = ((weights * here**2).sum(axis=0) - means**2).mean(axis=1)
        below, above = np.where(slope < 0, at, low[moving]), np.where(slope < 0, high[moving], at)
        newton = at - slope / np.maximum(curvature, np.finfo(np.float64).tiny)
        found[moving] = np.where((below < newton) & (newton < above), newton, np.sqrt(below * above))
        low[moving], high[moving] = below, above
        moving = moving[np.abs(found[moving] / at - 1) > PRECISION]
        if not len(moving):
            break
    return found
