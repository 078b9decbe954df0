"""Figures 2 and 3 of the paper, drawn from the CSV files of a run folder and from nothing else.

Identical files give identical bytes: no dates, fixed SVG ids. `Figure` objects are drawn without pyplot: no window, no
backend to choose, no global state.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.errors import UserError
from bench.files import write_bytes
from bench.statistics import nearest_in_x, prunable_layers
from bench.tasks import TASKS

STYLE = Path(__file__).with_name("style.mplstyle")
TEXT_WIDTH = 7.0  # inches, both columns of a two-column paper
COLUMNS = 4  # panels side by side in Figure 2

GENERATED = "embedded"  # suites whose names begin so hold generated data; every label says so
BACKBONES = {"bert": "BERT", "roberta": "RoBERTa"}
METRICS = {"accuracy": "accuracy", "f1": "F1", "matthews": "Matthews correlation", "pearson": "Pearson correlation"}
SPLITS = {"validation_matched": "-m", "validation_mismatched": "-mm"}  # GLUE's own names: MNLI-m, MNLI-mm


@dataclass(frozen=True)
class Look:
    """How a method is drawn; the marker and the dashes tell it from the others without colour."""

    label: str
    color: tuple[float, float, float]
    marker: str
    dashes: str

    def line(self) -> dict:
        """Keyword arguments of a line with markers."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.dashes, "markersize": 2.5}


BLUE, ORANGE, GREEN = sns.color_palette("colorblind", 3)
LOOKS = {
    "dact": Look("DACT-BERT", BLUE, "o", "-"),
    "deebert": Look("DeeBERT", ORANGE, "s", "--"),
    "pabee": Look("PABEE", GREEN, "^", "-."),
}
MARKS = {
    "static": {"color": "black", "marker": "D", "linestyle": "none", "markersize": 4, "zorder": 4},
    "distilbert": {"color": "black", "marker": "*", "linestyle": "none", "markersize": 7, "zorder": 4},
}
TRUNCATED = {"color": "0.6", "linewidth": 0.7, "zorder": 1.5}


def draw_all(results: Path, figures: Path) -> list[Path]:
    """Draw every figure that the tables in `results` allow, each as PDF, SVG and PNG.

    Args:
        results: run folder with points.csv, exits.csv, curves.csv and knobs.csv.
        figures: folder for the pictures; made if absent.

    Returns:
        The files written: figure2, and figure3-BACKBONE for every backbone with DACT models.

    Raises:
        UserError: a table is not there.
    """
    points, exits, curves, knobs = (_read(Path(results) / f"{t}.csv") for t in ("points", "exits", "curves", "knobs"))
    paths = []
    with matplotlib.style.context(str(STYLE), after_reset=True):
        if points["method"].isin(LOOKS).any():
            paths += _save(figure2(points, curves), Path(figures) / "figure2")
        for backbone in knobs.loc[_is_tau(knobs), "backbone"].drop_duplicates().sort_values():
            here = knobs[knobs["backbone"] == backbone], exits[exits["backbone"] == backbone]
            paths += _save(figure3(*here), Path(figures) / f"figure3-{backbone}")
    return paths


