"""The tables of a run folder as files: CSV, UTF-8, plain line feeds, no index.

What a column holds is declared, not guessed: a suite, a family or a method may be called NA, null or 2024.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.store.files import writing

#: The columns that hold text, in whatever table they stand; a field of any other is a number, or empty.
TEXT = frozenset(
    "suite suite_a suite_b task split backbone method method_a method_b variant knob metric cell resolution status "
    "reason quantity unit_kind best winner reference claim text verdict select target against bound example "
    "focus rival why same_number_as checked at_twice_the_steps risk procedure at scaling examples profile "
    "source".split()
)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all (`bench.store.files.writing`)."""
    with writing(path) as file:
        table.to_csv(file, mode="wb", index=False, lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of a run folder or a bundle; only an empty field is missing, a variant without a name is "".

    Args:
        path: NAME.csv in the folder; where that is not there, a bundle's tables/NAME.parquet is read.

    Raises:
        UserError: it is not there.
    """
    if path.is_file():
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""])
        return table.fillna({"variant": ""})
    if in_bundle(path).is_file():
        return pd.read_parquet(in_bundle(path))
    how = f"--collect --results {path.parent}"
    raise UserError(f"no {path.name} in {path.parent}: expected a run folder with tables, which {how} writes")


def has_table(path: Path) -> bool:
    """Whether `read_table` finds a table, in a run folder or a bundle."""
    return path.is_file() or in_bundle(path).is_file()


def in_bundle(path: Path) -> Path:
    """Where a bundle has a table whose file in a run folder is called so."""
    return path.parent / "tables" / f"{path.stem}.parquet"


def read_fields(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The column names of a table and every row as it stands in the file, for what shows it."""
    with path.open(newline="", encoding="utf8") as file:
        rows = csv.DictReader(file)
        return list(rows.fieldnames or ()), list(rows)
