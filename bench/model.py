"""A backbone with exits: the model that every method trains and every trace comes from.

Shape symbols: n examples, L layers, C classes, H hidden size.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from bench.backbones import Batch, Layerwise
from methods.base import ExitOutputs, Method


class EarlyExitModel(nn.Module):
    """A layerwise backbone and one exit per layer (layer L only where the method has no others)."""

    def __init__(self, backbone: Layerwise, exits: dict[int, nn.Module], num_labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.exits = nn.ModuleDict({str(layer): module for layer, module in exits.items()})
        self.num_labels = num_labels

    @property
    def num_layers(self) -> int:
        """L."""
        return self.backbone.num_layers

    def exit(self, layer: int, cls: Tensor) -> ExitOutputs:
        """Outputs of the exit of one layer (1..L) for [CLS] states [n, H]; NaN logits where there is no exit."""
        if str(layer) in self.exits:
            return self.exits[str(layer)](cls)
        return ExitOutputs(cls.new_full((len(cls), self.num_labels), torch.nan))

    def read(self, cls: Tensor) -> ExitOutputs:
        """Outputs of all exits, logits [n, L, C], for the [CLS] states [n, L, H] of all layers."""
        outputs = [self.exit(layer, cls[:, layer - 1]) for layer in range(1, self.num_layers + 1)]
        logits = torch.stack([output.logits for output in outputs], dim=1)
        halting = None
        if outputs[-1].halting is not None:
            halting = torch.stack([output.halting for output in outputs], dim=1)
        return ExitOutputs(logits, halting, outputs[-1].ramp)

    def forward(self, batch: Batch) -> ExitOutputs:
        """Outputs of all exits for a batch, computed to full depth."""
        return self.read(self.backbone(batch))


def build_model(
    method: Method, backbone: Layerwise, num_labels: int, seed_parts: tuple, start: dict[str, Tensor] | None = None
) -> EarlyExitModel:
    """A model ready to be trained by a method.

    The initial weights of an exit depend on `seed_parts` (backbone, task, seed) and its layer, never on the method.

    Args:
        method: decides which layers have exits, what an exit is, and what is trained.
        backbone: the pre-trained encoder; it becomes part of the model.
        num_labels: C.
        seed_parts: what the initialisation depends on besides the layer.
        start: the state of a trained stage-1 model: its backbone, and its head for layer L.
    """
    num_layers = backbone.num_layers
    std = getattr(backbone.config, "initializer_range", 0.02)
    exits = {}
    for layer in range(1 if method.every_layer else num_layers, num_layers + 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("exit", *seed_parts, layer))
            exits[layer] = method.exit(backbone.hidden_size, num_labels, backbone.dropout, std)
    method.connect(exits)
    model = EarlyExitModel(backbone, exits, num_labels)
    if start is not None:
        load_start(model, start)
    for layer, parameter in backbone.parts():
        parameter.requires_grad_(method.trains("backbone", layer, num_layers))
    for layer, module in exits.items():
        module.requires_grad_(method.trains("exit", layer, num_layers))
    return model


def load_start(model: EarlyExitModel, start: dict[str, Tensor]) -> None:
    """Load a stage-1 model: all of its weights must find their place, and the whole backbone must be among them.

    Raises:
        ValueError: a weight that fits nowhere, or a part of the backbone that is missing.
    """
    missing, unexpected = model.load_state_dict(start, strict=False)
    lost = [*unexpected, *(name for name in missing if name.startswith("backbone."))]
    if lost:
        raise ValueError(f"the model to start from does not fit: first '{lost[0]}'")


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from what it may depend on; equal parts give equal seeds on every machine."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf8")).digest()[:8], "big") >> 1
