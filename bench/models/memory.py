"""Running out of memory: told from other errors, cleaned up after, and reported with what would have been needed."""

from __future__ import annotations

import gc
import os

import torch

from bench.errors import UserError

GIB = 2**30
#: The CPU's allocator, the CUDA driver and cuBLAS raise plain RuntimeErrors, which only their texts tell apart; cuBLAS
#: "is not initialized" where its workspace finds no memory.
OUT_OF_MEMORY_TEXTS = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's or the machine's memory was not enough."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        text in str(error) for text in OUT_OF_MEMORY_TEXTS
    )


def release_memory() -> None:
    """Free the memory of a failed attempt, before another one."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def total_bytes(device: str) -> int:
    """All memory of the GPU, or of the machine, in bytes."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def out_of_memory_error(device: str, needed: int, rows: int, parts: int) -> UserError:
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


def peak_gpu_memory_mb(device: str) -> int | None:
    """The most memory that this process has held on a GPU since `reset_peak_memory`, in MiB; None on a CPU."""
    return torch.cuda.max_memory_allocated() // 2**20 if device == "cuda" else None


def reset_peak_memory(device: str) -> None:
    """Forget the GPU memory used so far, so that `peak_gpu_memory_mb` is that of the next cell alone."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
