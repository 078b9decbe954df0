"""The run folder: one record per cell, one file per trace, and what all of them share."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import FolderError, UserError
from bench.store.consistency import OTHER, check_shared, merged
from bench.store.files import (
    make_writable,
    remove,
    sealed,
    sha256_of,
    sweep_temporaries,
    unsealed,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from bench.plan.cell import Cell

PARTS = ("cells", "traces", "checkpoints", "environments", "locks")


@dataclass(frozen=True)
class RunFolder:
    """A results folder (`--results`)."""

    path: Path

    def create(self) -> None:
        """Make the folder and its parts.

        Raises:
            UserError: it cannot be written.
        """
        for place in (self.path, *(self.path / part for part in PARTS)):
            make_writable(place, "results")
            sweep_temporaries(place)

    def share(self, shared: dict, methods: dict[str, str | None]) -> None:
        """Enter what a command's cells share into run.json, after comparing it with what is there.

        Args:
            shared: as `Grid.shared` returns it.
            methods: name of each method to report -> its file, for methods from outside the project.

        Raises:
            UserError: the folder belongs to another kind of run; the line names the key that differs.
        """
        known = self.shared()
        check_shared(self.path, known, shared)
        entry = merged(known, shared) | {"methods": {**known.get("methods", {}), **methods}}
        if entry != known:
            write_json(self.path / "run.json", entry)

    def shared(self) -> dict:
        """The content of run.json; empty where there is none.

        Raises:
            UserError: the file is there and is not readable JSON.
        """
        path = self.path / "run.json"
        try:
            return json.loads(path.read_text(encoding="utf8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(f"'{path}' cannot be read ({error}); {OTHER[2:]}") from error

    def record_path(self, key: str) -> Path:
        """Where the record of a cell is."""
        return self.path / "cells" / f"{key}.json"

    def record(self, key: str) -> dict | None:
        """The record of a cell, or None where it has none, or one that is not as it was written."""
        try:
            return unsealed(self.record_path(key).read_bytes())
        except (OSError, ValueError):
            return None

    def write_record(self, record: dict) -> None:
        """Write the record of a cell, sealed with its checksum."""
        write_text(self.record_path(record["key"]), sealed(record))

    def records(self) -> list[dict]:
        """All records that are as they were written, ordered by key."""
        found = (self.record(path.stem) for path in sorted((self.path / "cells").glob("*.json")))
        return [record for record in found if record is not None]

    def written(self) -> set[str]:
        """The keys of all cells that have a record, readable or not; empty where there is no folder yet."""
        try:
            return {name.removesuffix(".json") for name in os.listdir(self.path / "cells")}
        except OSError:
            return set()

    def environment(self, name: str) -> dict | None:
        """The description of an environment, or None where it has none that can be read."""
        try:
            return json.loads(self.environment_path(name).read_text(encoding="utf8"))
        except (OSError, ValueError):
            return None

    def environments(self) -> list[dict]:
        """The descriptions of what cells ran on."""
        found = (self.environment(path.stem) for path in sorted((self.path / "environments").glob("*.json")))
        return [about for about in found if about is not None]  # one explains numbers and makes none

    def trace_path(self, key: str, split: str) -> Path:
        """Where the trace of a cell on a split is."""
        return self.path / "traces" / f"{key}.{split}.npz"

    def checkpoint_path(self, key: str) -> Path:
        """Where the trained model of a cell that others start from is kept."""
        return self.path / "checkpoints" / f"{key}.safetensors"

    def model_path(self, spec: dict) -> Path:
        """Where the trained model of a cell is kept for others to use (`--save-models`)."""
        parts = [spec["backbone"], spec["task"], spec["method"], spec["variant"], f"seed{spec['seed']}"]
        return self.path / "models" / "-".join(filter(None, parts))

    def has_saved_model(self, cell: Cell) -> bool:
        """Whether the model of a cell was saved, and not that of another cell of the same name."""
        try:
            about = json.loads((self.model_path(cell.spec) / "early_exit.json").read_text(encoding="utf8"))
        except (OSError, ValueError):
            return False
        return about.get("cell") == cell.key

    def environment_path(self, name: str) -> Path:
        """Where the description of an environment is."""
        return self.path / "environments" / f"{name}.json"

    def has_traces(self, record: dict) -> bool:
        """Whether all traces of an ok cell are there, as they were written."""
        key = record["key"]
        return all(sha256_of(self.trace_path(key, split)) == digest for split, digest in record["traces"].items())

    def has_model(self, key: str) -> bool:
        """Whether the trained model of a cell is kept, as it was written."""
        digest = sha256_of(self.checkpoint_path(key))
        return digest is not None and digest == (self.record(key) or {}).get("model")

    def refresh(self) -> None:
        """See what other machines have written: to open a folder makes a network file system forget what was not there.

        Raises:
            FolderError: the run folder is gone.
        """
        for part in ("cells", "traces", "checkpoints"):
            try:
                os.scandir(self.path / part).close()
            except OSError as error:
                raise FolderError(f"results folder '{self.path}' cannot be read: {error.strerror}") from error

    def settled(self, key: str, keep_model: bool) -> dict | None:
        """The record of a cell that has ended since its run began, with all that is wanted of it; else None.

        A run takes the records of its unfinished cells away first, so what is there now was made meanwhile.

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
        """Whether a cell is ok, with all of its traces."""
        record = self.record(key)
        return record is not None and record["status"] == "ok" and self.has_traces(record)

    def damaged(self) -> list[Path]:
        """Records and traces that are not as they were written."""
        keys = (path.stem for path in sorted((self.path / "cells").glob("*.json")))
        return [path for key in keys for path in self.damaged_of(key)]

    def damaged_of(self, key: str) -> list[Path]:
        """The same of one cell. Without its record, nobody knows how its traces were: they are just made again."""
        record, path = self.record(key), self.record_path(key)
        if record is None:
            return [path] if path.exists() else []
        digests = {self.trace_path(key, split): digest for split, digest in record.get("traces", {}).items()}
        return [path for path, digest in digests.items() if sha256_of(path) not in (digest, None)]

    def clear(self, key: str) -> None:
        """Take an unfinished cell's record away, so that a record found later is a new one."""
        remove(self.record_path(key))

    def set_aside(self, path: Path) -> Path:
        """Move a damaged file into damaged/, where nothing reads it; gives its new place."""
        make_writable(self.path / "damaged", "results")
        place = self.path / "damaged" / path.name
        os.replace(path, place)
        return place


def record_of(cell: Cell, status: str, reason: str = "") -> dict:
    """What every record of a cell holds: what it is, and how it went ("ok", "failed" or "skipped", with a reason)."""
    return {"key": cell.key, "label": cell.label, "status": status, "reason": reason, "spec": cell.spec}
