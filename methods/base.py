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
from dataclasses import dataclass, field
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
        states: [n, L, H], the [CLS] states of all layers while training, for losses over them; else None.
        ramp: [n, C], logits of a second exit that stands on layer L beside the first; None at other layers, and
            for all methods without one.
    """

    logits: Tensor
    halting: Tensor | None = None
    states: Tensor | None = None
    ramp: Tensor | None = None

    def at(self, layer: int) -> ExitOutputs:
        """The outputs of one layer (1..L) of an all-layers record."""
        halting = None if self.halting is None else self.halting[:, layer - 1]
        ramp = self.ramp if layer == self.logits.shape[1] else None
        return ExitOutputs(self.logits[:, layer - 1], halting, ramp=ramp)

    def double(self) -> ExitOutputs:
        """The same in float64, the precision of all halting arithmetic."""
        logits, halting, ramp = (None if t is None else t.double() for t in (self.logits, self.halting, self.ramp))
        return ExitOutputs(logits, halting, ramp=ramp)


@dataclass(frozen=True)
class TrainingBatch:
    """What a loss may know about a batch besides the outputs of the exits.

    Attributes:
        labels: [n] classes (int64) or scores (float32); -1 or NaN at rows without one, of methods that read none.
        variant: the values of what is trained, such as ``{"tau": 0.005}``, defaults included.
        step: optimiser steps taken so far, from 0.
        steps: optimiser steps in all.
        teacher: outputs and states of the starting model, of methods with `has_teacher`; else None.
    """

    labels: Tensor
    variant: dict[str, float | str] = field(default_factory=dict)
    step: int = 0
    steps: int = 1
    teacher: ExitOutputs | None = None


@dataclass(frozen=True)
class ExitSpec:
    """What an exit is built from: H, C, the backbone's dropout and initialisation, and where it will stand (1..L)."""

    hidden_size: int
    num_labels: int
    dropout: float
    initializer_range: float
    layer: int
    num_layers: int


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

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__()
        self.pooler = normal_linear(spec.hidden_size, spec.hidden_size, spec.initializer_range)
        self.dropout = nn.Dropout(spec.dropout)
        self.classifier = normal_linear(spec.hidden_size, spec.num_labels, spec.initializer_range)

    def forward(self, cls: Tensor) -> ExitOutputs:
        """Classify the [CLS] states [n, H] of one layer."""
        return ExitOutputs(self.classifier(self.dropout(torch.tanh(self.pooler(cls)))))


class HaltingExit(PoolerExit):
    """The shared exit and a halting unit beside it: one linear unit and a sigmoid on [CLS], N(0, .02)."""

    def __init__(self, spec: ExitSpec, bias: float = 0.0) -> None:
        super().__init__(spec)
        self.halting_unit = normal_linear(spec.hidden_size, 1, std=0.02, bias=bias)

    def forward(self, cls: Tensor) -> ExitOutputs:
        """Classify the [CLS] states [n, H] and give a halting value [n]."""
        return ExitOutputs(super().forward(cls).logits, torch.sigmoid(self.halting_unit(cls)[:, 0]))


class Method(ABC):
    """One early-exit method. The docstring of a subclass is its citation and its exact rule."""

    name: ClassVar[str]
    #: Raise it when a change of the method's file changes its trained models or traces.
    version: ClassVar[int] = 1
    #: The recipe of the suite that this method trains with: "stage1", "stage2" or "joint".
    recipe: ClassVar[str] = "stage2"
    #: The method that it is compared with as a variant: it trains with that one's recipe where a suite has one.
    trains_like: ClassVar[str | None] = None
    #: The method whose trained model this one starts from; None: the pre-trained checkpoint.
    starts_from: ClassVar[str | None] = "static"
    #: The method whose trained models this one replays; None: it trains its own.
    trained_by: ClassVar[str | None] = None
    #: Which checkpoint of a backbone family it trains: "backbone", "student" or "tinybert".
    checkpoint: ClassVar[str] = "backbone"
    #: Whether the loss sees what the model that it starts from says: `TrainingBatch.teacher`.
    has_teacher: ClassVar[bool] = False
    #: Whether the loss reads labels; where it does not, rows without one may be trained on too (`--unlabelled`).
    reads_labels: ClassVar[bool] = True
    #: Whether every layer has an exit, or layer L only.
    every_layer: ClassVar[bool] = True
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

    def depth(self, num_layers: int, variant: dict[str, float | str]) -> int:
        """How many layers of the backbone are kept, from the first: L of them unless a method cuts it."""
        return num_layers

    def exit(self, spec: ExitSpec) -> nn.Module:
        """A new exit for one layer: a module from [CLS] states [n, H] to `ExitOutputs` of that layer.

        A module with a true attribute `reads_sequence` gets all states [n, T, H] and the attention mask [n, T].
        """
        return PoolerExit(spec)

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """Change the new exits of a model, given by layer, as a whole: let them share parts, or add some."""
        return None

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """Whether a part is trained: "backbone" (layer 0 is the embeddings) or "exit" (1..L)."""
        return True

    @abstractmethod
    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """The training loss of a batch, a scalar, from the outputs of all layers."""

    def held_out(self, variant: dict[str, float | str]) -> float:
        """The share of the training rows that is not trained on but kept for `calibrate`."""
        return 0.0

    def calibrate(self, exits: list[nn.Module], logits: Tensor, labels: Tensor) -> None:
        """Adjust trained exits by what they say about the held-out rows: logits [n, L, C], labels [n]."""
        raise NotImplementedError(f"{self.name} holds rows out and does not say what for")

    @abstractmethod
    def halting_rule(self, num_layers: int, num_labels: int) -> HaltingRule:
        """The rule that decides, for every example, at which layer to answer."""

    @abstractmethod
    def knob(self, num_layers: int, num_labels: int) -> Knob:
        """The knob of the rule with the grid of values that the paper sweeps."""


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
