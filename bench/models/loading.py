"""Encoders, configurations, tokenizers and tokenised splits, loaded and checked; cells of one worker share them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from bench.errors import UserError, reason
from bench.models.backbones import Layerwise
from bench.models.costs import backbone_macs
from bench.models.token_check import check_tokens, mend_padding, separators
from bench.models.tokens import Encoded, encode
from bench.models.weight_check import check_config, check_weights
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Examples, Source, load_split
from bench.sources.tasks import Task


def load_encoder(checkpoint: Checkpoint) -> Layerwise:
    """The encoder, or decoder, of a checkpoint, with float32 weights and the library's own choice of attention.

    Raises:
        UserError: it cannot be loaded, lacks weights, or its layers cannot be run one by one.
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
    try:
        return without_pooler(encoder)
    except UserError as error:
        raise UserError(f"{where} is {error}") from error


def empty_encoder(config: PreTrainedConfig, pooling: str | None = None) -> Layerwise:
    """An untrained encoder of a configuration, whose weights are to be loaded over it."""
    return without_pooler(AutoModel.from_config(config, dtype=torch.float32), pooling)


def without_pooler(encoder: nn.Module, pooling: str | None = None) -> Layerwise:
    """A library encoder as `Layerwise`, without its pooler: every exit brings its own."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = nn.Identity()  # some families call it in any case
    return Layerwise(encoder, pooling)


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The configuration of a checkpoint.

    Raises:
        UserError: it cannot be read, or asks for what the library does not do.
    """
    where = f"checkpoint '{checkpoint.path}'"
    try:
        config = AutoConfig.from_pretrained(checkpoint.config_folder(), trust_remote_code=False)
    except UserError:
        raise
    except Exception as error:  # see `load_encoder`
        raise UserError(f"{where} has no usable config: {reason(error)}") from error
    check_config(where, config)
    return config


def load_tokenizer(checkpoint: Checkpoint, pooling: str = "first") -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint whose exits read, unless told otherwise, by a pooling.

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
        mend_padding(tokenizer)
        check_tokens(tokenizer, config, folder, pooling)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return tokenizer


@lru_cache(maxsize=16)
def encoded(
    source: Source, task: Task, split: str, limit: int | None, checkpoint: Checkpoint, max_length: int
) -> tuple[Examples, Encoded]:
    """A split, loaded and tokenised once per worker: its examples and their tokens, kept for the next cell."""
    examples = load_split(source, task, split, limit)
    if not len(examples):
        raise UserError(f"{task.id}/{split} has no rows")
    return examples, encode(tokenizer(checkpoint), examples, max_length)


@lru_cache(maxsize=4)
def tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, kept for the next cell of this worker."""
    return load_tokenizer(checkpoint, pretrained(checkpoint).pooling)


@lru_cache(maxsize=2)
def pretrained(checkpoint: Checkpoint) -> Layerwise:
    """The encoder of a checkpoint to look at, not to train: it is kept for the next cell of this worker."""
    return load_encoder(checkpoint)


def fresh_backbone(checkpoint: Checkpoint, pooling: str | None = None) -> Layerwise:
    """A copy of the pre-trained encoder, for one training to change; `pooling` as for `Layerwise`."""
    backbone = copy.deepcopy(pretrained(checkpoint))
    if pooling:
        backbone.read_by(pooling)
    return backbone


@lru_cache(maxsize=16)
def pretrained_macs(checkpoint: Checkpoint) -> tuple[dict[str, list], int]:
    """What `backbone_macs` says of a checkpoint, and its H: loaded once per worker, for all of its cells."""
    backbone = pretrained(checkpoint)
    return backbone_macs(backbone), backbone.hidden_size


def check_length(checkpoint: Checkpoint, backbone: Layerwise, max_length: int) -> None:
    """Refuse a suite whose inputs are longer than a checkpoint has positions, or too short for any text.

    Raises:
        UserError: naming both lengths.
    """
    where, positions = f"checkpoint '{checkpoint.path}'", backbone.positions
    if positions is not None and max_length > positions:
        raise UserError(f"{where} has positions for {positions} tokens, the suite's max_length is {max_length}")
    taken = separators(tokenizer(checkpoint))
    if max_length < taken + 2:
        raise UserError(
            f"{where}: a pair has {taken} tokens besides its texts, the suite's max_length {max_length} leaves no room "
            "for both"
        )


def check_checkpoints(checkpoints: Iterable[tuple[Checkpoint, str | None]], max_length: int) -> None:
    """Refuse checkpoints whose weights or tokens are not what they say, or that do not fit a suite's inputs.

    Args:
        checkpoints: each with what a suite, or a sentence model, says about its pooling.
        max_length: of the suite.
    """
    for checkpoint, pooling in checkpoints:
        backbone = load_encoder(checkpoint)
        load_tokenizer(checkpoint, backbone.pooling)
        check_length(checkpoint, backbone, max_length)
        print_pooling(checkpoint, backbone, pooling)


def print_pooling(checkpoint: Checkpoint, backbone: Layerwise, pooling: str | None) -> None:
    """After loading a checkpoint: a line on what exits read, where suite, sentence model and the family's head differ.

    Raises:
        UserError: a pooling that makes no sense.
    """
    said, head = checkpoint.said_pooling(), backbone.pooling
    if pooling:
        backbone.read_by(pooling)
    if (said or head) != head or backbone.pooling != head:
        where = f"exits on '{checkpoint.path}' read '{backbone.pooling}'"
        ways = f"its sentence model '{said}'" if said else "it says nothing itself"
        print(f"{where}: {ways}, the library's head for '{backbone.config.model_type}' reads '{head}'")
