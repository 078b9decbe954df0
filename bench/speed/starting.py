"""How long a user waits when there is nothing to compute: for `--help`, and for a run that is finished already."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.speed.finished import embedded_grid, finish
from bench.speed.table import Row, Settings
from bench.store.folder import RunFolder
from bench.timing import seconds

PROGRAM = Path(__file__).parents[2] / "run_all.py"
#: Examples of a trace, about as many as those of the embedded suite.
ROWS, SEEDS, ROUNDS = 500, 3, 5


def measure(settings: Settings) -> Iterator[Row]:
    """Seconds of each, medians of whole processes."""
    yield Row("run_all.py --help", median(seconds(lambda: call("--help")) for _ in range(ROUNDS)), "s", "<= 0.5")
    with tempfile.TemporaryDirectory() as place:
        cells = finish(embedded_grid(SEEDS), RunFolder(Path(place) / "results"), ROWS)
        again = ("--tasks", "all", "--seeds", str(SEEDS))
        again += ("--results", f"{place}/results", "--figures", f"{place}/figures")
        call(*again)  # writes tables and figures
        times = [seconds(lambda: call(*again)) for _ in range(ROUNDS)]
    yield Row(f"the default command again, {cells} cells finished", median(times), "s", "<= 8")


def call(*arguments: str) -> None:
    """Run the command line in a process of its own."""
    subprocess.run([sys.executable, str(PROGRAM), *arguments], check=True, capture_output=True)
