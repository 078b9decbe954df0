"""What exits, losses and halting rules are built from; a method file takes what it needs, none is obliged to.

Shape symbols as in `methods.base`: n examples, L layers, C classes (1 for regression), H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import ExitOutputs, ExitSpec, Method


class PoolerExit(nn.Module):
    """The exit that a method gets unless it builds another: a pooler of its own (linear, tanh), dropout, linear."""

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__()
        self.pooler = normal_linear(spec.hidden_size, spec.hidden_size, spec.initializer_range)
        self.dropout = nn.Dropout(spec.dropout)
        self.classifier = normal_linear(spec.hidden_size, spec.num_labels, spec.initializer_range)

    def forward(self, state: Tensor) -> ExitOutputs:
        """Classify examples by the state [n, H] that the exit reads."""
        return ExitOutputs(self.classifier(self.dropout(torch.tanh(self.pooler(state)))))


def exit_of(method: Method, spec: ExitSpec) -> nn.Module:
    """A new exit of a method for one layer: its own, or the one that all methods share."""
    return method.exit(spec) or PoolerExit(spec)


class HaltingExit(PoolerExit):
    """The shared exit and beside it a halting unit: one linear unit and a sigmoid on the same state.

    Weights are drawn from N(0, .02); `bias` decides how willing a new exit is to halt.
    """

    def __init__(self, spec: ExitSpec, bias: float = 0.0) -> None:
        super().__init__(spec)
        self.halting_unit = normal_linear(spec.hidden_size, 1, std=0.02, bias=bias)

    def forward(self, state: Tensor) -> ExitOutputs:
        """Classify examples by the state [n, H] that the exit reads, and give a halting value [n] for each."""
        return ExitOutputs(super().forward(state).logits, torch.sigmoid(self.halting_unit(state)[:, 0]))


def prediction_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Task loss of logits [n, C], a scalar or, with reduction "none", [n].

    Cross entropy, or squared error where C = 1 (regression).
    """
    if logits.shape[-1] == 1:
        return F.mse_loss(logits[:, 0].float(), labels.float(), reduction=reduction)
    return F.cross_entropy(logits, labels, reduction=reduction)


def layer_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Task loss of every example at every layer, [n, L], from the logits [n, L, C] of all layers at once."""
    n, num_layers, _ = logits.shape
    losses = prediction_loss(logits.flatten(0, 1), labels.repeat_interleave(num_layers), reduction="none")
    return losses.view(n, num_layers)


def prediction(answer: Tensor) -> Tensor:
    """The predicted class of answers [..., C], ties to the lower class; the value itself where C = 1."""
    if answer.shape[-1] == 1:
        return answer[..., 0]
    # argmax does not promise which of two equal maxima it returns; the first one counts here
    top = answer == answer.amax(dim=-1, keepdim=True)
    return top.to(torch.uint8).argmax(dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy (natural logarithm) of softmax(logits) over the last dimension, with 0 log 0 = 0."""
    return torch.special.entr(torch.softmax(logits, dim=-1)).sum(dim=-1)


def normal_linear(inputs: int, outputs: int, std: float, bias: float = 0.0) -> nn.Linear:
    """A linear unit with weights drawn from N(0, std) and a constant bias, 0 as BERT initialises its heads."""
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=std)
    nn.init.constant_(linear.bias, bias)
    return linear
