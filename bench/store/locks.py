"""Locks, so that several runs can share one results folder: one per cell, and one for each thing done by one at a time.

The operating system holds the locks and lets go of a killed process's, so there are no stale ones. Lock files stay
behind, empty: to delete one while somebody else opens it would give two holders.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, SoftFileLock, Timeout

from bench.errors import FolderError
from bench.store.folder import RunFolder

SHARDS = "give every machine a folder of its own and a part of the plan (--shard)"


class Locks:
    """The cells that this run has locked, so that no other run works on them."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.held: dict[str, FileLock] = {}

    def take(self, key: str) -> bool:
        """Lock a cell; False where another run has it."""
        lock = _locked(self.folder, key, wait=False)
        if lock is None:
            return False
        self.held[key] = lock
        return True

    def drop(self, key: str) -> None:
        """Unlock a cell that this run has locked; others are left alone, because a run also hears of their ends."""
        if lock := self.held.pop(key, None):
            lock.release()

    def drop_all(self) -> None:
        """Unlock every cell that this run has locked."""
        for key in list(self.held):
            self.drop(key)


@contextmanager
def exclusive(folder: RunFolder, what: str) -> Iterator[None]:
    """Hold the lock for something that only one run at a time may do to a folder; waits for other runs."""
    lock = _locked(folder, what, wait=True)
    try:
        yield
    finally:
        lock.release()


def _locked(folder: RunFolder, name: str, wait: bool) -> FileLock | None:
    """A lock of a folder, held; None where another run has it and this one does not wait.

    Raises:
        FolderError: the folder is gone, or on a file system without locks.
    """
    locks = folder.path / "locks"
    lock = FileLock(locks / f"{name}.lock")
    try:
        locks.mkdir(exist_ok=True)  # not its parents: a run folder that has vanished must not come back empty
        lock.acquire(blocking=wait)
    except Timeout:
        if not isinstance(lock, SoftFileLock):
            return None
    except (OSError, NotImplementedError) as error:
        raise FolderError(f"no lock can be had in '{locks}': {getattr(error, 'strerror', None) or error}") from error
    # Without locks the library makes do with a file that stands for one. A killed run leaves that behind, and every
    # later run would wait for ever.
    if isinstance(lock, SoftFileLock):
        lock.release()
        raise FolderError(f"no lock can be had in '{locks}', whose file system has none (flock): {SHARDS}")
    return lock
