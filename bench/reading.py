"""Reading the tables of a run folder back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.errors import UserError


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of a run folder; a variant that is not named is the empty text.

    Raises:
        UserError: it is not there.
    """
    if not path.is_file():
        raise UserError(f"no {path.name} in {path.parent}: expected a run folder whose tables are written (--collect)")
    return pd.read_csv(path, dtype={"variant": str}).fillna({"variant": ""})
