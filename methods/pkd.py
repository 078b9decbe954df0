"""PKD-BERT: a student of half the depth that imitates the hidden states of its teacher, as a static reference point."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.base import ExitOutputs, TrainingBatch
from methods.blocks import prediction_loss
from methods.static import Static


class Pkd(Static):
    """S. Sun et al., "Patient Knowledge Distillation for BERT Model Compression", EMNLP 2019 (PKD-Skip).

    The student is the first L/2 layers of the stage-1 model of the same seed, its teacher, with a new head; stage 2
    trains all of it. Loss: (1 - alpha) CE + alpha CE_T + beta PT. CE_T is the cross entropy to the teacher's
    probabilities, both at temperature T, summed over classes: the paper's formula, times T^2 as in the released code.
    That code also divides by the number of classes, as `compat = "released"` does. PT is the mean squared difference
    between the normalised states (those that exits read; [CLS] in the paper) of student layers 1, 2, .. L/2 - 1 and
    teacher layers 2, 4, .. L - 2. Its layer fraction divides by L: 6 of 12 layers are 0.5.
    """

    name = "pkd"
    version = 2
    recipe = "stage2"
    starts_from = "static"
    has_teacher = True
    parameters: ClassVar = {"alpha": 0.5, "temperature": 5.0, "beta": 100.0}
    needs_classes = "soft labels need classes, this task is a regression"

    def depth(self, num_layers: int, variant: dict) -> int:
        """Half of the layers."""
        return max(1, num_layers // 2)

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Labels, soft labels, and patience on the states below the last layer."""
        alpha, heat, beta = (batch.variant[name] for name in ("alpha", "temperature", "beta"))
        logits, taught = exits.logits[:, -1].float(), batch.teacher.logits[:, -1].float()
        soft = self.soft_loss(logits / heat, torch.softmax(taught / heat, dim=-1)) * heat**2
        hard = prediction_loss(exits.logits[:, -1], batch.labels)
        return (1 - alpha) * hard + alpha * soft + beta * patience(exits.states, batch.teacher.states)

    def soft_loss(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Cross entropy of logits [n, C] to probabilities [n, C]: a sum over classes, a mean over examples."""
        return F.cross_entropy(logits, taught)


def patience(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of unit vectors: states l = 1..K-1 of K [n, K, H] to states 2l of the teacher [n, L, H].

    0 for a student of one layer, whose only layer is the last.
    """
    if student.shape[1] == 1:
        return student.new_zeros(())
    chosen = teacher[:, 1 : 2 * student.shape[1] - 2 : 2]  # layers 2, 4, .. 2 (K - 1), [n, K - 1, H]
    return F.mse_loss(F.normalize(student[:, :-1].float(), dim=-1), F.normalize(chosen.float(), dim=-1))
