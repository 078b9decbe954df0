"""Around the cells: failures, hangs, kills, damage, and several runs on one folder. The cells themselves are fake."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import tied
from fake_cells import computed, content, make_cell, make_grid, run_cells, traces_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import FolderError, UserError
from bench.plan.shards import Shard, resolve_shard
from bench.run.backends.local import LocalBackend
from bench.run.todo import find_todo
from bench.store.files import sealed, sweep_temporaries, unsealed, write_bytes
from bench.store.folder import RunFolder
from bench.store.locks import Locks

soak = pytest.mark.soak


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "results")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder with a grid of four seeds, run without any trouble."""
    folder = RunFolder(tmp_path_factory.mktemp("undisturbed"))
    assert run_cells(make_grid(4), folder) == 0
    return folder


def start_run(folder, seeds=4, seconds=0.1):
    return tied.start("fake_cells", folder.path, seeds, seconds, stderr=subprocess.DEVNULL)


def wait_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_a_killed_worker_held_is_cleaned_up_without_a_line(tmp_path):
    program = """if True:
        from types import SimpleNamespace
        from bench.run.slot import Slot
        slot = Slot("fake_cells:hold_a_lock")
        slot.run(None, SimpleNamespace(device="cpu"), False, None)
        slot.stop()
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parent)))
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_cell_once_and_starting_models_first(undisturbed):
    grid = make_grid(4)
    assert sorted(computed(undisturbed)) == sorted(cell.key for cell in grid)
    order = computed(undisturbed).index
    assert all(order(cell.start) < order(cell.key) for cell in grid if cell.start)
    assert not list((undisturbed.path / "checkpoints").iterdir()), "models that nobody needs were kept"
    assert not find_todo(grid, undisturbed).pending


def test_whatever_a_cell_does_the_rest_goes_on(folder):
    bad = {does: make_cell(1, does=does) for does in ("raise", "die", "hang", "die once")}
    waits = make_cell(1, "dact", bad["raise"].key)
    cells = [*bad.values(), waits, *make_grid(1)]
    assert run_cells(cells, folder, timeout=2.0) == 4
    reasons = {record["key"]: record["reason"] for record in folder.records() if record["status"] != "ok"}
    assert reasons == {
        bad["raise"].key: "RuntimeError: cannot",
        bad["die"].key: "its worker process died: killed, or out of memory",
        bad["hang"].key: "ran longer than --cell-timeout 2 s",
        waits.key: "the model it starts from failed: RuntimeError: cannot",
    }
    assert len(find_todo(cells, folder).pending) == 4, "only what failed is tried again"
    assert not find_todo(cells, folder, retry=False).pending


def test_force_runs_finished_cells_again(folder):
    grid = make_grid(1)
    assert run_cells(grid, folder) == 0
    assert run_cells(grid, folder) == 0 and len(computed(folder)) == 3
    assert run_cells(grid, folder, force=True) == 0 and len(computed(folder)) == 6


def test_every_place_claims_one_of_the_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-ab")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [(slot.devices, slot.jobs) for slot in LocalBackend(3, "cuda").slots] == [(["4", "GPU-ab"], 3)] * 3
    assert [slot.devices for slot in LocalBackend(1, "cpu").slots] == [[]]


def test_fail_fast_stops_at_the_first_failure(folder):
    cells = [make_cell(0, does="raise"), *make_grid(2)]
    assert run_cells(cells, folder, jobs=1, fail_fast=True) == 1
    assert len(find_todo(cells, folder).pending) == len(cells)


def test_a_folder_that_cannot_be_written_ends_the_run(folder):
    cells = [make_cell(0), make_cell(1, does="fill the disk"), make_cell(2)]
    with pytest.raises(FolderError, match="No space left on device"):
        run_cells(cells, folder, jobs=1)
    assert computed(folder) == [cells[0].key] and len(folder.records()) == 1


def test_a_folder_that_vanishes(folder):
    process = start_run(folder, seeds=20)
    wait_until(lambda: len(computed(folder)) >= 2)
    folder.path.rename(folder.path.with_name("gone"))
    assert process.wait(60) == 1  # a UserError, which run_all.py turns into one line
    assert all(len(data) > 100 for data in content(RunFolder(folder.path.with_name("gone"))).values())
    folder.path.with_name("gone").rename(folder.path)
    assert run_cells(make_grid(20, 0.1), folder) == 0
    assert len(folder.records()) == 60 and not folder.damaged()


@pytest.fixture
def small_disk(tmp_path):
    """`small_disk.remount(options)`: a file system of 300 kB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mount("size=300k"):
        pytest.skip("no file system can be mounted here")
    yield SimpleNamespace(place=place, remount=lambda options: mount(f"remount,{options}"))
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(small_disk):
    folder = RunFolder(small_disk.place / "results")
    with pytest.raises(FolderError, match="cannot be written: No space left on device; what is finished is kept"):
        run_cells(make_grid(20), folder)
    done = len(folder.records())
    assert 0 < done < 60 and not folder.damaged()
    small_disk.remount("size=4m")
    assert run_cells(make_grid(20), folder) == 0
    assert len(folder.records()) == 60 and not folder.damaged()


