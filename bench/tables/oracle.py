"""oracle.csv: of what choosing exits could gain over truncated depth, the share that a method gets.

Truncated depth and the oracle curve (`bench.statistics.oracle`) are those of the method's own traces, so that what
counts is the choice and not the training. Accuracy only, whatever metric a task draws.

Shapes: D resamples of the n examples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics.intervals import percentile_interval, resamples
from bench.statistics.oracle import share_parts
from bench.tables.columns import CURVE, ENDS, METHOD, boot_columns, examples_seed, interval_columns, with_ends
from bench.tables.scores import BLOCK, group_runs

#: Where the oracle may gain less than this, a share of it means nothing.
SMALLEST_GAIN = 0.02
DRAWS = 1000
QUANTITIES = ("gain", "possible", "share")
ORACLE = [*METHOD, "seeds", *with_ends(*QUANTITIES, ends=ENDS), "status"]


def oracle_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """oracle.csv: one row for every method of a panel that chooses exits by example.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    first, runs = sweeps[0], group_runs(sweeps)
    methods: dict[str, list[list[Sweep]]] = {}
    for (method, _), run in runs.items():
        if any(one.chooses.any() for one in run):
            methods.setdefault(method, []).append(run)
    draws = {} if first.task.regression else drawn(methods)
    for method, seeds in methods.items():
        keys = seeds[0][0].named(*CURVE) | {"metric": "accuracy", "seeds": len(seeds)}
        if first.task.regression:
            blank = dict.fromkeys([name for name in ORACLE if name not in keys], np.nan)
            yield {**keys, **blank, "status": "needs classes"}
        else:
            yield {**keys, **summary(seeds, draws[method])}


def drawn(methods: dict[str, list[list[Sweep]]]) -> dict[str, np.ndarray]:
    """For oracle.csv: the quantities [D, Q] of each method on resamples of the examples, mean over its seeds."""
    parts: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    if methods:
        first = next(iter(methods.values()))[0][0]
        n = len(first.trace.labels)
        # the first of the resamples that scores.csv is judged on
        for weights in resamples(n, DRAWS, examples_seed(first), max(1, BLOCK // n // 8)):
            for method, seeds in methods.items():
                parts[method].append(np.mean([quantities(run, weights) for run in seeds], axis=0))
    return {method: np.concatenate(each) for method, each in parts.items()}


def summary(seeds: list[list[Sweep]], draws: np.ndarray) -> Rows:
    """The columns of one method in oracle.csv: gain, possible gain and their ratio, with both intervals.

    Args:
        seeds: its runs.
        draws: its quantities on resamples (`drawn`).
    """
    n = len(seeds[0][0].trace.labels)
    own = np.array([quantities(run, np.ones((1, n), dtype=np.float32))[0] for run in seeds])  # [S, Q]
    columns: Rows = {}
    for at, quantity in enumerate(QUANTITIES):
        columns |= interval_columns(quantity, own[:, at]) | boot_columns(quantity, draws[:, at])
    status = ""
    if not percentile_interval(draws[:, 1])[0] >= SMALLEST_GAIN:
        status = "the oracle gains too little"
        columns |= dict.fromkeys(with_ends("share", ends=ENDS), np.nan)
    return {**columns, "status": status}


def quantities(run: list[Sweep], weights: np.ndarray) -> np.ndarray:
    """For oracle.csv: gain over truncated depth, the oracle's, and the share, of one run on each resample: [D, 3].

    A run of several models with one setting each is the sum of their heights, one of curves the sum of their areas.
    """
    found = np.zeros((3, len(weights)))
    for one in run:
        labels, points = one.trace.labels, one.exact()
        found += share_parts(one.by_layer == labels[:, None], points.layers, points.predictions == labels, weights)
    gain, possible, width = found
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([gain / width, possible / width, np.where(possible > 0, gain / possible, np.nan)], axis=1)
