"""Which commits of hub repositories a results folder uses: noted once, used ever after, so that a run stays one run."""

from __future__ import annotations

import json
from pathlib import Path

from bench.errors import UserError
from bench.store.files import write_json

NAME = "revisions.json"


def read_pins(folder: Path) -> dict[str, str]:
    """The commits that a results folder has fixed, by REPOSITORY, REPOSITORY@REVISION or datasets/REPOSITORY.

    Raises:
        UserError: the file is there and is not readable JSON.
    """
    path = folder / NAME
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read ({error}); remove it to take the newest revisions") from error


def write_pins(folder: Path, revisions: dict[str, str]) -> None:
    """Add commits to those that a results folder has fixed; folders and generated data have none."""
    known = read_pins(folder)
    if not revisions.items() <= known.items():
        write_json(folder / NAME, {**known, **revisions})
