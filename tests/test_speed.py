"""The measurements' own parts: the table, the released procedure they compare with, and the invented folders."""

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import WORDS

from bench.halting.agreement import disagreements
from bench.halting.live import run_full, run_live
from bench.halting.replay import replay
from bench.models.tracing import trace_model
from bench.plan.grid import Grid
from bench.plan.suite import Recipe
from bench.plan.suite_file import load_suite
from bench.run.todo import find_todo
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.speed import __main__ as program
from bench.speed import grid, released
from bench.speed.finished import finish
from bench.speed.leaving import ImposedRule, imposed_layers
from bench.speed.table import NotMeasured, Row, Settings, table, write
from bench.store.files import write_json
from bench.store.folder import RunFolder
from bench.timing import in_turn, ratio
from methods import discover
from methods.base import Knob, RuleSpec

METHODS = discover()
N = 24


@pytest.mark.parametrize(
    ("value", "goal", "met"), [(1.1, "<= 1.10", "yes"), (1.101, "<= 1.10", "no"), (40, ">= 40", "yes"), (7, "", "")]
)
def test_a_goal_is_met_or_not(value, goal, met):
    assert Row("x", value, "s", goal).met == met


def test_the_table_and_its_file(tmp_path):
    rows = [Row("a, b", 1.23456, "times", "<= 2"), Row("longer name", 12, "s")]
    assert table(rows).splitlines() == [
        "name         value  unit   goal  met",
        "a, b         1.235  times  <= 2  yes",
        "longer name  12     s",
    ]
    write(rows, tmp_path / "new" / "rows.csv")
    with (tmp_path / "new" / "rows.csv").open() as file:
        assert list(csv.reader(file))[1:] == [
            ["a, b", "1.235", "times", "<= 2", "yes"],
            ["longer name", "12", "s", "", ""],
        ]


