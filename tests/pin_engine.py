"""The numbers of one fixed tiny training, which `ENGINE_VERSION` and the methods' versions stand for.

`python tests/pin_engine.py` writes them down anew: after a version was raised, and only then.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = Path(__file__).with_name("engine.json")
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
METHODS = ("static", "distilbert", "deebert", "dact", "berxit", "fastbert")
#: How many validation rows are kept, and to how many digits.
ROWS, DIGITS = 3, 5


def constrained() -> dict[str, str]:
    """The versions of constraints.txt of what numbers depend on."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf8").splitlines()
    pairs = (re.fullmatch(r"([A-Za-z0-9_.-]+)==([^\s;+]+)\S*.*", line) for line in lines)
    known = {found[1].lower(): found[2] for found in pairs if found}
    return {name: known[name] for name in LIBRARIES}


def installed() -> dict[str, str]:
    """The versions that are here, without the build's name (2.13.0+cpu)."""
    return {name: version(name).partition("+")[0] for name in LIBRARIES}


def trained(suite: Path, folder: Path) -> dict[str, dict]:
    """Train every method of `METHODS` for a few steps: label -> its version and logits [rows, L, C]."""
    from bench.store.folder import RunFolder
    from bench.store.trace import Trace
    from run_all import main

    command = ["--suite", str(suite), "--tasks", "rte", "--methods", ",".join(METHODS), "--seeds", "1"]
    command += ["--limit", "120", "--jobs", "1", "--device", "cpu"]
    assert main([*command, "--results", str(folder / "r"), "--figures", str(folder / "f")]) == 0
    run = RunFolder(folder / "r")
    return {
        f"{record['spec']['method']} {record['spec']['variant']}".strip(): {
            "version": record["spec"]["version"],
            "logits": Trace.load(run.trace_path(record["key"], "validation")).logits[:ROWS].round(DIGITS).tolist(),
        }
        for record in sorted(run.records(), key=lambda record: record["label"])
    }


def pin() -> None:
    """Write the numbers of this program down."""
    from conftest import TINY_SUITE

    from bench.plan.grid import ENGINE_VERSION

    with tempfile.TemporaryDirectory() as place:
        suite = Path(place) / "embedded-tiny.toml"
        suite.write_text(TINY_SUITE, encoding="utf8")
        found = trained(suite, Path(place))
    entry = {"engine": ENGINE_VERSION, "libraries": installed(), "methods": found}
    PIN.write_text(json.dumps(entry) + "\n", encoding="utf8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    pin()
