"""Colours, markers and names of methods, tasks and metrics, the same in every figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import seaborn as sns

from bench.report.figures.setting import current
from bench.sources.tasks import TASKS
from bench.tables.columns import PAPER_METHODS

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
#: Static models and truncated depth have marks in black and grey, which take no colour from the others.
COLOURLESS = {"static": "D", "distilbert": "*", "pkd": "P", "tinybert": "X", "truncated": "p"}
GREY, YELLOW = 7, 8  # of seaborn's palette: grey is what stands behind, yellow cannot be seen on white
COLORS = [color for place, color in enumerate(sns.color_palette("colorblind", 10)) if place not in (GREY, YELLOW)]
MARKERS = "os^dv<>"  # fewer than colours, so that the two do not repeat together
DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
MARKS = {
    "static": {"color": "black", "marker": "D", "linestyle": "none", "markersize": 4, "zorder": 4, "clip_on": False},
    "distilbert": {
        "color": "black",
        "marker": "*",
        "linestyle": "none",
        "markersize": 7,
        "zorder": 4,
        "clip_on": False,
    },
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
    color: tuple[float, float, float] | str
    marker: str
    dashes: str | tuple

    def line(self) -> dict:
        """Keyword arguments of a line with markers."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.dashes, "markersize": 2.5}


def name_of(method: str) -> str:
    """A method as papers write it."""
    return LABELS.get(method, method)


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The looks of methods in the order of figures, those from outside the project first.

    A method looks the same in every figure of a run; a known one, where nobody else has its colour, in every run.
    """
    present = set(methods)
    place = places(current().methods | present)
    return {name: _look(name, place.get(name)) for name in [*outside(present), *LABELS] if name in present}


def outside(methods: Iterable[str]) -> list[str]:
    """The methods that the project does not know, by name."""
    return sorted(set(methods) - set(LABELS))


def places(methods: Iterable[str]) -> dict[str, int]:
    """Where in the rows of colours, markers and dashes each method of a run stands.

    A known method takes the place that it always has, unless another of the run has its colour; the methods from
    outside take the first of those that are free.
    """
    known = [name for name in LABELS if name not in COLOURLESS]
    present = set(methods) - set(COLOURLESS)
    taken: dict[str, int] = {}
    for name in [*filter(present.__contains__, known), *outside(present)]:
        usual = known.index(name) % len(COLORS) if name in known else 0
        free = (place for place in range(len(COLORS)) if place not in taken.values())
        taken[name] = usual if name in known and usual not in taken.values() else next(free, len(taken))
    return taken


def _look(name: str, place: int | None) -> Look:
    if place is None:
        return Look(name_of(name), TRUNCATED["color"] if name == "truncated" else "black", COLOURLESS[name], "-")
    return Look(name_of(name), COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


def drawn_methods(methods: Iterable[str], most: int) -> tuple[dict[str, Look], str]:
    """The methods that a figure of all draws: outside ones, with the paper's if they ran, then others up to `most`.

    Variants of one of the paper's, such as DACT with its exact bound, are left out beside it: they lie on top of it.

    Returns:
        Their looks; a sentence of the fine print that names the others, empty where there are none.
    """
    ran = set(methods) - set(COLOURLESS)
    paper = [name for name in PAPER_METHODS if name in ran]
    own = outside(ran)[: most - len(paper)]
    others = [name for name in LABELS if name in ran and not any(name.startswith(f"{drawn}-") for drawn in paper)]
    drawn = looks(list(dict.fromkeys([*own, *paper, *others]))[:most])
    rest = "; ".join(look.label for look in looks(ran - set(drawn)).values())  # labels have commas of their own
    return drawn, f"Not drawn here: {rest}. " if rest else ""


def swept(points: pd.DataFrame) -> dict[str, Look]:
    """The looks of all methods with more than one operating point per seed: those that have a curve."""
    runs = points[points["method"] != "truncated"].groupby(["task", "split", "backbone", "method", "seed"]).size()
    return looks(runs[runs > 1].index.get_level_values("method"))


def point_title(row: object) -> str:
    """A row of points.csv in one line: method, knob, seed, x and y."""
    knob = f"{row.knob} {row.knob_value:g}" if isinstance(row.knob, str) else "full depth"
    variant = f" {row.variant}" if row.variant else ""
    return f"{row.method}{variant}, {knob}, seed {row.seed}: x {row.layer_fraction:.3f}, {row.metric} {row.value:.4f}"


def family(backbone: str) -> str:
    """A backbone family as people write it."""
    return BACKBONES.get(backbone, backbone)


def panels(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows by task and split: the paper's tasks in its order, then others, MNLI mismatched last."""
    order = {task: i for i, task in enumerate(TASKS)}
    groups = dict(list(rows.groupby(["task", "split"])))
    in_order = sorted(groups, key=lambda p: (p[1] == "validation_mismatched", order.get(p[0], len(order)), p))
    return [groups[panel] for panel in in_order]


def title(row: pd.Series) -> str:
    """The title of a panel: GLUE's name of the task, marked where the data are generated."""
    task = TASKS[row["task"]].title if row["task"] in TASKS else row["task"]
    return f"{task}{SPLITS.get(row['split'], '')}" + ("-like, generated" if row["suite"].startswith(GENERATED) else "")


def narrow_title(rows: pd.DataFrame, *below: str) -> str:
    """The title of a narrow panel, a line for each of its parts and of what stands below; a mean says it is one."""
    if rows["task"].iloc[0] == "mean":
        return "mean\nover\ntasks"
    return "\n".join([title(rows.iloc[0]), *below]).replace(", ", ",\n")


def metric(rows: pd.DataFrame) -> str:
    """The name of a panel's metric as people write it."""
    name = rows["metric"].iloc[0]
    return METRICS.get(name, name)
