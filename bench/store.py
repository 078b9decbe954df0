"""The run folder: one record per cell, one file per trace, and what all of them share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.files import make_writable, write_json

if TYPE_CHECKING:
    from bench.plan import Cell

#: Keys of run.json that hold one entry per task, checkpoint or command: entries may be added, never changed.
GROWING = ("data", "checkpoints", "commands")


@dataclass(frozen=True)
class RunFolder:
    """A results folder (`--results`)."""

    path: Path

    def create(self) -> None:
        """Make the folder and its parts.

        Raises:
            UserError: it cannot be written.
        """
        make_writable(self.path, "results")
        for part in ("cells", "traces", "checkpoints", "environments"):
            make_writable(self.path / part, "results")

    def share(self, shared: dict, methods: dict[str, str | None]) -> None:
        """Enter what a command's cells share into run.json, after comparing it with what is there.

        Args:
            shared: as `Grid.shared` returns it.
            methods: name of each method to report -> its file, for methods from outside the project.

        Raises:
            UserError: the folder belongs to another kind of run; the line names the key that differs.
        """
        known = self.shared()
        for key, value in shared.items():
            if key in known:
                self._compare(key, known[key], value)
        merged = {**known, **shared}
        for key in GROWING:
            merged[key] = {**known.get(key, {}), **shared[key]}
        merged["methods"] = {**known.get("methods", {}), **methods}
        if merged != known:
            write_json(self.path / "run.json", merged)

    def _compare(self, key: str, known: object, value: object) -> None:
        if key in GROWING:
            different = [name for name in value if known.get(name, value[name]) != value[name]]
            if different:
                name = different[0]
                change = f"for '{name}' ({known[name][:12]}.., not {value[name][:12]}..)"
                raise UserError(f"results folder '{self.path}' was made with other {key} {change}{OTHER}")
        elif known != value:
            raise UserError(f"results folder '{self.path}' was made with {key} {known!r}, not {value!r}{OTHER}")

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
        """The record of a cell, or None where it has none that can be read."""
        try:
            return json.loads(self.record_path(key).read_text(encoding="utf8"))
        except (OSError, ValueError):
            return None

    def records(self) -> list[dict]:
        """All records that can be read, ordered by key."""
        found = (self.record(path.stem) for path in sorted((self.path / "cells").glob("*.json")))
        return [record for record in found if record is not None]

    def environment(self, name: str) -> dict | None:
        """The description of an environment, or None where it has none that can be read."""
        try:
            return json.loads((self.path / "environments" / f"{name}.json").read_text(encoding="utf8"))
        except (OSError, ValueError):
            return None

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

    def has_model(self, cell: Cell) -> bool:
        """Whether the model of a cell was saved, and not that of another cell of the same name."""
        try:
            about = json.loads((self.model_path(cell.spec) / "early_exit.json").read_text(encoding="utf8"))
        except (OSError, ValueError):
            return False
        return about.get("cell") == cell.key

    def is_finished(self, key: str) -> bool:
        """Whether a cell is ok, with all of its traces."""
        record = self.record(key)
        return (
            record is not None
            and record["status"] == "ok"
            and all(self.trace_path(key, split).is_file() for split in record["splits"])
        )


def record_of(cell: Cell, status: str, reason: str = "") -> dict:
    """What every record of a cell holds: what it is, and how it went ("ok", "failed" or "skipped", with a reason)."""
    return {"key": cell.key, "label": cell.label, "status": status, "reason": reason, "spec": cell.spec}


OTHER = "; name another folder with --results DIR, or repeat the command that made this one"
