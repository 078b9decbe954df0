"""Which GPU a worker process sees; no GPU is needed to decide it."""

import subprocess
import sys

import pytest
import torch

from bench.run.devices import claim_device, resolve_workers, visible_devices
from run_all import build_parser

CLAIM = """
import os, sys
from pathlib import Path
from bench.run.devices import claim_device
claim_device({devices!r}, {jobs}, Path(sys.argv[1]))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def claimants(devices, jobs, count, folder):
    """Processes that have claimed a device, and the devices they see."""
    started = []
    for _ in range(count):
        code = CLAIM.format(devices=devices, jobs=jobs)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append((process, process.stdout.readline().strip()))
    return started


def release(started):
    for process, _ in started:
        process.communicate("", timeout=60)


def test_processes_spread_over_the_devices_and_see_one_each(tmp_path):
    started = claimants(["2", "5"], 4, 4, tmp_path)
    try:
        assert [device for _, device in started] == ["2", "5", "2", "5"]
    finally:
        release(started)
    again = claimants(["2", "5"], 2, 2, tmp_path)  # the shares of processes that have ended are free
    try:
        assert [device for _, device in again] == ["2", "5"]
        beside = claimants(["2", "5"], 2, 1, tmp_path)  # another run finds everything taken and shares
        assert beside[0][1] in ("2", "5")
        release(beside)
    finally:
        release(again)


def test_on_a_cpu_there_is_nothing_to_claim(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert claim_device([], 4, tmp_path / "locks") is None
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("setting", "names"), [(None, ["0", "1"]), ("3, 7", ["3", "7"]), ("GPU-aa,GPU-bb,9", ["GPU-aa", "GPU-bb"])]
)
def test_the_devices_of_a_machine(setting, names, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if setting:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert visible_devices() == names


def test_one_cell_per_gpu_by_default_and_several_when_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert resolve_workers(build_parser().parse_args([])) == (3, "cuda")
    assert resolve_workers(build_parser().parse_args(["--jobs", "6"])) == (6, "cuda")
    assert resolve_workers(build_parser().parse_args(["--jobs", "6", "--device", "cpu"])) == (6, "cpu")
