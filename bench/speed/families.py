"""What the view that knows no family costs beside the library's own forward, and what live exit saves through it.

Random weights, so nothing is downloaded. The overhead is measured at the size of real base models on short texts, where
it weighs most; live exit at a third of that, on a model with a final norm and on a decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from transformers import GPT2Config, ModernBertConfig, MPNetConfig, PreTrainedConfig

from bench.models.backbones import Batch, Layerwise
from bench.models.layer_calls import inputs_of
from bench.models.loading import empty_encoder
from bench.models.model import build_model
from bench.speed.leaving import saved_time
from bench.speed.table import Row, Settings
from bench.timing import in_turn, ratio
from methods.deebert import DeeBert

BATCH, TOKENS, LIVE_TOKENS, BATCHES = 32, 16, 48, 3
BASE: dict[str, PreTrainedConfig] = {"MPNet-base": MPNetConfig(), "ModernBERT-base": ModernBertConfig()}
SMALL: dict[str, PreTrainedConfig] = {
    "ModernBERT, 12 layers of 384": ModernBertConfig(
        hidden_size=384, intermediate_size=576, num_hidden_layers=12, num_attention_heads=6
    ),
    "GPT-2, 12 layers of 384": GPT2Config(n_embd=384, n_layer=12, n_head=6),
}


def measure(settings: Settings) -> Iterator[Row]:
    """The overhead at full depth on two base-sized models, then live exit on a pre-norm encoder and on a decoder."""
    for name, config in BASE.items():
        backbone, items = empty_encoder(config).eval(), random_batches(config, TOKENS)
        runs = in_turn(partial(library, backbone), partial(ours, backbone), items=items)
        where = f"{name}'s size, batch {BATCH} of {TOKENS} tokens, CPU"
        yield Row(f"layer by layer / the library's own forward, {where}", ratio(runs, 1, 0), "times", "<= 1.05")
    for name, config in SMALL.items():
        model = build_model(DeeBert(), empty_encoder(config), 2, ("speed",)).eval()
        batches = [batch for (batch,) in random_batches(config, LIVE_TOKENS)]
        yield from saved_time(f"batch {BATCH}, {name}, CPU", model, batches, "<= 0.10")


def random_batches(config: PreTrainedConfig, tokens: int) -> list[tuple[Batch]]:
    """For models of any family: batches of random words, a few of every batch's rows padded."""
    found = []
    for seed in range(BATCHES):
        draw = torch.Generator().manual_seed(seed)
        ids = torch.randint(1000, 30000, (BATCH, tokens), generator=draw)
        lengths = torch.randint(tokens - 4, tokens + 1, (BATCH, 1), generator=draw)
        found.append(({"input_ids": ids, "attention_mask": (torch.arange(tokens) < lengths).long()},))
    return found


@torch.inference_mode()
def library(backbone: Layerwise, batch: Batch) -> torch.Tensor:
    """The last hidden states of a model of any family by the library's own forward."""
    return backbone.encoder(**inputs_of(backbone.encoder, batch)).last_hidden_state


@torch.inference_mode()
def ours(backbone: Layerwise, batch: Batch) -> torch.Tensor:
    """The last hidden states of a model of any family, layer by layer."""
    *_, hidden = backbone.sequences(batch)
    return backbone.norm(hidden)
