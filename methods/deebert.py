"""DeeBERT: exits trained on a frozen fine-tuned backbone, halting by entropy."""

from __future__ import annotations

import copy
import math

from torch import Tensor, nn

from methods.base import (
    ExitOutputs,
    ExitSpec,
    HaltingRule,
    Knob,
    Method,
    PoolerExit,
    TrainingBatch,
    entropy,
    layer_losses,
)

STEP = 0.05


class EntropyRule(HaltingRule):
    """Score: minus the entropy of the layer's prediction, natural logarithm."""

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        return exits.logits, -entropy(exits.logits), state


class DeeBert(Method):
    """J. Xin et al., "DeeBERT: Dynamic Early Exiting for Accelerating BERT Inference", ACL 2020.

    Stage 2 trains the exits of layers 1..L-1 on the frozen stage-1 model with the unweighted sum of their losses
    (released code, modeling_highway_bert.py); layer L keeps the fine-tuned head. Halts at the first layer whose
    entropy H(softmax(logits_l)) < S, strictly. Knob: S = 0, .05, .. up to the first value >= ln C.
    """

    name = "deebert"

    def skip(self, num_labels: int) -> str | None:
        """Entropy is not defined for regression."""
        return "the entropy rule needs classes, this task is a regression" if num_labels == 1 else None

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """The exits below layer L, nothing else."""
        return part == "exit" and layer < num_layers

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Unweighted sum of the task losses of layers 1..L-1."""
        return layer_losses(exits.logits, batch.labels)[:, :-1].sum(dim=1).mean()

    def halting_rule(self, num_layers: int, num_labels: int) -> HaltingRule:
        """Halts where the entropy falls below S."""
        return EntropyRule(num_layers)

    def knob(self, num_layers: int, num_labels: int) -> Knob:
        """S in steps of .05 from 0 up to the first value >= ln C: 15 values for 2 classes, 23 for 3."""
        steps = math.ceil(round(math.log(num_labels) / STEP, 9))
        return Knob("entropy", tuple(round(STEP * i, 2) for i in range(steps + 1)), strict=True, sign=-1)


class ReleasedRule(EntropyRule):
    """Layer L has an off-ramp beside its head, and the off-ramp is asked first."""

    def ramp(self, exits: ExitOutputs) -> tuple[Tensor, Tensor]:
        """The off-ramp's logits and minus their entropy."""
        return exits.ramp, -entropy(exits.ramp)


class RampedExit(PoolerExit):
    """The shared exit with, on layer L, an off-ramp beside it."""

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__(spec)
        self.ramp: nn.Module | None = None

    def forward(self, cls: Tensor) -> ExitOutputs:
        """Classify the [CLS] states [n, H] of one layer."""
        logits = super().forward(cls).logits
        return ExitOutputs(logits, ramp=None if self.ramp is None else self.ramp(cls).logits)


class DeeBertReleased(DeeBert):
    """DeeBERT as its released code has it: the off-ramp of layer L, which no loss trains, may exit.

    Source: modeling_highway_bert.py. Where the entropy of that untrained off-ramp is below S, its logits are the
    answer, not those of the fine-tuned head. Which layers are used stays the same.
    """

    released = True

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit, which may carry an off-ramp."""
        return RampedExit(spec)

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """The off-ramp of layer L starts as the new exit of that layer, and stays that way."""
        exits[max(exits)].ramp = copy.deepcopy(exits[max(exits)])

    def halting_rule(self, num_layers: int, num_labels: int) -> HaltingRule:
        """Halts where the entropy falls below S, at layer L by the off-ramp first."""
        return ReleasedRule(num_layers)
