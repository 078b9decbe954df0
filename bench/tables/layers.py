"""layers.csv: what DeeBERT's and DACT's rules see at every layer, for three examples of each.

Shapes: n examples, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.tables.columns import MODEL
from methods.blocks import entropy

LAYERS = [*MODEL, "example", "index", "difficulty", "mean_exit_layer", "layer", "quantity", "value"]


def chosen_examples(sweeps: PanelSweeps) -> tuple[dict[str, int], np.ndarray]:
    """The three examples of layers.csv: those that exit earliest, in the middle and latest, on average over models.

    The average is over the points of a sweep, then over the sweeps whose points do not all treat examples alike.
    Ties go to the lower index.

    Returns:
        Name -> position in the trace; mean exit layer [n].
    """
    choosing = [s.layers.mean(axis=0) for s in sweeps if s.chooses.any()] or [sweeps[0].layers[0]]
    # rounded, so that the order of a sum in another library does not decide between examples that tie
    mean = np.round(np.mean(choosing, axis=0), 9)  # [n]
    index = sweeps[0].trace.index
    upwards, downwards = np.lexsort((index, mean)), np.lexsort((index, -mean))
    return {"earliest": upwards[0], "median": upwards[(len(mean) - 1) // 2], "latest": downwards[0]}, mean


def layer_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """layers.csv of one panel; models of methods other than `deebert` and `dact` have no rows.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    for method in ("deebert", "dact"):
        if own := [sweep for sweep in sweeps if sweep.keys["method"] == method]:
            yield from rows_of_method(own)


def rows_of_method(sweeps: PanelSweeps) -> Iterator[Rows]:
    """layers.csv of all models of one method in a panel, for the same three examples."""
    names, mean = chosen_examples(sweeps)
    for sweep in sweeps:
        difficulty = sweep.trace.difficulty
        for name, at in names.items():
            for quantity, values in layer_quantities(sweep, at).items():
                yield {
                    **sweep.keys,
                    "example": name,
                    "index": sweep.trace.index[at],
                    "difficulty": np.nan if difficulty is None else difficulty[at],
                    "mean_exit_layer": mean[at],
                    "layer": np.arange(1, len(values) + 1),
                    "quantity": quantity,
                    "value": values,
                }


def layer_quantities(sweep: Sweep, at: int) -> dict[str, np.ndarray]:
    """In layers.csv, of one example: `entropy` [L] (nats) for DeeBERT; `h` and p_l = h_1 .. h_l [L] for DACT."""
    if sweep.trace.halting is None:
        return {"entropy": entropy(torch.from_numpy(sweep.trace.logits[at]).double()).numpy()}
    h = sweep.trace.halting[at].astype(np.float64)
    return {"h": h, "p": np.cumprod(h)}
