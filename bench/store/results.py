"""`load_results`: tables and traces of a run folder or a bundle as frames and arrays, for people who plot their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.store.beside import open_run
from bench.store.csv_files import read_table
from bench.store.trace import Trace


@dataclass(frozen=True)
class Results:
    """What a run folder, or a bundle of one, holds.

    Attributes:
        path: the folder.
        run: the content of run.json: suite, recipes, data, checkpoints.
        tables: every table by the name of its file, `points` for points.csv; docs/outputs.md explains the columns.
    """

    path: Path
    run: dict
    tables: dict[str, pd.DataFrame]

    def traces(self, cell: str) -> dict[str, Trace]:
        """What a trained model said at every layer, by split: logits, halting values, labels.

        Args:
            cell: its key, as in the column `cell` of points.csv.

        Raises:
            UserError: the folder keeps no trace of such a cell.
        """
        run = open_run(self.path)
        record = run.record(cell)
        if record is None or record["status"] != "ok":
            raise UserError(
                f"'{self.path}' has no finished cell '{cell}': expected one of the column `cell` of points.csv"
            )
        if not run.has_traces(record):
            raise UserError(f"'{self.path}' has no whole traces of '{record['label']}': they were removed or changed")
        return {split: run.trace(cell, split) for split in record["traces"]}


def load_results(folder: str | Path) -> Results:
    """Read the results folder of a finished run.

    Args:
        folder: as given to `--results`, or `results/SUITE`, or what `--export` wrote.

    Raises:
        UserError: it is no results folder, or `--collect` has not written its tables yet.
    """
    path = Path(folder)
    run = open_run(path).shared()
    names = sorted({file.stem for kind in ("*.csv", "tables/*.parquet") for file in path.glob(kind)})
    tables = {name: read_table(path / f"{name}.csv") for name in names}
    if not run and not tables:
        raise UserError(f"'{path}' is no results folder: expected run.json and points.csv in it")
    if "points" not in tables:
        raise UserError(f"no points.csv in '{path}': --collect --results {path} writes the tables")
    return Results(path, run, tables)