def test_what_cannot_be_measured_is_a_line_and_the_rest_is_shown(monkeypatch, capsys, tmp_path):
    class Module:
        @staticmethod
        def measure(settings):
            yield Row("first", 1, "s", "<= 2")
            settings.need("glue_dir", "backbone")

    monkeypatch.setattr(program, "import_module", lambda name: Module)
    assert program.main(["--only", "leaving", "--out", str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr()
    assert "first" in said.out
    assert said.err.splitlines()[-1] == "leaving: not measured, needs --glue-dir and --backbone"
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 2


def test_a_missed_goal_is_status_1_and_a_wrong_name_2(monkeypatch, capsys):
    monkeypatch.setattr(program, "measured", lambda chosen, settings: [Row("slow", 3, "s", "<= 2")])
    assert program.main([]) == 1
    assert program.main(["--only", "planing"]) == 2
    assert "did you mean 'planning'?" in capsys.readouterr().err


def test_every_module_that_measures_is_named():
    files = Path(program.__file__).parent.glob("*.py")
    assert [file.stem for file in sorted(files) if "\ndef measure(" in file.read_text()] == list(program.NAMES)


def test_ways_take_turns():
    calls = []
    ways = (lambda item, way=way: calls.append(f"{way}{item}") for way in "ab")
    times = in_turn(*ways, items=[(1,), (2,)], rounds=2)
    assert calls == ["a1", "b1", *("a1", "b1", "b2", "a2"), *("b1", "a1", "a2", "b2")]
    assert len(times) == 2 and all(value > 0 for pair in times for value in pair)
    assert ratio([(2.0, 1.0), (9.0, 1.0), (3.0, 1.0)]) == 3.0


@pytest.mark.parametrize(
    ("name", "stops"), [("deebert", released.entropy_is_low), ("pabee-frozen", released.patience_is_over)]
)
def test_the_released_procedure_decides_as_the_replay(name, stops, make_model, make_data, examples, monkeypatch):
    monkeypatch.setattr(released, "LENGTH", 30)  # positions of the tiny model
    model, data, method = make_model(METHODS["deebert"]), make_data(N), METHODS[name]
    with torch.no_grad():
        for module in model.exits.values():
            module.classifier.weight.mul_(60)
    spec = RuleSpec(model.num_layers, 2)
    knob = method.knob(spec)
    result = replay(method.halting_rule(spec), trace_model(model, examples(N), data))
    layers = set()
    for value in knob.values:
        found = released.one_by_one(model, stops, value, data, range(N))
        wrong, _ = disagreements(result, knob, value, found)
        assert not len(wrong), f"rows {wrong} differ at {value}"
        layers |= set(found.layers.tolist())
    assert len(layers) >= 3, f"exits do not spread: only layers {layers}"


def test_released_training_changes_the_ramps_and_nothing_else(make_model, make_data, monkeypatch):
    monkeypatch.setattr(released, "LENGTH", 30)
    model = make_model(METHODS["deebert"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    released.train_ramps(model, make_data(N), Recipe(1, 1e-2, 8), seed=0)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith(("exits.1.", "exits.2.", "exits.3."))}
    assert not model.training


def test_imposed_exits_are_taken_and_have_the_share_that_was_asked_for(make_model, make_data):
    model, data = make_model(METHODS["deebert"]), make_data(N)
    batch = data.batch(np.arange(N))
    (layers,) = imposed_layers(0.5, model.num_layers, [batch])
    found = run_live(model, ImposedRule(RuleSpec(model.num_layers, 2), layers), Knob(), 0.0, batch)
    assert found.layers.tolist() == layers.tolist() and len(set(layers.tolist())) >= 3
    many = {"input_ids": torch.zeros(20_000, 1)}
    assert imposed_layers(0.25, 12, [many])[0].double().mean() / 12 == pytest.approx(0.25, abs=0.005)


def test_a_full_pass_says_what_the_trace_says_of_layer_l(make_model, make_data, examples):
    model, data = make_model(METHODS["fastbert"]), make_data(N)
    logits = run_full(model, data.batch(np.arange(N)))
    assert logits.numpy() == pytest.approx(trace_model(model, examples(N), data).logits[:, -1], abs=1e-5)


def test_an_invented_folder_is_a_finished_run(tiny_suite, tmp_path):
    from bench.tables.collect import collect

    methods = {name: METHODS[name] for name in ("static", "dact", "deebert", "pabee")}
    plan = Grid(load_suite(str(tiny_suite)), [TASKS["mnli"]], ["bert"], methods, range(2), Embedded())
    folder = RunFolder(tmp_path)
    assert finish(plan, folder) == 2 * (1 + 5 + 1 + 1)
    assert not find_todo(plan.cells(plan.shared()), folder).pending
    points = collect(folder, METHODS)["points"]
    assert points.groupby("method", sort=False).size()["deebert"] == 2 * 2 * 23 and (points["n"] == 64).all()


def test_the_naive_grid_trains_stage_1_for_every_point(tmp_path):
    folder = RunFolder(tmp_path)
    folder.create()
    write_json(
        tmp_path / "run.json", {"suite": "s", "methods": {"static": None, "deebert": None, "pabee-frozen": None}}
    )
    spec = {"task": "rte", "start": None, "variant": ""}
    took = {"load": 0.5, "train": 8.0, "trace": 1.0, "all": 10.0}, {"load": 1.0, "train": 1.0, "trace": 1.5, "all": 4.0}
    first = {"key": "a", "spec": spec | {"method": "static"}, "seconds": took[0]}
    second = {"key": "b", "spec": spec | {"method": "deebert", "start": "a"}, "seconds": took[1]}
    for record_ in (first, second):
        folder.write_record({**record_, "status": "ok", "layers": 12})
    naive, _ = grid.measure(Settings(results=str(tmp_path)))
    # one static point; 15 thresholds and 12 patiences of DeeBERT's model, each with a stage 1 of its own
    assert naive.value == pytest.approx((10 + 15 * (4 + 8) + 12 * (4 + 8)) / 14)
    for ends, workers in (((110, 114), 1), ((110, 110), 2), ((110, 113.5), 2)):
        for key, end in zip("ab", ends, strict=True):
            os.utime(folder.record_path(key), (end, end))
        _, outside = grid.measure(Settings(results=str(tmp_path)))
        assert outside.value == pytest.approx(1 - 13 / (workers * (ends[1] - 100)))


def test_the_naive_grid_needs_a_run(tmp_path):
    with pytest.raises(NotMeasured, match="needs --results"):
        list(grid.measure(Settings()))
    with pytest.raises(NotMeasured, match="holds no finished cells"):
        list(grid.measure(Settings(results=str(tmp_path))))


def test_our_side_of_the_anchor_may_come_from_a_table(tmp_path, capsys, monkeypatch):
    from bench.speed import anchor

    row = {"method": "static", "task": "mnli", "split": "validation_matched", "variant": ""}
    points = pd.DataFrame(
        [
            row | {"seed": 1, "value": 0.7},
            row | {"seed": 0, "value": 0.6},
            row | {"seed": 0, "value": 0.1, "split": "validation_mismatched"},
            row | {"seed": 0, "value": 0.2, "method": "pabee"},
            row | {"seed": 0, "value": 0.3, "task": "rte", "split": "validation"},
        ]
    )
    assert anchor.static_values(points, TASKS["mnli"], [0, 1]).tolist() == [0.6, 0.7]
    points.to_csv(tmp_path / "points.csv", index=False)
    where = ["--glue-dir", "none", "--backbone", "none", "--points", str(tmp_path / "points.csv")]
    assert anchor.main([*where, "--tasks", "rte", "--seeds", "2"]) == 2
    assert "points of static on rte: expected seeds [0, 1], got [0]" in capsys.readouterr().err
    monkeypatch.setattr(anchor, "library", lambda *arguments: {0: 0.59, 1: 0.68}[arguments[-1]])
    assert anchor.main([*where, "--tasks", "mnli", "--seeds", "2"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("mnli accuracy: Trainer 0.6350 (0.5900 0.6800, ")
    assert line.endswith("static 0.6500 (0.6000 0.7000), difference +1.50 points [-4.85, +7.85]\n")
    monkeypatch.setattr(anchor, "library", lambda *arguments: {0: 0.589, 1: 0.688}[arguments[-1]])
    assert anchor.main([*where, "--tasks", "mnli", "--seeds", "2"]) == 0  # by half a point
    monkeypatch.setattr(anchor, "library", lambda *arguments: {0: 0.57, 1: 0.67}[arguments[-1]])
    assert anchor.main([*where, "--tasks", "mnli", "--seeds", "2"]) == 1  # three points apart for both seeds
    capsys.readouterr()
    assert anchor.main([*where, "--tasks", "mnli", "--seeds", "1"]) == 2
    assert "--seeds: an interval needs at least 2, got 1" in capsys.readouterr().err


def test_both_sides_of_the_anchor_train_as_the_paper_and_read_the_first_token(monkeypatch, tmp_path):
    from bench.speed import anchor

    seen = []
    monkeypatch.setattr(anchor, "library", lambda *arguments: seen.append(arguments[3]) or 0.5)

    def run(command, check):
        suite = load_suite(command[command.index("--suite") + 1])
        seen.append((suite.pooling, suite.recipes["stage1"]))
        results = Path(command[command.index("--results") + 1])
        results.mkdir(parents=True)
        row = {"method": "static", "task": "mrpc", "split": "validation", "variant": "", "value": 0.5}
        pd.DataFrame([row | {"seed": seed} for seed in (0, 1, 2)]).to_csv(results / "points.csv", index=False)

    monkeypatch.setattr(anchor.subprocess, "run", run)
    assert anchor.main(["--glue-dir", str(tmp_path), "--backbone", "none", "--tasks", "mrpc"]) == 0
    literal = Recipe(epochs=3, learning_rate=5e-5, batch_size=8)
    assert seen == [("first", literal), literal, literal, literal]


def test_the_trainers_side_of_the_anchor_is_judged_by_its_own_rows(tmp_path, checkpoints, monkeypatch):
    """The library hands rows of unequal length back in another order."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, set_seed

    from bench.sources.tsv import TsvFolder
    from bench.speed import anchor

    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 15))) for _ in range(60)]
    set_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoints["bert"], num_labels=2).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoints["bert"])
    with torch.no_grad():
        answers = [model(**tokenizer(text, return_tensors="pt")).logits.argmax().item() for text in texts]
    assert set(answers) == {0, 1}
    lines = ["sentence\tlabel", *(f"{text}\t{answer}" for text, answer in zip(texts, answers, strict=True))]
    (tmp_path / "SST-2").mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / "SST-2" / name).write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(Trainer, "train", lambda self: None)
    recipe = Recipe(epochs=1, learning_rate=1e-4, batch_size=8)
    found = anchor.library(TASKS["sst2"], TsvFolder(tmp_path), str(checkpoints["bert"]), recipe, 24, 100, 3)
    assert found == 1.0


def test_a_panel_with_and_without_what_traces_know(tiny_suite, tmp_path):
    from bench.speed.collecting import replayed
    from bench.tables.collect import panels
    from bench.tables.failures import finished, records_of

    methods = {name: METHODS[name] for name in ("static", "deebert")}
    folder = RunFolder(tmp_path)
    finish(Grid(load_suite(str(tiny_suite)), [TASKS["mnli"]], ["bert"], methods, range(1), Embedded()), folder)
    counting, _ = finished(folder, records_of(folder), METHODS)
    panel = next(panels(folder, counting))
    (tables, savings), (others, nothing) = (replayed(known, *panel) for known in (True, False))
    differ = {name for name, rows in tables.items() if not rows.equals(others[name])}
    assert differ == {"calibration", "overthinking", "oracle", "reliability"}
    assert not any(len(others[name]) for name in differ) and savings.values and not nothing.values
