"""Which device cells compute on, how many run at a time, and one GPU for every worker process.

A worker claims a share of a GPU before it uses any, and then sees that GPU alone. A share is a locked file: it is free
again when its process ends, however it ends, and two runs on one machine see each other's. On a CPU there is nothing
to claim.
"""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import UserError, cut
from bench.run.gpus import GPUS

#: No machine or cluster runs more cells at a time: a larger --jobs is a slip.
MOST_JOBS = 10_000

VISIBLE = "CUDA_VISIBLE_DEVICES"
#: Locks are held as long as the process lives: they must not be dropped when nobody refers to them any more.
_held: list[FileLock] = []


def visible_devices() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def claim_device(devices: Sequence[str], jobs: int, folder: Path | None = None) -> str | None:
    """Make one GPU the only one that this process sees; call it before anything uses CUDA.

    The devices fill up evenly: every device gets its first process before any gets a second.

    Args:
        devices: names of the GPUs, as `visible_devices` gives them; none on a CPU.
        jobs: how many processes share them.
        folder: where the locks are; one for each user of the machine by default.

    Returns:
        The device's name; None on a CPU.
    """
    if not devices:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"early-exit-bench-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    for turn in range(-(-jobs // len(devices))):
        for device in devices:
            if _lock(folder / f"{device.replace('/', '-')}.{turn}"):
                return _see_only(device)
    # other runs hold shares, too: share a device with them rather than wait
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


def check_backend(options: Namespace) -> None:
    """Refuse options of workers and backends that make no sense, before anything is read.

    Raises:
        UserError: naming the option.
    """
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs: expected at least 1, got {options.jobs}")
    if options.jobs is not None and options.jobs > MOST_JOBS:
        raise UserError(f"--jobs: expected at most {MOST_JOBS}, got {cut(options.jobs)}")
    if options.cell_timeout is not None and not 0 < options.cell_timeout < float("inf"):
        raise UserError(f"--cell-timeout: expected seconds above 0, got {options.cell_timeout:g}")
    if options.backend == "dask" and options.address is None:
        raise UserError("--backend dask: name the scheduler with --address tcp://HOST:PORT")
    if options.backend != "dask" and options.address is not None:
        raise UserError("--address: only --backend dask has a scheduler")


def check_device(options: Namespace) -> None:
    """Refuse a GPU by its name where something is to be computed on it.

    Raises:
        UserError: naming the devices that a run takes.
    """
    if options.device in GPUS and not options.plan:
        raise UserError(f"--device {options.device}: only --plan takes a GPU by name; expected auto, cpu or cuda")


def resolve_devices(options: Namespace) -> list[str]:
    """The devices that `--measure-latency` measures on: the one named, or for `auto` all that this machine has."""
    _, device = resolve_workers(options)
    return ["cpu", "cuda"] if options.device == "auto" and device == "cuda" else [device]


@dataclass(frozen=True)
class Machine:
    """What a plan is made for: this machine, or one with GPUs that are named.

    Attributes:
        device: "cpu" or "cuda".
        jobs: cells at a time.
        processors: GPUs or cores that they share.
        gpu: the name in `GPUS` of GPUs that are not looked for here; empty: this machine's own processors.
    """

    device: str
    jobs: int
    processors: int
    gpu: str = ""


def resolve_machine(options: Namespace) -> Machine:
    """The machine that `--plan` is about: this one, or `--jobs` GPUs of the name that `--device` gives."""
    if options.device in GPUS:
        count = options.jobs or 1
        return Machine("cuda", count, count, options.device)
    jobs, device = resolve_workers(options)
    return Machine(device, jobs, count_processors(device))


def resolve_workers(options: Namespace) -> tuple[int, str]:
    """Number of worker processes on this machine and the device they compute on.

    Raises:
        UserError: no such device is here.
    """
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available here")
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return options.jobs or count_processors(device), device


def count_processors(device: str) -> int:
    """How many GPUs, or CPU cores, this process may use: cells at a time unless --jobs says otherwise."""
    import torch

    if device == "cuda":
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
