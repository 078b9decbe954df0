"""`status RESULTS`: what is done, running and failed, and when it ends, from files, while another process runs."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

from bench.errors import UserError, cut
from bench.report.uptodate import is_current
from bench.run.progress import clock_time
from bench.run.state import running
from bench.store.beside import open_run
from bench.store.files import read_json
from bench.store.folder import RunFolder


def main(words: list[str]) -> int:
    """Print the state of a results folder, for people or as JSON."""
    about = argparse.ArgumentParser(prog="status", description=__doc__.splitlines()[0], allow_abbrev=False)
    about.add_argument("results", type=Path, metavar="RESULTS")
    about.add_argument("--json", action="store_true", help="for programs")
    options = about.parse_args(words)
    found = status(options.results)
    print(json.dumps(found, indent=2) if options.json else "\n".join(lines(found)))
    return 0


def status(path: Path) -> dict:
    """The state of a results folder as plain values.

    Raises:
        UserError: it is no results folder.
    """
    run = open_run(path)
    shared = run.shared()
    if not shared:
        raise UserError(f"'{cut(path)}' holds no run: run.json is missing")
    own = RunFolder(path) if type(run) is not RunFolder and (path / "cells").is_dir() else run
    records, processes = own.records(), running(own)
    counts = Counter(record["status"] for record in records)
    left = [process["seconds_left"] for process in processes]
    known = processes and None not in left and not any(process.get("paused") for process in processes)
    return {
        "results": str(path),
        "suite": shared["suite"],
        "state": state_of(processes, counts["failed"]),
        "cells": {name: counts[name] for name in ("ok", "failed", "skipped")},
        "planned": max((process["cells"] for process in processes), default=None),
        "running": [cell for process in processes for cell in process["running"]],
        "failed": [{"cell": r["label"], "reason": r["reason"]} for r in records if r["status"] == "failed"],
        "ends_at": datetime.fromtimestamp(time.time() + max(left)).isoformat(timespec="seconds") if known else None,
        "tables": tables_state(own),
        "processes": [{name: each[name] for name in ("host", "pid", "started", "updated")} for each in processes],
    }


def state_of(processes: list[dict], failed: int) -> str:
    """For `status`: what the processes of a folder do, or what they have left."""
    if processes:
        return "paused" if all(process.get("paused") for process in processes) else "running"
    return "failed" if failed else "not running"


def tables_state(folder: RunFolder) -> str:
    """For `status`: whether there are tables, and of all cells."""
    if read_json(folder.path / "collected.json") is None:
        return "in the bundle" if (folder.path / "tables").is_dir() else "none yet"
    return "up to date" if is_current(folder) else "older than the cells or the program"


def lines(found: dict) -> list[str]:
    """The state of a results folder in lines for people."""
    cells = found["cells"]
    of = f" of {found['planned']}" if found["planned"] else ""
    counted = f"{cells['ok']}{of} cells ok, {cells['failed']} failed, {cells['skipped']} skipped"
    said = [f"{found['results']} (suite '{found['suite']}'): {found['state']}", counted]
    said += [f"running: {cell['cell']} for {clock_time(cell['seconds'])}" for cell in found["running"]]
    said += [f"failed: {cell['cell']}: {cell['reason']}" for cell in found["failed"]]
    if found["state"] == "running":
        said.append(f"ends at about {found['ends_at']}" if found["ends_at"] else "when it ends is not known yet")
    return [*said, f"tables: {found['tables']}"]
