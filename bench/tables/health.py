"""health.csv: can every exit see? Each exit beside a closed-form probe on the very states that it reads.

An exit that a probe beats is named, and a verdict that rests on a blind one is not given (`bench.tables.reproduction`).
The probe is fitted when a model is traced (`bench.models.probing`), and its answers are kept in the trace.

Shapes: n examples, L layers, S seeds, D draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics.intervals import percentile_interval, resamples
from bench.statistics.significance import bootstrap_test, holm
from bench.tables.calibration import by_model
from bench.tables.columns import CURVE, PANEL, examples_seed
from bench.tables.confidence import DACTS, accumulated
from bench.tables.exits import exits_at_most
from methods.blocks import prediction

HEALTH = ["suite", *PANEL, "method", "variant", "layer", "seeds", "exit", "probe", "probe_of_mean", "difference"]
HEALTH += ["difference_low", "difference_high", "p_holm", "commonest", "most_exits", "named", "blind", "resolved"]
DRAWS = 1000
#: A probe must be so much better for its exit to be named.
RELEVANT = 0.05
LEVEL = 0.05
#: Wider intervals than this resolve nothing.
WIDEST = 0.10
#: A layer counts if so many of the examples leave there at some setting.
FEWEST = 0.05
#: An exit is blind if so many of its answers are the same.
COMMONEST = 0.95


def health_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """health.csv: a panel's methods and variants that have exits below layer L and were probed.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    probed = [one for one in sweeps if one.trace.probe is not None and one.trace.logits.shape[1] > 1]
    for seeds in by_model(probed):
        if not np.isnan(seeds[0].trace.logits[:, 0]).all():  # else layer L alone has an exit
            yield from layer_rows(seeds)


def layer_rows(seeds: Sequence[Sweep]) -> Iterator[Rows]:
    """Rows of health.csv: of one method and variant, per layer whose exit answers some examples at some setting."""
    labels = seeds[0].trace.labels[:, None]
    answers = np.stack([answers_of(one) for one in seeds])  # [S, n, L]
    probes = np.stack([one.trace.probe for one in seeds])
    better = ((probes == labels) * 1.0 - (answers == labels)).mean(axis=0)  # [n, L], mean over seeds
    weights = next(resamples(len(labels), DRAWS, examples_seed(seeds[0]), DRAWS))
    draws = weights @ better.astype(np.float32) / len(labels)  # [D, L]
    most = np.max([exits_at_most(one) for one in seeds], axis=0)  # [L]
    counted = np.flatnonzero(most >= FEWEST)
    corrected = dict(zip(counted, holm(bootstrap_test(draws[:, counted])), strict=True)) if len(counted) else {}
    for layer, p in corrected.items():
        low, high = (float(end) for end in percentile_interval(draws[:, layer]))
        mean, resolved = float(better[:, layer].mean()), high - low <= WIDEST
        commonest = float(np.mean([np.unique_counts(each).counts.max() / each.size for each in answers[:, :, layer]]))
        means = [(some[:, :, layer] == labels[:, 0]).mean() for some in (answers, probes)]
        beside = [(one.trace.probe_of_mean[:, layer] == labels[:, 0]).mean() for one in seeds]
        yield {
            **seeds[0].named(*CURVE, "variant"),
            "layer": int(layer) + 1,
            "seeds": len(seeds),
            "exit": means[0],
            "probe": means[1],
            "probe_of_mean": np.mean(beside),
            "difference": mean,
            "difference_low": low,
            "difference_high": high,
            "p_holm": float(p),
            "commonest": commonest,
            "most_exits": float(most[layer]),
            "named": int(mean >= RELEVANT and p < LEVEL),
            "blind": int(commonest >= COMMONEST),
            "resolved": int(resolved),
        }


def answers_of(one: Sweep) -> np.ndarray:
    """For health.csv: what each exit answers alone [n, L]; of DACT's family the accumulated a_l."""
    if one.keys["method"] in DACTS:
        return accumulated(one.trace).predictions
    return prediction(torch.from_numpy(one.trace.logits)).numpy()
