"""Running out of memory: recognised, made room after, and reported with what was needed."""

from __future__ import annotations

import gc
import os

import torch

from bench.errors import UserError

GIB = 2**30
#: The CPU's allocator, the CUDA driver and cuBLAS raise plain errors; only their words tell. cuBLAS says that it is not
#: initialized where its workspace finds no room.
SAID_BY = ("DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory")
SAID_BY += ("CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's or the machine's memory was not enough."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(words in str(error) for words in SAID_BY)


def make_room() -> None:
    """Give back what a failed attempt held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def total_bytes(device: str) -> int:
    """Memory of the device that this process computes on."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def too_little(device: str, needed: int, rows: int, parts: int) -> UserError:
    """The error of a cell that does not fit: how much it needs, what is there, and the smallest batch tried.

    Args:
        device: "cpu" or "cuda".
        needed: estimated bytes.
        rows: how many were computed at once.
        parts: in how many parts a batch was computed (accumulation).
    """
    return UserError(
        f"out of memory on {device} with {total_bytes(device) / GIB:.1f} GiB in all: about {needed / GIB:.1f} GiB are "
        f"needed (estimate) for the smallest batch tried, {rows} rows at once (accumulation = {parts}): raise "
        f"accumulation in the suite's recipe, or run fewer cells at once"
    )


def peak_mb(device: str) -> int | None:
    """The most memory that this process has held on a GPU since `forget_peak`, in MiB; None on a CPU."""
    return torch.cuda.max_memory_allocated() // 2**20 if device == "cuda" else None


def forget_peak(device: str) -> None:
    """Start measuring the peak anew."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
