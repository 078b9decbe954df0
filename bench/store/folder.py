"""The results folder of a run: where each file of it is, and whether what is there is whole.

A cell leaves a record (JSON: how it went), traces (one file per split) and, if others start from it, its trained model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import FolderError, UserError
from bench.store.consistency import OTHER_FOLDER, check_shared, merged
from bench.store.files import (
    make_writable,
    read_json,
    read_needed_json,
    remove,
    sealed,
    sha256_of,
    sweep_temporaries,
    unsealed,
    write_json,
    write_text,
)
from bench.store.trace import Trace

if TYPE_CHECKING:
    from bench.plan.cell import Cell

#: Where in a run folder the same run with twice the steps is, a run folder itself.
PLATEAU_FOLDER = "plateau"
PARTS = ("cells", "traces", "checkpoints", "environments", "locks")


@dataclass(frozen=True)
class RunFolder:
    """A results folder (`--results`) and the files in it.

    Attributes:
        path: of the folder.
        without: seeds that are being run; their records are as if they were not there.
    """

    path: Path
    without: frozenset[int] = field(default=frozenset(), kw_only=True)

    def create(self) -> None:
        """Make the folder and its parts, and clean up after runs that were killed.

        Raises:
            UserError: it cannot be written.
        """
        for place in (self.path, *(self.path / part for part in PARTS)):
            make_writable(place, "results")
            sweep_temporaries(place)

    def share(self, shared: dict, methods: dict[str, str | None], published: dict[str, str] | None = None) -> None:
        """Write what the cells of a command share to run.json, once it has been found to fit what is there.

        Args:
            shared: as `Grid.shared` returns it.
            methods: name of each method to report -> its file, for methods from outside the project.
            published: of these the ones that were not trained here -> where they come from.

        Raises:
            UserError: the folder belongs to another run; the line names the key that differs.
        """
        known = self.shared()
        check_shared(self.path, known, shared)
        entry = merged(known, shared) | {"methods": {**known.get("methods", {}), **methods}}
        if published:
            entry["published"] = {**known.get("published", {}), **published}
        if entry != known:
            write_json(self.path / "run.json", entry)

    def shared(self) -> dict:
        """The content of run.json; empty where there is none.

        Raises:
            UserError: the file is there and is not readable JSON.
        """
        return read_needed_json(self.path / "run.json", OTHER_FOLDER)

    def needed(self) -> dict:
        """The content of run.json, for what takes a run that is there.

        Raises:
            UserError: there is none.
        """
        if not (shared := self.shared()):
            raise UserError(f"results folder '{self.path}' holds no run: run.json is missing")
        return shared

    def record_path(self, key: str) -> Path:
        """The file of a cell's record."""
        return self.path / "cells" / f"{key}.json"

    def record(self, key: str) -> dict | None:
        """The record of a cell; None where it has none, or one that has been damaged."""
        try:
            return unsealed(self.record_path(key).read_bytes())
        except (OSError, ValueError):
            return None

    def write_record(self, record: dict) -> None:
        """Write the record of a cell, with a checksum so that damage is noticed."""
        write_text(self.record_path(record["key"]), sealed(record))

    def records(self) -> list[dict]:
        """All undamaged records, ordered by key, but for those of seeds that are left out."""
        return self.counting(record for key in sorted(self.recorded()) if (record := self.record(key)) is not None)

    def counting(self, records: Iterable[dict]) -> list[dict]:
        """Those of some records that are not of seeds that are left out."""
        return (
            [record for record in records if record["spec"]["seed"] not in self.without] if self.without else [*records]
        )

    def recorded(self) -> set[str]:
        """The keys of all cells that have a record, damaged or not; empty where there is no folder yet."""
        try:
            return {name.removesuffix(".json") for name in os.listdir(self.path / "cells")}
        except OSError:
            return set()

    def environment(self, name: str) -> dict | None:
        """The description of an environment (machine and library versions) by its id; None where it cannot be read."""
        return read_json(self.environment_path(name))

    def environments(self) -> list[dict]:
        """The descriptions of all environments that cells ran in.

        One that cannot be read is left out: it would explain numbers, but none is computed from it.
        """
        found = map(read_json, sorted((self.path / "environments").glob("*.json")))
        return [about for about in found if about is not None]

    def trace_path(self, key: str, split: str) -> Path:
        """The file of a cell's trace on a split."""
        return self.path / "traces" / f"{key}.{split}.npz"

    def trace(self, key: str, split: str) -> Trace:
        """What a trained model said on a split."""
        return Trace.load(self.trace_path(key, split))

    def checkpoint_path(self, key: str) -> Path:
        """The file of a cell's trained weights, kept for the cells that start from them."""
        return self.path / "checkpoints" / f"{key}.safetensors"

    def model_path(self, spec: dict) -> Path:
        """The folder of a cell's trained model for people to load (`--save-models`), named in words."""
        parts = [spec["backbone"], spec["task"], spec["method"], spec["variant"], f"seed{spec['seed']}"]
        return self.path / "models" / "-".join(filter(None, parts))

    def has_saved_model(self, cell: Cell) -> bool:
        """Whether the model of a cell was saved: the folder's name does not hold all of the key, the file does."""
        return (read_json(self.model_path(cell.spec) / "early_exit.json") or {}).get("cell") == cell.key

    def environment_path(self, name: str) -> Path:
        """The file of an environment's description."""
        return self.path / "environments" / f"{name}.json"

    def has_traces(self, record: dict) -> bool:
        """Whether all traces of a finished cell are there and undamaged, by the checksums in its record."""
        key = record["key"]
        return all(sha256_of(self.trace_path(key, split)) == digest for split, digest in record["traces"].items())

    def has_model(self, key: str) -> bool:
        """Whether the trained weights of a cell are kept and undamaged, by the checksum in its record."""
        digest = sha256_of(self.checkpoint_path(key))
        return digest is not None and digest == (self.record(key) or {}).get("model")

    def refresh(self) -> None:
        """Make files visible that other machines have just written to a network file system.

        Such a system remembers for a while that a file was not there; to open the folder makes it look again.

        Raises:
            FolderError: the run folder is gone.
        """
        for part in ("cells", "traces", "checkpoints"):
            try:
                os.scandir(self.path / part).close()
            except OSError as error:
                raise FolderError(f"results folder '{self.path}' cannot be read: {error.strerror}") from error

    def settled(self, key: str, keep_model: bool) -> dict | None:
        """The record of a cell that another process has finished meanwhile, with its files complete; else None.

        A run deletes the records of its unfinished cells before it starts, so a record found later is a new one.

        Args:
            key: the cell's key.
            keep_model: whether other cells start from its model.
        """
        self.refresh()
        record = self.record(key)
        if record is None or record["status"] != "ok":
            return record
        return record if self.has_traces(record) and (self.has_model(key) or not keep_model) else None

    def is_finished(self, key: str) -> bool:
        """Whether a cell succeeded and all of its traces are there."""
        record = self.record(key)
        return record is not None and record["status"] == "ok" and self.has_traces(record)

    def damaged(self) -> list[Path]:
        """The files of all records and traces that have changed since they were written."""
        return [path for key in sorted(self.recorded()) for path in self.damaged_of(key)]

    def damaged_of(self, key: str) -> list[Path]:
        """The files of a cell's record and traces that have changed since they were written.

        Without a readable record there are no checksums for the traces: the cell is just run again.
        """
        record, path = self.record(key), self.record_path(key)
        if record is None:
            return [path] if path.exists() else []
        digests = {self.trace_path(key, split): digest for split, digest in record.get("traces", {}).items()}
        return [path for path, digest in digests.items() if sha256_of(path) not in (digest, None)]

    def remove_record(self, key: str) -> None:
        """Delete the record of a cell that is to run again, so that a record found later is a new one."""
        remove(self.record_path(key))

    def set_aside(self, path: Path) -> Path:
        """Move a damaged file into damaged/, where nothing reads it; gives its new path."""
        make_writable(self.path / "damaged", "results")
        return path.replace(self.path / "damaged" / path.name)


def record_of(cell: Cell, status: str, reason: str = "") -> dict:
    """A new record of a cell: its key, label and spec, and a status ("ok", "failed" or "skipped") with its reason."""
    return {"key": cell.key, "label": cell.label, "status": status, "reason": reason, "spec": cell.spec}
