"""Six generated tasks in GLUE's shape; each row knows how many steps it needs, or that nobody can know its label.

task   mirrors             what is asked                                      "true" is
sst2   sentiment           does the speaker like the film?                    positive
mrpc   paraphrase          do both report that somebody picks a thing?        equivalent
qqp    duplicate question  do both ask why somebody picks a thing?            duplicate
qnli   question answering  does the text say which of two things is picked?   entailment
rte    entailment          do kinds pick a thing, given who follows whom?     entailment
mnli   3-way inference     the same of people: yes, the opposite, or neither  entailment

The steps (`pairs`) are mixed in each task such that a frozen fine-tuned encoder knows as much at each layer as
BERT-base does on the real task (`bench.acceptance`); `MIXTURES` was fitted by `static` and `truncated` alone. Eight
steps, a chain of four links, are more than pre-training teaches: most of the error is there. Nobody can be right more
often than .965, on mnli .957: some rows are coins, some have a flipped label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from bench.errors import check_choice
from bench.sources.embedded import pairs
from bench.sources.examples import NOISY, UNDECIDABLE

SEED = 1  # of the generator; another seed gives other rows of the same tasks
VALIDATION_ROWS = 1000
# Rows whose evidence is removed; their labels are coins. Training has more, so that one learns that they are coins.
UNDECIDABLE_SHARE, UNDECIDABLE_IN_TRAINING = 0.05, 0.10
NOISY_SHARE = 0.01  # rows with a wrong label


@dataclass(frozen=True)
class Mixture:
    """What a task is made of.

    Attributes:
        rows: training rows.
        labels: share of each label, as in GLUE's validation sets.
        states: what the second sentence may be to the first, by label; equally frequent.
        steps: relative frequency of each number of steps.
        genre: whom the sentences speak of.
    """

    rows: int
    labels: dict[str, float]
    states: dict[str, tuple[str, ...]]
    steps: dict[int, float]
    genre: str = "people"


NOT_TRUE = ("opposite", "other")
MIXTURES = {
    "sst2": Mixture(
        rows=800,
        labels={"negative": 0.49, "positive": 0.51},
        states={"negative": ("opposite",), "positive": ("true",)},
        steps={1: 50, 2: 9, 4: 2, 5: 2, 6: 3, 7: 17, 8: 17},
    ),
    "mrpc": Mixture(
        rows=800,
        labels={"not_equivalent": 0.32, "equivalent": 0.68},
        states={"not_equivalent": NOT_TRUE, "equivalent": ("true",)},
        steps={4: 23, 5: 2, 6: 5, 7: 37, 8: 33},
    ),
    "qqp": Mixture(
        rows=800,
        labels={"not_duplicate": 0.63, "duplicate": 0.37},
        states={"not_duplicate": NOT_TRUE, "duplicate": ("true",)},
        steps={3: 53, 4: 13, 5: 2, 6: 6, 7: 16, 8: 10},
    ),
    "qnli": Mixture(
        rows=800,
        labels={"entailment": 0.505, "not_entailment": 0.495},
        states={"entailment": ("true",), "not_entailment": ("other",)},
        steps={1: 18, 2: 3, 3: 5, 4: 37, 5: 2, 6: 2, 7: 26, 8: 7},
    ),
    "rte": Mixture(
        rows=600,
        labels={"entailment": 0.527, "not_entailment": 0.473},
        states={"entailment": ("true",), "not_entailment": NOT_TRUE},
        steps={1: 6, 4: 10, 5: 2, 6: 4, 7: 20, 8: 58},
        genre="kinds",
    ),
    "mnli": Mixture(
        rows=1200,
        labels={"entailment": 0.354, "neutral": 0.318, "contradiction": 0.328},
        states={"entailment": ("true",), "neutral": ("other",), "contradiction": ("opposite",)},
        steps={1: 6, 2: 2, 3: 2, 4: 14, 5: 13, 6: 2, 7: 41, 8: 20},
    ),
}
TASKS = tuple(MIXTURES)
Text = tuple[str, str | None]  # text_a, text_b (None for sst2)
Row = tuple[str, str | None, str, int]  # a text, its label, and its difficulty


def splits(task: str) -> tuple[str, ...]:
    """The splits that a generated task has, "train" last."""
    if check_choice("embedded task", task, TASKS) == "mnli":
        return ("validation_matched", "validation_mismatched", "train")
    return ("validation", "train")


def generate(task: str, split: str, seed: int = SEED, validation_rows: int = VALIDATION_ROWS) -> dict[str, list | None]:
    """Generate one split of one task, the same on every machine.

    Args:
        task: which task.
        split: one of its splits.
        seed: of the generator.
        validation_rows: how many rows a validation split has.

    Returns:
        `text_a` (list of str), `text_b` (list of str, or None for sst2), `labels` (list of label names) and
        `difficulty` (list of int: steps, `UNDECIDABLE` or `NOISY`), of the split's length. No text is in two splits;
        within training a text that nobody can decide comes with every label.

    Raises:
        UserError: no such task or split.
    """
    check_choice(f"split of embedded {task}", split, splits(task))
    rows = _split_rows(task, split, seed, validation_rows)
    first, second, labels, difficulty = (list(column) for column in zip(*rows, strict=True))
    return {"text_a": first, "text_b": None if task == "sst2" else second, "labels": labels, "difficulty": difficulty}


@cache
def _split_rows(task: str, split: str, seed: int, validation_rows: int) -> list[Row]:
    """Draw a split's rows; validation first, so that what it holds is known and left out of training."""
    rng, mixture, training = Random(f"{task} {split} {seed}"), MIXTURES[task], split == "train"
    earlier = splits(task)[: splits(task).index(split)]
    seen = {row[:2] for name in earlier for row in _split_rows(task, name, seed, validation_rows)}
    labels = _labels(mixture.labels, mixture.rows if training else validation_rows)
    coins = _coins(rng, labels, UNDECIDABLE_IN_TRAINING if training else UNDECIDABLE_SHARE)
    rows, coined = [], {}
    for i, label in enumerate(labels):
        known = coined.get(coins.get(i))
        text, difficulty = known or _new_row(rng, task, split, label, i in coins, seen)
        if training and i in coins:  # the same text with every label: a single coin could only be learnt by heart
            coined[coins[i]] = text, difficulty
        seen.add(text)
        rows.append((*text, label, difficulty))
    return rows


