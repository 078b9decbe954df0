"""A backbone with exits: the model that every method trains and every trace comes from.

Shape symbols: n examples, L layers, C classes, H hidden size.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from bench.models.backbones import Batch, Layerwise
from bench.models.pooling import Standardise
from methods.base import ExitOutputs, ExitSpec, Method
from methods.blocks import exit_of


class EarlyExitModel(nn.Module):
    """A backbone with an exit on every layer, or on layer L alone where the method has no others.

    Args:
        backbone: its states are what exits read.
        exits: by layer.
        num_labels: C.
        exit_norm: "standardise" or empty, of the suite; see `bench.models.exit_norm`.
    """

    def __init__(self, backbone: Layerwise, exits: dict[int, nn.Module], num_labels: int, exit_norm: str = "") -> None:
        super().__init__()
        self.backbone = backbone
        self.exits = nn.ModuleDict({str(layer): module for layer, module in exits.items()})
        norms = {name: Standardise(backbone.hidden_size) for name in self.exits} if exit_norm else {}
        self.norms = nn.ModuleDict(norms)
        self.num_labels = num_labels

    @property
    def num_layers(self) -> int:
        """L, the number of layers."""
        return self.backbone.num_layers

    @property
    def reads_sequence(self) -> bool:
        """Whether some exit reads the states of all tokens, not the pooled one alone."""
        return any(getattr(module, "reads_sequence", False) for module in self.exits.values())

    def exit(self, layer: int, hidden: Tensor, attention: Tensor | None = None) -> ExitOutputs:
        """Outputs of the exit of one layer; NaN logits where there is no exit.

        Args:
            layer: 1..L.
            hidden: [n, T, H] states of that layer.
            attention: [n, T], 1 at tokens and 0 at padding; not needed where the first token alone is read.
        """
        module = self.exits[str(layer)] if str(layer) in self.exits else None
        if getattr(module, "reads_sequence", False):
            states, attention = self.backbone.read_all(hidden, attention)
            return module(self.normed(layer, states), attention)
        return self.said(layer, self.backbone.read(hidden, attention))

    def said(self, layer: int, state: Tensor) -> ExitOutputs:
        """Outputs of the exit of one layer for the states [n, H] that it reads; NaN logits where there is no exit."""
        if str(layer) not in self.exits:
            return ExitOutputs(state.new_full((len(state), self.num_labels), torch.nan))
        return self.exits[str(layer)](self.normed(layer, state))

    def normed(self, layer: int, states: Tensor) -> Tensor:
        """The states [.., H] of a layer as its exit gets them: standardised where the suite says so."""
        return self.norms[str(layer)](states) if self.norms else states

    def read(self, states: Tensor) -> ExitOutputs:
        """Outputs of all exits, logits [n, L, C], for what is read of all layers, [n, L, H]."""
        layers = range(1, self.num_layers + 1)
        return stack_layers([self.said(layer, states[:, layer - 1]) for layer in layers], states)

    def forward(self, batch: Batch) -> ExitOutputs:
        """Outputs of all exits for a batch, logits [n, L, C]; nobody halts early."""
        if not self.reads_sequence:
            return self.read(self.backbone(batch))
        outputs, states, attention = [], [], batch["attention_mask"]
        for layer, hidden in enumerate(self.backbone.sequences(batch), start=1):
            outputs.append(self.exit(layer, hidden, attention))
            states.append(self.backbone.read(hidden, attention))
        return stack_layers(outputs, torch.stack(states, dim=1))


def stack_layers(outputs: list[ExitOutputs], states: Tensor) -> ExitOutputs:
    """The outputs of layers 1..L stacked, with the pooled states [n, L, H] that they were computed from."""
    logits = torch.stack([output.logits for output in outputs], dim=1)
    last = outputs[-1]
    halting = None if last.halting is None else torch.stack([output.halting for output in outputs], dim=1)
    return ExitOutputs(logits, halting, states, last.ramp)


def build_model(
    method: Method,
    backbone: Layerwise,
    num_labels: int,
    seed_parts: tuple,
    start: dict[str, Tensor] | None = None,
    variant: dict[str, float | str] | None = None,
    exit_norm: str = "",
) -> EarlyExitModel:
    """A model ready for training: exits made, starting weights loaded, and frozen what the method does not train.

    The initial weights of an exit depend on `seed_parts` (backbone, task, seed) and its layer, never on the method.

    Args:
        method: decides how deep the model is, which layers have exits, what an exit is, and what is trained.
        backbone: the pre-trained encoder; it becomes part of the model, cut to the method's depth.
        num_labels: C.
        seed_parts: what the initialisation depends on besides the layer.
        start: the state of a trained stage-1 model: its backbone, and its head for layer L.
        variant: what is trained, for methods whose depth depends on it.
        exit_norm: of the suite; `bench.models.exit_norm.fit_norms` must be called before the model is used.
    """
    backbone.cut(method.depth(backbone.num_layers, variant or {}))
    model = with_exits(method, backbone, num_labels, seed_parts, exit_norm)
    if start is not None:
        load_stage1(model, start)
    for layer, parameter in backbone.parts():
        parameter.requires_grad_(method.trains("backbone", layer, model.num_layers))
    for layer, module in model.exits.items():
        module.requires_grad_(method.trains("exit", int(layer), model.num_layers))
    return model


def with_exits(
    method: Method, backbone: Layerwise, num_labels: int, seed_parts: tuple, exit_norm: str = ""
) -> EarlyExitModel:
    """An untrained model: a backbone of the method's depth with the method's exits on it; see `build_model`."""
    num_layers = backbone.num_layers
    std = getattr(backbone.config, "initializer_range", 0.02)
    exits = {}
    for layer in range(1 if method.every_layer else num_layers, num_layers + 1):
        with torch.random.fork_rng(devices=[]):  # an exit's weights must not depend on what was drawn before
            torch.manual_seed(derive_seed("exit", *seed_parts, layer))
            spec = ExitSpec(backbone.hidden_size, num_labels, backbone.dropout, std, layer, num_layers)
            exits[layer] = exit_of(method, spec)
    method.connect(exits)
    return EarlyExitModel(backbone, exits, num_labels, exit_norm)


def load_stage1(model: EarlyExitModel, start: dict[str, Tensor]) -> None:
    """Start a model from stage 1: give it the trained weights, the whole backbone and the head for layer L.

    A model that was cut takes the layers that it has kept, and starts with a head of its own.

    Raises:
        ValueError: the model has no place for a weight, or a weight of the backbone is missing.
    """
    own = model.state_dict()
    # a model that was cut has another layer L, and no head of stage 1 fits it
    if not any(name.startswith(f"exits.{model.num_layers}.") for name in start):
        start = {name: tensor for name, tensor in start.items() if name in own and name.startswith("backbone.")}
    missing, unexpected = model.load_state_dict(start, strict=False)
    lost = [*unexpected, *(name for name in missing if name.startswith("backbone."))]
    if lost:
        raise ValueError(f"the model to start from does not fit: first '{lost[0]}'")


def autocast(device: str, precision: str) -> AbstractContextManager:
    """Mixed precision for matrix products, or nothing for float32."""
    return nullcontext() if precision == "float32" else torch.autocast(device, getattr(torch, precision))


def derive_seed(*parts: object) -> int:
    """A seed (63 bits) for a generator of a model or its training from what may matter; the same on every machine."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf8")).digest()[:8], "big") >> 1
