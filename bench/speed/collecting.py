"""Time and memory of collecting: three tables, then all of them, for results folders of three sizes; what some cost.

Each is done in a process of its own. Memory is that of this process and its workers together, libraries included; pages
that they share count once.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from joblib.externals.loky import get_reusable_executor

from bench.processes import call_all
from bench.speed.table import Row, Settings
from bench.store.csv_files import write_table
from bench.store.folder import RunFolder
from bench.tables.collect import collect, methods_of, panel_sweeps, panel_tables, panels, stacked
from bench.tables.failures import finished, records_of
from bench.tables.headline import PanelSavings, Savings
from bench.tables.registry import FROM_TRACES, POINTS
from bench.tables.scores import panel_scores
from bench.timing import in_turn, ratio
from methods.base import Method

#: Seeds that make about a hundred, a thousand and ten thousand cells.
SEEDS = (1, 9, 93)
GOALS = {"s": "<= 60", "MB": "<= 1000"}
#: The tables that the goals are about.
CURVES = ("points", "exits", "curves")
#: Tables of what traces know, beside the headline.
KNOWN = ("calibration", "reliability", "overthinking", "oracle")
#: Examples of a trace for their row, about those of a validation set.
KNOWN_ROWS = 1000
#: Seconds between two looks at the memory.
TICK = 0.2


def measure(settings: Settings) -> Iterator[Row]:
    """Seconds and megabytes for each size, and how much longer a cell takes in the largest folder."""
    costs: dict[str, list[float]] = {}
    for seeds in SEEDS:
        with tempfile.TemporaryDirectory() as place:
            folder = RunFolder(Path(place))
            cells = in_another_process(make_finished, folder, seeds)
            for what, function in ((", ".join(CURVES), collect_curves), ("every table", collect)):
                seconds, peak = in_another_process(watched, function, folder)
                costs.setdefault(what, []).append(seconds / cells)
                for value, unit in ((seconds, "s"), (peak / 1e6, "MB")):
                    has_goal = function is collect_curves and seeds == SEEDS[-1]
                    yield Row(f"collecting {cells} cells, {what}", value, unit, GOALS[unit] if has_goal else "")
    for what, (*_, before, last) in costs.items():
        name = f"collecting, {what}: time of a cell among the most, against ten times fewer"
        yield Row(name, last / before, "times", "<= 1.5")
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        in_another_process(make_finished, folder, 1, KNOWN_ROWS)
        times = in_another_process(cost_of_known, folder)
    yield Row(f"panels with / without {', '.join(KNOWN)}, headline", times, "times")


def make_finished(folder: RunFolder, seeds: int, rows: int | None = None) -> int:
    """Make a folder of the embedded suite with so many seeds (and examples of a trace); the number of its cells."""
    from bench.speed.finished import ROWS, embedded_grid, finish

    return finish(embedded_grid(seeds), folder, rows or ROWS)


def cost_of_known(folder: RunFolder) -> float:
    """How much longer panels take with the tables of `KNOWN` and the headline."""
    counting, _ = finished(folder, records_of(folder), methods_of(folder))
    some = list(panels(folder, counting))[:2]
    return ratio(in_turn(partial(replayed, True), partial(replayed, False), items=some))


def replayed(
    known: bool, folder: RunFolder, records: list[dict], split: str
) -> tuple[dict[str, pd.DataFrame], Savings]:
    """What a panel is replayed to, apart from risk.csv and the effects; without what traces know it stays empty."""
    sweeps = panel_sweeps(folder, records, split)
    savings = PanelSavings(sweeps)
    panel_scores(sweeps, "exact", also=savings.add if known else None)
    panel_scores(sweeps, "grid")
    return panel_tables(sweeps, [name for name in FROM_TRACES if known or name not in KNOWN]), savings.found()


def collect_curves(folder: RunFolder, methods: dict[str, Method]) -> None:
    """What `collect` does, for the tables of `CURVES` alone."""
    counting, _ = finished(folder, records_of(folder), methods)
    tables = stacked(call_all(panel_curves, panels(folder, counting), "curves, by panel"))
    tables["points"] = tables["points"][POINTS]
    for name in CURVES:
        write_table(folder.path / f"{name}.csv", tables[name])


def panel_curves(folder: RunFolder, records: list[dict], split: str) -> dict[str, pd.DataFrame]:
    """The tables of one panel; those that are not in `CURVES` stay empty."""
    return panel_tables(panel_sweeps(folder, records, split), ("points", "exact", "exits"))


def in_another_process(function: Callable, *arguments: object) -> Any:
    """What a call gives, in a process of its own: what others have left in memory does not count."""
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        return other.submit(function, *arguments).result()


def watched(function: Callable[[RunFolder, dict], object], folder: RunFolder) -> tuple[float, int]:
    """Seconds of collecting a folder, and the most bytes that this process and its children took meanwhile."""
    found, done = [memory()], threading.Event()

    def look() -> None:
        while not done.wait(TICK):
            found.append(memory())

    watcher = threading.Thread(target=look)
    watcher.start()
    started = time.perf_counter()
    try:
        function(folder, methods_of(folder))
    finally:
        seconds = time.perf_counter() - started
        done.set()
        watcher.join()
        get_reusable_executor().shutdown()  # the workers of `call_all` would keep this process from ending
    return seconds, max(found)


def memory() -> int:
    """Bytes of this process and its children, shared pages counted in parts."""
    total = 0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total
