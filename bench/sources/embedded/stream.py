"""The pre-training stream: endless random rows in the language of the tasks, in all steps that are taught."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from bench.sources.embedded import pairs

STEPS = {1: 10, 2: 9, 3: 14, 4: 18, 5: 18, 6: 16, 7: 15}  # steps: how frequent
DEEPEST = max(STEPS)
REMOVED = 0.05  # share of rows whose evidence is removed
SPEAKERS = {"sst2": 3, "mnli": 3, "qnli": 2, "qqp": 2, "mrpc": 2, "rte": 3}


@dataclass(frozen=True)
class Row:
    """A row in words, its state, and the steps that it needs; 0 where nobody can know."""

    told: pairs.Told
    state: str
    steps: int


def draw(rng: Random, most: int = DEEPEST) -> Row:
    """Draw a row of the pre-training stream that needs at most so many steps."""
    task = rng.choices(list(SPEAKERS), SPEAKERS.values())[0]
    taught = {steps: share for steps, share in STEPS.items() if steps <= most and (task, steps) != ("sst2", 3)}
    steps = rng.choices(list(taught), taught.values())[0]
    removed = steps >= pairs.FIRST_CHAIN and rng.random() < REMOVED
    if task == "sst2":
        state = rng.choice(("true", "opposite"))
        return Row(pairs.review(rng, state, steps, not removed), state, 0 if removed else steps)
    states = {"mnli": ("true", "opposite", "other"), "qnli": ("true", "other")}
    state = rng.choice(states.get(task, ("true", "true", "opposite", "other")))
    genre = {"rte": "kinds", "mnli": rng.choice(("people", "countries"))}.get(task, "people")
    return Row(pairs.pair(rng, task, state, steps, genre, not removed), state, 0 if removed else steps)
