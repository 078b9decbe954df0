"""From texts to batches of token ids: tokenisation, length-grouped order, dynamic padding.

Shape symbols: n examples, T tokens of the longest example of a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from bench.data import Examples

#: An epoch is cut into at least this many groups that are sorted by length, of at most so many batches each: enough
#: for little padding, few enough to stay random (the library's LengthGroupedSampler takes the same two).
GROUPS, BATCHES_PER_GROUP = 4, 50


@dataclass(frozen=True)
class Encoded:
    """A tokenised split: `columns` of token lists (input_ids, and token_type_ids where the family has them)."""

    columns: dict[str, list[list[int]]]
    labels: np.ndarray
    lengths: np.ndarray
    padding: dict[str, int]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: np.ndarray, device: str = "cpu", length: int | None = None) -> dict[str, torch.Tensor]:
        """Rows as tensors [n, T] (input_ids, attention_mask, ..), padded to the longest row, or to `length`."""
        width = length or int(self.lengths[rows].max())
        attention = np.arange(width)[None, :] < self.lengths[rows][:, None]
        tensors = {"attention_mask": torch.from_numpy(attention.astype(np.int64))}
        for name, values in self.columns.items():
            padded = np.full((len(rows), width), self.padding[name], dtype=np.int64)
            padded[attention] = list(itertools.chain.from_iterable(values[row] for row in rows))
            tensors[name] = torch.from_numpy(padded)
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

    def take(self, rows: np.ndarray) -> Encoded:
        """Some of the rows, in the order given."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Encoded(columns, self.labels[rows], self.lengths[rows], self.padding)

    def targets(self, rows: np.ndarray, device: str = "cpu") -> torch.Tensor:
        """Labels [n] of rows: int64 classes, or float32 for regression."""
        return torch.from_numpy(self.labels[rows]).to(device)


def encode(tokenizer, examples: Examples, max_length: int) -> Encoded:
    """Tokenise a split, pairs as the tokenizer joins them, longer inputs cut to `max_length` tokens."""
    texts = (examples.text_a,) if examples.text_b is None else (examples.text_a, examples.text_b)
    encoded = tokenizer(*texts, truncation=True, max_length=max_length, padding=False, return_attention_mask=False)
    padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    columns = {name: encoded[name] for name in padding if name in encoded}
    lengths = np.array([len(row) for row in columns["input_ids"]])
    return Encoded(columns, examples.labels, lengths, padding)


def shuffled_batches(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One epoch of row numbers in random batches of similar length; the last batch may be smaller."""
    order = rng.permutation(len(lengths))
    group = batch_size * max(1, min(BATCHES_PER_GROUP, len(lengths) // (batch_size * GROUPS)))
    batches = []
    for start in range(0, len(order), group):
        rows = order[start : start + group]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return (batches[i] for i in rng.permutation(len(batches)))


def sorted_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """All row numbers once in batches of similar length, for inference."""
    order = np.argsort(lengths, kind="stable")
    return (order[i : i + batch_size] for i in range(0, len(order), batch_size))