def _coins(rng: Random, labels: list[str], share: float) -> dict[int, int]:
    """Choose rows that nobody can decide, as many of each label: which row -> the how manieth of its label it is."""
    kinds = sorted(set(labels))
    chosen = {}
    for kind in kinds:
        places = [i for i, label in enumerate(labels) if label == kind]
        chosen |= {i: number for number, i in enumerate(rng.sample(places, int(share * len(labels) / len(kinds))))}
    return chosen


def _new_row(rng: Random, task: str, split: str, label: str, removed: bool, seen: set[Text]) -> tuple[Text, int]:
    """Draw a text that is kept for the tasks and not among those seen, and its difficulty."""
    while True:
        told, difficulty = _row(rng, task, split, label, removed)
        text = told.text_a, told.text_b
        if text not in seen and pairs.is_kept(*text):
            return text, difficulty


def _row(rng: Random, task: str, split: str, label: str, removed: bool) -> tuple[pairs.Told, int]:
    """Draw a row with a label: one that it follows from, one that it does not, or one whose evidence is `removed`."""
    mixture = MIXTURES[task]
    # only facts can be removed
    steps = {n: share for n, share in mixture.steps.items() if n >= pairs.FIRST_CHAIN or not removed}
    needed = rng.choices(list(steps), steps.values())[0]
    noisy = not removed and rng.random() < NOISY_SHARE
    others = [name for name in mixture.labels if name != label]
    meant = rng.choice(list(mixture.labels)) if removed else rng.choice(others) if noisy else label
    state = rng.choice(mixture.states[meant])
    if task == "sst2":
        told = pairs.review(rng, state, needed, not removed)
    else:
        genre = "countries" if split == "validation_mismatched" else mixture.genre
        told = pairs.pair(rng, task, state, needed, genre, not removed)
    return told, UNDECIDABLE if removed else NOISY if noisy else needed


def _labels(shares: dict[str, float], count: int) -> list[str]:
    """Return `count` labels such that every beginning of the list holds them in the given shares."""
    drawn = dict.fromkeys(shares, 0)
    labels = []
    for i in range(count):
        labels.append(max(shares, key=lambda label: shares[label] * (i + 1) - drawn[label]))
        drawn[labels[-1]] += 1
    return labels
