"""What a linear probe can read at every layer of a trained model, so that an exit that reads less is found out.

Probes are fitted in closed form on training rows (`bench.statistics.probe`), once on the very states that the exits
get and once on the mean over tokens: where the second sees more, it is the pooling that an exit is blind for.

Shape symbols: m training rows, n examples of a split, L layers, H hidden size.
"""

from __future__ import annotations

import numpy as np
import torch

from bench.models.exit_norm import sample_rows
from bench.models.model import EarlyExitModel, autocast
from bench.models.pooling import POOLINGS
from bench.models.tokens import Encoded, sorted_batches
from bench.models.training import INFERENCE_BATCH
from bench.sources.examples import Examples
from bench.statistics.probe import probe


def can_be_probed(model: EarlyExitModel) -> bool:
    """Whether a model has exits below layer L that read one state each, and answers with classes."""
    return model.num_labels > 1 and len(model.exits) == model.num_layers > 1 and not model.reads_sequence


class Probes:
    """The states of a trained model on training rows, ready to answer any split.

    Args:
        model: for which `can_be_probed` is true.
        examples: the training rows.
        data: their tokens.
        device: where the model is.
        precision: that it was trained in.
        batch_size: rows computed at once.
    """

    def __init__(
        self,
        model: EarlyExitModel,
        examples: Examples,
        data: Encoded,
        device: str = "cpu",
        precision: str = "float32",
        batch_size: int = INFERENCE_BATCH,
    ) -> None:
        self.model, self.how = model, (device, precision, batch_size)
        rows = sample_rows(examples.labels)
        self.labels = examples.labels[rows]
        self.states = layer_states(model, data.take(rows), *self.how)

    def answers(self, data: Encoded) -> dict[str, np.ndarray]:
        """What the probes of all layers answer on a split: `probe` and `probe_of_mean`, int8 [n, L] each."""
        others, classes = layer_states(self.model, data, *self.how), self.model.num_labels
        found = {}
        for name, states in self.states.items():
            pairs = zip(states.swapaxes(0, 1), others[name].swapaxes(0, 1), strict=True)
            each = [probe(fitted_on, self.labels, classes, answered) for fitted_on, answered in pairs]
            found[name] = np.stack(each, axis=1).astype(np.int8)
        return found


def layer_states(
    model: EarlyExitModel, data: Encoded, device: str, precision: str, batch_size: int
) -> dict[str, np.ndarray]:
    """The states of all layers, float32 [n, L, H]: those that exits read, and the mean over tokens."""
    backbone, shape = model.backbone, (len(data), model.num_layers, model.backbone.hidden_size)
    found = {name: np.empty(shape, dtype=np.float32) for name in ("probe", "probe_of_mean")}
    with torch.inference_mode(), autocast(device, precision):
        for rows in sorted_batches(data.lengths, batch_size):
            batch = data.batch(rows, device)
            attention = batch["attention_mask"]
            for layer, hidden in enumerate(backbone.sequences(batch), start=1):
                state = model.normed(layer, backbone.read(hidden, attention))
                read = state, POOLINGS["mean"](backbone.norm(hidden), attention)
                for states, values in zip(found.values(), read, strict=True):
                    states[rows, layer - 1] = values.float().cpu().numpy()
    return found
