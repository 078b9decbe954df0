"""Which cells a run works on, so that several runs share one folder: every cell under a lock of its own.

The operating system holds the locks and lets go of a killed process's, so there are no stale ones. Lock files stay
behind, empty: to delete one while somebody else opens it would give two holders.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import FolderError
from bench.store import RunFolder


class Claims:
    """The cells that this run holds."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.held: dict[str, FileLock] = {}

    def take(self, key: str) -> bool:
        """Claim a cell; False where another run works on it."""
        lock = _lock(self.folder, key)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise _refused(self.folder, error) from error
        self.held[key] = lock
        return True

    def drop(self, key: str) -> None:
        """Let go of a cell, if it is held: what another run holds, this one may still learn the end of."""
        if lock := self.held.pop(key, None):
            lock.release()

    def drop_all(self) -> None:
        """Let go of everything."""
        for key in list(self.held):
            self.drop(key)


@contextmanager
def alone(folder: RunFolder, what: str) -> Iterator[None]:
    """Do something that only one run at a time may do to a folder; waits for the others."""
    lock = _lock(folder, what)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise _refused(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _lock(folder: RunFolder, name: str) -> FileLock:
    place = folder.path / "locks"
    try:
        place.mkdir(exist_ok=True)  # not its parents: a run folder that has vanished must not come back empty
    except OSError as error:
        raise _refused(folder, error) from error
    return FileLock(Path(place) / f"{name}.lock")


def _refused(folder: RunFolder, error: Exception) -> FolderError:
    return FolderError(f"no lock can be had in '{folder.path / 'locks'}': {getattr(error, 'strerror', None) or error}")
