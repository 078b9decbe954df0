"""Encoders, configurations, tokenizers and tokenised splits, loaded and checked; cells of one worker share them."""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from bench.errors import UserError, one_line
from bench.models.backbones import LAYER_PATHS, Layerwise
from bench.models.tokens import Encoded, encode
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Examples, Source, load_split
from bench.sources.tasks import TASKS


def load_encoder(checkpoint: Checkpoint) -> Layerwise:
    """The encoder of a checkpoint, with float32 weights and scaled-dot-product attention.

    Raises:
        UserError: it cannot be loaded, is no encoder of a known family, or lacks weights.
    """
    config = load_config(checkpoint)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # unused pre-training heads are expected
    transformers_logging.disable_progress_bar()
    try:
        encoder, info = AutoModel.from_pretrained(
            checkpoint.folder(),
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"checkpoint '{checkpoint.path}' cannot be loaded: {one_line(error)}") from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise UserError(f"checkpoint '{checkpoint.path}' lacks weights of its encoder, first '{missing[0]}'")
    return without_pooler(encoder)


def empty_encoder(config: PreTrainedConfig) -> Layerwise:
    """An untrained encoder of a configuration, whose weights are to be loaded over it."""
    return without_pooler(AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32))


def without_pooler(encoder: nn.Module) -> Layerwise:
    """A library encoder as `Layerwise`, without its pooler: every exit brings its own."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return Layerwise(encoder)


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The configuration of a checkpoint, refused unless it is an encoder of a known family."""
    try:
        config = AutoConfig.from_pretrained(checkpoint.config_folder(), trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"checkpoint '{checkpoint.path}' has no usable config: {one_line(error)}") from error
    if config.model_type not in LAYER_PATHS or getattr(config, "is_decoder", False):
        expected = ", ".join(LAYER_PATHS)
        raise UserError(f"checkpoint '{checkpoint.path}' is a '{config.model_type}' model: expected {expected}")
    return config


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    Raises:
        UserError: it is missing, cannot pad, or has more entries than the model has embeddings.
    """
    where = f"checkpoint '{checkpoint.path}'"
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder(), trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where} has no usable tokenizer: {one_line(error)}") from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # the library makes up an empty one where files are missing
        raise UserError(f"{where} has no usable tokenizer: its vocabulary is missing, expected tokenizer.json")
    size = load_config(checkpoint).vocab_size
    if len(tokenizer) > size:
        raise UserError(f"{where}: the tokenizer does not fit, it has {len(tokenizer)} entries and the model {size}")
    if tokenizer.pad_token_id is None:
        raise UserError(f"{where}: the tokenizer has no padding token")
    return tokenizer


def check_length(checkpoint: Checkpoint, max_length: int) -> None:
    """Refuse a suite whose inputs are longer than a checkpoint has positions.

    Raises:
        UserError: naming both lengths.
    """
    config = load_config(checkpoint)
    # RoBERTa's positions start behind the padding index
    positions = config.max_position_embeddings - (config.pad_token_id + 1 if config.model_type == "roberta" else 0)
    if max_length > positions:
        where = f"checkpoint '{checkpoint.path}'"
        raise UserError(f"{where} has positions for {positions} tokens, the suite's max_length is {max_length}")


@lru_cache(maxsize=16)
def encoded(
    source: Source, task: str, split: str, limit: int | None, checkpoint: Checkpoint, max_length: int
) -> tuple[Examples, Encoded]:
    """The examples of a split and their tokens, kept for the next cell of this worker."""
    examples = load_split(source, TASKS[task], split, limit)
    if not len(examples):
        raise UserError(f"{task}/{split} has no rows")
    return examples, encode(tokenizer(checkpoint), examples, max_length)


@lru_cache(maxsize=4)
def tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, kept for the next cell of this worker."""
    return load_tokenizer(checkpoint)


@lru_cache(maxsize=2)
def pretrained(checkpoint: Checkpoint) -> Layerwise:
    """The encoder of a checkpoint to look at, not to train: it is kept for the next cell of this worker."""
    return load_encoder(checkpoint)


def fresh_backbone(checkpoint: Checkpoint) -> Layerwise:
    """A copy of the pre-trained encoder, for one training to change."""
    return copy.deepcopy(pretrained(checkpoint))
