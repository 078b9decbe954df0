"""GPUs that a plan can be made for without having one: `--plan --device NAME`."""

from __future__ import annotations

import re

#: TFLOP/s of a matrix product in float32 by the makers' data sheets, as PyTorch multiplies by default (no TF32); SXM
#: forms where there are several. In 16 bits all of them are faster than small batches can use.
GPUS = {"t4": 8.1, "v100": 15.7, "l4": 30.3, "a100": 19.5, "h100": 67.0}


def is_named(gpu: str, device: str) -> bool:
    """Whether the name that a driver gives a GPU is that of one of `GPUS`: `NVIDIA A100-SXM4-40GB` of `a100`."""
    return re.search(rf"\b{gpu}\b", device, re.IGNORECASE) is not None
