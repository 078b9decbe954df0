"""Encoders, configurations, tokenizers and tokenised splits, loaded and checked; cells of one worker share them."""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from bench.errors import UserError, reason
from bench.models.backbones import LAYER_PATHS, Layerwise
from bench.models.token_check import check_tokens, separators
from bench.models.tokens import Encoded, encode
from bench.models.weight_check import check_config, check_weights
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Examples, Source, load_split
from bench.sources.tasks import TASKS


def load_encoder(checkpoint: Checkpoint) -> Layerwise:
    """The encoder of a checkpoint, with float32 weights and scaled-dot-product attention.

    Raises:
        UserError: it cannot be loaded, is no encoder of a known family, or lacks weights.
    """
    config, where = load_config(checkpoint), f"checkpoint '{checkpoint.path}'"
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
            ignore_mismatched_sizes=True,  # else the library says that they do not fit, and not which
        )
    except UserError:
        raise
    except Exception as error:  # the library lets through whatever an odd config makes its layers raise
        raise UserError(f"{where} cannot be loaded: {reason(error)}") from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    check_weights(where, info)
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
    where = f"checkpoint '{checkpoint.path}'"
    try:
        config = AutoConfig.from_pretrained(checkpoint.config_folder(), trust_remote_code=False)
    except UserError:
        raise
    except Exception as error:  # see `load_encoder`
        raise UserError(f"{where} has no usable config: {reason(error)}") from error
    if config.model_type not in LAYER_PATHS:
        raise UserError(f"{where} is a '{config.model_type}' model: expected {', '.join(LAYER_PATHS)}")
    if getattr(config, "is_decoder", False):
        raise UserError(f"{where} is a decoder (is_decoder in config.json): expected an encoder")
    check_config(where, config)
    return config


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    Raises:
        UserError: it is missing, or its tokens are not what the checkpoint expects (`bench.models.token_check`).
    """
    where = f"checkpoint '{checkpoint.path}'"
    config, folder = load_config(checkpoint), checkpoint.folder()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # see `load_encoder`
        raise UserError(f"{where} has no usable tokenizer: {reason(error)}") from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # the library makes up an empty one where files are missing
        raise UserError(f"{where} has no usable tokenizer: its vocabulary is missing, expected tokenizer.json")
    try:
        check_tokens(tokenizer, config, folder)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return tokenizer


def check_length(checkpoint: Checkpoint, max_length: int) -> None:
    """Refuse a suite whose inputs are longer than a checkpoint has positions, or too short for any text.

    Raises:
        UserError: naming both lengths.
    """
    where, config = f"checkpoint '{checkpoint.path}'", load_config(checkpoint)
    # RoBERTa's positions start behind the padding index
    positions = config.max_position_embeddings - (config.pad_token_id + 1 if config.model_type == "roberta" else 0)
    if max_length > positions:
        raise UserError(f"{where} has positions for {positions} tokens, the suite's max_length is {max_length}")
    taken = separators(tokenizer(checkpoint))
    if max_length < taken + 2:
        room = f"a pair has {taken} tokens besides its texts"
        raise UserError(f"{where}: {room}, the suite's max_length {max_length} leaves no room for both")


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
