"""A random model and random rows, so small that a method can be tried on them within milliseconds."""

from __future__ import annotations

import numpy as np
import torch

from bench.models.backbones import Layerwise
from bench.models.exit_norm import fit_norms
from bench.models.model import EarlyExitModel, build_model
from bench.models.tokens import Encoded
from bench.plan.methods import full_variant
from methods import discover
from methods.base import Method

LAYERS, HIDDEN, WORDS, ROWS = 4, 16, 20, 24


def tiny_model(method: Method, num_labels: int, exit_norm: str = "") -> EarlyExitModel:
    """A random BERT of 4 layers with a method's exits; without dropout, and so initialised that its layers disagree."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        max_position_embeddings=16,
        initializer_range=0.5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = Layerwise(BertModel(config, add_pooling_layer=False))
    variant = full_variant(method, method.variants[0])
    model = build_model(method, backbone, num_labels, ("conformance",), variant=variant, exit_norm=exit_norm)
    fit_norms(model, tiny_data(num_labels), "cpu", "float32", ROWS)
    return model


def tiny_teacher(method: Method, num_labels: int) -> EarlyExitModel | None:
    """The untrained model that a method with a teacher learns from; None for the others."""
    return tiny_model(discover()[method.starts_from], num_labels).eval() if method.has_teacher else None


def tiny_data(num_labels: int) -> Encoded:
    """Rows of random words, 3 to 12 tokens long, with random labels."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 13, ROWS)
    labels = rng.normal(size=ROWS).astype(np.float32) if num_labels == 1 else rng.integers(0, num_labels, ROWS)
    return Encoded(
        {"input_ids": rng.integers(1, WORDS, lengths.sum(), dtype=np.int32)}, labels, lengths, {"input_ids": 0}
    )
