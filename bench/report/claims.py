"""The claims of the DACT-BERT paper beside one or more runs, as a Markdown table."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.errors import UserError, command
from bench.report.numbers import counted_units, plain
from bench.tables.claims import claims
from bench.tables.reproduction import NOT_CHECKED, NOT_RUN, SAME, read_sources, reproduction_table


def markdown(tables: Sequence[pd.DataFrame]) -> str:
    """Claims as rows, a column for every suite and backbone.

    Args:
        tables: rows of reproduction.csv of one run folder each.
    """
    columns = [(table, backbone) for table in tables for backbone in table["backbone"].drop_duplicates()]
    heads = [f"{table['suite'].iloc[0]}, {backbone}" for table, backbone in columns]
    lines = [f"| claim | measured | {' | '.join(heads)} |", "| --- " * (len(heads) + 2) + "|"]
    for claim in claims():
        cells = [cell(next(t[(t["backbone"] == b) & (t["claim"] == claim.id)].itertuples())) for t, b in columns]
        lines.append(f"| {claim.id}: {claim.text} | {claim.quantity} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(row: tuple) -> str:
    """What one run found about one claim, for a cell of the Markdown table."""
    if row.verdict == NOT_RUN:
        return f"{NOT_RUN}: `{row.select}`"
    if math.isnan(row.value):
        return f"**{row.verdict}**: no value"
    said = f"**{row.verdict}**: {plain(row.value, row.low, row.high)}, {counted_units(row)}"
    twice = row.at_twice_the_steps
    more = [
        f"the same number as {row.same_number_as}" if row.same_number_as else "",
        row.why or "",
        f"with twice the steps: {twice}" if twice not in (SAME, NOT_CHECKED) else "",
    ]
    return "; ".join([said, *filter(None, more)])


def main(arguments: list[str]) -> int:
    """Print the claims of one or more run folders as Markdown; the exit status is 2 where a folder has no tables."""
    return command("bench.report.claims", lambda: print_claims(arguments))


def print_claims(arguments: list[str]) -> int:
    """Print the claims of run folders beside each other."""
    if not arguments:
        raise UserError("expected at least one folder: python -m bench.report.claims RESULTS ..")
    print(markdown([reproduction_table(read_sources(Path(folder))) for folder in arguments]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
