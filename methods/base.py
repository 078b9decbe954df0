"""The contract of an early-exit method: all that the author of a method must know, on one page.

A method is one file in this folder (or anywhere else) with a subclass of :class:`Method` that has a `name`. It says
what is trained (exits, loss, which parameters) and when inference halts (a :class:`HaltingRule` and its :class:`Knob`).
Training, traces, replay, the live engine, curves and figures are the benchmark's work and never appear in a method
file. Ready-made exits, losses and the entropy are in `methods.blocks`; quirks of released code in `methods.released`.

Shape symbols used in every file of this folder:
    n  examples          L  layers of the backbone          C  classes (1 for regression)          H  hidden size
Layers are counted from 1 to L; "used l layers" means that the answer was given at layer l.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

State = dict[str, Tensor]
SCORE_KINDS = ("measure", "best", "count", "fixed")
#: How far out of its span a knob may be: exact settings are the next number to a score, which rounding moves as well.
LAST_BITS = 1e-6
#: What was trained, such as ``{"tau": 0.005}``, with the method's defaults for whatever was not named.
Variant = dict[str, float | str]


@dataclass(frozen=True)
class ExitOutputs:
    """What the exits said, at one layer or at all of them.

    Attributes:
        logits: [n, C] at one layer, [n, L, C] for all layers; NaN at a layer that has no exit.
        halting: [n] or [n, L], the halting values in (0, 1) of methods that have them, else None.
        states: [n, L, H], the states that exits read (before a suite's `exit_norm`), at all layers while training, for
            losses over them; else None.
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
        variant: the values of what is trained, defaults included.
        step: optimiser steps taken so far, from 0.
        steps: optimiser steps in all.
        teacher: outputs and states of the starting model, of methods with `has_teacher`; else None.
    """

    labels: Tensor
    variant: Variant = field(default_factory=dict)
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
class RuleSpec:
    """What a halting rule and the grid of its knob may depend on: L and C of the model, and what was trained.

    `variant` is that of the trained model, defaults included, also where a method replays another one's models.
    """

    num_layers: int
    num_labels: int
    variant: Variant = field(default_factory=dict)


@dataclass(frozen=True)
class Knob:
    """The dial that trades computation for performance at inference.

    Attributes:
        name: name of the knob as papers write it (`entropy`, `patience`, `eps`).
        values: the paper's grid, in the paper's unit.
        strict: whether the score must exceed the threshold (True) or may equal it (False).
        sign: the threshold that a score is compared with is ``sign * value``.
        span: the lowest and the highest value that make sense, `math.inf` where there is no end, so that a saved model
            refuses others; None: any number does.
    """

    name: str = ""
    values: tuple[float, ...] = (0.0,)
    strict: bool = False
    sign: int = 1
    span: tuple[float, float] | None = None

    def nearest(self, value: float) -> float:
        """The value in the span that is nearest to `value`: itself where it is one."""
        return value if self.span is None else min(max(value, self.span[0]), self.span[1])

    def holds(self, value: float) -> bool:
        """Whether `value` is in the span, but for rounding (`LAST_BITS`)."""
        return abs(value - self.nearest(value)) <= LAST_BITS

    def reached(self, score: Tensor, value: float) -> Tensor:
        """Whether each score [n] reaches the knob at `value`, which is when its example halts: bool [n]."""
        threshold = self.sign * value
        return score > threshold if self.strict else score >= threshold


class HaltingRule(ABC):
    """A small state machine that scores each layer; an example halts where its score first reaches the knob.

    Two drivers run the same rule: replay over a stored trace, and the live engine layer by layer. Inputs arrive
    in float64. Layer L halts whatever the score.
    """

    #: What a score is, which decides what is a close call between a live run and a replay, whose logits differ in
    #: their last bits. "measure": computed from what the exits say, close where it is near the knob. "best": the same,
    #: and layer L answers with the exit of the highest score, close where the two highest are nearly equal. "count": of
    #: layers whose predictions agree, close where two answers are. "fixed": the same whatever the exits say.
    score_kind: ClassVar[str] = "measure"

    #: Whether answers are class probabilities, as where those of several layers are mixed; else they are logits.
    answers_probabilities: ClassVar[bool] = False

    def __init__(self, spec: RuleSpec) -> None:
        self.spec = spec

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
            answer [n, C] (the output if the example halted here), score [n] (float64, finite: a NaN would reach no
            knob, so it is reported as a defect), and the next state.
        """

    def ramp(self, exits: ExitOutputs) -> tuple[Tensor, Tensor] | None:
        """What the second exit of layer L answers [n, C] where its score [n] reaches the knob; None without one."""
        return None


class Method(ABC):
    """One early-exit method. The docstring of a subclass is its citation (author and year) and its exact rule.

    A method of the project must have a citation; of a method from elsewhere a missing one is remarked upon.
    """

    #: Lower-case letters and digits joined by single '-', at most 40 characters.
    name: ClassVar[str]
    #: Raise it when a change of the method's file changes its trained models or traces.
    version: ClassVar[int] = 1
    #: The hash of its file, for a method from outside the project: there nobody raises versions.
    content: str = ""
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
    #: What `skip` says of a regression, for a method that cannot do one.
    needs_classes: ClassVar[str | None] = None
    #: A reference curve: replayed wherever the traces that it needs exist, whatever methods were named.
    reference: ClassVar[bool] = False
    #: Stands in for the method that it extends, and whose name it inherits, where a suite says `compat = "released"`.
    released: ClassVar[bool] = False
    #: What a variant may set: the name and the default number, or all allowed words, the default first.
    parameters: ClassVar[dict[str, float | tuple[str, ...]]] = {}
    #: The variants trained unless a suite names others, written "name=value,name=value"; "" is the only one of most.
    variants: ClassVar[tuple[str, ...]] = ("",)

    def skip(self, num_labels: int) -> str | None:
        """The reason why this method cannot do a task with `num_labels` outputs (1: regression), or None."""
        return self.needs_classes if num_labels == 1 else None

    def depth(self, num_layers: int, variant: Variant) -> int:
        """How many layers of the backbone are kept, from the first: L of them unless a method cuts it."""
        return num_layers

    def exit(self, spec: ExitSpec) -> nn.Module | None:
        """A new exit for one layer: a module from the state that it reads, [n, H], to `ExitOutputs` of that layer.

        None is the exit that all methods share, `methods.blocks.PoolerExit`.

        How a layer's states become the one that an exit reads is the backbone's affair, not the method's. A module with
        a true attribute `reads_sequence` gets all states [n, T, H], the one that other exits
        read first, and the attention mask [n, T] instead.
        """
        return None

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """Change the new exits of a model, given by layer, as a whole: let them share parts, or add some."""
        return None

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """Whether a part is trained: "backbone" (layer 0 is the embeddings) or "exit" (1..L)."""
        return True

    @abstractmethod
    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """The training loss of a batch, a scalar, from the outputs of all layers."""

    def held_out(self, variant: Variant) -> float:
        """The share of the training rows that is not trained on but kept for `calibrate`."""
        return 0.0

    def calibrate(self, exits: list[nn.Module], logits: Tensor, labels: Tensor) -> None:
        """Adjust trained exits by what they say about the held-out rows: logits [n, L, C], labels [n]."""
        raise NotImplementedError(f"{self.name} holds rows out and does not say what for")

    @abstractmethod
    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """The rule that decides, for every example, at which layer to answer."""

    @abstractmethod
    def knob(self, spec: RuleSpec) -> Knob:
        """The knob of the rule with the grid of values that the paper sweeps."""


#: Methods by name, in the order of tables and lists.
Methods = dict[str, Method]
