"""Every operating point of a halting rule from one trace, without running the model again.

Shape symbols: n examples, L layers, C classes, K knob values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.errors import UserError
from bench.statistics.paths import threshold_path
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
            predictions = np.where(self.leaves_by_ramp(knob, values, layers), self.ramp[0], predictions)
        return layers, predictions

    def leaves_by_ramp(self, knob: Knob, values: tuple[float, ...], layers: np.ndarray) -> np.ndarray:
        """Which examples the second exit of layer L answers, bool [K, n], where they halt at `layers` [K, n]."""
        scores = torch.from_numpy(self.ramp[1])
        reached = torch.stack([knob.reached(scores, value) for value in values]).numpy()
        return reached & (layers == self.scores.shape[1])

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where an example can be answered, from the first exit to the head of layer L: E places.

        A second exit on layer L is one more place, between the layers before and the head, that costs as much as L.

        Returns:
            scores [n, E], predictions [n, E], and the layers [E] that each place takes.
        """
        scores, predictions, depth = self.scores, self.predictions, np.arange(1, self.scores.shape[1] + 1)
        if self.ramp is not None:
            scores = np.insert(scores, len(depth) - 1, self.ramp[1], axis=1)
            predictions = np.insert(predictions, len(depth) - 1, self.ramp[0], axis=1)
            depth = np.append(depth, len(depth))
        return scores, predictions, depth

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
    arrays = (trace.logits, trace.halting, trace.ramp)
    logits, halting, ramp = (None if array is None else torch.from_numpy(array) for array in arrays)
    outputs = ExitOutputs(logits, halting, ramp=ramp).double()
    n, num_layers, num_labels = logits.shape
    state = rule.start(n, num_labels)
    answers, scores = [], []
    for layer in range(1, num_layers + 1):
        answer, score, state = rule.step(layer, outputs.at(layer), state)
        answers.append(answer)
        scores.append(score)
    answers, scores = torch.stack(answers, dim=1), torch.stack(scores, dim=1)  # [n, L, C], [n, L]
    check_finite(rule, scores)
    second = None if ramp is None else rule.ramp(outputs.at(num_layers))
    if second is not None:
        second = (prediction(second[0]).numpy(), second[1].numpy())
    return Replay(prediction(answers).numpy(), scores.numpy(), answers.numpy(), second, rule.score_kind)


def check_finite(rule: HaltingRule, scores: Tensor) -> None:
    """In replay: refuse a rule's scores [n, L] that are NaN, which reach no knob without a word, or infinite.

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
    """Replay of a rule at every threshold at which a decision changes, by one sort: its whole curve on a trace.

    An example halts at the first layer whose score reaches the threshold. Lowering the threshold moves one example
    after the other to an earlier exit (`threshold_path`); sums over the moves give every point.

    Args:
        result: the rule over the trace.
        labels: [n] true classes.
        num_labels: C.
    """
    n, num_layers = result.scores.shape
    scores, predictions, depth = result.places()
    path = threshold_path(scores)
    rows, source, target, last = path.rows, path.source, path.target, path.ends - 1

    change = np.zeros((len(rows), num_labels, num_labels), dtype=np.int64)
    moves = np.arange(len(rows))
    np.subtract.at(change, (moves, labels[rows], predictions[rows, source]), 1)
    np.add.at(change, (moves, labels[rows], predictions[rows, target]), 1)
    full = np.zeros((1, num_labels, num_labels), dtype=np.int64)
    np.add.at(full, (0, labels, predictions[:, -1]), 1)
    confusion = np.concatenate([full, full + np.cumsum(change, axis=0)[last]])
    layers = n * num_layers + np.concatenate([[0], np.cumsum(depth[target] - depth[source])[last]])
    return ExactCurve(layers / (n * num_layers), confusion)
