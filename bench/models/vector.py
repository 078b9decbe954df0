"""All trained parameters as one vector: the optimiser and the gradient norm need one call instead of hundreds."""

from __future__ import annotations

import torch
from torch import nn

#: Elements between the beginnings of two parameters are a multiple of this: 64 bytes of float32, a line of the cache.
ALIGNMENT = 16


def as_one_vector(parameters: list[nn.Parameter]) -> nn.Parameter:
    """One long parameter that holds others and, as its gradient, their gradients: what the optimiser steps on.

    Each parameter becomes a view of it and keeps its identity and value. AdamW and the norm of the gradient work
    element by element, so a step on the vector is a step on every parameter; the gaps between them stay zero.

    Args:
        parameters: of one dtype, on one device, each once.

    Returns:
        The vector, with a gradient of zeros. Gradients add up in it until they are set to zero, never to None.
    """
    lengths = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters]
    vector = nn.Parameter(parameters[0].new_zeros(sum(lengths)))
    vector.grad = torch.zeros_like(vector)
    slices = zip(parameters, vector.detach().split(lengths), vector.grad.split(lengths), strict=True)
    for parameter, values, gradient in slices:
        values[: parameter.numel()].copy_(parameter.detach().flatten())
        parameter.data = values[: parameter.numel()].view_as(parameter)
        parameter.grad = gradient[: parameter.numel()].view_as(parameter)
    return vector


def detach_from_vector(parameters: list[nn.Parameter]) -> None:
    """Give each parameter memory of its own again, after training: files of models cannot hold views of a vector."""
    for parameter in parameters:
        parameter.data = parameter.data.clone()
