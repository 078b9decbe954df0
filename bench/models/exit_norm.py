"""What exits read, standardised: for a backbone whose states vary so little that a new exit sees a constant.

`exit_norm = "standardise"` of a suite: before every exit of every method, each feature has its mean over training rows
taken off and is divided by its standard deviation there. Both are fixed when the exit is made, on the states of the
backbone that the training starts from (pre-trained, or stage 1's), and never change again; the head that a model takes
over from stage 1 comes with its own. A layer norm would change little: encoder layers end in one, and the states of
two examples stay as near to each other as they were.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.models.model import EarlyExitModel, autocast
from bench.models.pooling import Standardise
from bench.models.tokens import Encoded, sorted_batches

#: More training rows than this change means and deviations by less than two hundredths of a deviation.
MOST_ROWS = 2000
#: Smallest deviation of a feature, as a share of its layer's root mean square: below it differences are rounding.
SMALLEST = 1e-3


def sample_rows(labels: np.ndarray) -> np.ndarray:
    """Up to `MOST_ROWS` rows with a label, in order: the same for every method, layer and seed.

    Args:
        labels: [n], -1 or NaN at rows without one.
    """
    labelled = np.flatnonzero(~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0)
    return np.sort(np.random.default_rng(0).permutation(labelled)[:MOST_ROWS])


def fit_norms(model: EarlyExitModel, data: Encoded, device: str, precision: str, batch_size: int) -> None:
    """Fix the mean and scale of what every new exit reads; nothing to do without `exit_norm`.

    Args:
        model: as `build_model` returns it, on its device.
        data: the training rows.
        device: where the model is.
        precision: of matrix products.
        batch_size: rows computed at once.
    """
    sums = {int(layer): Sums() for layer, norm in model.norms.items() if not norm.is_fixed}
    if not sums:
        return
    model.eval()  # without dropout, as exits are read; training turns it on again
    data = data.take(sample_rows(data.labels))
    with torch.no_grad(), autocast(device, precision):
        for rows in sorted_batches(data.lengths, batch_size):
            batch = data.batch(rows, device)
            for layer, hidden in enumerate(model.backbone.sequences(batch), start=1):
                if layer in sums:
                    sums[layer].add(states_read(model, layer, hidden, batch["attention_mask"]))
    for layer, found in sums.items():
        found.write(model.norms[str(layer)])


def states_read(model: EarlyExitModel, layer: int, hidden: Tensor, attention: Tensor) -> Tensor:
    """All states [m, H] that the exit of a layer reads of a batch: one an example, or those of all its tokens."""
    if not getattr(model.exits[str(layer)], "reads_sequence", False):
        return model.backbone.read(hidden, attention)
    states, attention = model.backbone.read_all(hidden, attention)
    return states[attention.bool()]


class Sums:
    """Running sums over states, for the mean and standard deviation of each feature."""

    def __init__(self) -> None:
        self.n, self.total, self.squares = 0, 0.0, 0.0

    def add(self, states: Tensor) -> None:
        """Count states [m, H] in; float64, because deviations are small beside the mean."""
        states = states.double()
        self.n += len(states)
        self.total, self.squares = self.total + states.sum(dim=0), self.squares + states.square().sum(dim=0)

    def write(self, norm: Standardise) -> None:
        """Fix a layer's mean and scale."""
        mean, square = self.total / self.n, self.squares / self.n
        std = (square - mean.square()).clamp(min=0).sqrt()
        norm.mean.copy_(mean)
        norm.std.copy_(std.clamp(min=SMALLEST * square.mean().sqrt()))
