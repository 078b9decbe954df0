"""PABEE: halting by patience, on jointly trained or on frozen backbones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.base import ExitOutputs, HaltingRule, Knob, Method, TrainingBatch, layer_losses, prediction

REGRESSION_THRESHOLD = 0.1


class PatienceRule(HaltingRule):
    """Score: the number of consecutive layers that agreed with the layer before them.

    Classes agree when the argmax is equal; regression outputs when they differ by less than theta = 0.1
    (README of the released code). A disagreement sets the counter back to 0.
    """

    def start(self, n: int, num_labels: int) -> dict[str, Tensor]:
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

    def halting_rule(self, num_layers: int, num_labels: int) -> HaltingRule:
        """Halts when the counter reaches the patience."""
        return PatienceRule(num_layers)

    def knob(self, num_layers: int, num_labels: int) -> Knob:
        """Patience 1..L."""
        return Knob("patience", tuple(float(p) for p in range(1, num_layers + 1)))


class PabeeReleased(Pabee):
    """PABEE as its released code has it: the exits of all layers share one pooler, each has a linear unit of its own.

    Source: modeling_pabee_bert.py. The shared pooler starts as the one that layer L would have alone.
    """

    released = True

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """One pooler for all layers."""
        for module in exits.values():
            module.pooler = exits[max(exits)].pooler


class PabeeFrozen(Pabee):
    """PABEE's rule on DeeBERT's models.

    The reading of C. Eyzaguirre et al. (2022), by whom only DACT-BERT changes the backbone's weights. Trains
    nothing: the patience rule replayed on the traces of `deebert`.
    """

    name = "pabee-frozen"
    trained_by = "deebert"

    def skip(self, num_labels: int) -> str | None:
        """DeeBERT's models exist for classes only."""
        return "replays deebert, which needs classes; this task is a regression" if num_labels == 1 else None
