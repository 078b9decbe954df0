"""Write and read the tables of a run folder: CSV, UTF-8, plain line feeds, no index."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.store.files import writing


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all (`bench.store.files.writing`)."""
    with writing(path) as file:
        table.to_csv(file, mode="wb", index=False, lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of a run folder; the variant of a method without variants is the empty text.

    Raises:
        UserError: it is not there.
    """
    if not path.is_file():
        how = f"run_all.py --collect --results {path.parent}"
        raise UserError(f"no {path.name} in {path.parent}: expected a run folder with tables, which {how} writes")
    # pandas would read an empty text as NaN, and a column of variants that look like numbers as numbers
    return pd.read_csv(path, dtype={"variant": str}).fillna({"variant": ""})