def test_a_disk_that_becomes_read_only(small_disk):
    small_disk.remount("size=4m")
    folder = RunFolder(small_disk.place / "results")
    assert run_cells(make_grid(1), folder) == 0
    assert small_disk.remount("ro")
    with pytest.raises(UserError, match=r"results folder '.*' cannot be written: Read-only file system"):
        run_cells(make_grid(2), folder)
    assert not find_todo(make_grid(1), folder).pending, "reading still works"
    assert small_disk.remount("rw")
    assert run_cells(make_grid(2), folder) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: see the file systems above")
def test_a_folder_that_may_not_be_written_any_more(folder):
    process = start_run(folder, seeds=20)
    wait_until(lambda: len(computed(folder)) >= 2)
    (folder.path / "cells").chmod(0o500)
    assert process.wait(60) == 1
    with pytest.raises(UserError, match=r"results folder '.*cells' cannot be written: Permission denied"):
        run_cells(make_grid(20, 0.1), folder)
    (folder.path / "cells").chmod(0o700)
    assert run_cells(make_grid(20, 0.1), folder) == 0
    assert len(folder.records()) == 60 and not folder.damaged()


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=soak)])
def test_kill_9_and_resume(folder, tmp_path, kills):
    rng, grid = random.Random(kills), make_grid(2 * kills, 0.02)
    folder.create()
    for _ in range(kills):
        ended, process = len(computed(folder)), start_run(folder, 2 * kills, 0.02)
        wait_until(lambda: len(computed(folder)) > ended or process.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.wait()
        assert not folder.damaged(), "a torn record or trace"
    assert run_cells(grid, folder) == 0
    undisturbed = RunFolder(tmp_path / "undisturbed")
    assert run_cells(grid, undisturbed) == 0
    assert traces_of(folder) == traces_of(undisturbed) and not folder.damaged()
    assert not list((folder.path / "checkpoints").glob("*.safetensors"))


def children_of(pid):
    """The child processes of a process, whichever of its threads has started them."""
    return [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


no_list = not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
lists_children = pytest.mark.skipif(no_list, reason="no list of child processes on this system")


@lists_children
def test_workers_end_with_their_run(folder):
    process = start_run(folder, seconds=30.0)
    wait_until(lambda: len(children_of(process.pid)) >= 3)  # two workers and their resource tracker
    workers = children_of(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert not list(Path("/dev/shm").glob(f"*loky-{process.pid}-*"))


@lists_children
def test_workers_that_make_tables_end_with_their_run():
    process = tied.start("fake_tables")
    wait_until(lambda: len(children_of(process.pid)) >= 3)
    workers = children_of(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 60)


def test_two_runs_share_a_folder_and_one_is_killed(folder):
    first, second = start_run(folder, seeds=8), start_run(folder, seeds=8)
    wait_until(lambda: len(computed(folder)) >= 4)
    first.kill()
    first.wait()
    assert second.wait(120) == 0
    assert {record["key"] for record in folder.records()} == {cell.key for cell in make_grid(8, 0.1)}
    assert len(set(computed(folder))) == len(computed(folder)), "a cell was computed twice"
    assert not list((folder.path / "checkpoints").iterdir())


def test_a_cell_of_another_run_is_waited_for(folder):
    cells = make_grid(1)
    folder.create()
    other = Locks(folder)
    assert other.take(cells[0].key)
    process = start_run(folder, seeds=1, seconds=0.0)
    time.sleep(1.5)
    assert computed(folder) == []
    other.drop_all()
    assert process.wait(60) == 0
    assert len(computed(folder)) == 3


def test_a_model_that_another_run_has_dropped_is_trained_again(folder):
    first, second, third = make_grid(1)
    assert run_cells([first, second], folder) == 0
    assert run_cells([first, second, third], folder) == 0
    assert Counter(computed(folder)) == {first.key: 2, second.key: 1, third.key: 1}


def test_a_model_that_another_run_drops_while_a_cell_reads_it(folder):
    first = make_cell(0)
    cells = [first, make_cell(0, "dact", first.key, does="lose it"), make_cell(0, "deebert", first.key)]
    assert run_cells(cells, folder, jobs=1) == 0
    assert Counter(record["status"] for record in folder.records()) == {"ok": 3}
    assert not list((folder.path / "checkpoints").iterdir())


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_file_system_without_locks(folder, monkeypatch):
    def missing(*arguments):
        raise OSError(errno.ENOSYS, "Function not implemented")

    folder.create()
    monkeypatch.setattr("fcntl.flock", missing)
    with pytest.raises(FolderError, match=r"locks', whose file system has none \(flock\): give every machine"):
        Locks(folder).take("a")
    assert not list((folder.path / "locks").iterdir())


@pytest.mark.parametrize("times", [60, pytest.param(500, marks=soak)])
def test_damage_is_always_noticed(undisturbed, times):
    rng = random.Random(times)
    files = [*(undisturbed.path / "cells").glob("*.json"), *(undisturbed.path / "traces").glob("*.npz")]
    assert len(files) == 24 and not undisturbed.damaged()
    for _ in range(times):
        file = rng.choice(files)
        data = file.read_bytes()
        if rng.random() < 0.5:
            worse = data[: rng.randrange(len(data))]
        else:
            bit, worse = rng.randrange(8 * len(data)), bytearray(data)
            worse[bit // 8] ^= 1 << bit % 8
        file.write_bytes(worse)
        assert not undisturbed.is_finished(file.name.split(".")[0])
        assert undisturbed.damaged() == [file]
        file.write_bytes(data)


def test_damaged_files_are_set_aside_and_made_again(folder, capsys):
    grid = make_grid(2)
    assert run_cells(grid, folder) == 0
    before = traces_of(folder)
    trace, record = folder.trace_path(grid[0].key, "validation"), folder.record_path(grid[4].key)
    trace.write_bytes(trace.read_bytes()[:-1] + b"!")
    record.write_text(record.read_text().replace('"ok"', '"OK"'))
    assert run_cells(grid, folder) == 0
    assert traces_of(folder) == before and not folder.damaged()
    assert sorted(path.name for path in (folder.path / "damaged").iterdir()) == sorted([trace.name, record.name])
    assert capsys.readouterr().err.count("not as it was written, set aside as") == 2


@settings(max_examples=30)
@given(st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text() | st.lists(st.integers()), min_size=1))
def test_sealed_files_give_back_what_was_sealed(value):
    assert unsealed(sealed(value).encode()) == value


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(FolderError, match="cannot be written: No such file or directory; what is finished is kept"):
        write_bytes(tmp_path / "nowhere" / "file", b"1")
    (tmp_path / "target").mkdir()
    with pytest.raises(FolderError, match="Is a directory"):
        write_bytes(tmp_path / "target", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_what_killed_runs_left_is_swept(tmp_path):
    old, new = tmp_path / ".a.json.1.tmp", tmp_path / ".b.json.2.tmp"
    old.touch(), new.touch()
    os.utime(old, (0, 0))
    sweep_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [new.name]


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 12))
def test_shards_are_a_partition_that_keeps_models_together(count, seeds):
    grid = make_grid(seeds)
    parts = [Shard(i + 1, count).of(grid) for i in range(count)]
    assert sorted(cell.key for part in parts for cell in part) == sorted(cell.key for cell in grid)
    for part in parts:
        keys = {cell.key for cell in part}
        assert all(cell.start in keys for cell in part if cell.start)
        assert part == [cell for cell in grid if cell.key in keys], "the order of the plan"
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 3


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", "1/ 3", "١/٣", "", "9999999/1"])
def test_wrong_shards(text):
    with pytest.raises(UserError, match="--shard: expected I/N with I from 1 to N, such as 1/3, got"):
        resolve_shard(text or "x")


def test_three_shards_run_apart_and_merged_by_copying(tmp_path, undisturbed):
    parts = [RunFolder(tmp_path / str(i)) for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        assert run_cells(Shard(i, 3).of(make_grid(4)), part) == 0
    merged = {name: data for part in parts for name, data in content(part).items()}
    assert sum(len(content(part)) for part in parts) == len(merged)
    assert merged == content(undisturbed)
