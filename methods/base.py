"""The whole contract of an early-exit method, on one page.

A method is one file in this folder with one subclass of :class:`Method`. It says what is trained (exits, loss,
which parameters) and when inference halts (a :class:`HaltingRule` and its :class:`Knob`). Training, traces,
replay, the live engine, curves and figures are the benchmark's work and never appear in a method file.

Shape symbols used in every file of this folder:
    n  examples          L  layers of the backbone          C  classes (1 for regression)          H  hidden size
Layers are counted from 1 to L; "used l layers" means that the answer was given at layer l.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]


@dataclass(frozen=True)
class ExitOutputs:
    """What the exits said, at one layer or at all of them.

    Attributes:
        logits: [n, C] at one layer, [n, L, C] for all layers; NaN at a layer that has no exit.
        halting: [n] or [n, L], the halting values in (0, 1) of methods that have them, else None.
        ramp: [n, C], logits of a second exit that stands on layer L beside the first; None at other layers, and
            for all methods without one.
    """

    logits: Tensor
    halting: Tensor | None = None
    ramp: Tensor | None = None

    def at(self, layer: int) -> ExitOutputs:
        """The outputs of one layer (1..L) of an all-layers record."""
        halting = None if self.halting is None else self.halting[:, layer - 1]
        return ExitOutputs(self.logits[:, layer - 1], halting, self.ramp if layer == self.logits.shape[1] else None)

    def double(self) -> ExitOutputs:
        """The same in float64, the precision of all halting arithmetic."""
        return ExitOutputs(*(None if t is None else t.double() for t in (self.logits, self.halting, self.ramp)))


@dataclass(frozen=True)
class Knob:
    """The dial that trades computation for performance at inference.

    Attributes:
        name: name of the knob as papers write it (`entropy`, `patience`, `eps`).
        values: the paper's grid, in the paper's unit.
        strict: whether the score must exceed the threshold (True) or may equal it (False).
        sign: the threshold that a score is compared with is ``sign * value``.
    """

    name: str = ""
    values: tuple[float, ...] = (0.0,)
    strict: bool = False
    sign: int = 1

    def reached(self, score: Tensor, value: float) -> Tensor:
        """Whether each score [n] reaches the knob at `value`: bool [n]."""
        threshold = self.sign * value
        return score > threshold if self.strict else score >= threshold


class HaltingRule(ABC):
    """A small state machine that scores each layer; an example halts where its score first reaches the knob.

    Two drivers run the same rule: replay over a stored trace, and the live engine layer by layer. Inputs arrive
    in float64. Layer L halts whatever the score.
    """

    def __init__(self, num_layers: int) -> None:
        self.num_layers = num_layers

    def start(self, n: int, num_labels: int) -> State:
        """State before layer 1: tensors with leading dimension n (the live engine drops finished rows)."""
        return {}

    @abstractmethod
    def step(self, layer: int, exits: ExitOutputs, state: State) -> tuple[Tensor, Tensor, State]:
        """Take in one layer.

        Args:
            layer: 1..L.
            exits: the outputs of this layer, logits [n, C] and halting [n], float64.
            state: as `start` or the last `step` left it.

        Returns:
            answer [n, C] (the output if the example halted here), score [n] (float64), and the next state.
        """

    def ramp(self, exits: ExitOutputs) -> tuple[Tensor, Tensor] | None:
        """What the second exit of layer L answers [n, C] where its score [n] reaches the knob; None without one."""
        return None


class PoolerExit(nn.Module):
    """The exit that all methods share: a pooler of its own (linear, tanh, on [CLS]), dropout, linear."""

    def __init__(self, hidden_size: int, num_labels: int, dropout: float, initializer_range: float) -> None:
        super().__init__()
        self.pooler = normal_linear(hidden_size, hidden_size, initializer_range)
        self.dropout = nn.Dropout(dropout)
        self.classifier = normal_linear(hidden_size, num_labels, initializer_range)

    def forward(self, cls: Tensor) -> ExitOutputs:
        """Classify the [CLS] states [n, H] of one layer."""
        return ExitOutputs(self.classifier(self.dropout(torch.tanh(self.pooler(cls)))))


class Method(ABC):
    """One early-exit method. The docstring of a subclass is its citation and its exact rule."""

    name: ClassVar[str]
    #: Raise it when a change of the method's file changes its trained models or traces.
    version: ClassVar[int] = 1
    #: The recipe of the suite that this method trains with: "stage1", "stage2" or "joint".
    recipe: ClassVar[str] = "stage2"
    #: The method whose trained model this one starts from; None: the pre-trained checkpoint.
    starts_from: ClassVar[str | None] = "static"
    #: The method whose trained models this one replays; None: it trains its own.
    trained_by: ClassVar[str | None] = None
    #: Which checkpoint of a backbone family it trains: "backbone" or "student".
    checkpoint: ClassVar[str] = "backbone"
    #: Whether every layer has an exit, or layer L only.
    every_layer: ClassVar[bool] = True
    #: Whether it runs when nobody names methods; the others must be named, or `all`.
    default: ClassVar[bool] = True
    #: A reference curve: replayed wherever the traces that it needs exist, whatever methods were named.
    reference: ClassVar[bool] = False
    #: Stands in for the method whose name it inherits where a suite says `compat = "released"`.
    released: ClassVar[bool] = False
    #: What a variant may set: the name and the default number, or all allowed words, the default first.
    parameters: ClassVar[dict[str, float | tuple[str, ...]]] = {}
    #: The variants trained unless a suite names others, written "name=value,name=value"; "" is the only one of most.
    variants: ClassVar[tuple[str, ...]] = ("",)

    def skip(self, num_labels: int) -> str | None:
        """The reason why this method cannot do a task with `num_labels` outputs (1: regression), or None."""
        return None

    def exit(self, hidden_size: int, num_labels: int, dropout: float, initializer_range: float) -> nn.Module:
        """A new exit for one layer: a module from [CLS] states [n, H] to `ExitOutputs` of that layer."""
        return PoolerExit(hidden_size, num_labels, dropout, initializer_range)

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """Change the new exits of a model, given by layer, as a whole: let them share parts, or add some."""
        return None

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """Whether a part is trained: "backbone" (layer 0 is the embeddings) or "exit" (1..L)."""
        return True

    @abstractmethod
    def loss(self, exits: ExitOutputs, labels: Tensor, variant: dict[str, float | str]) -> Tensor:
        """The training loss of a batch, a scalar, from the outputs of all layers and labels [n]."""

    @abstractmethod
    def halting_rule(self, num_layers: int, num_labels: int) -> HaltingRule:
        """The rule that decides, for every example, at which layer to answer."""

    @abstractmethod
    def knob(self, num_layers: int, num_labels: int) -> Knob:
        """The knob of the rule with the grid of values that the paper sweeps."""


def prediction_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean task loss of logits [n, C]: cross entropy, or squared error where C = 1 (regression)."""
    if logits.shape[-1] == 1:
        return F.mse_loss(logits[:, 0], labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)


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


def normal_linear(inputs: int, outputs: int, std: float) -> nn.Linear:
    """A linear unit with weights drawn from N(0, std) and bias 0, as BERT initialises its heads."""
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=std)
    nn.init.zeros_(linear.bias)
    return linear
