"""Which state of a layer an exit reads: that of the first token, the mean over tokens, or that of the last token.

Shape symbols: n examples, T tokens (padded), H hidden size.
"""

from __future__ import annotations

from torch import Tensor
from transformers import PreTrainedConfig

from bench.errors import UserError, check_choice

#: What `classifier_pooling` in a config says, where a family's own classification head can read in several ways.
IN_CONFIG = {"cls": "first", "bos": "first", "mean": "mean", "late": "mean"}


def first_token(hidden: Tensor, attention: Tensor | None = None) -> Tensor:
    """The state of the first position of each example, [n, H]: [CLS], where the tokenizer puts one there."""
    return hidden[:, 0]


def mean_over_tokens(hidden: Tensor, attention: Tensor) -> Tensor:
    """The mean state of each example, [n, H]: special tokens count, as in sentence models; padding does not."""
    is_token = attention.bool()[..., None]  # [n, T, 1]
    return hidden.masked_fill(~is_token, 0).sum(dim=1) / is_token.sum(dim=1)


def last_token(hidden: Tensor, attention: Tensor) -> Tensor:
    """The state of the last token of each example, [n, H], on whichever side the padding is."""
    last = attention.shape[1] - 1 - attention.flip(1).argmax(dim=1)  # [n]
    return hidden.take_along_dim(last[:, None, None], dim=1)[:, 0]


POOLINGS = {"first": first_token, "mean": mean_over_tokens, "last": last_token}


def default_pooling(config: PreTrainedConfig, is_causal: bool) -> str:
    """How the library's own classification head of a family reads: the last token where no other sees all of them."""
    said = getattr(config, "classifier_pooling", None)
    return "last" if is_causal else IN_CONFIG.get(said, "first")


def check_pooling(pooling: str, config: PreTrainedConfig, is_causal: bool) -> None:
    """Refuse a pooling that is unknown, or makes no sense.

    Raises:
        UserError: the first token of a causal model, which sees nothing but itself.
    """
    check_choice("pooling", pooling, POOLINGS)
    if pooling == "first" and is_causal:
        what = f"the first token of a causal '{config.model_type}' model sees no other"
        raise UserError(f"pooling 'first': {what}, expected last or mean")
