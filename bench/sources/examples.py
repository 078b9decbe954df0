"""Load a split of a task (`load_split`), whether it is generated, read from a folder of TSV files, or from the hub.

Every source gives `Examples`: texts stripped of surrounding white space (SST-2's sentences end in a space,
which RoBERTa's tokenizer would see), labels mapped by *name* to the class ids of `bench.sources.tasks`, never by the
order that a source happens to have.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bench.errors import UserError, check_choice, nearest
from bench.sources.tasks import Task

#: Codes among the difficulties of generated rows, otherwise steps of at least 1: the text decides nothing, and the
#: label is a coin; the text decides, and the label was flipped.
UNDECIDABLE, NOISY = -1, -2


@dataclass(frozen=True, eq=False)
class Examples:
    """The rows of one split; n is their number.

    Attributes:
        text_a: n sentences.
        text_b: n second sentences; None for single-sentence tasks.
        labels: [n] int64 class ids, or float32 scores for regression.
        index: [n] int64 row numbers in the full split.
        difficulty: [n] int64 of generated data, steps of at least 1, `UNDECIDABLE` or `NOISY`; else None.
    """

    text_a: list[str]
    text_b: list[str] | None
    labels: np.ndarray
    index: np.ndarray
    difficulty: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.text_a)


class Source(Protocol):
    """Where rows come from: generated, a folder of TSV files, or the hub; values that hash and pickle."""

    def read(self, task: Task, split: str) -> Examples:
        """Read every row of a split; raises UserError where that is not possible."""


def load_split(source: Source, task: Task, split: str, limit: int | None = None) -> Examples:
    """The rows of one split of a task, or a random part of them that is the same for every seed and method.

    Args:
        source: where the rows come from.
        task: which task.
        split: "train", "validation", or for MNLI "validation_matched" and "validation_mismatched".
        limit: at most this many rows, the first of one shuffle, back in file order. The shuffle is
            `numpy.random.default_rng(crc32(task.id)).permutation(rows)`: the same rows for every seed and method, and
            those of a smaller limit are among those of a larger one.

    Raises:
        UserError: no such split, a limit below 1, or rows that cannot be read (see the sources).
    """
    check_choice(f"split of {task.id}", split, task.splits)
    if limit is not None and limit < 1:
        raise UserError(f"invalid limit {limit}: expected at least 1 row")
    examples = source.read(task, split)
    if limit is None or limit >= len(examples):
        return examples
    # Seeded by the task and not by the run's seed, or every seed would train on other rows.
    shuffle = np.random.default_rng(zlib.crc32(task.id.encode())).permutation(len(examples))
    return take(examples, np.sort(shuffle[:limit]))


def fingerprint(source: Source, task: Task) -> str:
    """A hash of every row of every split of a task: sha256, 64 hexadecimal digits.

    It stands in the keys of cells. Equal rows from two sources have equal fingerprints.

    Raises:
        UserError: a split cannot be read.
    """
    # Labels are hashed as class ids, so the names that they stand for belong to the identity, too.
    digest = hashlib.sha256(json.dumps(task.labels).encode())
    for split in task.splits:
        rows = source.read(task, split)
        difficulty = None if rows.difficulty is None else rows.difficulty.tolist()
        for column in (split, rows.text_a, rows.text_b, rows.labels.tolist(), difficulty):
            digest.update(json.dumps(column).encode() + b"\n")
    return digest.hexdigest()


def make_examples(
    task: Task,
    texts: Sequence[Sequence[str]],
    labels: Sequence,
    locate: Callable[[int], str],
    difficulty: Sequence[int] | None = None,
) -> Examples:
    """The rows of a split from the columns of a source: texts stripped, labels mapped to class ids or scores.

    Args:
        task: names the labels.
        texts: one or two columns of n sentences.
        labels: n labels as the source spells them.
        locate: says where row 0..n-1 is, for error messages.
        difficulty: n known difficulties of generated data.

    Raises:
        UserError: a text that is missing, or an unknown label.
    """
    columns = stripped(texts, locate)
    return Examples(
        text_a=columns[0],
        text_b=columns[1] if len(columns) == 2 else None,
        labels=_labels(task, labels, locate),
        index=np.arange(len(columns[0]), dtype=np.int64),
        difficulty=None if difficulty is None else np.asarray(difficulty, dtype=np.int64),
    )


def stripped(texts: Sequence[Sequence[str]], locate: Callable[[int], str]) -> list[list[str]]:
    """Columns of texts without white space around them.

    Raises:
        UserError: a text is missing.
    """
    for column in texts:
        if None in column:
            raise UserError(f"{locate(list(column).index(None))}: expected a text, got nothing")
    return [[text.strip() for text in column] for column in texts]


def _labels(task: Task, spelled: Sequence, locate: Callable[[int], str]) -> np.ndarray:
    """Map labels as spelled by a source to class ids or scores, [n]."""
    parse = _score if task.regression else task.class_ids.__getitem__
    values = []
    for row, label in enumerate(spelled):
        try:
            values.append(parse(label))
        except (KeyError, ValueError, TypeError):
            expected = "a score from 0 to 5" if task.regression else f"one of {', '.join(task.class_ids)}"
            hint = nearest(label, task.class_ids)
            raise UserError(f"{locate(row)}: unknown label '{label}', expected {expected}{hint}") from None
    return np.array(values, dtype=np.float32 if task.regression else np.int64)


def _score(label: str | float) -> float:
    value = float(label)
    if not 0 <= value <= 5:  # also refuses nan
        raise ValueError
    return value


def take(examples: Examples, rows: np.ndarray) -> Examples:
    """The given rows [k] of a split of examples."""
    return Examples(
        text_a=[examples.text_a[row] for row in rows],
        text_b=None if examples.text_b is None else [examples.text_b[row] for row in rows],
        labels=examples.labels[rows],
        index=examples.index[rows],
        difficulty=None if examples.difficulty is None else examples.difficulty[rows],
    )
