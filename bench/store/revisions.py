"""The commits of hub repositories that a results folder keeps to, so that a resumed run reads what the first did."""

from __future__ import annotations

from pathlib import Path

from bench.store.files import read_needed_json, write_json

NAME = "revisions.json"


def read_pins(folder: Path) -> dict[str, str]:
    """The commits that a results folder keeps to, by REPOSITORY, REPOSITORY@REVISION or datasets/REPOSITORY.

    Raises:
        UserError: the file is there and is not readable JSON.
    """
    return read_needed_json(folder / NAME, "remove it to take the newest revisions")


def write_pins(folder: Path, revisions: dict[str, str]) -> None:
    """Add commits to those that a results folder keeps to; checkpoints and data from a folder have none."""
    known = read_pins(folder)
    if not revisions.items() <= known.items():
        write_json(folder / NAME, {**known, **revisions})
