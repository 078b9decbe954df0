"""A hash of this program's code: two processes, or tables and the program that reads them, are of the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parents[2]
SUFFIXES = (".py", ".mplstyle", ".jinja")


@cache
def code_hash() -> str:
    """A hash of the code of this program, as it is in this process's checkout."""
    return hash_of(code())


def code() -> list[Path]:
    """The files of this program that make numbers, tables and figures."""
    files = (path for part in ("bench", "methods") for path in (SOURCES / part).rglob("*.*"))
    return sorted(path for path in files if path.suffix in SUFFIXES)


def hash_of(files: Iterable[Path]) -> str:
    """sha256 over the names and bytes of files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
