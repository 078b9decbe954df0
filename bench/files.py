"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from bench.errors import UserError


def make_writable(folder: Path, what: str) -> None:
    """Make a folder if it is not there, and make sure that files can be written into it.

    Raises:
        UserError: they cannot; the line calls the folder `what`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(f"{what} folder '{folder}' cannot be written: {error.strerror}") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, UTF-8 with plain line feeds."""
    write_bytes(path, text.encode("utf8"))


def write_json(path: Path, value: object) -> None:
    """`write_bytes` for JSON that people read."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
