"""latex/*.tex: a table per question for a paper, with all backbones of a run: what each table holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from bench.report.crossed import by_method, by_task, metrics_of, noted, place_of
from bench.report.figures.looks import family, name_of
from bench.report.numbers import EMPTY, counted_units, interval, mean_and_half, number, p_value, spread, value_and_ends
from bench.report.typeset import Block, Cell, Column, Table, bold, escaped, typeset
from bench.store.files import write_text
from bench.tables.columns import T_ENDS, at_exact
from bench.tables.paired import LEVEL

AREA_TITLES = {"auc_common": "common range", "auc_budget": "all budgets", "auc_budget_half": "budgets to .5"}
HEADLINE_TITLES = {
    "layers_saved": "layers",
    "macs_saved": "multiply-adds",
    "time_saved": "time",
    "loss": "loss",
}
CHOICE_TITLES = {
    "promised_0": "promised: no loss",
    "promised_1": "promised: 1 point",
    "promised_2": "promised: 2 points",
    "certified_1": "certified: 1 point",
    "certified_2": "certified: 2 points",
}
T_NOTE = "half-width of the 95~\\% Student-t interval over"


def write_latex(folder: Path, tables: dict[str, pd.DataFrame]) -> list[Path]:
    """Write NAME.tex for each table of `TABLES` that has rows.

    Args:
        folder: where; made if absent.
        tables: as `collect` returns them.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for make in TABLES:
        table = make(tables)
        if table.blocks:
            paths.append(folder / f"{table.name}.tex")
            write_text(paths[-1], typeset(table))
    return paths


def headline_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """What is saved at a promised loss, mean over tasks: a block per promise, the quantities side by side."""
    rows = tables["headline"]
    rows = rows[rows["task"] == "mean"]

    def entries() -> Iterator[tuple]:
        for choice, block in CHOICE_TITLES.items():
            for row in rows.to_dict("records"):
                ends = (row.get(f"{choice}{end}", float("nan")) for end in T_ENDS)
                yield block, row["method"], (row["backbone"], row["quantity"]), mean_and_half(*ends)
                if row["quantity"] == "loss":
                    tasks = f"{row[f'{choice}_tasks']:.0f} of {row['tasks']:.0f}"
                    yield block, row["method"], (row["backbone"], "tasks"), tasks

    measured = set(rows["quantity"])
    columns = {}
    for backbone in rows["backbone"].unique():
        heads = {name: Column(head, "pair", family(backbone)) for name, head in HEADLINE_TITLES.items()}
        heads["tasks"] = Column("tasks", "right", family(backbone))
        columns |= {(backbone, name): head for name, head in heads.items() if name in measured or name == "tasks"}
    caption = (
        "What is saved, in per cent of the static model at full depth, and the loss delivered, in points of the main "
        f"metric: mean over tasks, {T_NOTE} {over(rows)}. Promised: the cheapest setting that keeps to the loss on one "
        "half of the validation set, read off the other half. Certified: Learn then Test at $\\delta = .05$, accuracy, "
        "mean over 100 splits. Tasks: where a setting qualified; elsewhere the static model is used, and counts as "
        "nothing saved."
    )
    return by_method("headline", caption, rows, columns, entries())


def auc_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """Areas under the curves: a block per backbone and area, a column per task."""
    rows, won = at_exact(tables["auc"]), winners(tables["paired"])

    def entries() -> Iterator[tuple]:
        for backbone, part in rows.groupby("backbone", sort=False):
            for area, words in AREA_TITLES.items():
                for row in part.to_dict("records"):
                    cell = marked(with_half(row, area), row, area, won)
                    yield f"{family(backbone)}, {words}", row["method"], place_of(row), cell

    caption = f"Areas under efficiency-performance curves {points_note(rows)}"
    return by_method("auc", caption, rows, by_task(rows), entries())


