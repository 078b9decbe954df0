"""A run that is paused and goes on: workers wait, no clock counts, and everything ends as without."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tied
from fake_cells import computed
from test_runs import wait_until

from bench.report.status import state_of
from bench.run.gate import Gate, obey, running_time
from bench.run.pause import Pauses
from bench.run.state import running
from bench.store.folder import RunFolder

PAUSE = 6.0


@pytest.fixture
def handlers():
    """Signal handlers as they were, afterwards."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGUSR1)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_run_pauses_and_goes_on(tmp_path):
    """The time limit is shorter than the pause, and longer than a cell."""
    folder, log = RunFolder(tmp_path / "results"), tmp_path / "log"
    with log.open("w") as stream:
        process = tied.start("fake_cells", folder.path, 3, 1.0, PAUSE - 1, stderr=stream)
    wait_until(lambda: len(computed(folder)) >= 2)
    os.kill(process.pid, signal.SIGTSTP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # returns when it has stopped
    (said,) = running(folder)
    assert said["paused"] and state_of([said], 0) == "paused"
    time.sleep(0.5)  # what a worker wrote when the signal came
    before = computed(folder)
    time.sleep(PAUSE)
    assert computed(folder) == before and len(before) < 9
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(120) == 0
    assert len(computed(folder)) == 9 and all(record["status"] == "ok" for record in folder.records())
    assert f"paused; it goes on with: kill -CONT {process.pid}, or fg" in log.read_text()
    assert "goes on after a pause of 0:0" in log.read_text()


def test_a_paused_run_that_is_killed_leaves_no_worker_behind(tmp_path):
    folder = RunFolder(tmp_path / "results")
    process = tied.start("fake_cells", folder.path, 3, 1.0, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(computed(folder)) >= 2)
    os.kill(process.pid, signal.SIGTSTP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(lives, workers)))


def children(pid):
    """Process ids of a process's children, which the kernel lists by the thread that started them."""
    return [int(number) for file in Path(f"/proc/{pid}/task").glob("*/children") for number in file.read_text().split()]


def lives(pid):
    """Whether a process computes or waits: one that has ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_clock_of_a_worker_stands_still_at_a_closed_gate(handlers):
    gate = Gate()
    gate.close()  # nobody is there yet
    obey(gate.end)
    threading.Timer(0.5, gate.open).start()
    began, counted = time.perf_counter(), running_time()
    gate.close()
    time.sleep(0.01)  # the handler has run: this process was at the gate
    assert time.perf_counter() - began >= 0.5
    assert running_time() - counted < 0.3


def test_the_signal_counts_only_while_cells_run(handlers):
    calls = []
    part = SimpleNamespace(pause=lambda: calls.append("pause"), go_on=lambda *_: calls.append("go on"))
    before = signal.getsignal(signal.SIGTSTP)
    with Pauses(part, part, None) as pauses:
        assert signal.getsignal(signal.SIGTSTP) == pauses._ask
        pauses.look()
    assert signal.getsignal(signal.SIGTSTP) == before and not calls
