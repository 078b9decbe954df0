"""The long trials on real cells, `make soak`: whatever happens to a run, its tables are those of an undisturbed one."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time

import pytest
import tied

pytestmark = pytest.mark.soak
COMMAND = ["--tasks", "rte,mnli", "--backbones", "bert", "--seeds", "2", "--limit", "40", "--jobs", "2"]
KILLS, SHORT_CELLS, CELLS_BEFORE = 30, 300, 8
#: Seconds that a run or a wait may take, on a slow machine: more is a hang.
BOUND = 900


def start_run(suite, folder, *arguments):
    """The command as a process of its own."""
    where = ["--results", folder / "results", "--figures", folder / "figures"]
    return tied.start("run_all", "--suite", suite, *COMMAND, *where, *arguments)


@pytest.fixture
def start(tiny_suite):
    """`start(folder, *arguments)`: the same on a tiny suite."""
    return lambda folder, *arguments: start_run(tiny_suite, folder, *arguments)


@pytest.fixture(scope="module")
def undisturbed(tiny_suite, tmp_path_factory):
    """The hashes of all tables of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start_run(tiny_suite, folder).wait(BOUND) == 0
    return tables(folder)


def tables(folder):
    files = sorted((folder / "results").glob("*.csv"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def cells(folder):
    return list((folder / "results" / "cells").glob("*.json"))


def wait_for(condition):
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def wait_for_cells(folder, count, process):
    wait_for(lambda: len(cells(folder)) >= count or process.poll() is not None)


def test_kill_9_at_random_moments(start, undisturbed, tmp_path):
    rng = random.Random(0)
    for _ in range(KILLS):
        process, enough = start(tmp_path), len(cells(tmp_path)) + 2
        end = time.monotonic() + rng.uniform(1, 60)
        while len(cells(tmp_path)) < enough and time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1))
        process.kill()
        process.wait()
    assert start(tmp_path).wait(BOUND) == 0
    assert tables(tmp_path) == undisturbed


def test_two_runs_on_one_folder_and_one_is_killed(start, undisturbed, tmp_path):
    first, second = start(tmp_path), start(tmp_path, "--figures", str(tmp_path / "others"))
    wait_for_cells(tmp_path, CELLS_BEFORE, first)
    first.kill()
    assert second.wait(BOUND) == 0
    assert tables(tmp_path) == undisturbed


def test_three_shards_merged_by_copying(start, undisturbed, tmp_path):
    for i in (1, 2, 3):
        assert start(tmp_path / str(i), "--shard", f"{i}/3").wait(BOUND) == 0
        shutil.copytree(tmp_path / str(i) / "results", tmp_path / "results", dirs_exist_ok=True)
    records = {path: path.stat().st_mtime_ns for path in cells(tmp_path)}
    assert start(tmp_path).wait(BOUND) == 0
    assert tables(tmp_path) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in cells(tmp_path)} == records, "something was computed again"


def test_a_dask_cluster_with_one_worker_killed_and_one_added_late(start, undisturbed, tmp_path):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    file = tmp_path / "scheduler.json"

    def dask(program, *arguments):
        return tied.start(f"distributed.cli.{program}", "--scheduler-file", file, "--no-dashboard", *arguments)

    scheduler = dask("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    try:
        workers = [dask("dask_worker", "--nthreads", "1", "--local-directory", tmp_path / str(i)) for i in range(2)]
        wait_for(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        process = start(tmp_path, "--backend", "dask", "--address", json.loads(file.read_text())["address"])
        wait_for_cells(tmp_path, CELLS_BEFORE, process)
        workers[0].kill()
        workers.append(dask("dask_worker", "--nthreads", "1", "--local-directory", tmp_path / "late"))
        assert process.wait(BOUND) == 0
    finally:
        for program in (*workers, scheduler):
            program.kill()
            program.wait()
    assert tables(tmp_path) == undisturbed


def test_damaged_files_never_change_a_table(start, undisturbed, tmp_path):
    assert start(tmp_path).wait(BOUND) == 0
    rng = random.Random(0)
    for file in rng.sample([*cells(tmp_path), *(tmp_path / "results" / "traces").glob("*.npz")], 8):
        data = bytearray(file.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data if rng.random() < 0.5 else data[: rng.randrange(len(data))])
    assert start(tmp_path).wait(BOUND) == 0
    assert tables(tmp_path) == undisturbed


def test_memory_over_300_short_cells_in_one_worker(tiny_suite, tmp_path):
    seeds = ",".join(map(str, range(SHORT_CELLS)))
    command = ["--suite", tiny_suite, "--tasks", "rte", "--backbones", "bert", "--methods", "static"]
    command += ["--seed-list", seeds, "--limit", "20", "--jobs", "1"]
    where = ["--results", tmp_path / "r", "--figures", tmp_path / "f"]
    assert tied.start("run_all", *command, *where).wait(2 * BOUND) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "r" / "cells").glob("*.json")]
    peaks = [record["peak_memory_mb"] for record in sorted(records, key=lambda record: record["spec"]["seed"])]
    assert len(peaks) == SHORT_CELLS
    print(f"peak memory in MB: {peaks[0]}, {peaks[19]} after 20 cells, {peaks[-1]} after {SHORT_CELLS}")
    assert peaks[-1] <= 1.1 * peaks[19]
