"""One GPU for every worker: a process claims a place on a device before it looks at any, and then sees that one alone.

A place is a locked file: it is free again when its process ends, however it ends, and two runs on one machine see each
other's. On a CPU there is nothing to claim.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
#: Locks are held as long as the process lives: they must not be dropped when nobody refers to them any more.
_held: list[FileLock] = []


def visible_devices() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def claim_device(devices: Sequence[str], jobs: int, places: Path | None = None) -> str | None:
    """Make one GPU the only one that this process sees; call it before anything uses CUDA.

    The devices fill up evenly: every device gets its first process before any gets a second.

    Args:
        devices: names of the GPUs, as `visible_devices` gives them; none on a CPU.
        jobs: how many processes share them.
        places: folder of the locks; one for each user of the machine by default.

    Returns:
        The device's name; None on a CPU.
    """
    if not devices:
        return None
    places = places or Path(tempfile.gettempdir()) / f"early-exit-bench-{os.getuid()}"
    places.mkdir(parents=True, exist_ok=True)
    for turn in range(-(-jobs // len(devices))):
        for device in devices:
            if _lock(places / f"{device.replace('/', '-')}.{turn}"):
                return _see_only(device)
    # another run holds places, too: share a device with it rather than wait
    return _see_only(devices[os.getpid() % len(devices)])


def _lock(path: Path) -> bool:
    """Lock a file for the life of this process; whether it was free."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    _held.append(lock)
    return True


def _see_only(device: str) -> str:
    """Hide all other devices from this process."""
    os.environ[VISIBLE] = device
    return device
