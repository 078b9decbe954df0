"""What a model costs: multiply-adds of an example that leaves at a layer, and an estimate of training's memory.

Shape symbols: K knob values, n examples, T tokens, L layers, H width, I width of the feed-forward part, C classes.

Per layer and example: 4 T H^2 for query, key, value and output, 2 T H I for the feed-forward part, 2 T^2 H for the
scores of attention and the mean of the values that they weigh. Embeddings are looked up, which multiplies nothing;
ALBERT and ELECTRA project theirs to H. An exit that reads one [CLS] state costs the product of the sides of its linear
units; what one that reads the sequence costs at T tokens is counted on a few short ones, as a polynomial in T. Biases,
norms, activations and softmax are left out, as `torch.utils.flop_counter` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from methods.base import ExitSpec
from methods.blocks import PoolerExit

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from bench.models.backbones import Layerwise
    from bench.models.model import EarlyExitModel


def feed_forward_size(config: PreTrainedConfig) -> int:
    """I, the width of a layer's feed-forward part; DistilBERT calls it by another name."""
    return getattr(config, "intermediate_size", None) or config.hidden_dim


def backbone_macs(config: PreTrainedConfig) -> dict[str, int]:
    """Multiply-adds of a backbone: `embedding` per token, then per layer `token` (times T) and `pair` (times T^2)."""
    hidden, embedded = config.hidden_size, getattr(config, "embedding_size", config.hidden_size)
    projected = config.model_type == "albert" or embedded != hidden
    return {
        "embedding": embedded * hidden if projected else 0,
        "token": 4 * hidden**2 + 2 * hidden * feed_forward_size(config),
        "pair": 2 * hidden,
    }


def exit_macs(module: nn.Module, hidden_size: int) -> list[int]:
    """Multiply-adds of an exit for one example of T tokens, as the coefficients of 1, T and T^2."""
    if not getattr(module, "reads_sequence", False):
        linear = (part for part in module.modules() if isinstance(part, nn.Linear))
        return [sum(part.in_features * part.out_features for part in linear), 0, 0]
    # a polynomial of degree 2 is known from its values at 1, 2 and 3 tokens
    one, two, three = (sequence_macs(module, hidden_size, tokens) for tokens in (1, 2, 3))
    square = (three - 2 * two + one) // 2
    slope = two - one - 3 * square
    return [one - slope - square, slope, square]


def sequence_macs(module: nn.Module, hidden_size: int, tokens: int) -> int:
    """Multiply-adds of an exit that reads all states of one example, by the library's counter."""
    hidden = next(module.parameters()).new_zeros(1, tokens, hidden_size)
    attention = torch.ones(1, tokens, dtype=torch.int64, device=hidden.device)
    # the counter does not know the CPU's fused attention
    with sdpa_kernel(SDPBackend.MATH), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(hidden, attention)
    return counter.get_total_flops() // 2


def model_macs(model: EarlyExitModel, panel: PreTrainedConfig) -> dict:
    """The counts that `example_macs` and `mac_fraction` compute with, for a model and its panel's static one.

    Args:
        model: the model of the cell.
        panel: the configuration of the panel's backbone.
    """
    width, layers = model.backbone.hidden_size, [str(layer) for layer in range(1, model.num_layers + 1)]
    head = PoolerExit(ExitSpec(panel.hidden_size, model.num_labels, 0.0, 0.02, 1, 1))
    return {
        **backbone_macs(model.backbone.config),
        "exits": [exit_macs(model.exits[layer], width) if layer in model.exits else [0, 0, 0] for layer in layers],
        "panel": {
            **backbone_macs(panel),
            "layers": panel.num_hidden_layers,
            "head": exit_macs(head, panel.hidden_size),
        },
    }


def example_macs(macs: dict, layers: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Multiply-adds of examples that leave at `layers` [.., n], with every exit up to there: float64 [.., n].

    Args:
        macs: of `model_macs`.
        layers: 1..L.
        lengths: [n] tokens of each example, without padding.
    """
    tokens = lengths.astype(np.float64)
    exits = np.cumsum([[0, 0, 0], *macs["exits"]], axis=0, dtype=np.float64)[layers.astype(np.int64)]  # [.., n, 3]
    heads = exits[..., 0] + exits[..., 1] * tokens + exits[..., 2] * tokens**2
    return macs["embedding"] * tokens + layers * (macs["token"] * tokens + macs["pair"] * tokens**2) + heads


def mac_fraction(macs: dict, layers: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Multiply-adds used, over those of the panel's static model at full depth on the same examples: [K].

    Both are sums over the examples, each at its own number of tokens without padding, so the fraction does not
    depend on how examples are batched.

    Args:
        macs: of `model_macs`.
        layers: [K, n], the layer at which each example leaves.
        lengths: [n] tokens.
    """
    return example_macs(macs, layers, lengths).sum(axis=1) / static_macs(macs, lengths).sum()


def static_macs(macs: dict, lengths: np.ndarray) -> np.ndarray:
    """Multiply-adds of examples of `lengths` [n] by the panel's static model at full depth: [n]."""
    panel = macs["panel"]
    static = {**panel, "exits": [[0, 0, 0]] * (panel["layers"] - 1) + [panel["head"]]}
    return example_macs(static, np.full(len(lengths), panel["layers"]), lengths)


def training_bytes(backbone: Layerwise, is_trained: bool, rows: int, length: int, precision: str) -> int:
    """An estimate of the bytes that training a model takes, for the error when they were not there.

    Weights in float32; if trained, gradients and AdamW's two moments beside them and, for every token and layer,
    8 H + 2 I activations that the backward pass needs (of a frozen backbone: those of one layer).

    Args:
        backbone: the encoder.
        is_trained: whether its weights are.
        rows: examples computed at once.
        length: T.
        precision: of the activations.
    """
    config = backbone.config
    weights = sum(parameter.numel() for parameter in backbone.parameters()) * 4
    width = torch.finfo(getattr(torch, precision)).bits // 8
    layer = rows * length * (8 * config.hidden_size + 2 * feed_forward_size(config)) * width
    return 4 * weights + backbone.num_layers * layer if is_trained else weights + layer
