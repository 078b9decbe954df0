"""A bundle: a finished run as one small folder to share, read as if it were the results folder that it came from.

bundle.json: what it is: format, engine, precision, what rounding changed, sha256 of every other file; sealed.
README.md: the data card, with one configuration per table for `datasets.load_dataset`.
run.json: as in a results folder. environments.json: machines and libraries by id.
cells.parquet: a row per cell; the column `record` is its record as JSON.
tables/: the tables, as `--collect` wrote them. traces/: what every layer said, by panel (`bench.store.packed`).
methods/: files of methods from outside the project, to be read; nothing runs them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.store.files import read_json, sha256_of, unsealed
from bench.store.folder import RunFolder
from bench.store.packed import unpacked

if TYPE_CHECKING:
    import pyarrow

    from bench.store.trace import Trace

#: Raise it when a program of before could not read what this one writes.
FORMAT = 1
MANIFEST = "bundle.json"
ENTRIES = ("program", "engine", "suite", "logits", "changed", "classes", "schema", "files")
CELLS, ENVIRONMENTS, CARD, RUN = "cells.parquet", "environments.json", "README.md", "run.json"
#: The columns of cells.parquet before `record`, to find one's way without reading JSON.
CELL_COLUMNS = ("key", "label", "status", "reason", "task", "backbone", "method", "variant", "seed")


def panel_file(spec: dict, split: str) -> str:
    """The file of a bundle that holds the traces of a cell's panel."""
    return f"traces/{spec['backbone']}-{spec['task']}-{split}.parquet"


def read_manifest(path: Path) -> dict:
    """The content of bundle.json.

    Raises:
        UserError: it is not there, was edited, or is of a later program.
    """
    try:
        about = unsealed((path / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"'{path}' is no bundle: expected {MANIFEST} in it, as --export writes it") from None
    except ValueError as error:
        raise UserError(f"bundle '{path}': {MANIFEST} is not as it was written (cut or edited)") from error
    if about.get("format") != FORMAT:
        made = f"is of format {about.get('format')}, made by version {about.get('program')} of the program"
        raise UserError(f"bundle '{path}' {made}; this one reads format {FORMAT}")
    if missing := [name for name in ENTRIES if name not in about]:
        raise UserError(f"bundle '{path}': {MANIFEST} has no entry '{missing[0]}'")
    return about


def columns_of(path: Path) -> dict[str, str]:
    """The columns of a Parquet file with their types."""
    import pyarrow.parquet as parquet

    return {field.name: str(field.type) for field in parquet.read_schema(path)}


@dataclass(frozen=True)
class Bundle(RunFolder):
    """A bundle, read like the results folder that it came from; nothing is ever written into it."""

    def manifest(self) -> dict:
        """The content of bundle.json, read once."""
        return _manifest(self.path)

    def records(self) -> list[dict]:
        """All records, ordered by key."""
        return [record for _, record in sorted(_records(self.path).items())]

    def record(self, key: str) -> dict | None:
        """The record of a cell; None where it has none."""
        return _records(self.path).get(key)

    def recorded(self) -> set[str]:
        """The keys of all cells."""
        return set(_records(self.path))

    def environment(self, name: str) -> dict | None:
        """The description of an environment by its id."""
        return (read_json(self.path / ENVIRONMENTS) or {}).get(name)

    def environments(self) -> list[dict]:
        """The descriptions of all environments that cells ran in."""
        return list((read_json(self.path / ENVIRONMENTS) or {}).values())

    def has_traces(self, record: dict) -> bool:
        """Whether the files with a cell's traces are those that bundle.json speaks of."""
        files = self.manifest()["files"]
        paths = [panel_file(record["spec"], split) for split in record["traces"]]
        return all(name in files and _is_whole(self.path, name, files[name]) for name in paths)

    def damaged(self) -> list[Path]:
        """The files that have changed since they were written."""
        files = self.manifest()["files"]
        return [self.path / name for name, digest in files.items() if sha256_of(self.path / name) != digest]

    def trace(self, key: str, split: str) -> Trace:
        """What a trained model said on a split, as exactly as the bundle keeps it."""
        spec = self.record(key)["spec"]
        rows, places = _panel(self.path, panel_file(spec, split))
        start, length = places[key]
        return unpacked(rows.slice(start, length), self.manifest()["classes"][spec["task"]])


@cache
def _manifest(path: Path) -> dict:
    return read_manifest(path)


@cache
def _records(path: Path) -> dict[str, dict]:
    import pyarrow.parquet as parquet

    rows = parquet.read_table(path / CELLS, columns=["key", "record"]).to_pydict()
    return {key: json.loads(text) for key, text in zip(rows["key"], rows["record"], strict=True)}


@cache
def _is_whole(path: Path, name: str, digest: str) -> bool:
    return sha256_of(path / name) == digest


@lru_cache(maxsize=1)  # cells are asked for panel by panel
def _panel(path: Path, name: str) -> tuple[pyarrow.Table, dict[str, tuple[int, int]]]:
    """The rows of a panel, and where those of each cell start and how many they are."""
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    rows = parquet.ParquetFile(path / name).read()
    counts = compute.value_counts(rows["cell"].combine_chunks()).to_pylist()  # in the order of their first rows
    places, start = {}, 0
    for cell in counts:
        places[cell["values"]] = (start, cell["counts"])
        start += cell["counts"]
    return rows, places