def figure2(points: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """Metric against layers used: a block of panels per backbone, a panel per task and split, a key in each block."""
    points = points[points["method"].isin([*LOOKS, "static", "distilbert", "truncated"])]
    curves = curves[curves["resolution"] == "grid"]
    blocks = {backbone: list(_panels(rows)) for backbone, rows in points.groupby("backbone")}
    cells = max(map(len, blocks.values())) + 1
    columns = min(COLUMNS, cells)
    block_rows = math.ceil(cells / columns)
    width, height = TEXT_WIDTH * columns / COLUMNS, (1.45 * block_rows + 0.2) * len(blocks) + 0.3
    figure = Figure(figsize=(width, height), layout="constrained")
    for part, (backbone, panels) in zip(np.ravel(figure.subfigures(len(blocks))), blocks.items(), strict=True):
        part.suptitle(_family(backbone), weight="bold")
        axes = part.subplots(block_rows, columns, squeeze=False).ravel()
        for ax, (task, split, rows) in zip(axes, panels, strict=False):
            here = (curves["backbone"] == backbone) & (curves["task"] == task) & (curves["split"] == split)
            _draw_panel(ax, rows, curves[here])
        for ax in axes[len(panels) :]:
            ax.axis("off")
        _draw_key(axes[len(panels)], backbone, points.loc[points["backbone"] == backbone, "method"].unique())
    note = "Points: single runs. Line: their mean where every seed has a value, dotted across gaps wider than 3 layers"
    _annotate(figure, f"{note}; {_band_note(points)} {_source(points)}")
    return figure


def _draw_panel(ax: Axes, points: pd.DataFrame, curves: pd.DataFrame) -> None:
    by_method = dict(list(points.groupby("method")))
    if "truncated" in by_method:
        depth = by_method["truncated"].groupby("knob_value")[["layer_fraction", "value"]].mean()
        ax.plot(*depth.to_numpy().T, **TRUNCATED)
    for method, look in LOOKS.items():
        if method in by_method:
            rows = by_method[method]
            ax.plot(rows["layer_fraction"], rows["value"], look.marker, color=look.color, ms=2, alpha=0.6, mew=0)
            _draw_curve(ax, curves[curves["method"] == method].sort_values("x"), look)
    for method, marker in MARKS.items():
        if method in by_method:
            ax.plot(*by_method[method][["layer_fraction", "value"]].mean(), **marker)
    first = points.iloc[0]
    low, high = points["value"].min(), points["value"].max()
    pad = 0.06 * max(high - low, 0.05)
    ax.set(title=_title(first), ylabel=METRICS.get(first["metric"], first["metric"]), xlabel="layers used (fraction)")
    ax.set(xlim=(0, 1.04), ylim=(low - pad, high + pad))
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def _draw_curve(ax: Axes, curve: pd.DataFrame, look: Look) -> None:
    """The mean where every seed has a value, dotted where the interpolation bridges a wide gap, and the band."""
    curve = curve[curve["seeds"] == curve["seeds"].max()]
    x, mean, low, high, dotted = curve[["x", "mean", "low", "high", "dotted"]].to_numpy(dtype=np.float64).T
    dotted = dotted > 0
    before_and_after = np.pad(dotted, 1)
    touching = dotted | before_and_after[:-2] | before_and_after[2:]  # a dotted stretch starts where the line stopped
    ax.fill_between(x, low, high, color=look.color, alpha=0.2, linewidth=0)
    ax.plot(x, np.where(dotted, np.nan, mean), color=look.color, linestyle=look.dashes)
    ax.plot(x, np.where(touching, mean, np.nan), color=look.color, linestyle=":")


def _draw_key(ax: Axes, backbone: str, methods: np.ndarray) -> None:
    handles = [Line2D([], [], label=look.label, **look.line()) for method, look in LOOKS.items() if method in methods]
    labels = {"static": f"{_family(backbone)} (static)", "distilbert": f"Distil{_family(backbone)}"}
    handles += [Line2D([], [], label=labels[m], **MARKS[m]) for m in MARKS if m in methods]
    if "truncated" in methods:
        handles.append(Line2D([], [], label="truncated depth", **TRUNCATED))
    ax.legend(handles=handles, loc="center left", handlelength=3)


def figure3(knobs: pd.DataFrame, exits: pd.DataFrame) -> Figure:
    """How often each layer is used on one backbone: rows are tasks, columns DACT's tau, the others at its cost."""
    panels = list(_panels(knobs[knobs["task"].isin(knobs.loc[_is_tau(knobs), "task"])]))
    variants = sorted(knobs.loc[_is_tau(knobs), "variant"].unique(), key=_tau)
    width, height = max(TEXT_WIDTH / 2, 1.4 * len(variants)), 1.05 * len(panels) + 0.9
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(panels), len(variants), squeeze=False, sharex=True, sharey=True)
    for row, (task, split, rows) in zip(axes, panels, strict=True):
        used = exits[(exits["task"] == task) & (exits["split"] == split)]
        matched = matched_points(rows)
        row[0].set_ylabel(_title(rows.iloc[0]).replace(", ", ",\n"))
        for ax, variant in zip(row, variants, strict=True):
            _draw_usage(ax, matched[matched["tau"] == _tau(variant)], used)
    for ax, variant in zip(axes[0], variants, strict=True):
        ax.set_title(f"DACT τ = {_tau(variant):g}")
    for ax in axes[-1]:
        ax.set_xlabel("layer")
    depth = int(exits["layer"].max())
    axes[0, 0].set(ylim=(-0.05, 1.08), yticks=[0, 0.5, 1], xticks=[1, depth // 2, depth])  # shared by all
    _finish_figure3(figure, knobs)
    return figure


def _finish_figure3(figure: Figure, knobs: pd.DataFrame) -> None:
    looks = [look for method, look in LOOKS.items() if (knobs["method"] == method).any()]
    handles = [Line2D([], [], label=look.label, **look.line()) for look in looks]
    title = f"{_family(knobs['backbone'].iloc[0])}: how many examples use each layer, at equal cost"
    key = figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3, title=title)
    key.get_title().set_weight("bold")
    figure.supylabel("examples (fraction)")
    seeds = _spread(knobs.loc[knobs["method"].isin(LOOKS), "seeds"])
    note = (
        "In each panel: DACT at this τ and the other methods' knobs nearest in mean fraction of layers used, which "
        "stands beside each line; prune: trailing layers that no example of any seed uses. "
        f"{'One seed: no interval.' if seeds == 'one seed' else f'Mean over {seeds}, no interval drawn.'} "
    )
    _annotate(figure, note + _source(knobs))


def _draw_usage(ax: Axes, matched: pd.DataFrame, exits: pd.DataFrame) -> None:
    for point in matched.itertuples():
        used, n = usage(exits, point.method, point.variant, point.knob_value)
        label = f"{point.layer_fraction:.2f}, prune {prunable_layers(used)}".lstrip("0")
        layers = np.arange(1, used.shape[1] + 1)
        ax.plot(layers, (used / n[:, None]).mean(axis=0), label=label, **LOOKS[point.method].line())
    if len(matched):
        legend = ax.legend(fontsize=6, handlelength=0.6, handletextpad=0.4, borderaxespad=0.2, labelspacing=0.2)
        for handle in legend.legend_handles:
            handle.set_linestyle("none")
    else:
        ax.text(0.5, 0.5, "no run", ha="center", va="center", transform=ax.transAxes)


def matched_points(knobs: pd.DataFrame) -> pd.DataFrame:
    """Operating points of equal cost in one panel.

    Args:
        knobs: rows of knobs.csv of one task, split and backbone.

    Returns:
        For every DACT tau (column `tau`), its own row of `knobs` and, of each other method drawn, the row nearest in
        mean layer fraction.
    """
    dact = knobs[_is_tau(knobs)]
    chosen = [dact.assign(tau=dact["variant"].map(_tau))]
    for method in LOOKS:
        offered = knobs[knobs["method"] == method]
        if method != "dact" and len(offered):
            nearest = nearest_in_x(dact["layer_fraction"].to_numpy(), offered["layer_fraction"].to_numpy())
            chosen.append(offered.iloc[nearest].assign(tau=chosen[0]["tau"].to_numpy()))
    return pd.concat(chosen, ignore_index=True)


def usage(exits: pd.DataFrame, method: str, variant: str, knob_value: float) -> tuple[np.ndarray, np.ndarray]:
    """How many examples use each layer at one operating point.

    Args:
        exits: rows of exits.csv of one task, split and backbone.
        method: which method.
        variant: which of its trained variants.
        knob_value: which knob.

    Returns:
        used [S, L] and the number of examples n [S], one row per seed.
    """
    here = (exits["method"] == method) & (exits["variant"] == variant) & np.isclose(exits["knob_value"], knob_value)
    table = exits[here].pivot(index="seed", columns="layer", values=["used_count", "exit_count"])
    return table["used_count"].to_numpy(), table["exit_count"].to_numpy().sum(axis=1)


def _family(backbone: str) -> str:
    return BACKBONES.get(backbone, backbone)


def _is_tau(rows: pd.DataFrame) -> pd.Series:
    return (rows["method"] == "dact") & rows["variant"].str.fullmatch(r"tau=[-+.e\d]+")


def _tau(variant: str) -> float:
    return float(variant.removeprefix("tau="))


def _panels(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Rows by (task, split): the paper's tasks in its order, then others, MNLI mismatched last."""
    order = {task: i for i, task in enumerate(TASKS)}
    groups = dict(list(rows.groupby(["task", "split"])))
    for task, split in sorted(groups, key=lambda p: (p[1] == "validation_mismatched", order.get(p[0], len(order)), p)):
        yield task, split, groups[task, split]


def _title(row: pd.Series) -> str:
    task = TASKS[row["task"]].title if row["task"] in TASKS else row["task"]
    return f"{task}{SPLITS.get(row['split'], '')}" + ("-like, generated" if row["suite"].startswith(GENERATED) else "")


def _spread(seeds: pd.Series) -> str:
    fewest, most = int(seeds.min()), int(seeds.max())
    if most == 1:
        return "one seed"
    return f"{most} seeds" if fewest == most else f"{fewest}–{most} seeds"


def _band_note(points: pd.DataFrame) -> str:
    drawn = points[points["method"].isin(LOOKS)]
    seeds = drawn.groupby(["task", "split", "backbone", "method"])["seed"].nunique()
    if seeds.max() == 1:
        return "one seed: no interval."
    over = f"over {_spread(seeds)}, conditional on this validation set, cut at the frame."
    return f"95\N{NO-BREAK SPACE}% Student-t band {over}"


def _source(rows: pd.DataFrame) -> str:
    suites = rows["suite"].unique()
    return f"Data: suite {', '.join(suites)}" + (
        " (generated, not GLUE)." if any(name.startswith(GENERATED) for name in suites) else "."
    )


def _annotate(figure: Figure, note: str) -> None:
    lines = textwrap.wrap(note, width=int(figure.get_figwidth() * 21), break_on_hyphens=False)
    figure.supxlabel("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "), fontsize=6)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"no {path.name} in {path.parent}: expected a run folder whose tables are written (--collect)")
    return pd.read_csv(path, dtype={"variant": str}).fillna({"variant": ""})


def _save(figure: Figure, stem: Path) -> list[Path]:
    """Write the three formats, each whole or not at all."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # laid out once, the same in every format
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    paths = [stem.with_name(f"{stem.name}.{extension}") for extension in undated]
    for path, (extension, metadata) in zip(paths, undated.items(), strict=True):
        picture = io.BytesIO()
        figure.savefig(picture, format=extension, metadata={"Title": stem.name, **metadata})
        write_bytes(path, picture.getvalue())
    return paths