def budgets_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """The metric at fixed shares of the layers: a block per backbone and share, a column per task."""
    rows, won = tables["budgets"].sort_values("budget", kind="stable"), winners(tables["paired"])

    def entries() -> Iterator[tuple]:
        for backbone in tables["budgets"]["backbone"].unique():
            for row in rows[rows["backbone"] == backbone].to_dict("records"):
                percent = f"{100 * row['budget']:.0f}"
                cell = marked(with_half(row, "value"), row, f"value_{percent}", won)
                yield f"{family(backbone)}, {percent} % of the layers", row["method"], place_of(row), cell

    caption = f"The main metric at fixed shares of the layers {points_note(rows)}"
    return by_method("budgets", caption, rows, by_task(rows), entries())


def stability_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """How far a fixed setting moves from seed to seed: a block per backbone, cost and metric of each task."""
    rows = tables["stability"]

    def entries() -> Iterator[tuple]:
        for row in rows.to_dict("records"):
            for name in ("x_sd", "value_sd"):
                yield family(row["backbone"]), row["method"], (*place_of(row), name), number(row[name])

    columns = {
        (*place, name): Column(words, "right", column.title)
        for place, column in by_task(rows).items()
        for name, words in (("x_sd", "cost"), ("value_sd", "metric"))
    }
    caption = (
        "How far a fixed setting moves from seed to seed: standard deviations of its cost, in per cent of the layers, "
        f"and of the main metric, in points, over {over(rows)}; root mean square over the settings whose mean cost "
        "lies in the common range of the curves."
    )
    return by_method("stability", caption, rows, columns, entries())


def undecidable_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """Layers saved on undecidable examples against hard ones: a block per backbone, a column per task."""
    rows = tables["undecidable"]

    def entries() -> Iterator[tuple]:
        for row in rows.to_dict("records"):
            cell = with_half(row, "difference", digits=2, unit=1)
            yield family(row["backbone"]), row["method"], place_of(row), cell

    caption = (
        "Layers spent on what nobody can answer: mean exit layer of the hard half of the decidable examples minus that "
        f"of the undecidable ones, at the costs of DACT's models between .25 and .75 of the layers, with the {T_NOTE} "
        "seeds (mean over tasks: over tasks)."
    )
    return by_method("undecidable", caption, rows, by_task(rows), entries())


def focus_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """One method minus each other: a block per backbone and area, a row per rival, a column per task."""
    rows = tables["focus"].rename(columns={"rival": "method"})
    rows = rows[rows["quantity"].isin(list(AREA_TITLES))]

    def entries() -> Iterator[tuple]:
        for backbone, part in rows.groupby("backbone", sort=False):
            for area, words in AREA_TITLES.items():
                for row in part[part["quantity"] == area].to_dict("records"):
                    cell = in_bold(with_half(row, "difference"), max(row["p_t_holm"], row["p_boot_holm"]) < LEVEL)
                    yield f"{family(backbone)}, {words}", row["method"], place_of(row), cell

    method = escaped(name_of(rows["focus"].iloc[0])) if len(rows) else ""
    caption = (
        f"{method} minus each other method: differences of areas in points of {metrics_of(rows)}, with the {T_NOTE} "
        "seeds (mean over tasks: over tasks). Bold: not zero by the t-test over seeds and by the bootstrap over "
        "examples, after Holm over all pairs."
    )
    return by_method("focus", caption, rows, by_task(rows), entries())


def paired_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """The best method against the runner-up: a block per backbone and area, a row per task."""
    rows = tables["paired"]
    rows = rows[(rows["best"] != "") & rows["quantity"].isin(list(AREA_TITLES))]
    blocks = []
    for backbone, part in rows.groupby("backbone", sort=False):
        for area, words in AREA_TITLES.items():
            found = {place_of(row): row for row in part[part["quantity"] == area].to_dict("records")}
            lines = [
                (names.title, pair_cells(found[place])) for place, names in by_task(part).items() if place in found
            ]
            blocks.append(Block(f"{family(backbone)}, {words}", lines))
    kinds = {"best": "left", "runner-up": "left", "difference": "pair", "over examples": "right"}
    kinds |= dict.fromkeys(("detectable", "p (seeds)", "p (examples)"), "right")
    caption = (
        f"The best method and the runner-up, in points: difference with the {T_NOTE} seeds (mean over tasks: over "
        "tasks), 95~\\% percentile bootstrap over examples with the trained models as they are, difference that the "
        f"t-test detects four times in five, p-values of both after Holm. Bold: both below .05. {noted(rows)}"
    )
    return Table("paired", caption, "", columns_of(kinds), blocks)


