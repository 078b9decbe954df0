"""The training loop of every method: fine-tunes a model with exits in place.

`transformers.Trainer` costs a fixed share of a short cell (`python -m bench.speed --only trainer` measures it), so the
loop is ours: AdamW, linear decay to zero (after a linear rise, where a recipe warms up), gradient clipping,
length-grouped batches, dynamic padding. Optimiser and clipping see all parameters as one vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from bench.models.model import EarlyExitModel, autocast, derive_seed
from bench.models.tokens import Encoded, shuffled_batches, sorted_batches
from bench.models.vector import as_one_vector, detach_from_vector
from bench.plan.suite import Recipe
from methods.base import ExitOutputs, Method, TrainingBatch

#: Frozen features are computed once and kept where they take at most this many bytes; else they are recomputed.
FEATURE_BYTES = 4 * 2**30
#: Rows computed at once without gradients, where a batch is not computed in parts.
INFERENCE_BATCH = 128
#: Steps between two looks at whether the loss is still finite (on a GPU each look waits for the device).
CHECK_EVERY = 50


def train(
    model: EarlyExitModel,
    method: Method,
    variant: dict,
    data: Encoded,
    recipe: Recipe,
    seed_parts: tuple,
    device: str = "cpu",
    precision: str = "float32",
    compat: str = "equal",
    teacher: EarlyExitModel | None = None,
) -> int:
    """Train a model in place with the method's loss, then let the method calibrate it on what it held out.

    The order of the data depends on `seed_parts` (task, seed) alone, so methods of one seed see the same batches.
    A batch is computed in `recipe.accumulation` parts, whose gradients add up to the batch's. float16 scales the
    loss, so that small gradients do not vanish, and leaves out a step whose gradients overflow.

    Args:
        model: a model of the method.
        method: its loss.
        variant: what is trained, defaults included.
        data: the training rows.
        recipe: how.
        seed_parts: what the order of the data and dropout depend on.
        device: where the model is.
        precision: of matrix products.
        compat: "released" keeps the dropout of a frozen backbone on.
        teacher: the model that the loss learns from, of methods with `has_teacher`.

    Returns:
        The number of examples seen.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(derive_seed("dropout", *seed_parts))
    rng = np.random.default_rng(derive_seed("order", *seed_parts))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = parameter_groups(model, parameters, recipe)
    vectors = [group["params"][0] for group in groups]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, eps=1e-8, fused=True)
    data, held_out = hold_out(data, method.held_out(variant))
    per_epoch = math.ceil(len(data) / recipe.batch_size)
    steps, scheduled = recipe.epochs * per_epoch, (recipe.schedule_epochs or recipe.epochs) * per_epoch
    warmup = round(recipe.warmup * scheduled)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate(scheduled, warmup))
    scaler = torch.amp.GradScaler(device, enabled=precision == "float16")
    how = (data, device, precision, recipe.accumulation)
    forward = training_forward(model, *how, keep_dropout=compat == "released")
    teach = None if teacher is None else frozen_forward(teacher.eval().requires_grad_(False), *how)
    for step, rows in enumerate(epochs(data, recipe, rng)):
        for part in np.array_split(rows, min(recipe.accumulation, len(rows))):
            with autocast(device, precision):
                lesson = teach(part) if teach else None
                batch = TrainingBatch(data.targets(part, device), variant, step, steps, lesson)
                loss = method.loss(forward(part), batch)
            # reading the loss makes a GPU wait, hence not at every step
            if step % CHECK_EVERY == 0 or step == steps - 1:
                check_finite(loss, step)
            # a part counts by its rows, so that the gradients add up to those of the batch's mean loss
            scaler.scale(loss * (len(part) / len(rows))).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(vectors, recipe.clip)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        optimizer.zero_grad(set_to_none=False)  # None would cut the parameters off the vector
    model.eval().zero_grad(set_to_none=True)
    detach_from_vector(parameters)
    if held_out is not None:
        logits, labels = logits_and_labels(model, held_out, device, precision, recipe.accumulation)
        method.calibrate(list(model.exits.values()), logits, labels)
    return recipe.epochs * len(data)


