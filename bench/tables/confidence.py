"""confidence.csv: how sure the answers of DACT and DeeBERT are at exit, and how sure DACT's halting values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bench.halting.replay import Replay, replay
from bench.halting.sweep import Rows, Sweep
from bench.store.trace import Trace
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
        sweep: a sweep of `deebert` or of a method of DACT's family with models of its own; others have no rows.
    """
    method = sweep.keys["method"]
    if method in (*DACTS, "deebert"):
        decided = np.nan if method == "deebert" else decided_share(sweep.trace)
        yield sweep.rows(
            layer_fraction=sweep.layer_fraction,
            exit_entropy=exit_entropy(sweep, sweep.layers),
            decided=decided,
            train_rows=sweep.train_rows,
            n=sweep.layers.shape[1],
        )


def decided_share(trace: Trace) -> float:
    """For confidence.csv: the share of halting values that are decided, to stop or to go on."""
    # h_L is penalised, but layer L halts whatever it says
    h, (low, high) = trace.halting[:, :-1], UNDECIDED
    return float(((h < low) | (h > high)).mean()) if h.size else float("nan")  # of one layer none could halt


def accumulated(trace: Trace) -> Replay:
    """What a model of DACT's family answers, the accumulated a_l, whatever method replays its trace."""
    return replay(DactRule(RuleSpec(*trace.logits.shape[1:])), trace)


def exit_entropy(sweep: Sweep, layers: np.ndarray) -> np.ndarray:
    """For confidence.csv: mean entropy (nats) [K] of the answers of examples that leave at layers [K, n].

    The answers are logits, or for a method of DACT's family the accumulated a_l.
    """
    trace = sweep.trace
    if sweep.keys["method"] in DACTS:
        unsure = torch.special.entr(torch.from_numpy(accumulated(trace).answers)).sum(dim=-1).numpy()  # [n, L]
    else:
        unsure = entropy(torch.from_numpy(trace.logits).double()).numpy()
    return unsure[np.arange(len(unsure)), layers - 1].mean(axis=1)
