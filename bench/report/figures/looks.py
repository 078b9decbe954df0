"""Colours, markers and names of methods, tasks and metrics, the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bench.sources.tasks import TASKS

GENERATED = "embedded"  # suites whose names begin so hold generated data; every label says so
BACKBONES = {"bert": "BERT", "roberta": "RoBERTa"}
METRICS = {"accuracy": "accuracy", "f1": "F1", "matthews": "Matthews correlation", "pearson": "Pearson correlation"}
SPLITS = {"validation_matched": "-m", "validation_mismatched": "-mm"}  # GLUE's own names: MNLI-m, MNLI-mm

#: Known methods in the order of figures and keys, as papers write them; others follow under their own names.
LABELS = {
    "dact": "DACT-BERT",
    "deebert": "DeeBERT",
    "pabee": "PABEE",
    "dact-exact": "DACT, exact bound",
    "pabee-frozen": "PABEE, frozen",
    "static": "static",
    "distilbert": "distilled",
    "truncated": "truncated depth",
    "dact-eps": "DACT, slack",
    "fastbert": "FastBERT",
    "berxit": "BERxiT",
    "shallow-deep": "Shallow-Deep",
    "act": "ACT",
    "pondernet": "PonderNet",
    "pkd": "PKD",
    "tinybert": "TinyBERT",
    "shallow": "shallow",
    "dact-frozen": "DACT, frozen backbone",
    "dact-original": "DACT, original regulariser",
}
GREY = 7  # of seaborn's palette; grey is what stands behind
COLORS = [color for place, color in enumerate(sns.color_palette("colorblind", 10)) if place != GREY]
MARKERS = "os^dv<>p"  # fewer than colours, so that the two do not repeat together
DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
MARKS = {
    "static": {"color": "black", "marker": "D", "linestyle": "none", "markersize": 4, "zorder": 4},
    "distilbert": {"color": "black", "marker": "*", "linestyle": "none", "markersize": 7, "zorder": 4},
}
#: Marks of the other static models, which Figure 2 leaves out.
OTHER_MARKS = {
    "pkd": {"color": "black", "marker": "P", "linestyle": "none", "markersize": 5, "zorder": 4},
    "tinybert": {"color": "black", "marker": "X", "linestyle": "none", "markersize": 5, "zorder": 4},
}
#: What the choice of exits is measured against, in the small multiples.
REFERENCES = {
    "truncated": {"color": "black", "linewidth": 0.6},
    "random": {"color": "black", "marker": ".", "linestyle": "none", "markersize": 1.5},
    "oracle": {"color": "black", "marker": "o", "linestyle": "none", "markersize": 3, "markerfacecolor": "none"},
    "constant": {"color": "black", "marker": "_", "linestyle": "none", "markersize": 5},
}
TRUNCATED = {"color": "0.6", "linewidth": 0.7, "zorder": 1.5}


@dataclass(frozen=True)
class Look:
    """How a method is drawn; the marker and the dashes tell it from the others without colour."""

    label: str
    color: tuple[float, float, float]
    marker: str
    dashes: str | tuple

    def line(self) -> dict:
        """Keyword arguments of a line with markers."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.dashes, "markersize": 2.5}


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The looks of methods in the order of figures; a known method looks the same whatever else is drawn."""
    present = set(methods)
    order = [*LABELS, *sorted(present - set(LABELS))]
    return {
        name: Look(LABELS.get(name, name), COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(order)
        if name in present
    }


def swept(points: pd.DataFrame) -> dict[str, Look]:
    """The looks of all methods with more than one operating point per seed: those that have a curve."""
    runs = points[points["method"] != "truncated"].groupby(["task", "split", "backbone", "method", "seed"]).size()
    return looks(runs[runs > 1].index.get_level_values("method"))


def plot_points(ax: Axes, rows: pd.DataFrame, look: Look) -> None:
    """Draw single runs; in SVG each point has a title, which browsers show: method, knob, seed, x and y.

    Args:
        ax: where.
        rows: rows of points.csv of one method.
        look: how.
    """
    style = {"c": [look.color], "marker": look.marker, "alpha": 0.6, "linewidths": 0, "zorder": 2, "clip_on": False}
    dots = ax.scatter(rows["layer_fraction"], rows["value"], 4, **style)
    dots.set_urls([point_title(row) for row in rows.itertuples()])  # made titles when the figure is written


def point_title(row: object) -> str:
    """A row of points.csv in one line: method, knob, seed, x and y."""
    knob = f"{row.knob} {row.knob_value:g}" if isinstance(row.knob, str) else "full depth"
    variant = f" {row.variant}" if row.variant else ""
    return f"{row.method}{variant}, {knob}, seed {row.seed}: x {row.layer_fraction:.3f}, {row.metric} {row.value:.4f}"


def family(backbone: str) -> str:
    """A backbone family as people write it."""
    return BACKBONES.get(backbone, backbone)


def panels(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Rows by (task, split): the paper's tasks in its order, then others, MNLI mismatched last."""
    order = {task: i for i, task in enumerate(TASKS)}
    groups = dict(list(rows.groupby(["task", "split"])))
    for task, split in sorted(groups, key=lambda p: (p[1] == "validation_mismatched", order.get(p[0], len(order)), p)):
        yield task, split, groups[task, split]


def title(row: pd.Series) -> str:
    """The title of a panel: GLUE's name of the task, marked where the data are generated."""
    task = TASKS[row["task"]].title if row["task"] in TASKS else row["task"]
    return f"{task}{SPLITS.get(row['split'], '')}" + ("-like, generated" if row["suite"].startswith(GENERATED) else "")


def metric(rows: pd.DataFrame) -> str:
    """The name of a panel's metric as people write it."""
    name = rows["metric"].iloc[0]
    return METRICS.get(name, name)