def pair_cells(row: dict) -> list[Cell]:
    """A row of the table of pairs, with the difference taken as best minus runner-up."""
    sign, second = (1, row["method_b"]) if row["best"] == row["method_a"] else (-1, row["method_a"])
    low, high = sorted(sign * row[f"difference{end}"] for end in T_ENDS[1:])
    best = escaped(name_of(row["best"]))
    return [
        f"\\textbf{{{best}}}" if row["winner"] else best,
        escaped(name_of(second)),
        mean_and_half(sign * row["difference"], low, high),
        interval(*sorted(sign * row[f"difference_boot{end}"] for end in T_ENDS[1:])),
        number(row["detectable"]),
        p_value(row["p_t_holm"]),
        p_value(row["p_boot_holm"]),
    ]


def reproduction_tex(tables: dict[str, pd.DataFrame]) -> Table:
    """The claims of the paper beside what the run found: a block per backbone, a row per claim."""
    rows = tables["reproduction"]
    blocks = []
    for backbone, part in rows.groupby("backbone", sort=False):
        lines = []
        for row in part.itertuples():
            units = counted_units(row) if row.units else EMPTY
            effect = value_and_ends(row.value, row.low, row.high)
            lines.append((row.claim, [escaped(row.text), effect, units, escaped(row.verdict), escaped(row.why)]))
        blocks.append(Block(family(backbone), lines))
    kinds = {"what it says": "words", "mean effect": "pair", "units": "left", "verdict": "words", "why": "words"}
    caption = (
        "The claims of the DACT-BERT paper beside this run: mean effect over the units with its 95~\\% Student-t "
        "interval. A claim says that its effect is above 0; those of equality (2), that it is 0. Verdicts follow from "
        f"the interval and the smallest effect that matters, by a rule fixed beforehand. {noted(rows)}"
    )
    return Table("reproduction", caption, "", columns_of(kinds), blocks)


#: Every table, in the order of a paper's questions.
TABLES: tuple[Callable[[dict[str, pd.DataFrame]], Table], ...] = (
    headline_tex,
    auc_tex,
    budgets_tex,
    paired_tex,
    focus_tex,
    stability_tex,
    undecidable_tex,
    reproduction_tex,
)


def columns_of(kinds: dict[str, str]) -> list[Column]:
    """Columns from their heads and kinds."""
    return [Column(head, kind) for head, kind in kinds.items()]


def winners(paired: pd.DataFrame) -> set[tuple]:
    """Backbone, quantity, column and method of every proven winner."""
    won = paired[paired["winner"] != ""]
    return {(row["backbone"], row["quantity"], *place_of(row), row["winner"]) for row in won.to_dict("records")}


def with_half(row: dict, column: str, **printed: float) -> tuple[str, str]:
    """A mean of a row with the half-width of its interval over seeds."""
    return mean_and_half(*(row[f"{column}{end}"] for end in T_ENDS), **printed)


def marked(cell: tuple[str, str], row: dict, quantity: str, won: set[tuple]) -> tuple[str, str]:
    """A cell in bold where its method is a proven winner."""
    return in_bold(cell, (row["backbone"], quantity, *place_of(row), row["method"]) in won)


def in_bold(cell: tuple[str, str], wanted: bool) -> tuple[str, str]:
    """A cell with a mean and its half-width, in bold where that is wanted."""
    return (bold(cell[0]), bold(cell[1])) if wanted else cell


def over(rows: pd.DataFrame) -> str:
    """How many seeds are behind a table, in words."""
    return spread(rows["seeds"]) if len(rows) else ""


def points_note(rows: pd.DataFrame) -> str:
    """In a caption: what the numbers of a table of the main metric are, and the bold ones."""
    return (
        f"in points of {metrics_of(rows)}: mean and {T_NOTE} {over(rows)}, conditional on this validation set. Bold: "
        "ahead of the runner-up by the t-test over seeds and by the bootstrap over examples, after Holm."
    )
