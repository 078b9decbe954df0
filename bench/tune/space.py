"""Which recipes are tried: around the suite's own, drawn by a seed, never more steps than the search allows."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from bench.plan.suite import Recipe

#: What a recipe's numbers are multiplied by; a winner on the edge of what was tried goes one step of 2 further.
RATES = (0.25, 0.5, 1, 2, 4)
BATCHES = (0.5, 1, 2)
EPOCHS = (0.5, 1, 2, 4)
AXES = ("learning_rate", "batch_size", "epochs")
#: The smallest batch and the fewest epochs that are tried.
SMALLEST = {"learning_rate": 0.0, "batch_size": 4, "epochs": 1}


def steps_of(recipe: Recipe, rows: Iterable[int]) -> int:
    """How long a recipe of the search is: steps on the task with most of them, from the training rows of each task."""
    return max(recipe.epochs * math.ceil(count / recipe.batch_size) for count in rows)


def scaled(recipe: Recipe, rate: float = 1, batch: float = 1, epochs: float = 1) -> Recipe:
    """A recipe with its learning rate, batch size and epochs multiplied, the last two rounded down to 1 at least."""
    sizes = {"batch_size": max(1, int(recipe.batch_size * batch)), "epochs": max(1, int(recipe.epochs * epochs))}
    return replace(recipe, learning_rate=float(f"{recipe.learning_rate * rate:.6g}"), **sizes)


def draw(own: Recipe, count: int, most_steps: int, rows: Sequence[int], seed_part: str) -> list[Recipe]:
    """The recipes of a search: the suite's own, if it is short enough, then others of the grid around it at random.

    Args:
        own: the suite's.
        count: how many, fewer only where the grid has no more.
        most_steps: longer ones are not tried.
        rows: training rows of each task.
        seed_part: what the draw depends on, the method's name.
    """
    grid = [scaled(own, *factors) for factors in product(RATES, BATCHES, EPOCHS)]
    fits = [each for each in dict.fromkeys(grid) if each != own and is_tried(each, most_steps, rows)]
    order = np.random.default_rng(zlib.crc32(f"recipes of {seed_part}".encode())).permutation(len(fits))
    first = [own] if steps_of(own, rows) <= most_steps else []
    return (first + [fits[place] for place in order])[:count]


def is_tried(recipe: Recipe, most_steps: int, rows: Sequence[int]) -> bool:
    """Whether the search tries a recipe: it is neither too long nor too small."""
    return steps_of(recipe, rows) <= most_steps and all(getattr(recipe, name) >= SMALLEST[name] for name in AXES)


def beyond(winner: Recipe, tried: Sequence[Recipe], most_steps: int, rows: Sequence[int]) -> list[Recipe]:
    """The recipes one step beyond what was tried, on every axis on whose edge the winner stands.

    Never with fewer steps: ties go to those anyway, and what three steps reach on two tasks says nothing of others.
    """
    found = []
    for axis, name in enumerate(AXES):
        values = [getattr(each, name) for each in tried]
        here = getattr(winner, name)
        for at_edge, factor in ((here == max(values), 2), (here == min(values), 0.5)):
            factors = [1.0, 1.0, 1.0]
            factors[axis] = factor
            further = scaled(winner, *factors)
            is_shorter = steps_of(further, rows) < steps_of(winner, rows)
            if at_edge and not is_shorter and further not in (*tried, *found) and is_tried(further, most_steps, rows):
                found.append(further)
    return found
