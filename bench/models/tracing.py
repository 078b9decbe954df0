"""A trace, made from a trained model: what every exit says about every example of a split."""

from __future__ import annotations

import numpy as np
import torch

from bench.models.model import EarlyExitModel, autocast
from bench.models.tokens import Encoded, sorted_batches
from bench.models.training import INFERENCE_BATCH
from bench.sources.examples import Examples
from bench.store.trace import Trace


def trace_model(
    model: EarlyExitModel,
    examples: Examples,
    data: Encoded,
    device: str = "cpu",
    precision: str = "float32",
    batch_size: int = INFERENCE_BATCH,
) -> Trace:
    """The trace of a trained model on a split, whose rows are in the order of the split."""
    found: dict[str, np.ndarray] = {}  # each [n, ..], made when the first batch has shown its shape
    with torch.inference_mode(), autocast(device, precision):
        for rows in sorted_batches(data.lengths, batch_size):
            outputs = model(data.batch(rows, device))
            for name, values in (("logits", outputs.logits), ("halting", outputs.halting), ("ramp", outputs.ramp)):
                if values is not None:
                    if name not in found:
                        found[name] = np.empty((len(data), *values.shape[1:]), dtype=np.float32)
                    found[name][rows] = values.float().cpu().numpy()
    rows = {"labels": examples.labels, "index": examples.index, "difficulty": examples.difficulty}
    return Trace(**found, **rows, length=data.lengths)
