"""Traces: what every exit of a trained model says about a split, from one pass to full depth.

Shape symbols: n examples, L layers, C classes.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from bench.data import Examples
from bench.encoding import Encoded, sorted_batches
from bench.files import write_bytes
from bench.model import EarlyExitModel
from bench.training import INFERENCE_BATCH, autocast


@dataclass(frozen=True)
class Trace:
    """One trained model on one split.

    Attributes:
        logits: float32 [n, L, C].
        labels: [n] int64 classes, or float32 for regression.
        index: int64 [n], the row numbers of the full split.
        length: int64 [n] in tokens.
        halting: float32 [n, L] of methods that have halting values, else None.
        difficulty: int64 [n] of generated data, else None.
        ramp: float32 [n, C] of methods with a second exit on layer L, else None.
    """

    logits: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    length: np.ndarray
    halting: np.ndarray | None = None
    difficulty: np.ndarray | None = None
    ramp: np.ndarray | None = None

    def save(self, path: Path) -> str:
        """Write the trace, whole or not at all; gives the sha256 of the file."""
        buffer = io.BytesIO()
        np.savez(buffer, **{name: value for name, value in asdict(self).items() if value is not None})
        return write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a trace; nothing in it is ever unpickled."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


def record(
    model: EarlyExitModel,
    examples: Examples,
    data: Encoded,
    device: str = "cpu",
    precision: str = "float32",
    batch_size: int = INFERENCE_BATCH,
) -> Trace:
    """Run every example through all layers and keep what each exit says, in the order of the split."""
    found: dict[str, np.ndarray] = {}
    with torch.inference_mode(), autocast(device, precision):
        for rows in sorted_batches(data.lengths, batch_size):
            outputs = model(data.batch(rows, device))
            for name, values in (("logits", outputs.logits), ("halting", outputs.halting), ("ramp", outputs.ramp)):
                if values is not None:
                    if name not in found:
                        found[name] = np.empty((len(data), *values.shape[1:]), dtype=np.float32)
                    found[name][rows] = values.float().cpu().numpy()
    known = {"labels": examples.labels, "index": examples.index, "length": data.lengths}
    return Trace(**found, **known, difficulty=examples.difficulty)
