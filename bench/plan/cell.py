"""A cell, the unit of work: one model to train and trace, with the key that its files are named after.

Every process that has to do with cells imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.sources.checkpoints import Checkpoint

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class Cell:
    """One model to train on one task, with the traces it leaves: it succeeds or fails on its own.

    Attributes:
        spec: everything that changes its numbers, in plain JSON values.
        checkpoint: the encoder to train; None where the suite names none.
        family_checkpoint: the full backbone of the family, whose depth layer fractions are relative to; it differs from
            `checkpoint` where a student is trained. None where the suite names none.
        start: key of the cell whose trained model this one starts from; None: it starts from the checkpoint.
        skip: why there is nothing to do; None: there is something.
    """

    spec: dict
    checkpoint: Checkpoint | None
    family_checkpoint: Checkpoint | None
    start: str | None = None
    skip: str | None = None

    @cached_property
    def key(self) -> str:
        """sha256 of the canonical JSON of the spec: the name of the cell's files."""
        return key_of(self.spec)

    @property
    def label(self) -> str:
        """The cell's name in messages and lists: `bert/sst2 dact tau=0.005 seed 0`."""
        spec = self.spec
        variant = f" {spec['variant']}" if spec["variant"] else ""
        return f"{spec['backbone']}/{spec['task']} {spec['method']}{variant} seed {spec['seed']}"


def row_limit(spec: dict, split: str) -> int | None:
    """At most how many rows of a split a cell reads: the smaller of --limit and the suite's [limits]; None: all."""
    of_suite = spec.get("limits", {}).get("train" if split == "train" else "validation")
    return min((rows for rows in (spec["limit"], of_suite) if rows is not None), default=None)


def key_of(spec: dict) -> str:
    """sha256 of the canonical JSON of a spec, 64 hexadecimal digits."""
    return hashlib.sha256(CANONICAL.encode(spec).encode("ascii")).hexdigest()
