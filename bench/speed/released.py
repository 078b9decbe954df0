"""The released procedure, written after the description of DeeBERT's and PABEE's code: what ours is measured against.

One example at a time, padded to a fixed 128 tokens, one pass over the data for every threshold, the rule asked after
every layer; off-ramps trained through a live frozen backbone, whose dropout stays on. Nothing here shares code with our
drivers but the model itself, so equal decisions are a check of both. In favour of the released code, attention is the
library's fast one and frozen weights get no gradients.

Shape symbols: n examples, L layers, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from bench.halting.live import Decisions
from bench.models.model import EarlyExitModel, derive_seed
from bench.models.tokens import Encoded
from bench.plan.suite import Recipe
from methods.blocks import prediction_loss

#: Tokens that every example is padded to.
LENGTH = 128

#: Whether to stop, from the logits of the layers so far (each [C]) and the threshold.
Stops = Callable[[list[Tensor], float], bool]


def entropy_is_low(seen: list[Tensor], threshold: float) -> bool:
    """DeeBERT: the entropy of the newest prediction is below the threshold."""
    p = torch.softmax(seen[-1], dim=-1)
    return -(p * torch.log(p)).sum().item() < threshold


def patience_is_over(seen: list[Tensor], patience: float) -> bool:
    """PABEE: the newest predictions, `patience` + 1 of them, are equal."""
    newest = [logits.argmax().item() for logits in seen[-int(patience) - 1 :]]
    return len(newest) > patience and len(set(newest)) == 1


@torch.inference_mode()
def one_by_one(model: EarlyExitModel, stops: Stops, threshold: float, data: Encoded, rows: Sequence[int]) -> Decisions:
    """The released procedure: one pass over rows for one threshold: answers [n, C] and layers [n]."""
    answers, layers = [], []
    for row in rows:
        hidden, inputs = model.backbone.embed(data.batch(np.array([row]), length=LENGTH))
        seen = []
        for layer in range(1, model.num_layers + 1):
            hidden = model.backbone.layer(layer, hidden, inputs)
            seen.append(model.exit(layer, hidden).logits[0])
            if stops(seen, threshold):
                break
        answers.append(seen[-1])
        layers.append(layer)
    return Decisions(torch.stack(answers).double(), torch.tensor(layers))


def train_ramps(model: EarlyExitModel, data: Encoded, recipe: Recipe, seed: int) -> None:
    """The released procedure: train the exits of layers 1..L-1 of a stage-1 model in place, through the whole backbone.

    Args:
        model: of method `deebert`, whose backbone and last exit are frozen.
        data: the training rows.
        recipe: epochs, rate and size of the batches.
        seed: of order and dropout.
    """
    torch.manual_seed(derive_seed("dropout", seed))
    rng = np.random.default_rng(seed)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, eps=1e-8)
    steps = recipe.epochs * math.ceil(len(data) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    model.train()
    for _ in range(recipe.epochs):
        order = rng.permutation(len(data))
        for rows in (order[i : i + recipe.batch_size] for i in range(0, len(order), recipe.batch_size)):
            logits, labels = model(data.batch(rows, length=LENGTH)).logits, data.targets(rows)
            sum(prediction_loss(logits[:, layer], labels) for layer in range(model.num_layers - 1)).backward()
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
