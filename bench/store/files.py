"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bench.errors import FolderError, UserError


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


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, never a part.

    Raises:
        FolderError: the disk is full, read-only or gone; nothing is left behind.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            remove(Path(temporary))
        if isinstance(error, OSError):
            raise not_written(path.parent, error) from error
        raise


def write_bytes(path: Path, data: bytes) -> str:
    """Write a file as `writing` does; gives the sha256 of the data."""
    with writing(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def touch(path: Path) -> None:
    """Make an empty file, or make it as if new.

    Raises:
        FolderError: the disk is full, read-only or gone.
    """
    try:
        path.touch()
    except OSError as error:
        raise not_written(path.parent, error) from error


def not_written(folder: Path, error: OSError) -> FolderError:
    """The error of a folder that has become full, read-only or gone while a run writes to it."""
    kept = "what is finished is kept, and the same command goes on when that is mended"
    return FolderError(f"'{folder}' cannot be written: {error.strerror}; {kept}")


def remove(path: Path) -> None:
    """Delete a file where that is possible."""
    try:
        path.unlink()
    except OSError:
        pass  # gone already, or in a folder that cannot be written


def sweep_temporaries(folder: Path, older_than: float = 3600.0) -> None:
    """Delete what killed processes left of `write_bytes`; a file younger than an hour may be being written now."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > older_than:
                path.unlink()
        except OSError:
            continue  # swept by another run


def sha256_of(path: Path) -> str | None:
    """The sha256 of a file's bytes, or None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, UTF-8 with plain line feeds."""
    write_bytes(path, text.encode("utf8"))


def write_json(path: Path, value: object) -> None:
    """`write_bytes` for JSON that people read."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


# A sealed JSON file ends in the sha256 of everything before it, so that no change of it goes unnoticed.


CHECKSUM = ',\n  "checksum": "'


def sealed(value: dict) -> str:
    """JSON that people read, with its checksum as the last entry."""
    body = json.dumps(value, indent=2, ensure_ascii=False).removesuffix("\n}")
    digest = hashlib.sha256(body.encode("utf8")).hexdigest()
    return f'{body}{CHECKSUM}{digest}"\n}}\n'


def unsealed(data: bytes) -> dict:
    """The content of a sealed file, without its checksum.

    Raises:
        ValueError: a byte of it is not as it was written.
    """
    body, _, seal = data.rpartition(CHECKSUM.encode())
    if seal != f'{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode():
        raise ValueError("the checksum does not fit")
    return json.loads(body + b"\n}")
