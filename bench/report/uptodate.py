"""Whether the tables and figures of a run folder are those of what is in it, so that nothing is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bench.store.files import write_json
from bench.store.folder import RunFolder

SOURCES = Path(__file__).parents[2]
SUFFIXES = (".py", ".mplstyle", ".jinja")


def inputs_of(folder: RunFolder) -> str:
    """A hash of what tables and figures are made from: run.json, all records, and the code that makes them."""
    outside = (Path(file) for file in folder.shared()["methods"].values() if file)
    records = (folder.path / "cells").glob("*.json")
    return hash_of([folder.path / "run.json", *sorted(records), *code(), *sorted(outside)])


@cache
def code_hash() -> str:
    """A hash of the code of this program, as it is in this process's checkout."""
    return hash_of(code())


def code() -> list[Path]:
    """The files of this program that make numbers, tables and figures."""
    files = (path for part in ("bench", "methods") for path in (SOURCES / part).rglob("*.*"))
    return sorted(path for path in files if path.suffix in SUFFIXES)


def hash_of(files: Iterable[Path]) -> str:
    """sha256 over the names and bytes of files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def stamp(folder: RunFolder, figures: Path, made: Iterable[Path]) -> None:
    """Note what the files just made were made from."""
    files = sorted(str(path.resolve()) for path in made)
    entry = {"inputs": inputs_of(folder), "figures": str(figures.resolve()), "files": files}
    write_json(folder.path / "collected.json", entry)


def is_collected(folder: RunFolder, figures: Path) -> bool:
    """Whether everything is there and made from what is in the folder now."""
    try:
        entry = json.loads((folder.path / "collected.json").read_text(encoding="utf8"))
    except (OSError, ValueError):
        return False
    same = entry["inputs"] == inputs_of(folder) and entry["figures"] == str(figures.resolve())
    return same and all(Path(file).is_file() for file in entry["files"])
