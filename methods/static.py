"""The backbone without early exit: the stage 1 that every other method is compared with."""

from __future__ import annotations

from torch import Tensor

from methods.base import ExitOutputs, HaltingRule, Knob, Method, RuleSpec, TrainingBatch
from methods.blocks import prediction_loss


class FullDepthRule(HaltingRule):
    """Nobody halts before layer L: every score is 0, below the knob's only value."""

    score_kind = "fixed"

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        return exits.logits, exits.logits.new_zeros(len(exits.logits)), state


class Static(Method):
    """J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019 (and Y. Liu et al., 2019).

    Fine-tuning of the whole backbone with one head on layer L. All examples use L layers: exactly one point.
    """

    name = "static"
    recipe = "stage1"
    starts_from = None
    every_layer = False

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Task loss of the last layer."""
        return prediction_loss(exits.logits[:, -1], batch.labels)

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts at layer L only."""
        return FullDepthRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """No knob; the one value is out of the score's reach."""
        return Knob(values=(1.0,), span=(1.0, 1.0))
