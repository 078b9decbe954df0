"""confidence.csv: how sure the answers of DACT and DeeBERT are at exit, and how sure DACT's halting values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bench.halting.replay import replay
from bench.halting.sweep import Rows, Sweep
from bench.tables.columns import MODEL
from methods.base import RuleSpec
from methods.blocks import entropy
from methods.dact import DactRule

CONFIDENCE = [*MODEL, "knob", "knob_value", "layer_fraction", "exit_entropy", "decided", "train_rows", "n"]
#: The methods that train DACT's halting values: as in the paper, without fine-tuning, with the older penalty.
DACTS = ("dact", "dact-frozen", "dact-original")
#: Halting values outside these are decided: to stop, or to go on.
UNDECIDED = (0.1, 0.9)


def confidence_rows(sweep: Sweep) -> Iterator[Rows]:
    """confidence.csv of one model: the entropy of its answers at exit, and the share of decided halting values.

    Args:
        sweep: a sweep of `deebert`, whose answers are its logits, or of a method of DACT's family with models of its
            own, whose answers are the accumulated a_l; other methods have no rows.
    """
    trace, method = sweep.trace, sweep.keys["method"]
    decided = np.nan
    if method in DACTS:
        a = torch.from_numpy(replay(DactRule(RuleSpec(*trace.logits.shape[1:])), trace).answers)
        unsure = torch.special.entr(a).sum(dim=-1).numpy()  # [n, L]
        # h_L is penalised, but layer L halts whatever it says
        h, (low, high) = trace.halting[:, :-1], UNDECIDED
        if h.size:  # a model of one layer has none that could halt
            decided = ((h < low) | (h > high)).mean()
    elif method == "deebert":
        unsure = entropy(torch.from_numpy(trace.logits).double()).numpy()
    else:
        return
    at_exit = unsure[np.arange(len(unsure)), sweep.layers - 1]  # [K, n]
    sizes = {"train_rows": sweep.train_rows, "n": sweep.layers.shape[1]}
    x = sweep.layer_fraction
    yield sweep.rows(layer_fraction=x, exit_entropy=at_exit.mean(axis=1), decided=decided, **sizes)
