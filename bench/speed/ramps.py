"""DeeBERT's ramps: trained on features that are computed once, against the released way through a live backbone.

Both sides start from the same stage-1 model and new ramps, with the same recipe, on the same rows; the time of ours
counts the pass that computes the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from bench.models.model import EarlyExitModel
from bench.models.tracing import trace_model
from bench.models.training import train
from bench.plan.suite import Recipe
from bench.speed.real import Problem, problem, stage1
from bench.speed.released import train_ramps
from bench.speed.table import Row, Settings
from bench.statistics.intervals import t_interval
from bench.timing import ratio, seconds
from methods.deebert import DeeBert

SEEDS, ROWS = 3, 512
#: Three epochs, as DeeBERT's own scripts have it.
RAMPS = Recipe(epochs=3, learning_rate=1e-3, batch_size=32)


def measure(settings: Settings) -> Iterator[Row]:
    """How much faster ours is, and at how many layers the accuracies of the two differ over seeds."""
    given, start, times, accuracies = problem(settings, "sst2"), stage1(settings, "sst2"), [], []
    rows = given.train.take(np.random.default_rng(0).permutation(len(given.train))[:ROWS])
    for seed in range(SEEDS):
        theirs, ours = (given.model(DeeBert(), seed, start) for _ in range(2))
        slow = seconds(partial(train_ramps, theirs, rows, RAMPS, seed))
        times.append((slow, seconds(partial(train, ours, DeeBert(), {}, rows, RAMPS, ("sst2", seed)))))
        accuracies.append([accuracy(theirs, given), accuracy(ours, given)])
    yield Row("ramps, times as fast as through a live backbone, SST-2, MiniLM", ratio(times), "times", ">= 15")
    _, low, high = t_interval(np.array([ours - theirs for theirs, ours in accuracies]))
    differ = int(((low > 0) | (high < 0)).sum())
    what = f"ramps whose accuracy differs (95 % interval of the difference, paired over {SEEDS} seeds, {ROWS} rows)"
    yield Row(what, differ, f"of {len(low)} layers", "<= 0")


def accuracy(model: EarlyExitModel, given: Problem) -> np.ndarray:
    """Validation accuracy [L - 1] of the ramps."""
    logits = trace_model(model.eval(), given.examples, given.data).logits[:, :-1]
    return (logits.argmax(axis=2) == given.examples.labels[:, None]).mean(axis=0)
