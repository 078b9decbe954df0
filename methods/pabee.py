"""PABEE: all exits trained jointly, halting once several layers in a row repeat the answer.

What its released code does otherwise is in `methods.released`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from methods.base import ExitOutputs, HaltingRule, Knob, Method, RuleSpec, State, TrainingBatch
from methods.blocks import layer_losses, prediction

REGRESSION_THRESHOLD = 0.1


class PatienceRule(HaltingRule):
    """Score: the number of consecutive layers that agreed with the layer before them.

    Classes agree when the argmax is equal; regression outputs when they differ by less than theta = 0.1
    (README of the released code). A disagreement sets the counter back to 0.
    """

    score_kind = "count"

    def start(self, n: int, num_labels: int) -> State:
        """Before layer 1 there is nothing to agree with: NaN equals no prediction."""
        nothing = torch.full((n,), torch.nan, dtype=torch.float64)
        return {"previous": nothing, "counter": torch.zeros(n, dtype=torch.float64)}

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        current = prediction(exits.logits).double()
        if exits.logits.shape[-1] == 1:
            agrees = (current - state["previous"]).abs() < REGRESSION_THRESHOLD
        else:
            agrees = current == state["previous"]
        counter = torch.where(agrees, state["counter"] + 1, 0.0)
        return exits.logits, counter, {"previous": current, "counter": counter}


class Pabee(Method):
    """W. Zhou et al., "BERT Loses Patience: Fast and Robust Inference with Early Exit", NeurIPS 2020.

    One stage from the pre-trained checkpoint, all parameters, loss sum_l l * CE_l / sum_l l (released code,
    modeling_pabee_bert.py). Halts when p consecutive layers repeated the previous layer's prediction, so the
    earliest exit is layer p + 1 and p >= L - 1 is full depth. Knob: patience p = 1..L.
    """

    name = "pabee"
    recipe = "joint"
    starts_from = None

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Mean of the layers' task losses, weighted by depth."""
        losses = layer_losses(exits.logits, batch.labels)  # [n, L]
        depths = torch.arange(1, losses.shape[1] + 1).to(losses)
        return (losses * (depths / depths.sum())).sum(dim=1).mean()

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts when the counter reaches the patience."""
        return PatienceRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """Patience 1..L; with more, too, all layers are used."""
        return Knob("patience", tuple(float(p) for p in range(1, spec.num_layers + 1)), span=(0.0, math.inf))
