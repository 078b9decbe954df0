"""Write files so that they appear whole or not at all, and read back those that must be unharmed."""

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

#: Seconds after which a temporary file is taken for one that a killed process left; writing one takes far less.
ABANDONED_AFTER = 3600
#: A sealed JSON file ends in this and the sha256 of everything before it, so that no change of it goes unnoticed.
CHECKSUM = ',\n  "checksum": "'


def make_writable(folder: Path, what: str) -> None:
    """Make a folder if it is not there, and make sure, before anything runs, that files can be written into it.

    Raises:
        UserError: they cannot; the line calls the folder `what`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permission bits say nothing about a full disk, a read-only mount or a quota: only writing does.
        probe = folder / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(f"{what} folder '{folder}' cannot be written: {error.strerror}") from error


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place only when complete: a reader sees the old one or the new one.

    Written beside it under another name, flushed to disk, renamed.

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
        os.chmod(temporary, 0o644)  # temporary files are made for their owner only
        os.replace(temporary, path)
    except BaseException as error:  # also when interrupted
        if temporary is not None:
            remove(Path(temporary))
        if isinstance(error, OSError):
            raise not_written(path.parent, error) from error
        raise


def write_bytes(path: Path, data: bytes) -> str:
    """Write a file whole or not at all (`writing`) and give the sha256 of the data."""
    with writing(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def touch(path: Path) -> None:
    """Make an empty file, or set the time of one that is there to now.

    Raises:
        FolderError: the disk is full, read-only or gone.
    """
    try:
        path.touch()
    except OSError as error:
        raise not_written(path.parent, error) from error


def not_written(folder: Path, error: OSError) -> FolderError:
    """The error of a file that cannot be written: the folder has become full, read-only or gone during a run."""
    return FolderError(
        f"'{folder}' cannot be written: {error.strerror}; what is finished is kept, and the same command goes on when "
        "that is mended"
    )


def remove(path: Path) -> None:
    """Delete a file where that is possible."""
    try:
        path.unlink()
    except OSError:
        pass  # gone already, or in a folder that cannot be written


def sweep_temporaries(folder: Path) -> None:
    """Delete the temporary files that killed processes left; a younger one may be being written now."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                path.unlink()
        except OSError:
            continue  # another run was faster


def sha256_of(path: Path) -> str | None:
    """The sha256 of a file's bytes, or None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with plain line feeds, whole or not at all."""
    write_bytes(path, text.encode("utf8"))


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON that people can read, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict | None:
    """The object in a JSON file; None where there is none that can be read: for files that a run can do without."""
    try:
        value = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_needed_json(path: Path, way_out: str) -> dict:
    """The content of a JSON file that a run must not overlook; empty where there is none yet.

    Raises:
        UserError: it is there and cannot be read; the line ends in what the user can do.
    """
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read ({error}); {way_out}") from error


def sealed(value: dict) -> str:
    """A value as JSON with the checksum of the text as its last entry, for `unsealed` to verify."""
    body = json.dumps(value, indent=2, ensure_ascii=False).removesuffix("\n}")
    return f'{body}{CHECKSUM}{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


def unsealed(data: bytes) -> dict:
    """The value in a sealed file, if the file is as it was written.

    Raises:
        ValueError: a byte of it has changed.
    """
    body, _, seal = data.rpartition(CHECKSUM.encode())
    if seal != f'{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode():
        raise ValueError("the checksum does not fit")
    return json.loads(body + b"\n}")
