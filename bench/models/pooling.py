"""Which state of a layer an exit reads: that of the first token, the mean over tokens, or the last; and standardised.

Shape symbols: n examples, T tokens (padded), H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
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


class Standardise(nn.Module):
    """States with a mean and a scale of each feature taken off, fixed once by `bench.models.exit_norm.fit_norms`.

    Both are buffers: no training changes them, and they are saved with the model. NaN as long as they are not fixed.

    Args:
        width: H, the number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((width,), torch.nan))
        self.register_buffer("std", torch.full((width,), torch.nan))

    @property
    def is_fixed(self) -> bool:
        """Whether the mean and the scale are known."""
        return not bool(self.mean.isnan().any())

    def forward(self, states: Tensor) -> Tensor:
        """States [.., H] standardised, in float32 whatever the precision of matrix products."""
        return (states.float() - self.mean) / self.std
