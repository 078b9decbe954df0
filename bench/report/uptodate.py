"""Whether the tables, figures and report of a run folder are up to date, so that nothing is made twice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.store.code_hash import code, hash_of
from bench.store.files import read_json, write_json
from bench.store.folder import PLATEAU_FOLDER, RunFolder


def inputs_of(folder: RunFolder) -> str:
    """A hash of what tables and figures are made from: run.json, all records, a run with twice the steps, the code."""
    outside = (Path(file) for file in folder.shared()["methods"].values() if file)
    records = (folder.path / "cells").glob("*.json")
    twice = (folder.path / PLATEAU_FOLDER).glob("*.csv")
    return hash_of([folder.path / "run.json", *sorted(records), *code(), *sorted(outside), *sorted(twice)])


def stamp(folder: RunFolder, figures: Path, focus: str | None, inputs: str, made: Iterable[Path]) -> None:
    """Note in collected.json which files were made, and the hash (`inputs_of`) of what they were made from."""
    files = sorted(str(path.resolve()) for path in made)
    entry = {"inputs": inputs, "figures": str(figures.resolve()), "focus": focus, "files": files}
    write_json(folder.path / "collected.json", entry)


def is_current(folder: RunFolder) -> bool:
    """Whether the tables are of the records that are there and were made by this code, wherever the figures are."""
    return (read_json(folder.path / "collected.json") or {}).get("inputs") == inputs_of(folder)


def is_collected(folder: RunFolder, figures: Path, focus: str | None) -> bool:
    """Whether every file that `stamp` noted is there and what it was made from is unchanged."""
    entry = read_json(folder.path / "collected.json")
    if entry is None:
        return False
    asked = {"inputs": inputs_of(folder), "figures": str(figures.resolve()), "focus": focus}
    return asked.items() <= entry.items() and all(Path(file).is_file() for file in entry["files"])
