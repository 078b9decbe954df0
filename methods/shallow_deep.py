"""Shallow-Deep Networks: all exits trained jointly with growing weights, halting by confidence."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.base import ExitOutputs, ExitSpec, HaltingRule, Knob, Method, RuleSpec, State, TrainingBatch
from methods.blocks import PoolerExit, layer_losses, prediction_loss

#: The share of the training rows that temperatures are fitted on.
HELD_OUT = 0.1


class ScaledExit(PoolerExit):
    """The shared exit with a temperature that divides its logits; 1 until it is fitted."""

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__(spec)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, state: Tensor) -> ExitOutputs:
        """Classify examples by the state [n, H] that the exit reads."""
        return ExitOutputs(super().forward(state).logits / self.temperature)


class ConfidenceRule(HaltingRule):
    """Score: the probability of the most probable class.

    Layer L answers with the most confident exit of all, the first of equals: its own logits where it is confident
    enough itself, since then no layer before it was.
    """

    score_kind = "best"

    def start(self, n: int, num_labels: int) -> State:
        """No exit has been confident of anything."""
        return {"answer": torch.zeros(n, num_labels, dtype=torch.float64), "score": torch.zeros(n, dtype=torch.float64)}

    def step(self, layer, exits, state):
        """The answer is the layer's logits, at layer L the most confident layer's; see `HaltingRule.step`."""
        score = torch.softmax(exits.logits, dim=-1).amax(dim=-1)
        best = torch.where((score > state["score"])[:, None], exits.logits, state["answer"])
        answer = best if layer == self.spec.num_layers else exits.logits
        return answer, score, {"answer": best, "score": torch.maximum(score, state["score"])}


class ShallowDeep(Method):
    """Y. Kaya et al., "Shallow-Deep Networks: Understanding and Mitigating Network Overthinking", ICML 2019.

    One stage from the pre-trained checkpoint, all parameters, loss CE_L + sum_{l<L} w_l CE_l. The weight of layer l
    grows with the share s of the training that is done, w_l = min(l / L, .01 + s l / L): up to its share of the
    computation (released code, where s grows by epoch). Halts at the first layer with max softmax(logits_l) >= t; where
    there is none, all layers are used and the most confident of them answers (released code, `early_exit` of all its
    architectures). Knob: t = 1 / C, .. 1.

    Variants may set `temperature=fitted`: every tenth training row is held out, and after training the temperature of
    each exit minimises its cross entropy there (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
    """

    name = "shallow-deep"
    version = 2
    recipe = "joint"
    starts_from = None
    parameters: ClassVar = {"temperature": ("none", "fitted")}
    needs_classes = "the confidence rule needs classes, this task is a regression"

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit with a temperature."""
        return ScaledExit(spec)

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """The loss of layer L, and those of the others with weights that grow while training."""
        losses, done = layer_losses(exits.logits, batch.labels), (batch.step + 1) / batch.steps
        shares = torch.arange(1, losses.shape[1]).to(losses) / losses.shape[1]  # [L - 1]
        weights = torch.minimum(shares, 0.01 + done * shares)
        return (losses[:, -1] + (losses[:, :-1] * weights).sum(dim=1)).mean()

    def held_out(self, variant: dict) -> float:
        """A tenth, where temperatures are wanted."""
        return HELD_OUT if variant["temperature"] == "fitted" else 0.0

    def calibrate(self, exits: list[nn.Module], logits: Tensor, labels: Tensor) -> None:
        """Give each exit its temperature."""
        for i, module in enumerate(exits):
            module.temperature.fill_(fitted_temperature(logits[:, i], labels))

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts where the confidence reaches t."""
        return ConfidenceRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """1 / C and the steps of .05 above it, then .99, .999 and 1: most of what happens is close to certainty."""
        chance = 1 / spec.num_labels
        steps = (round(0.05 * i, 2) for i in range(1, 20))
        values = (chance, *(t for t in steps if t > chance), 0.99, 0.999, 1.0)
        return Knob("confidence", values, span=(0.0, 1.0))


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature between 1/20 and 20 that minimises the cross entropy of logits [n, C]: convex in its inverse."""
    from scipy.optimize import minimize_scalar

    logits = logits.double()
    found = minimize_scalar(lambda inverse: prediction_loss(logits * inverse, labels).item(), bounds=(0.05, 20))
    return 1 / found.x
