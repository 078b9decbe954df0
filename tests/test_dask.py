"""A real Dask scheduler and real workers, started from the command line; the cells are fake."""

from __future__ import annotations

import gc
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tied
from fake_cells import FUNCTION, computed, make_cell, make_grid, run_cells, traces_of

from bench.errors import UserError
from bench.run.backends.dask import DaskBackend
from bench.run.backends.dask_worker import Parcel, run_on_worker
from bench.store.folder import RunFolder, record_of

pytest.importorskip("distributed", reason="the extra dask is not installed")


@pytest.fixture
def cluster(tmp_path):
    """`cluster.address`, and `cluster.add(*arguments)`, which starts a worker and gives its process."""
    processes = []

    def start(program, *arguments):
        with (tmp_path / "dask.log").open("a") as log:
            process = tied.start(f"distributed.cli.{program}", *arguments, "--no-dashboard", stdout=log, stderr=log)
        processes.append(process)
        return process

    file = tmp_path / "scheduler.json"
    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
    end = time.monotonic() + 120
    while not file.exists() or not file.read_text().rstrip().endswith("}"):
        assert time.monotonic() < end and scheduler.poll() is None
        time.sleep(0.05)

    def add(*arguments):
        place = tmp_path / f"worker-{len(processes)}"
        return start("dask_worker", "--scheduler-file", file, "--local-directory", place, "--nthreads", "1", *arguments)

    yield SimpleNamespace(address=json.loads(file.read_text())["address"], add=add, scheduler=scheduler)
    for process in reversed(processes):
        kill(process)


def kill(process):
    """kill -9 for a Dask program; whatever it has started ends with it."""
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The traces of `make_grid(5, 0.2)`, run on this machine without a cluster."""
    folder = RunFolder(tmp_path_factory.mktemp("local"))
    assert run_cells(make_grid(5, 0.2), folder) == 0
    return traces_of(folder)


def test_workers_killed_and_one_added_late(cluster, tmp_path, local):
    folder = RunFolder(tmp_path / "results")
    workers = [cluster.add("--no-nanny"), cluster.add("--no-nanny")]

    def wait_for(count):
        while len(computed(folder)) < count:
            time.sleep(0.02)

    def disturb():
        wait_for(3)
        kill(workers[0])
        wait_for(6)
        kill(workers[1])
        cluster.add()  # the rest is its work alone

    threading.Thread(target=disturb, daemon=True).start()
    backend = DaskBackend(cluster.address, "auto", None, function=FUNCTION)
    assert backend.device == "cpu"
    assert run_cells(make_grid(5, 0.2), folder, backend=backend) == 0
    assert traces_of(folder) == local
    assert not list((folder.path / "checkpoints").iterdir())
    assert len(set(computed(folder))) == len(computed(folder)), "a cell that had ended was computed again"


def test_results_come_back_where_no_folder_is_shared(cluster, tmp_path, local, monkeypatch):
    grid = make_grid(5, 0.2)
    folder, fails = RunFolder(tmp_path / "results"), make_cell(0, "pabee", grid[0].key, does="raise")
    assert run_cells([grid[0], fails], folder) == 1  # leaves a model, which the first cell on the cluster needs
    before = computed(folder)
    cluster.add("--no-nanny")
    backend = DaskBackend(cluster.address, "cpu", 1, timeout=30.0, function=FUNCTION)
    monkeypatch.setattr(
        "bench.run.backends.dask.touch", lambda path: None
    )  # so the worker does not see that it is shared
    assert run_cells([*grid, fails, make_cell(9, does="die")], folder, backend=backend) == 2
    assert computed(folder) == before, "the worker wrote into the run folder"
    assert traces_of(folder) == local and not folder.damaged()


def test_one_gpu_per_cell(cluster):
    cluster.add("--no-nanny", "--resources", "GPU=1", "--nthreads", "4")
    backend = DaskBackend(cluster.address, "auto", None, function=FUNCTION)
    assert (backend.device, backend.capacity()) == ("cuda", 1)
    backend.close()


def test_what_a_user_can_mend(cluster, monkeypatch):
    monkeypatch.setattr("bench.run.backends.dask.CONNECT", 2)
    monkeypatch.setattr("bench.run.backends.dask.PATIENCE", 2)
    with pytest.raises(UserError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1 "):
        DaskBackend("tcp://127.0.0.1:1", "cpu", None)
    with pytest.raises(UserError, match=r"no Dask scheduler at nonsense://x "):
        DaskBackend("nonsense://x", "cpu", None)
    gc.collect()  # now: a client that is collected while another one starts can make Dask wait for ever
    with pytest.raises(UserError, match=f"no worker has joined {cluster.address} within 2 s: dask worker"):
        DaskBackend(cluster.address, "cpu", None)
    monkeypatch.undo()
    cluster.add("--no-nanny")
    with pytest.raises(UserError, match=r"no worker at .* has the resource GPU: CUDA_VISIBLE_DEVICES=0 dask worker"):
        DaskBackend(cluster.address, "cuda", None)


def test_a_scheduler_that_goes_away(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.run.backends.dask.CONNECT", 5)
    folder = RunFolder(tmp_path / "results")
    cluster.add("--no-nanny")
    backend = DaskBackend(cluster.address, "cpu", None, function=FUNCTION)
    threading.Timer(1.0, kill, [cluster.scheduler]).start()
    with pytest.raises(UserError, match=r"the Dask scheduler at .* is gone; what is finished is kept"):
        run_cells(make_grid(30, 0.2), folder, backend=backend)
    assert not folder.damaged()


def test_a_worker_of_another_version_is_refused():
    with pytest.raises(UserError, match="runs another version of this program: install the same"):
        run_on_worker(FUNCTION, make_cell(), None, False, None, Path("nowhere"), None, code="other")


def test_no_name_that_came_along_becomes_a_path(tmp_path):
    folder = RunFolder(tmp_path / "a" / "results")
    folder.create()
    before = sorted(tmp_path.rglob("*"))
    record = record_of(make_cell(), "ok") | {"environment": "../../escape", "key": "../../escape", "traces": {}}
    Parcel({"../../escape": b"x"}, None, b"x").unpack(make_cell(), folder, record)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, folder.record_path(make_cell().key)])
