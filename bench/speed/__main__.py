"""Every measurement in one table: `python -m bench.speed [--only NAME,..] [--out FILE.csv]`.

A measurement is a module of this folder with a function `measure(settings)` that gives rows, named in `NAMES`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bench.errors import check_choice, command
from bench.speed.table import NotMeasured, Row, Settings, table, write

#: The modules that measure something; naming them imports none.
NAMES = ("collecting", "families", "grid", "leaving", "planning", "ramps", "starting", "step", "sweeping", "trainer")


def main(argv: list[str] | None = None) -> int:
    """`python -m bench.speed`: measure and print; the exit status is 1 where a goal was not met, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME,..", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--glue-dir", metavar="DIR", help="GLUE in TSV files, for rows on real data")
    parser.add_argument("--backbone", metavar="DIR", help="a 6-layer MiniLM, for rows on real data")
    parser.add_argument("--results", metavar="DIR", help="a finished run, whose cell times tell what the grid cost")
    parser.add_argument("--out", metavar="FILE.csv", help="write the table, too")
    return command("bench.speed", lambda: measure_and_print(parser.parse_args(argv)))


def measure_and_print(options: argparse.Namespace) -> int:
    """Measure what a command line names and print the table."""
    named = [name.strip() for name in (options.only or "").split(",") if name.strip()]
    chosen = NAMES if options.only is None else [check_choice("row", name, NAMES) for name in named]
    rows = measured(chosen, Settings(options.glue_dir, options.backbone, options.results))
    print(table(rows))
    if options.out:
        write(rows, Path(options.out))
    return int(any(row.met == "no" for row in rows))


def measured(chosen: Sequence[str], settings: Settings) -> list[Row]:
    """For `python -m bench.speed`: rows of the measurements named; one that cannot be made here says so in a line."""
    rows: list[Row] = []
    for name in chosen:
        try:
            for row in import_module(f"bench.speed.{name}").measure(settings):
                rows.append(row)
                # all of them take a while: what is there is shown
                print(f"{name}: {row.name}: {row.value:.4g} {row.unit}", file=sys.stderr, flush=True)
        except NotMeasured as reason:
            print(f"{name}: not measured, {reason}", file=sys.stderr)
    return rows


if __name__ == "__main__":
    sys.exit(main())
