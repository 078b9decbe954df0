"""A hash of this project's code: tells whether two processes, or a table and its reader, run the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

#: The folder that holds bench/ and methods/.
PROJECT = Path(__file__).parents[2]
#: Files that make numbers, tables and figures.
SUFFIXES = (".py", ".mplstyle", ".jinja")


@cache
def code_hash() -> str:
    """The hash of the code that this process was started from; looked up once per process."""
    return hash_of(code())


def code() -> list[Path]:
    """The files of this project that make numbers, tables and figures."""
    files = (path for part in ("bench", "methods") for path in (PROJECT / part).rglob("*.*"))
    return sorted(path for path in files if path.suffix in SUFFIXES)


def hash_of(files: Iterable[Path]) -> str:
    """sha256 over the names and bytes of files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
