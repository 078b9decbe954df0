"""What a running process says about itself in a file of the results folder, for `status` in another process."""

from __future__ import annotations

import os
import socket
import time

from bench.store.files import read_json, remove, write_json
from bench.store.folder import RunFolder

#: Seconds between two writings.
WRITE_EVERY = 2.0
#: Seconds without a writing after which a process of another machine is taken to be gone.
SILENT_FOR = 120.0


class State:
    """The file of this process: progress/HOST-PID.json, there as long as its cells run."""

    def __init__(self, folder: RunFolder) -> None:
        place = folder.path / "progress"
        place.mkdir(exist_ok=True)
        for path in place.glob("*.json"):
            if not is_alive(read_json(path) or {}):
                remove(path)
        self.path = place / f"{host()}-{os.getpid()}.json"
        self.started, self.written = time.time(), 0.0

    def write(self, at_once: bool = False, **about: object) -> None:
        """Write what is done and running, at most every `WRITE_EVERY` seconds unless it must be there at once."""
        now = time.time()
        if now - self.written < WRITE_EVERY and not at_once:
            return
        self.written = now
        process = {"host": host(), "pid": os.getpid(), "started": self.started, "updated": now}
        write_json(self.path, {**process, **about})

    def remove(self) -> None:
        """This process's cells have ended."""
        remove(self.path)


def running(folder: RunFolder) -> list[dict]:
    """What every process says that runs cells of a results folder now."""
    said = (read_json(path) for path in sorted((folder.path / "progress").glob("*.json")))
    return [about for about in said if about and is_alive(about)]


def is_alive(about: dict) -> bool:
    """Whether the process of such a file still runs; of another machine: whether it has written lately."""
    if about.get("host") != host():
        return time.time() - about.get("updated", 0) < SILENT_FOR
    try:
        os.kill(about["pid"], 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def host() -> str:
    """The name of this machine, as a part of a file's name."""
    return "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:60]
