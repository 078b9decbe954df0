"""Tables for a paper with a row per method and a column per task: rows, columns and notes that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from bench.report.figures.looks import METRICS, looks, panels, title
from bench.report.figures.page import data_note
from bench.report.numbers import EMPTY
from bench.report.typeset import Block, Cell, Column, Table, escaped

#: The column of the mean over tasks, which tables have as a task without a split.
MEAN = ("mean", "")


def by_method(
    name: str, caption: str, rows: pd.DataFrame, columns: dict[tuple, Column], entries: Iterable[tuple]
) -> Table:
    """A table with a row per method, in the order of figures; the caption names those without any value.

    Args:
        name: of the table.
        caption: LaTeX, without the notes that all tables have.
        rows: what it is about.
        columns: by the places that `entries` name.
        entries: title of a block, method, place, cell.
    """
    cells: dict[str, dict[str, dict[tuple, Cell]]] = {}
    for block, method, place, cell in entries:
        if cell not in (EMPTY, (EMPTY, "")):
            cells.setdefault(block, {}).setdefault(method, {})[place] = cell
    order = looks(rows["method"])
    blocks = [
        Block(
            block,
            [
                (order[each].label, [of.get(place, EMPTY) for place in columns])
                for each in order
                if (of := found.get(each))
            ],
        )
        for block, found in cells.items()
    ]
    empty = [look.label for each, look in order.items() if not any(each in found for found in cells.values())]
    without = f" Without a value: {escaped('; '.join(empty))}." if empty else ""
    return Table(name, f"{caption}{without} {noted(rows)}", "", list(columns.values()), blocks)


def by_task(rows: pd.DataFrame) -> dict[tuple[str, str], Column]:
    """A column per task and split, in the order of figures, and one of the mean over them where there is one."""
    parts = panels(rows[rows["task"] != "mean"])
    tasks = {place_of(part.iloc[0]): Column(panel_title(part)) for part in parts}
    return tasks | ({MEAN: Column("mean")} if (rows["task"] == "mean").any() else {})


def panel_title(rows: pd.DataFrame) -> str:
    """The task of a column or row, as figures name it; the caption says that data are generated."""
    return title(rows.iloc[0]).removesuffix(", generated")


def place_of(row: Mapping) -> tuple[str, str]:
    """The column that a row belongs to, as `by_task` names it."""
    return MEAN if row["task"] == "mean" else (row["task"], row["split"])


def metrics_of(rows: pd.DataFrame) -> str:
    """The main metrics of a table, the one of most tasks first, with the tasks of each of the others."""
    tasks: dict[str, list[str]] = {}
    for part in panels(rows[rows["task"] != "mean"]):
        name = part["metric"].iloc[0]
        tasks.setdefault(METRICS.get(name, name), []).append(panel_title(part))
    names = sorted(tasks, key=lambda name: -len(tasks[name]))
    return escaped("; ".join([*names[:1], *(f"{name} of {', '.join(tasks[name])}" for name in names[1:])]))


def noted(rows: pd.DataFrame) -> str:
    """The end of a caption, on the data."""
    return escaped(data_note(rows))
