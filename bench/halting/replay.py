"""Every operating point of a halting rule from one trace, without running the model again.

Shape symbols: n examples, L layers, C classes, K knob values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.errors import UserError
from bench.store.trace import Trace
from methods.base import ExitOutputs, HaltingRule, Knob
from methods.blocks import prediction


@dataclass(frozen=True)
class Replay:
    """What a halting rule makes of a trace: enough to decide every example at any knob value.

    Attributes:
        predictions: [n, L], the class (or value, for regression) answered if the example halted at each layer.
        scores: float64 [n, L].
        answers: float64 [n, L, C].
        ramp: predictions [n] and scores [n] of a second exit on layer L that is asked before the first, or None.
        score_kind: of the rule; see `HaltingRule.score_kind`.
    """

    predictions: np.ndarray
    scores: np.ndarray
    answers: np.ndarray
    ramp: tuple[np.ndarray, np.ndarray] | None = None
    score_kind: str = HaltingRule.score_kind

    def take(self, rows: np.ndarray) -> Replay:
        """The same for some of the examples."""
        ramp = None if self.ramp is None else (self.ramp[0][rows], self.ramp[1][rows])
        return Replay(self.predictions[rows], self.scores[rows], self.answers[rows], ramp, self.score_kind)

    def decide(self, knob: Knob, values: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Where every example halts at each knob value and what it answers there: layers [K, n], predictions [K, n]."""
        layers = self.exit_layers(knob, values)
        predictions = self.predictions_at(layers)
        if self.ramp is not None:
            answers, scores = self.ramp
            reached = torch.stack([knob.reached(torch.from_numpy(scores), value) for value in values]).numpy()
            predictions = np.where(reached & (layers == self.scores.shape[1]), answers, predictions)
        return layers, predictions

    def exit_layers(self, knob: Knob, values: tuple[float, ...]) -> np.ndarray:
        """The layer (1..L) at which every example halts for each knob value, [K, n]."""
        scores = torch.from_numpy(self.scores)
        reached = torch.stack([knob.reached(scores, value) for value in values]).numpy()
        reached[:, :, -1] = True  # layer L halts whatever its score
        return reached.argmax(axis=2) + 1

    def predictions_at(self, layers: np.ndarray) -> np.ndarray:
        """What examples answer that halt at `layers` [K, n]: predictions [K, n]."""
        return self.predictions[np.arange(layers.shape[1])[None, :], layers - 1]


def replay(rule: HaltingRule, trace: Trace) -> Replay:
    """Step a rule once through all layers of a trace.

    Raises:
        UserError: a score is not finite.
    """
    logits = torch.from_numpy(trace.logits)
    halting = None if trace.halting is None else torch.from_numpy(trace.halting)
    second = None if trace.ramp is None else torch.from_numpy(trace.ramp)
    outputs = ExitOutputs(logits, halting, ramp=second).double()
    n, num_layers, num_labels = logits.shape
    state = rule.start(n, num_labels)
    answers, scores = [], []
    for layer in range(1, num_layers + 1):
        answer, score, state = rule.step(layer, outputs.at(layer), state)
        answers.append(answer)
        scores.append(score)
    answers, scores = torch.stack(answers, dim=1), torch.stack(scores, dim=1)  # [n, L, C], [n, L]
    check_finite(rule, scores)
    ramp = None
    if trace.ramp is not None:
        last = rule.ramp(ExitOutputs(outputs.logits[:, -1], ramp=outputs.ramp))
        ramp = None if last is None else (prediction(last[0]).numpy(), last[1].numpy())
    return Replay(prediction(answers).numpy(), scores.numpy(), answers.numpy(), ramp, rule.score_kind)


def check_finite(rule: HaltingRule, scores: Tensor) -> None:
    """Refuse scores [n, L] that are NaN, which would reach no knob without a word, or infinite.

    Raises:
        UserError: naming the rule and the first such layer.
    """
    wrong = ~scores.isfinite()
    if wrong.any():
        layer = int(wrong.any(dim=0).nonzero()[0]) + 1
        here = scores[wrong[:, layer - 1], layer - 1]
        what = "NaN" if here.isnan().any() else "infinite"
        raise UserError(f"{type(rule).__name__}: {len(here)} of {len(scores)} scores at layer {layer} are {what}")


@dataclass(frozen=True)
class ExactCurve:
    """Every distinct operating point of a rule on a trace, from full depth down.

    Attributes:
        layer_fraction: [K] mean fraction of layers used, falling from 1.
        confusion: [K, C, C] counts (rows: true class).
    """

    layer_fraction: np.ndarray
    confusion: np.ndarray


def exact_curve(result: Replay, labels: np.ndarray, num_labels: int) -> ExactCurve:
    """The whole curve of a rule on a trace, at every threshold at which a decision changes, by one sort.

    An example halts at the first layer whose score reaches the threshold, so it can exit only at layers whose score is
    above all earlier ones, its peaks, and at L. Lowering the threshold past a peak moves the example there from its
    next peak (or L); sums over the moves, sorted by threshold, give every point.

    Args:
        result: the rule over the trace.
        labels: [n] true classes.
        num_labels: C.
    """
    n, num_layers = result.scores.shape
    scores, predictions, depth = result.scores, result.predictions, np.arange(1, num_layers + 1)
    if result.ramp is not None:
        # a second exit on layer L is one more exit between those before and the head of L, as deep as L
        scores = np.insert(scores, num_layers - 1, result.ramp[1], axis=1)
        predictions = np.insert(predictions, num_layers - 1, result.ramp[0], axis=1)
        depth = np.append(depth, num_layers)
    last = len(depth) - 1  # the exit, counted from 0, at which everybody halts who has not before
    full = np.zeros((1, num_labels, num_labels), dtype=np.int64)
    np.add.at(full, (0, labels, predictions[:, -1]), 1)
    if not last:  # of one exit, nobody can leave before it
        return ExactCurve(np.ones(1), full)
    highest = np.maximum.accumulate(scores[:, :last], axis=1)
    is_peak = np.ones_like(highest, dtype=bool)
    is_peak[:, 1:] = highest[:, 1:] > highest[:, :-1]

    rows, target = np.nonzero(is_peak)  # row by row, each row's peaks from the first layer to the last
    row_ends = np.append(rows[1:] != rows[:-1], True)
    source = np.where(row_ends, last, np.append(target[1:], last))
    thresholds = highest[rows, target]
    order = np.argsort(-thresholds, kind="stable")
    rows, source, target, thresholds = rows[order], source[order], target[order], thresholds[order]
    last_of_tie = np.append(thresholds[1:] != thresholds[:-1], True)

    change = np.zeros((len(rows), num_labels, num_labels), dtype=np.int64)
    moves = np.arange(len(rows))
    np.subtract.at(change, (moves, labels[rows], predictions[rows, source]), 1)
    np.add.at(change, (moves, labels[rows], predictions[rows, target]), 1)
    confusion = np.concatenate([full, full + np.cumsum(change, axis=0)[last_of_tie]])
    layers = n * num_layers + np.concatenate([[0], np.cumsum(depth[target] - depth[source])[last_of_tie]])
    return ExactCurve(layers / (n * num_layers), confusion)
