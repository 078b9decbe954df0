"""A trace: the outputs of every exit of a trained model on every example of a split, and its file.

Shape symbols: n examples, L layers, C classes.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.store.files import write_bytes


@dataclass(frozen=True)
class Trace:
    """The outputs of one trained model on one split; every operating point is computed from them.

    Attributes:
        logits: float32 [n, L, C].
        labels: [n] int64 classes, or float32 for regression.
        index: int64 [n], the row numbers of the full split.
        length: int64 [n] in tokens.
        halting: float32 [n, L] of methods that have halting values, else None.
        difficulty: int64 [n] of generated data, with the codes of `bench.sources.examples`; else None.
        ramp: float32 [n, C] of methods with a second exit on layer L, else None.
        probe: int8 [n, L], what a closed-form probe on the states that exits read answers (`bench.statistics.probe`).
        probe_of_mean: int8 [n, L], the same on the mean over tokens; both None where nobody probed.
    """

    logits: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    length: np.ndarray
    halting: np.ndarray | None = None
    difficulty: np.ndarray | None = None
    ramp: np.ndarray | None = None
    probe: np.ndarray | None = None
    probe_of_mean: np.ndarray | None = None

    def save(self, path: Path) -> str:
        """Write the trace, whole or not at all, and give the sha256 of the file."""
        buffer = io.BytesIO()  # in memory first: the file is written at once, and hashed without reading it again
        np.savez(buffer, **{name: value for name, value in asdict(self).items() if value is not None})
        return write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a trace; nothing in it is ever unpickled."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})
