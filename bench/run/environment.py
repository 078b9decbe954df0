"""The environment that a cell ran in: machine, packages and commit, as a description and its hash."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch transformers tokenizers datasets evaluate numpy pandas scipy matplotlib seaborn joblib safetensors".split()
)

#: Other versions of these are known to change numbers: kernels, the layers of a family, how texts become tokens.
CHANGING = ("torch", "transformers", "tokenizers")


def environment(device: str) -> tuple[str, dict]:
    """The id and the description of the environment that this process computes in."""
    import torch

    description = {
        "machine": platform.machine(),
        "processor": processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(0) if device == "cuda" else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "packages": {name: installed(name) for name in PACKAGES},
        "commit": commit(),
    }
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode("utf8")).hexdigest()[:16], description


def other_versions(environments: Iterable[dict]) -> list[str]:
    """What a run says where cells of its folder were made with other versions of libraries that change numbers."""
    here = {name: installed(name) for name in CHANGING}
    others = {
        f"{name} {made}"
        for about in environments
        for name, made in about.get("packages", {}).items()
        if made != here.get(name, made)
    }
    if not others:
        return []
    now = ", ".join(f"{name} {version}" for name, version in here.items())
    return [
        f"cells of this folder were made with {', '.join(sorted(others)[:5])}, and here is {now}: numbers may differ"
    ]


def installed(package: str) -> str:
    """The version of a package, or "absent"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def commit() -> str:
    """The git commit that this code was checked out from, marked `-dirty` if changed since; empty without git."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():  # installed, perhaps below somebody else's checkout
        return ""
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip()
