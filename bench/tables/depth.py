"""depth.csv: what each layer of a panel's backbone is worth, beside BERT-base on GLUE.

Three profiles: `frozen`, DeeBERT's exits on the frozen fine-tuned model (`truncated`); `joint`, the exits of a model
that was trained with all of them (`pabee`); and `fine-tuned`, the backbone cut at a layer and fine-tuned there
(`shallow`). The last two where they ran beside the static model, whose gain their shares are of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics.depth import gain_shares
from bench.tables.columns import PANEL, seed_columns, task_metric
from bench.tables.published_depth import FINE_TUNED, FROZEN, JOINT, published_at

DEPTH = ["suite", *PANEL, "profile", "layer", "layer_fraction", "metric"]
DEPTH += ["value", "value_low", "value_high", "constant", "share", "published", "seeds"]


def depth_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """depth.csv of one panel: its profiles, the cheapest layer first.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    frozen, joint, cut, whole = (
        [one for one in sweeps if one.keys["method"] == method]
        for method in ("truncated", "pabee", "shallow", "static")
    )
    if frozen:
        yield profile(FROZEN, [frozen])
    if joint and whole:
        yield profile(JOINT, [[at_every_layer(one) for one in joint]], whole)
    if cut and whole:
        variants = dict.fromkeys(one.keys["variant"] for one in cut)
        yield profile(FINE_TUNED, [*([one for one in cut if one.keys["variant"] == name] for name in variants), whole])


def at_every_layer(one: Sweep) -> Sweep:
    """The same model with all examples leaving at layer 1, at layer 2 and so on, for depth.csv."""
    answers = one.by_layer.T  # [L, n]
    layers = np.broadcast_to(np.arange(1, len(answers) + 1)[:, None], answers.shape)
    return replace(one, layers=layers, predictions=answers)


def profile(name: str, models: list[list[Sweep]], whole: Sequence[Sweep] = ()) -> Rows:
    """The rows of depth.csv for one profile.

    Args:
        name: `FROZEN`, `JOINT` or `FINE_TUNED`.
        models: sweeps of all seeds of one model after the other, all of whose examples leave at one layer a point; the
            last point of the deepest one is full depth.
        whole: the static model, where that last point is not it.
    """
    models = sorted(models, key=lambda seeds: seeds[0].layers.max())
    first = models[0][0]
    layers = np.concatenate([seeds[0].layers[:, 0] for seeds in models]).astype(np.int64)
    parts = [seed_columns("value", np.stack([task_metric(one, one.predictions) for one in seeds])) for seeds in models]
    values = {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
    constant = float(np.nan_to_num(task_metric(first, first.always)[0]))  # a constant correlates with nothing
    final = np.mean([task_metric(one, one.predictions)[-1] for one in whole]) if whole else values["value"][-1]
    x = layers / first.panel_layers
    return {
        **first.named("suite", *PANEL),
        "profile": name,
        "layer": layers,
        "layer_fraction": x,
        "metric": first.task.metric,
        **values,
        "constant": constant,
        "share": gain_shares(values["value"], final, constant),
        "published": published_at(first.keys["task"], first.keys["split"], name, x),
        "seeds": np.repeat([len(seeds) for seeds in models], [len(seeds[0].layers) for seeds in models]),
    }
