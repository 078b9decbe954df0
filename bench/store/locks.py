"""Which cells a run works on, so that several runs share one folder: every cell under a lock of its own.

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
    """The locks of the cells that this run works on."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.held: dict[str, FileLock] = {}

    def take(self, key: str) -> bool:
        """Lock a cell; False where another run works on it."""
        lock = _locked(self.folder, key, wait=False)
        if lock is None:
            return False
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
    lock = _locked(folder, what, wait=True)
    try:
        yield
    finally:
        lock.release()


def _locked(folder: RunFolder, name: str, wait: bool) -> FileLock | None:
    """A lock of a folder, held; None where another run has it and this one does not wait.

    Raises:
        FolderError: the folder is gone, or on a file system without locks. The library would put up with a file that
            stands for a lock, but a killed run leaves that behind, and all others would wait for ever.
    """
    place = folder.path / "locks"
    lock = FileLock(place / f"{name}.lock")
    try:
        place.mkdir(exist_ok=True)  # not its parents: a run folder that has vanished must not come back empty
        lock.acquire(blocking=wait)
    except Timeout:
        if not isinstance(lock, SoftFileLock):
            return None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FolderError(f"no lock can be had in '{place}': {reason}") from error
    if isinstance(lock, SoftFileLock):
        lock.release()
        raise FolderError(f"no lock can be had in '{place}', whose file system has none (flock): {SHARDS}")
    return lock
