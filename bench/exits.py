"""The exits of all layers computed side by side while training: one matrix product for L of them.

Shape symbols: n examples, L layers, C classes, H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from methods.base import ExitOutputs


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of an exit by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def are_alike(modules: list[nn.Module]) -> bool:
    """Whether exits differ in nothing but the values of their parameters and buffers."""
    kinds = {
        (type(module), *((name, tensor.shape) for name, tensor in tensors_of(module).items())) for module in modules
    }
    return len(kinds) == 1


class SideBySide:
    """Exits that are alike as one: `torch.vmap` of the first over the stacked parameters of all.

    The parameters stay where they are, each in its own exit, and get their gradients there.

    Args:
        modules: the exits of layers 1..L.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self.first = modules[0]
        named = [tensors_of(module) for module in modules]
        self.tensors = {name: [tensors[name] for tensors in named] for name in named[0]}

    def __call__(self, cls: Tensor) -> ExitOutputs:
        """Outputs of all exits, logits [n, L, C], for the [CLS] states [n, L, H]; dropout differs from layer to layer."""
        stacked = {name: torch.stack(tensors) for name, tensors in self.tensors.items()}
        return ExitOutputs(**torch.vmap(self._one, in_dims=(0, 1), out_dims=1, randomness="different")(stacked, cls))

    def _one(self, tensors: dict[str, Tensor], cls: Tensor) -> dict[str, Tensor]:
        said = functional_call(self.first, tensors, (cls,))
        return {name: value for name, value in vars(said).items() if value is not None}