def parameter_groups(model: EarlyExitModel, parameters: list[nn.Parameter], recipe: Recipe) -> list[dict]:
    """What training's optimiser steps on: one vector of all parameters or, where exits have their own rate, two."""
    if not recipe.head_learning_rate:
        return [{"params": [as_one_vector(parameters)], "lr": recipe.learning_rate}]
    heads = {id(parameter) for parameter in model.exits.parameters()}
    parts = [
        (recipe.learning_rate, [each for each in parameters if id(each) not in heads]),
        (recipe.head_learning_rate, [each for each in parameters if id(each) in heads]),
    ]
    return [{"params": [as_one_vector(some)], "lr": rate} for rate, some in parts if some]


def learning_rate(steps: int, warmup: int) -> Callable[[int], float]:
    """The learning rate at every step as a share of the highest.

    A linear rise over `warmup` steps, then down to 0, which it reaches after `steps` and keeps.
    """
    return lambda step: step / warmup if step < warmup else max(0.0, 1 - (step - warmup) / (steps - warmup))


def inference_batch(parts: int) -> int:
    """Rows per batch of the training loop without gradients: fewer where a training batch needs several parts."""
    return -(-INFERENCE_BATCH // parts)


def logits_and_labels(
    model: EarlyExitModel, data: Encoded, device: str, precision: str, parts: int
) -> tuple[Tensor, Tensor]:
    """After training, for `Method.calibrate`: logits [n, L, C], float32, and labels [n], on rows held out of it."""
    order = list(sorted_batches(data.lengths, inference_batch(parts)))
    with torch.no_grad(), autocast(device, precision):
        logits = [model(data.batch(rows, device)).logits.float() for rows in order]
    return torch.cat(logits), data.targets(np.concatenate(order), device)


def hold_out(data: Encoded, share: float) -> tuple[Encoded, Encoded | None]:
    """The training rows in two parts: to train on, and a share held out for calibration (None for a share of 0)."""
    if not share:
        return data, None
    held_out = np.arange(len(data)) % round(1 / share) == 0
    return data.take(np.flatnonzero(~held_out)), data.take(np.flatnonzero(held_out))


def epochs(data: Encoded, recipe: Recipe, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The batches of all epochs, as row numbers."""
    for _ in range(recipe.epochs):
        yield from shuffled_batches(data.lengths, recipe.batch_size, rng)


def training_forward(
    model: EarlyExitModel, data: Encoded, device: str, precision: str, parts: int, keep_dropout: bool
) -> Callable[[np.ndarray], ExitOutputs]:
    """The training loop's forward pass, rows -> outputs of the exits; a frozen backbone is computed only once.

    With `keep_dropout` a frozen backbone's dropout stays on, as in released code, and every step computes it anew.
    """
    model.train()
    if keep_dropout or any(parameter.requires_grad for parameter in model.backbone.parameters()):
        return lambda rows: model(data.batch(rows, device))
    model.backbone.eval()
    return frozen_forward(model, data, device, precision, parts)


def frozen_forward(
    model: EarlyExitModel, data: Encoded, device: str, precision: str, parts: int
) -> Callable[[np.ndarray], ExitOutputs]:
    """The forward pass of a model whose backbone does not change, rows -> outputs of the exits.

    The backbone runs without dropout, so its [CLS] states are the same in every epoch: computed once, unless they are
    too many or an exit reads the whole sequence. Where memory is short (batches in parts) a GPU does not keep them.
    """
    if model.reads_sequence or not keeps_features(len(data), model.num_layers, model.backbone.hidden_size):
        return lambda rows: model(data.batch(rows, device))
    kept_on = device if parts == 1 else "cpu"
    features = torch.empty(len(data), model.num_layers, model.backbone.hidden_size, device=kept_on)
    with torch.no_grad(), autocast(device, precision):
        for rows in sorted_batches(data.lengths, inference_batch(parts)):
            features[torch.from_numpy(rows)] = model.backbone(data.batch(rows, device)).float().to(kept_on)
    return lambda rows: model.read(features[torch.from_numpy(rows)].to(device))


def keeps_features(rows: int, num_layers: int, width: int) -> bool:
    """Whether training can keep a frozen backbone's [CLS] states, float32 [rows, num_layers, width], for all epochs."""
    return 4 * rows * num_layers * width <= FEATURE_BYTES


def check_finite(loss: Tensor, step: int) -> None:
    """Stop a training whose loss is not finite any more.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
    """
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss is {loss.item()} at step {step + 1}: training diverged")
