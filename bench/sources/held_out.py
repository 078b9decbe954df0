"""A source whose validation rows are training rows held out: what recipes are searched on, never real validation."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from bench.errors import UserError
from bench.sources.examples import Examples, Source, take
from bench.sources.tasks import Task

#: The share of the training rows that is held out.
SHARE = 0.25
#: Fewer rows than this tell no recipe from another.
LEAST = 20


@dataclass(frozen=True)
class HeldOut:
    """Another source's training rows in two parts; its own validation is never read.

    Which rows are held out depends on the task alone: the same for every method, seed and recipe.
    """

    source: Source

    def read(self, task: Task, split: str) -> Examples:
        """The rows that are kept to train on or, as any other split, those held out.

        Raises:
            UserError: there are too few, or they cannot be read.
        """
        rows = self.source.read(task, "train")
        count = round(SHARE * len(rows))
        if count < LEAST:
            got = f"{task.id} has {len(rows)} training rows, a share of {SHARE:g} of which is {count}"
            raise UserError(f"{got}: expected at least {LEAST} to hold out; name another task with --tasks")
        # seeded by other words than --limit's shuffle, or a limit would keep rows that stood next to each other here
        shuffle = np.random.default_rng(zlib.crc32(f"held out of {task.id}".encode())).permutation(len(rows))
        return take(rows, np.sort(shuffle[count:] if split == "train" else shuffle[:count]))
