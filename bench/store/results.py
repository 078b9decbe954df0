"""`load_results`: the tables and traces of a run folder as data frames and arrays, for people who plot their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.store.csv_files import read_table
from bench.store.folder import RunFolder
from bench.store.trace import Trace


@dataclass(frozen=True)
class Results:
    """What a run folder holds.

    Attributes:
        path: the folder.
        run: the content of run.json: suite, recipes, data, checkpoints.
        tables: every CSV file of the folder by its name without `.csv`; docs/outputs.md explains the columns.
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
        record = RunFolder(self.path).record(cell)
        if record is None or record["status"] != "ok":
            raise UserError(
                f"'{self.path}' has no finished cell '{cell}': expected one of the column `cell` of points.csv"
            )
        paths = {split: RunFolder(self.path).trace_path(cell, split) for split in record["traces"]}
        if missing := [path for path in paths.values() if not path.is_file()]:
            raise UserError(
                f"'{missing[0]}' is not there: reference runs keep tables only, a run of your own its traces"
            )
        return {split: Trace.load(path) for split, path in paths.items()}


def load_results(folder: str | Path) -> Results:
    """Read the results folder of a finished run.

    Args:
        folder: as given to `--results`, or `results/SUITE`.

    Raises:
        UserError: it is no results folder, or `--collect` has not written its tables yet.
    """
    path = Path(folder)
    run = RunFolder(path).shared()
    tables = {file.stem: read_table(file) for file in sorted(path.glob("*.csv"))}
    if not run and not tables:
        raise UserError(f"'{path}' is no results folder: expected run.json and points.csv in it")
    if "points" not in tables:
        raise UserError(f"no points.csv in '{path}': run_all.py --collect --results {path} writes the tables")
    return Results(path, run, tables)
