"""A cell and where it is worked on; imported by every process that has to do with cells, so it stays light."""

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
    """One unit of work that succeeds or fails on its own: a trained model and its traces.

    Attributes:
        spec: everything that changes its numbers, plain JSON values.
        checkpoint: the encoder to train; None where the suite names none.
        panel_checkpoint: the panel's backbone, whose depth the layer fraction divides by.
        start: key of the cell whose model this one starts from, or None.
        skip: why there is nothing to do, or None.
    """

    spec: dict
    checkpoint: Checkpoint | None
    panel_checkpoint: Checkpoint | None
    start: str | None = None
    skip: str | None = None

    @cached_property
    def key(self) -> str:
        """sha256 of the canonical JSON of the spec: the name of the cell's files."""
        return key_of(self.spec)

    @property
    def label(self) -> str:
        """What people call the cell."""
        spec = self.spec
        variant = f" {spec['variant']}" if spec["variant"] else ""
        return f"{spec['backbone']}/{spec['task']} {spec['method']}{variant} seed {spec['seed']}"


def key_of(spec: dict) -> str:
    """sha256 of the canonical JSON of a spec, 64 hexadecimal digits."""
    return hashlib.sha256(CANONICAL.encode(spec).encode("ascii")).hexdigest()
