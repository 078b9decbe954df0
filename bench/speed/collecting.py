"""Collecting: every table from finished cells, for results folders of three sizes.

Memory is that of this process and its workers together, libraries included; pages that they share count once.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.collect import collect
from bench.resolve import methods_of
from bench.speed.finished import embedded_grid, finish
from bench.speed.table import Row, Settings
from bench.store import RunFolder

#: Seeds that make about a hundred, a thousand and ten thousand cells.
SEEDS = (1, 9, 93)
GOALS = {"s": "<= 60", "MB": "<= 1000"}
#: Seconds between two looks at the memory.
TICK = 0.2


def measure(settings: Settings) -> Iterator[Row]:
    """Seconds and megabytes for each size, and how much longer a cell takes in the largest folder."""
    costs = []
    for seeds in SEEDS:
        with tempfile.TemporaryDirectory() as place:
            folder = RunFolder(Path(place))
            cells = finish(embedded_grid(seeds), folder)
            seconds, peak = watched(lambda folder=folder: collect(folder, methods_of(folder)))
        costs.append(seconds / cells)
        for value, unit in ((seconds, "s"), (peak / 1e6, "MB")):
            yield Row(f"collecting {cells} cells, every table", value, unit, GOALS[unit] if seeds == SEEDS[-1] else "")
    yield Row(
        "collecting: time of a cell among the most, against ten times fewer", costs[-1] / costs[-2], "times", "<= 1.5"
    )


def watched(function: Callable[[], object]) -> tuple[float, int]:
    """Seconds of a call, and the most bytes that this process and its children took meanwhile."""
    found, done = [memory()], threading.Event()

    def look() -> None:
        while not done.wait(TICK):
            found.append(memory())

    watcher = threading.Thread(target=look)
    watcher.start()
    started = time.perf_counter()
    try:
        function()
    finally:
        seconds = time.perf_counter() - started
        done.set()
        watcher.join()
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
