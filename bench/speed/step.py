"""How fast a training step is: against a bare loop, and its arithmetic against the best this machine can do.

The bare loop is what one writes by hand for the same model: the library's encoder, one exit after the other, batches
that wait as tensors, AdamW, clipping and a schedule over the list of parameters. Both sides train on one thread in
turn; medians count. Multiply-adds are those that are computed (of layer L, keys and values of all tokens and the rest
for [CLS]), three times those of the forward pass.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from transformers import BertConfig

from bench.models.costs import feed_forward_size
from bench.models.loading import empty_encoder, encoded, fresh_backbone
from bench.models.model import EarlyExitModel, build_model, stack_layers
from bench.models.tokens import Encoded
from bench.models.training import epochs, train
from bench.plan.methods import full_variant
from bench.plan.suite import Recipe
from bench.plan.suite_file import load_suite
from bench.sources.checkpoints import find_checkpoint
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.speed.table import Row, Settings
from bench.timing import seconds
from methods import discover
from methods.base import Method, TrainingBatch

TASK, ROWS, PAIRS = "rte", 256, 5
#: A BERT-base-sized step: rows, tokens, and steps of which the first is not counted.
LARGE_ROWS, LARGE_TOKENS, LARGE_STEPS = 16, 128, 3


def bare_loop(model: EarlyExitModel, method: Method, variant: dict, data: Encoded, recipe: Recipe) -> float:
    """Seconds that a loop without anything of ours around the model takes."""
    batches = [(data.batch(rows), data.targets(rows)) for rows in epochs(data, recipe, np.random.default_rng(0))]
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    start = time.perf_counter()
    for step, (batch, labels) in enumerate(batches):
        states = list(model.backbone.sequences(batch))
        outputs = [model.exit(layer, hidden) for layer, hidden in enumerate(states, start=1)]
        said = stack_layers(outputs, torch.stack([hidden[:, 0] for hidden in states], dim=1))
        method.loss(said, TrainingBatch(labels, variant, step, len(batches))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return time.perf_counter() - start


def against_bare_loop(name: str) -> float:
    """Seconds of the bare loop over ours for a method on an embedded task."""
    suite, method = load_suite("embedded"), discover()[name]
    variant = full_variant(method, method.variants[0])
    checkpoint = find_checkpoint(suite.backbones["bert"].checkpoint)
    _, data = encoded(Embedded(), TASKS[TASK], "train", ROWS, checkpoint, suite.max_length)
    recipe = Recipe(epochs=1, learning_rate=2e-4, batch_size=suite.recipe_of(method, "bert").batch_size)
    bare, ours = [], []
    for _ in range(PAIRS + 1):
        one, other = (build_model(method, fresh_backbone(checkpoint), 2, ("bert", TASK, 0)) for _ in range(2))
        bare.append(bare_loop(one, method, variant, data, recipe))
        ours.append(seconds(partial(train, other, method, variant, data, recipe, (TASK, 0))))
    return statistics.median(b / o for b, o in zip(bare[1:], ours[1:], strict=True))  # the first pair warms up


def training_macs(config, n: int, tokens: int) -> int:
    """Multiply-adds of a training step of the static model on n rows without padding."""
    width, inner, layers = config.hidden_size, feed_forward_size(config), config.num_hidden_layers
    asks = 2 * width**2 + 2 * width * inner + 2 * width * tokens  # query, output, feed-forward, scores and mixture
    read = 2 * width**2  # key and value
    return 3 * n * (layers * tokens * read + ((layers - 1) * tokens + 1) * asks)


def matmul_rate() -> float:
    """The best multiply-adds per second of float32 matrix products, over several sizes."""
    best = 0.0
    for size in (256, 512, 1024, 2048):
        left, right = torch.randn(size, size), torch.randn(size, size)
        for _ in range(5):
            best = max(best, size**3 / seconds(partial(torch.matmul, left, right)))
    return best


def share_of_matmul_rate() -> tuple[float, float]:
    """Multiply-adds per second of BERT-base-sized training with random weights, and the best of matrix products."""
    config = BertConfig(attn_implementation="sdpa")
    method, recipe = discover()["static"], Recipe(epochs=1, learning_rate=1e-5, batch_size=LARGE_ROWS)
    backbone = empty_encoder(config)
    backbone.encoder.init_weights()
    model = build_model(method, backbone, 2, ("bert", TASK, 0))
    rng = np.random.default_rng(0)
    times = []
    for steps in (1, LARGE_STEPS):
        n = steps * LARGE_ROWS
        rows = rng.integers(1000, config.vocab_size, n * LARGE_TOKENS, dtype=np.int32)
        data = Encoded({"input_ids": rows}, rng.integers(0, 2, n), np.full(n, LARGE_TOKENS), {"input_ids": 0})
        times.append(seconds(partial(train, model, method, {}, data, recipe, (TASK, 0))))
    step = (times[1] - times[0]) / (LARGE_STEPS - 1)
    return training_macs(config, LARGE_ROWS, LARGE_TOKENS) / step, matmul_rate()


def embedded_rate() -> float:
    """Multiply-adds per second of training `static` on an embedded task."""
    suite, method = load_suite("embedded"), discover()["static"]
    checkpoint = find_checkpoint(suite.backbones["bert"].checkpoint)
    _, data = encoded(Embedded(), TASKS[TASK], "train", None, checkpoint, suite.max_length)
    recipe, backbone = replace(suite.recipe_of(method, "bert"), epochs=1), fresh_backbone(checkpoint)
    batches = epochs(data, recipe, np.random.default_rng(0))
    macs = sum(training_macs(backbone.config, len(rows), data.lengths[rows].max()) for rows in batches)
    model = build_model(method, backbone, 2, ("bert", TASK, 0))
    return macs / seconds(partial(train, model, method, {}, data, recipe, (TASK, 0)))


def measure(settings: Settings) -> Iterator[Row]:
    """The step of three methods against a bare loop, then the arithmetic of a large one and of the embedded run's."""
    torch.set_num_threads(1)  # as our cells compute
    for name in ("static", "pabee", "dact"):
        yield Row(f"training step / bare loop, embedded, {name}", against_bare_loop(name), "times", ">= 0.92")
    achieved, best = share_of_matmul_rate()
    yield Row("best matrix product, float32, one thread", best / 1e9, "GMAC/s")
    yield Row("multiply-add rate of BERT-base-sized training / best matrix product", achieved / best, "times", ">= 0.6")
    yield Row("multiply-add rate of embedded training / best matrix product", embedded_rate() / best, "times")
