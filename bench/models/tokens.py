"""Batches of token ids from texts: tokenised once, grouped by length, padded to the longest of each batch.

Shape symbols: n examples, T tokens of the longest example of a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from bench.models.layer_calls import Batch
from bench.sources.examples import Examples

#: An epoch is cut into at least this many groups that are sorted by length, of at most so many batches each: enough
#: for little padding, few enough to stay random (the library's LengthGroupedSampler takes the same two).
GROUPS, BATCHES_PER_GROUP = 4, 50
#: Texts per call of the tokenizer, which holds more than a kilobyte of each until the call ends.
AT_ONCE = 8192


@dataclass(frozen=True)
class Encoded:
    """A tokenised split without padding, all rows in one array: lists would take ten times the memory on MNLI.

    Attributes:
        columns: input_ids, and token_type_ids where the family has them: int32, all rows one after the other.
        labels: [n].
        lengths: [n] tokens.
        padding: what each column is padded with.
    """

    columns: dict[str, np.ndarray]
    labels: np.ndarray
    lengths: np.ndarray
    padding: dict[str, int]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each row begins in the columns, int64 [n]."""
        return np.cumsum(self.lengths) - self.lengths

    def batch(self, rows: np.ndarray, device: str = "cpu", length: int | None = None) -> Batch:
        """Rows as tensors [n, T] (input_ids, attention_mask, ..), padded to the longest row, or to `length`."""
        width = length or int(self.lengths[rows].max())
        attention = np.arange(width)[None, :] < self.lengths[rows][:, None]
        tensors = {"attention_mask": torch.from_numpy(attention.astype(np.int64))}
        positions = self.positions(rows)
        for name, values in self.columns.items():
            padded = np.full((len(rows), width), self.padding[name], dtype=np.int64)
            padded[attention] = values[positions]
            tensors[name] = torch.from_numpy(padded)
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Positions in the columns of all tokens of some rows, one row after the other."""
        lengths = self.lengths[rows]
        return np.arange(lengths.sum()) + np.repeat(self.starts[rows] - (np.cumsum(lengths) - lengths), lengths)

    def take(self, rows: np.ndarray) -> Encoded:
        """The same split with some of its rows, in the order given."""
        columns = {name: values[self.positions(rows)] for name, values in self.columns.items()}
        return Encoded(columns, self.labels[rows], self.lengths[rows], self.padding)

    def targets(self, rows: np.ndarray, device: str = "cpu") -> torch.Tensor:
        """Labels [n] of rows: int64 classes, or float32 for regression."""
        return torch.from_numpy(self.labels[rows]).to(device)


def encode(tokenizer, examples: Examples, max_length: int) -> Encoded:
    """The tokens of a split: pairs as the tokenizer joins them, longer inputs cut to `max_length` tokens.

    Where the tokenizer adds no special tokens, as those of many decoders, an empty text becomes one padding token.
    """
    padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    columns: dict[str, list[np.ndarray]] = {}
    lengths: list[int] = []
    for start in range(0, len(examples), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        texts = [column[part] for column in (examples.text_a, examples.text_b) if column is not None]
        encoded = tokenizer(*texts, truncation=True, max_length=max_length, padding=False, return_attention_mask=False)
        found = {name: [row or [padding[name]] for row in encoded[name]] for name in padding.keys() & encoded.keys()}
        lengths += map(len, found["input_ids"])
        for name, rows in found.items():
            columns.setdefault(name, []).append(np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32))
    whole = {name: np.concatenate(columns[name]) for name in padding if name in columns}
    return Encoded(whole, examples.labels, np.array(lengths, dtype=np.int64), padding)


def shuffled_batches(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The batches of one training epoch, as row numbers: random, each of rows of similar length."""
    order = rng.permutation(len(lengths))
    group = batch_size * max(1, min(BATCHES_PER_GROUP, len(lengths) // (batch_size * GROUPS)))
    batches = []
    for start in range(0, len(order), group):
        # sorting the whole epoch would give the same batches every time: only groups are sorted
        rows = order[start : start + group]
        batches += [rows[some] for some in sorted_batches(lengths[rows], batch_size)]
    return (batches[i] for i in rng.permutation(len(batches)))


def sorted_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Batches of similar length, the shortest first, as row numbers: those of one inference pass."""
    order = np.argsort(lengths, kind="stable")
    return (order[i : i + batch_size] for i in range(0, len(order), batch_size))
