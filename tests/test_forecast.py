"""What a plan says before it runs: counted by hand, from measured cells where there are some."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from transformers import BertConfig

from bench.models import training
from bench.plan.grid import Grid
from bench.plan.suite_file import load_suite
from bench.run import forecast as module
from bench.run import workload
from bench.run.devices import Machine
from bench.run.environment import environment
from bench.run.forecast import Forecast, forecast, speed
from bench.run.gpus import is_named
from bench.run.todo import find_todo
from bench.run.workload import cell_macs, forward_macs, parameters, token_counts, trace_bytes
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.store.files import write_bytes, write_json
from bench.store.folder import RunFolder, record_of
from methods import discover


@pytest.fixture
def grid(tiny_suite):
    methods = {name: discover()[name] for name in ("static", "deebert", "pabee")}
    return Grid(load_suite(str(tiny_suite)), [TASKS["rte"]], ["bert"], methods, [0], Embedded(), 40)


@pytest.fixture
def cells(grid):
    return {cell.spec["method"]: cell for cell in grid.cells(grid.shared())}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path)
    made.create()
    return made


def test_the_count(grid, cells):
    train, validation = (token_counts(Embedded(), TASKS["rte"], split, 40, 48) for split in ("train", "validation"))
    assert len(train) == len(validation) == 40 and train.max() <= 48
    config = workload.load_config(cells["static"].checkpoint)
    hidden, inner = config.hidden_size, config.intermediate_size
    by_hand = 12 * sum(t * (4 * hidden**2 + 2 * hidden * inner) + 2 * hidden * t**2 for t in train)
    assert forward_macs(config, train) == pytest.approx(by_hand)
    once, traced = forward_macs(config, train), forward_macs(config, validation)
    assert cell_macs(cells["static"], grid) == pytest.approx(3 * once + traced)  # one epoch, there and back
    assert cell_macs(cells["deebert"], grid) == pytest.approx(once + traced)  # a frozen backbone is read once
    assert trace_bytes(cells["static"], grid) == 40 * (12 * 3 * 4 + 24)


def test_nothing_measured_here(grid, cells, folder, monkeypatch):
    monkeypatch.setattr(module, "product_speed", lambda device, precision: 2.5e9)
    todo = find_todo(list(cells.values()), folder)
    found = forecast(grid, todo, folder, Machine("cpu", 1, 1), False)
    seconds = sum(cell_macs(cell, grid) for cell in cells.values()) / 1e9
    assert found.wall == found.occupied == pytest.approx(seconds)
    crowded = forecast(grid, todo, folder, Machine("cpu", 8, 2), False)  # eight at a time are no faster than two cores
    assert (crowded.wall, crowded.occupied) == pytest.approx((seconds / 2, seconds))
    few = forecast(grid, todo, folder, Machine("cpu", 2, 8), False)
    assert (few.wall, few.occupied) == pytest.approx((seconds / 2, seconds))
    assert found.source == "from the FLOP count, at 0.4 of the 5 GFLOP/s of a matrix product"
    size = 4 * parameters(cells["static"].checkpoint)
    assert found.model_bytes == 2 * size
    assert forecast(grid, todo, folder, Machine("cpu", 1, 1), True).model_bytes == 3 * size


def test_tables_and_figures_take_time_for_every_cell_of_the_plan(grid, cells, folder, finish):
    finish(cells["static"], 2.0)
    found = forecast(grid, find_todo(list(cells.values()), folder), folder, Machine("cpu", 1, 1), False)
    assert found.collecting == pytest.approx(3 * (0.15 + 40 * 0.00025))  # the one that is finished, too


def test_a_gpu_that_is_not_here(grid, cells, folder, finish):
    todo = find_todo(list(cells.values()), folder)
    found = forecast(grid, todo, folder, Machine("cuda", 2, 2, "a100"), False)
    padded = sum(cell_macs(cell, grid, padded=True) for cell in cells.values())
    assert found.occupied == 2 * found.wall == pytest.approx(padded / (0.4 * 19.5e12 / 2))
    assert found.source == (
        "from the FLOP count, at 0.4 of the 19500 GFLOP/s of the data sheet of the a100, every text 48 tokens long"
    )
    per_token = forward_macs(workload.load_config(cells["static"].checkpoint), np.full(1, 48.0))
    assert cell_macs(cells["static"], grid, padded=True) == pytest.approx(per_token * (3 * 40 + 40))
    path, about = finish(cells["static"], 2.0)
    write_json(path, about | {"device": "NVIDIA A100-SXM4-40GB"})
    measured = forecast(grid, find_todo(list(cells.values()), folder), folder, Machine("cuda", 1, 1, "a100"), False)
    assert measured.source == "from the speed of the cells that have run on such a GPU, the a100"
    other = forecast(grid, find_todo(list(cells.values()), folder), folder, Machine("cuda", 1, 1, "h100"), False)
    assert other.source.startswith("from the FLOP count")


def test_names_and_numbers_of_gpus():
    assert is_named("l4", "NVIDIA L4") and not is_named("l4", "NVIDIA L40S")
    assert is_named("v100", "Tesla V100-SXM2-16GB") and is_named("h100", "NVIDIA H100 80GB HBM3")


def test_small_batches_do_not_fill_a_fast_gpu(monkeypatch):
    assert speed(Machine("cuda", 1, 1, "v100"), "float32")[0] == 0.4 * 15.7e12 / 2
    bert = BertConfig()
    most = 300 * 3 * forward_macs(bert, np.full(1, 128.0))  # docs/scale.md
    for gpu, precision in (("h100", "float32"), ("v100", "bfloat16")):
        rate, source = speed(Machine("cuda", 1, 1, gpu), precision)
        assert rate == pytest.approx(most, rel=0.003) and "at 300 training examples of BERT-base a second" in source
    monkeypatch.setattr(module, "product_speed", lambda device, precision: 1e15)
    assert speed(Machine("cuda", 1, 1), "float16")[0] == rate
    assert speed(Machine("cpu", 1, 1), "float32")[0] == 0.4e15


@pytest.fixture
def finish(folder):
    """`finish(cell, seconds)`: a record as if the cell had run here; gives its environment."""

    def finish(cell, seconds):
        name, about = environment("cpu")
        traces = {"validation": write_bytes(folder.trace_path(cell.key, "validation"), b"trace")}
        model = write_bytes(folder.checkpoint_path(cell.key), b"model")
        record = record_of(cell, "ok") | {"environment": name, "traces": traces, "model": model}
        folder.write_record(record | {"seconds": {"all": seconds}})
        write_json(folder.environment_path(name), about)
        return folder.environment_path(name), about

    return finish


def test_measured_cells_count_only_where_they_ran_on_such_a_machine(grid, cells, folder, finish):
    path, about = finish(cells["static"], 2.0)
    todo = find_todo(list(cells.values()), folder)
    assert [cell.spec["method"] for cell in todo.finished] == ["static"]
    write_json(path, about | {"processor": "another"})
    assert forecast(grid, todo, folder, Machine("cpu", 1, 1), False).source.startswith("from the FLOP count")
    write_json(path, about)
    found = forecast(grid, todo, folder, Machine("cpu", 1, 1), False)
    assert found.source == "from the speed of the cells that have run here, if as many ran at a time"
    work = {method: cell_macs(cell, grid) for method, cell in cells.items()}
    assert found.wall == pytest.approx(2 * (work["deebert"] + work["pabee"]) / work["static"])
    shared = forecast(grid, todo, folder, Machine("cpu", 4, 2), False)  # two on each core, as it was measured
    assert (shared.wall, shared.occupied) == pytest.approx((found.wall / 4, found.wall / 2))


def test_measured_cells_of_another_task_count(grid, cells, folder, finish):
    finish(cells["static"], 2.0)
    other = replace(grid, tasks=[TASKS["qnli"]], seeds=[5])
    pending = other.cells(other.shared())
    found = forecast(other, find_todo(pending, folder), folder, Machine("cpu", 1, 1), False)
    per_second = cell_macs(cells["static"], grid) / 2
    assert found.wall == pytest.approx(sum(cell_macs(cell, other) for cell in pending) / per_second)


def test_features_that_are_not_kept_are_computed_in_every_epoch(grid, monkeypatch):
    suite = replace(grid.suite, recipes={name: replace(r, epochs=3) for name, r in grid.suite.recipes.items()})
    several = replace(grid, suite=suite, methods={name: discover()[name] for name in ("deebert", "pkd")})
    cells = {cell.spec["method"]: cell for cell in several.cells(several.shared())}
    once = forward_macs(
        workload.load_config(cells["static"].checkpoint), token_counts(Embedded(), TASKS["rte"], "train", 40, 48)
    )
    kept = {name: cell_macs(cell, several) for name, cell in cells.items()}
    monkeypatch.setattr(training, "FEATURE_BYTES", 0)
    anew = {name: cell_macs(cell, several) for name, cell in cells.items()}
    more = {name: anew[name] - kept[name] for name in cells}
    assert more == pytest.approx({"static": 0, "deebert": 2 * once, "pkd": 2 * once})  # pkd: its teacher's


def test_the_lines():
    found = Forecast(1800.0, 7200.0, "from somewhere", 12_000_000, 900_000_000, 95.0)
    hours, tables, disk = found.lines(Machine("cuda", 4, 4))
    assert hours.startswith("about 2.00 GPU-hours: 30:00 with 4 at a time, until ")
    assert hours.endswith(" if started now (from somewhere)")
    end = datetime.strptime(hours.split("until ")[1][:16], "%Y-%m-%d %H:%M")
    assert 28 * 60 < (end - datetime.now()).total_seconds() <= 30 * 60
    assert tables == "about 1:35 of one core for tables and figures, at 0.15 s a cell and 0.25 ms a validation row"
    assert disk == "about 12 MB of traces and 900 MB of models on disk"
    assert Forecast(1e30, 1e30, "", 0, 0, 0).lines(Machine("cpu", 1, 1))[0].startswith("about "), (
        "no calendar has that day"
    )
    assert found.lines(Machine("cpu", 1, 1))[0].startswith("about 2.00 core-hours: 30:00 with 1 at a time")


def test_a_product_is_timed():
    speed = module.product_speed("cpu", "float32")
    assert np.isfinite(speed) and speed > 0
