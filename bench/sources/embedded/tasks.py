"""Six generated tasks in GLUE's shape, each example with the depth of reasoning it needs.

task   mirrors             the label asks                                   difficulty
sst2   sentiment           is the verdict good?                             negations to resolve, 0-3
mrpc   paraphrase          do two statements report the same?               see `pairs`, 1-5
qqp    duplicate question  do two questions ask for the same?               see `pairs`, 1-4
qnli   question answering  does the sentence answer the question?           see `pairs`, 1-4
rte    entailment          does a chain of kinds lead to the hypothesis?    hops to follow, 1-3
mnli   3-way inference     does a chain of ranks give it, or its converse?  hops to follow, 1-3
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from bench.errors import check_choice
from bench.sources.embedded import pairs

Row = tuple[str, str | None, int]  # text_a, text_b (None for sst2), difficulty
STATES = {"entailment": "true", "contradiction": "reversed", "neutral": "open"}


def _sst2(rng: Random, label: str, split: str) -> Row:
    negations = rng.randrange(4)
    return pairs.opinion(rng, +1 if label == "positive" else -1, negations), None, negations


def _mrpc(rng: Random, label: str, split: str) -> Row:
    return pairs.statements(rng, label == "equivalent")


def _qqp(rng: Random, label: str, split: str) -> Row:
    return pairs.questions(rng, label == "duplicate")


def _qnli(rng: Random, label: str, split: str) -> Row:
    return pairs.answer(rng, label == "entailment")


def _rte(rng: Random, label: str, split: str) -> Row:
    return pairs.kinds(rng, "true" if label == "entailment" else rng.choice(("reversed", "open", "open")))


def _mnli(rng: Random, label: str, split: str) -> Row:
    return pairs.ranks(rng, STATES[label], "countries" if split == "validation_mismatched" else "people")


# task: (how a row is made, training rows, share of each label as in GLUE's validation sets)
_TASKS: dict[str, tuple[Callable[[Random, str, str], Row], int, dict[str, float]]] = {
    "sst2": (_sst2, 600, {"negative": 0.49, "positive": 0.51}),
    "mrpc": (_mrpc, 800, {"not_equivalent": 0.32, "equivalent": 0.68}),
    "qqp": (_qqp, 800, {"not_duplicate": 0.63, "duplicate": 0.37}),
    "qnli": (_qnli, 700, {"entailment": 0.505, "not_entailment": 0.495}),
    "rte": (_rte, 900, {"entailment": 0.5, "not_entailment": 0.5}),
    "mnli": (_mnli, 1600, {"entailment": 1 / 3, "neutral": 1 / 3, "contradiction": 1 / 3}),
}
TASKS = tuple(_TASKS)
VALIDATION_ROWS = 400
POOL = 2000  # training rows drawn, of which a task takes the first ones


def splits(task: str) -> tuple[str, ...]:
    """The splits that a generated task has, "train" last."""
    if check_choice("embedded task", task, TASKS) == "mnli":
        return ("validation_matched", "validation_mismatched", "train")
    return ("validation", "train")


def generate(task: str, split: str) -> dict[str, list | None]:
    """Generate one split of one task, the same on every machine.

    Returns:
        `text_a` (list of str), `text_b` (list of str, or None for sst2), `labels` (list of label names) and
        `difficulty` (list of int, see the module's table), all of the split's length. No example is in two splits.

    Raises:
        UserError: no such task or split.
    """
    check_choice(f"split of embedded {task}", split, splits(task))
    rows = _split_rows(task, split)
    if split == "train":
        rows = rows[: _TASKS[task][1]]
    first, second, labels, difficulty = (list(column) for column in zip(*rows, strict=True))
    return {"text_a": first, "text_b": None if task == "sst2" else second, "labels": labels, "difficulty": difficulty}


def held_out() -> set[tuple[str, str | None]]:
    """Return the texts that pre-training must not see: all of validation, and of every training split's `POOL` rows."""
    return {row[:2] for task in TASKS for split in splits(task) for row in _split_rows(task, split)}


@cache
def _split_rows(task: str, split: str) -> list[tuple[str, str | None, str, int]]:
    """Draw a split's rows; validation first, so that what it holds is known and left out of training."""
    make, _, shares = _TASKS[task]
    rng = Random(f"{task} {split} 1")
    earlier = splits(task)[: splits(task).index(split)]
    seen = {row[:2] for name in earlier for row in _split_rows(task, name)}
    rows = []
    for label in _labels(shares, POOL if split == "train" else VALIDATION_ROWS):
        row = make(rng, label, split)
        while row[:2] in seen or row[0] == row[1]:
            row = make(rng, label, split)
        seen.add(row[:2])
        rows.append((row[0], row[1], label, row[2]))
    return rows


def _labels(shares: dict[str, float], count: int) -> list[str]:
    """Return `count` labels such that every beginning of the list holds them in the given shares."""
    drawn = dict.fromkeys(shares, 0)
    labels = []
    for i in range(count):
        labels.append(max(shares, key=lambda label: shares[label] * (i + 1) - drawn[label]))
        drawn[labels[-1]] += 1
    return labels
