"""What a model costs: multiply-adds of an example that leaves at a layer, with every exit up to there.

Shape symbols: K knob values, n examples, T tokens, L layers, H width, I width of the feed-forward part, C classes.

Every layer is counted on its own, on a few short inputs, by the library's counter (`torch.utils.flop_counter`), and
written as a polynomial in T: attention is quadratic, all else linear. Layers need not be equal (sliding windows, gated
units, experts); what a window masks is computed, and counted. Embeddings are looked up, which multiplies nothing;
ALBERT and ELECTRA project theirs to H. An exit that reads one state costs the product of the sides of its linear units,
one that reads the sequence is counted like a layer. Biases, norms, activations and softmax are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.models.layer_calls import answering
from methods.base import ExitSpec
from methods.blocks import PoolerExit

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from bench.models.backbones import Layerwise
    from bench.models.model import EarlyExitModel

#: Tokens of the three inputs that everything is counted on.
LENGTHS = (8, 16, 24)


def feed_forward_size(config: PreTrainedConfig) -> int:
    """I, for counting, which families call by different names; 4 H where a config leaves it open, as GPT-2's does."""
    names = ("intermediate_size", "hidden_dim", "n_inner", "ffn_dim")
    return next((size for name in names if (size := getattr(config, name, None))), 4 * config.hidden_size)


def estimated_macs(config: PreTrainedConfig) -> dict[str, int]:
    """About what a layer multiplies, by its config alone: `token` (times T) and `pair` (times T^2); for forecasts.

    Plain attention (query, key, value, output; scores and the mean that they weigh) and two feed-forward products, in
    the form of older records, which `example_macs` reads, too.
    """
    hidden = config.hidden_size
    return {"embedding": 0, "token": 4 * hidden**2 + 2 * hidden * feed_forward_size(config), "pair": 2 * hidden}


def backbone_macs(backbone: Layerwise) -> dict[str, list]:
    """Multiply-adds of a backbone as polynomials in T (before 1, T, T^2): `embedding`, and a list of `layers`."""
    counts = np.array([layer_counts(backbone, tokens) for tokens in LENGTHS])  # [3, 1 + L]
    embedding, *layers = [polynomial(*column) for column in counts.T.tolist()]
    return {"embedding": embedding, "layers": layers}


def layer_counts(backbone: Layerwise, tokens: int) -> list[int]:
    """Multiply-adds of the embeddings and of layers 1..L on one example without padding."""
    ids = torch.full((1, tokens), min(10, backbone.config.vocab_size - 1))
    with counting(backbone) as counter:
        hidden, inputs = backbone.embed({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        totals = [counter.get_total_flops() // 2]
        for layer in range(1, backbone.num_layers + 1):
            hidden = backbone.layer(layer, hidden, inputs)
            totals.append(counter.get_total_flops() // 2)
    return np.diff(totals, prepend=0).tolist()


@contextmanager
def counting(module: nn.Module) -> Iterator[FlopCounterMode]:
    """The library's counter of multiply-adds, on a module as it answers; it does not know the CPU's fused attention."""
    # with gradients on: the counter looks for them where a layer takes a parameter as an argument, as DeBERTa's do
    with (
        answering(module),
        torch.enable_grad(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        yield counter


def polynomial(first: int, second: int, third: int) -> list[int]:
    """Multiply-adds as a polynomial: what stands before 1, T and T^2, from the counts at `LENGTHS`."""
    step = LENGTHS[0]
    square = (third - 2 * second + first) // (2 * step**2)
    slope = (second - first) // step - 3 * step * square
    return [first - slope * step - square * step**2, slope, square]


def exit_macs(module: nn.Module, hidden_size: int, pooling: str = "first") -> list[int]:
    """Multiply-adds of an exit for one example of T tokens: what stands before 1, T and T^2."""
    if not getattr(module, "reads_sequence", False):
        linear = (part for part in module.modules() if isinstance(part, nn.Linear))
        return [sum(part.in_features * part.out_features for part in linear), 0, 0]
    more = 0 if pooling == "first" else 1  # the pooled state stands before the others
    return polynomial(*(sequence_macs(module, hidden_size, tokens + more) for tokens in LENGTHS))


def sequence_macs(module: nn.Module, hidden_size: int, tokens: int) -> int:
    """Multiply-adds of an exit that reads all states of one example, by the library's counter."""
    hidden = next(module.parameters()).new_zeros(1, tokens, hidden_size)
    with counting(module) as counter:
        module(hidden, torch.ones(1, tokens, dtype=torch.int64, device=hidden.device))
    return counter.get_total_flops() // 2


def model_macs(model: EarlyExitModel, own: dict, panel: dict, panel_width: int) -> dict:
    """The counts that `example_macs` and `mac_fraction` compute with, for a model and its panel's static one.

    Args:
        model: the model of the cell.
        own: what `backbone_macs` says of its backbone, which may have been cut since.
        panel: the same of the panel's backbone, whose H is `panel_width`.
        panel_width: see `panel`.
    """
    backbone, layers = model.backbone, range(1, model.num_layers + 1)
    head = PoolerExit(ExitSpec(panel_width, model.num_labels, 0.0, 0.02, 1, 1))
    exits = [model.exits[str(layer)] if str(layer) in model.exits else None for layer in layers]
    return {
        "embedding": own["embedding"],
        "layers": own["layers"][: model.num_layers],
        "exits": [exit_macs(some, backbone.hidden_size, backbone.pooling) if some else [0, 0, 0] for some in exits],
        "panel": {**panel, "head": exit_macs(head, panel_width)},
    }


def example_macs(macs: dict, layers: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Multiply-adds of examples that leave at `layers` [.., n], with every exit up to there: float64 [.., n].

    Args:
        macs: of `model_macs`.
        layers: 1..L.
        lengths: [n] tokens of each example, without padding.
    """
    tokens = lengths.astype(np.float64)
    # older records say it once, where all layers are equal
    layer = [[0, macs["token"], macs["pair"]]] * len(macs["exits"]) if "token" in macs else macs["layers"]
    each = np.add(layer, macs["exits"])  # [L, 3], what stands before 1, T and T^2
    embedding = macs["embedding"] if isinstance(macs["embedding"], list) else [0, macs["embedding"], 0]
    upto = np.cumsum([embedding, *each.tolist()], axis=0, dtype=np.float64)[layers.astype(np.int64)]  # [.., n, 3]
    return upto[..., 0] + upto[..., 1] * tokens + upto[..., 2] * tokens**2


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
    depth = panel["layers"] if "token" in panel else len(panel["layers"])
    static = {**panel, "exits": [[0, 0, 0]] * (depth - 1) + [panel["head"]]}
    return example_macs(static, np.full(len(lengths), depth), lengths)
