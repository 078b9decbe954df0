"""Cells that take no time to train, for tests of what happens around cells; also a small program that runs some."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

from bench.errors import FolderError
from bench.plan.cell import Cell
from bench.run.backends.local import LocalBackend
from bench.run.runner import run
from bench.run.todo import find_todo, tidy
from bench.run.work import Work
from bench.store.files import write_bytes, write_json
from bench.store.folder import RunFolder, record_of

FUNCTION = "fake_cells:run_cell"
ENVIRONMENT = "0123456789abcdef"
HELD = []


def make_cell(seed=0, method="static", start=None, does="", seconds=0.0):
    """A cell that does nothing, or what `does` says: "raise", "die", "die once", "hang", "fill the disk", "lose it"."""
    spec = {"task": "rte", "backbone": "bert", "method": method, "variant": "", "seed": seed}
    return Cell(spec | {"does": does, "seconds": seconds, "start": start}, None, None, start)


def make_grid(seeds, seconds=0.0):
    """A starting cell and two that need its model, for every seed."""
    cells = []
    for seed in range(seeds):
        first = make_cell(seed, seconds=seconds)
        cells += [first, *(make_cell(seed, method, first.key, seconds=seconds) for method in ("dact", "deebert"))]
    return cells


def run_cell(cell, work, keep_model):
    """Like `bench.run.worker.run_cell`; what it computes depends on the spec and on the model it starts from alone."""
    spec, folder = cell.spec, work.folder
    time.sleep(spec["seconds"])
    if spec["does"] == "die":
        die()
    if spec["does"] == "die once" and first_time(folder, cell.key):
        os.fsync = die  # with half a file written
    if spec["does"] == "hang":
        time.sleep(1000)
    if spec["does"] == "fill the disk":
        raise FolderError("'results' cannot be written: No space left on device")
    entry = record_of(cell, "ok") | {"seconds": {"all": 0.0}, "environment": ENVIRONMENT}
    lost = spec["does"] == "lose it" and first_time(folder, cell.key)
    if lost:
        folder.checkpoint_path(cell.start).unlink()
    if spec["does"] == "raise" or lost:
        entry |= {"status": "failed", "reason": "RuntimeError: cannot"}
    else:
        start = folder.checkpoint_path(cell.start).read_bytes() if cell.start else b""
        content = hashlib.sha256(cell.key.encode() + start).digest() * 100
        entry["traces"] = {"validation": write_bytes(folder.trace_path(cell.key, "validation"), content)}
        entry["model"] = write_bytes(folder.checkpoint_path(cell.key), content) if keep_model else None
    write_json(folder.environment_path(ENVIRONMENT), {})
    folder.write_record(entry)
    with suppress(OSError), (folder.path / "computed.log").open("a") as log:  # the disk may be full
        log.write(f"{cell.key}\n")
    return entry


def die(*arguments):
    os.kill(os.getpid(), 9)


def first_time(folder, key):
    flag = folder.path / f"{key}.died"
    if flag.exists():
        return False
    flag.touch()
    return True


def hold_a_lock(cell, work, keep_model):
    """Like a cell that was using a lock of several processes (a progress bar has one) when its worker was killed."""
    HELD.append(multiprocessing.get_context("spawn").Lock())
    return {"status": "ok"}


def run_cells(cells, folder, jobs=2, backend=None, fail_fast=False, timeout=None, retry=True, force=False):
    """Run a plan as the command line does, without its tables; gives the number of failures."""
    folder.create()
    todo = find_todo(cells, folder, force, retry)
    tidy(todo, folder)
    backend = backend or LocalBackend(jobs, "cpu", timeout, FUNCTION)
    return run(todo, Work(folder, None, "cpu"), backend, fail_fast, force)


def content(folder):
    """Every record and trace of a folder by name."""
    parts = (folder.path / "cells").iterdir(), (folder.path / "traces").iterdir()
    return {path.name: path.read_bytes() for part in parts for path in part if not path.name.startswith(".")}


def traces_of(folder):
    """Every trace of a folder by name."""
    return {name: data for name, data in content(folder).items() if name.endswith(".npz")}


def computed(folder):
    """The keys of the cells that were computed, in the order of their ends."""
    log = folder.path / "computed.log"
    return log.read_text().split() if log.exists() else []


if __name__ == "__main__":
    options = SimpleNamespace(folder=sys.argv[1], seeds=int(sys.argv[2]), seconds=float(sys.argv[3]))
    limit = float(sys.argv[4]) if len(sys.argv) > 4 else None
    sys.exit(run_cells(make_grid(options.seeds, options.seconds), RunFolder(Path(options.folder)), timeout=limit))
