"""BERxiT: all layers fine-tuned in alternation, halting where a learned unit expects a right answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import ExitOutputs, ExitSpec, HaltingRule, Knob, Method, RuleSpec, TrainingBatch
from methods.blocks import PoolerExit, layer_losses, normal_linear, prediction


class LearnedExit(PoolerExit):
    """The shared exit; beside it the learning-to-exit unit, linear and sigmoid on the pooled state."""

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__(spec)
        self.exit_unit = normal_linear(spec.hidden_size, 1, spec.initializer_range)

    def forward(self, state: Tensor) -> ExitOutputs:
        """Classify examples by the state [n, H] that the exit reads, and say how wrong each answer may be, [n]."""
        pooled = torch.tanh(self.pooler(state))
        return ExitOutputs(self.classifier(self.dropout(pooled)), torch.sigmoid(self.exit_unit(pooled)[:, 0]))


class LearnedRule(HaltingRule):
    """Score: minus u_l, the error that the unit expects."""

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        return exits.logits, -exits.halting, state


class Berxit(Method):
    """J. Xin et al., "BERxiT: Early Exiting for BERT with Better Fine-Tuning and Extension to Regression", EACL 2021.

    One stage from the pre-trained checkpoint, all parameters: even steps train on the loss of layer L, odd steps on the
    sum of all layers' losses. In every step the learning-to-exit unit, one for all layers, is trained as well: mean
    over the layers of (u_l - e_l)^2 with e_l = 1 for a wrong answer, else 0; for regression e_l = tanh|y_l - y|. Halts
    at the first layer with u_l < t, strictly. Knob: t = 0, .05, .. 1.
    """

    name = "berxit"
    recipe = "joint"
    starts_from = None

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit with a learning-to-exit unit."""
        return LearnedExit(spec)

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """One learning-to-exit unit for all layers."""
        for module in exits.values():
            module.exit_unit = exits[1].exit_unit

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Layer L in even steps, all layers in odd ones, and always the error of the learning-to-exit unit."""
        losses = layer_losses(exits.logits, batch.labels)  # [n, L]
        task = losses[:, -1] if batch.step % 2 == 0 else losses.sum(dim=1)
        return task.mean() + F.mse_loss(exits.halting.float(), observed_error(exits.logits, batch.labels))

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts where the unit expects an error below t."""
        return LearnedRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """Expected error t in steps of .05 from 0 to 1."""
        return Knob("lte", tuple(round(0.05 * i, 2) for i in range(21)), strict=True, sign=-1, span=(0.0, 1.0))


def observed_error(logits: Tensor, labels: Tensor) -> Tensor:
    """How wrong each layer is, float32 [n, L]: 1 or 0 for logits [n, L, C]; tanh of the absolute error where C = 1."""
    answers = prediction(logits.detach().float())
    if logits.shape[-1] == 1:
        return torch.tanh((answers - labels[:, None]).abs())
    return (answers != labels[:, None]).float()
