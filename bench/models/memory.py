"""Running out of memory: told from other errors, cleaned up after, and reported with an estimate of what was needed."""

from __future__ import annotations

import gc
import os

import torch

from bench.errors import UserError
from bench.models.backbones import Layerwise
from bench.models.costs import feed_forward_size

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


def training_bytes(backbone: Layerwise, is_trained: bool, rows: int, length: int, precision: str) -> int:
    """An estimate of the memory that training takes, in bytes, for the error when it was not there.

    Weights in float32; if trained, gradients and AdamW's two moments beside them and, for every token and layer,
    8 H + 2 I activations that the backward pass needs (of a frozen backbone: those of one layer); H is the width of a
    state, I that of the feed-forward part.

    Args:
        backbone: the encoder.
        is_trained: whether its weights are.
        rows: examples computed at once.
        length: T.
        precision: of the activations.
    """
    config = backbone.config
    weights = sum(parameter.numel() for parameter in backbone.parameters()) * 4
    width = torch.finfo(getattr(torch, precision)).bits // 8
    layer = rows * length * (8 * backbone.hidden_size + 2 * feed_forward_size(config)) * width
    return 4 * weights + backbone.num_layers * layer if is_trained else weights + layer
