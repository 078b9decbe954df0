"""DeeBERT: exits trained on a frozen fine-tuned backbone, halting by entropy.

What its released code does otherwise is in `methods.released`.
"""

from __future__ import annotations

import math

from torch import Tensor

from methods.base import ExitOutputs, HaltingRule, Knob, Method, RuleSpec, TrainingBatch
from methods.blocks import entropy, layer_losses

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
    needs_classes = "the entropy rule needs classes, this task is a regression"

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """The exits below layer L, nothing else."""
        return part == "exit" and layer < num_layers

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Unweighted sum of the task losses of layers 1..L-1."""
        return layer_losses(exits.logits, batch.labels)[:, :-1].sum(dim=1).mean()

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts where the entropy falls below S."""
        return EntropyRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """S in steps of .05 from 0 up to the first value >= ln C: 15 values for 2 classes, 23 for 3."""
        steps = math.ceil(round(math.log(spec.num_labels) / STEP, 9))
        values = tuple(round(STEP * i, 2) for i in range(steps + 1))
        return Knob("entropy", values, strict=True, sign=-1, span=(0.0, values[-1]))
