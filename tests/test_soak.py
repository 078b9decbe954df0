"""The long trials on real cells, `make soak`: whatever happens to a run, its tables are those of an undisturbed one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[1]
COMMAND = ["--tasks", "rte,mnli", "--backbones", "bert", "--seeds", "2", "--limit", "40", "--jobs", "2"]


@pytest.fixture
def start(tiny_suite):
    """`start(folder, *arguments)`: the command as a process of its own, its group's leader."""

    def start(folder, *arguments):
        where = ["--results", str(folder / "results"), "--figures", str(folder / "figures")]
        command = [sys.executable, "run_all.py", "--suite", str(tiny_suite), *COMMAND, *where, *arguments]
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True)

    return start


@pytest.fixture(scope="module")
def undisturbed(tiny_suite, tmp_path_factory):
    """The hashes of all tables of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    where = ["--results", str(folder / "results"), "--figures", str(folder / "figures")]
    subprocess.run([sys.executable, "run_all.py", "--suite", str(tiny_suite), *COMMAND, *where], cwd=ROOT, check=True)
    return tables(folder)


def tables(folder):
    files = sorted((folder / "results").glob("*.csv"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def cells(folder):
    return list((folder / "results" / "cells").glob("*.json"))


def wait_for_cells(folder, count, process):
    while len(cells(folder)) < count:
        assert process.poll() is None
        time.sleep(0.05)


def test_kill_9_at_random_moments(start, undisturbed, tmp_path):
    rng = random.Random(0)
    for _ in range(30):
        process = start(tmp_path)
        try:
            process.wait(rng.uniform(2, 25))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert start(tmp_path).wait() == 0
    assert tables(tmp_path) == undisturbed


def test_two_runs_on_one_folder_and_one_is_killed(start, undisturbed, tmp_path):
    first, second = start(tmp_path), start(tmp_path, "--figures", str(tmp_path / "others"))
    wait_for_cells(tmp_path, 10, first)
    first.kill()
    assert second.wait() == 0
    assert tables(tmp_path) == undisturbed


def test_three_shards_merged_by_copying(start, undisturbed, tmp_path):
    for i in (1, 2, 3):
        assert start(tmp_path / str(i), "--shard", f"{i}/3").wait() == 0
        shutil.copytree(tmp_path / str(i) / "results", tmp_path / "results", dirs_exist_ok=True)
    records = {path: path.stat().st_mtime_ns for path in cells(tmp_path)}
    assert start(tmp_path).wait() == 0
    assert tables(tmp_path) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in cells(tmp_path)} == records, "something was computed again"


def test_a_dask_cluster_with_one_worker_killed_and_one_added_late(start, undisturbed, tmp_path):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    file, processes = tmp_path / "scheduler.json", []

    def dask(program, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
        processes.append(subprocess.Popen(command, cwd=ROOT, start_new_session=True))
        return processes[-1]

    try:
        dask("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        workers = [dask("dask_worker", "--scheduler-file", str(file), "--nthreads", "1") for _ in range(2)]
        while not file.exists() or not file.read_text().rstrip().endswith("}"):
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        process = start(tmp_path, "--backend", "dask", "--address", address)
        wait_for_cells(tmp_path, 8, process)
        os.killpg(workers[0].pid, signal.SIGKILL)
        dask("dask_worker", "--scheduler-file", str(file), "--nthreads", "1")
        assert process.wait() == 0
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
    assert tables(tmp_path) == undisturbed


def test_damaged_files_never_change_a_table(start, undisturbed, tmp_path):
    assert start(tmp_path).wait() == 0
    rng = random.Random(0)
    for file in rng.sample([*cells(tmp_path), *(tmp_path / "results" / "traces").glob("*.npz")], 8):
        data = bytearray(file.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data if rng.random() < 0.5 else data[: rng.randrange(len(data))])
    assert start(tmp_path).wait() == 0
    assert tables(tmp_path) == undisturbed


def test_memory_over_300_short_cells_in_one_worker(tiny_suite, tmp_path):
    seeds = ",".join(map(str, range(300)))
    command = ["--suite", str(tiny_suite), "--tasks", "rte", "--backbones", "bert", "--methods", "static"]
    command += ["--seed-list", seeds, "--limit", "20", "--jobs", "1"]
    where = ["--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]
    subprocess.run([sys.executable, "run_all.py", *command, *where], cwd=ROOT, check=True)
    records = [json.loads(path.read_text()) for path in (tmp_path / "r" / "cells").glob("*.json")]
    peaks = [record["peak_memory_mb"] for record in sorted(records, key=lambda record: record["spec"]["seed"])]
    assert len(peaks) == 300
    print(f"peak memory in MB: {peaks[0]}, {peaks[19]} after 20 cells, {peaks[-1]} after 300")
    assert peaks[-1] <= 1.1 * peaks[19]
