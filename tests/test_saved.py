"""Models that leave the suite: kept by a run, loaded, asked within a budget, and used by the documented program."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import parse_eval_result_entries
from invented import OUTSIDE

from bench.errors import UserError
from bench.halting.saved import EarlyExitClassifier, check_knob_value
from bench.models.eval_results import board, eval_results
from bench.models.model import build_model
from bench.plan.methods import load_method_file
from bench.sources.examples import load_split
from bench.sources.generated import Embedded
from bench.sources.hub_rows import Hub
from bench.sources.tasks import TASKS
from bench.sources.tsv import TsvFolder
from bench.store.trace import Trace
from methods import discover
from methods.base import HaltingRule, Knob, Method, RuleSpec
from run_all import main

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tiny_suite, tmp_path_factory):
    """A finished run that kept its models, and the command that made it."""
    folder = tmp_path_factory.mktemp("saved")
    command = ["--suite", str(tiny_suite), "--tasks", "rte", "--backbones", "bert", "--seeds", "1", "--limit", "40"]
    command += [
        "--methods",
        "deebert,dact,fastbert,pkd,shallow",
        "--results",
        str(folder / "r"),
        "--figures",
        str(folder / "f"),
    ]
    assert main([*command, "--jobs", "1"]) == 0
    assert not (folder / "r" / "models").exists()
    assert main([*command, "--jobs", "1", "--save-models"]) == 0
    return folder / "r", command


def test_a_run_keeps_its_models_when_told(run):
    folder, command = run
    taus = [f"tau={tau:g}" for tau in (5e-5, 5e-4, 5e-3, 5e-2, 5e-1)]
    depths = [f"depth={depth:g}" for depth in (0.25, 0.5, 0.75)]
    variants = {"dact": taus, "shallow": depths}
    names = {f"bert-rte-{name}-seed0" for name in ("static", "deebert", "fastbert", "pkd")}
    names |= {f"bert-rte-{name}-{value}-seed0" for name, values in variants.items() for value in values}
    assert {path.name for path in (folder / "models").iterdir()} == names
    before = {path: path.stat().st_mtime_ns for path in (folder / "models").rglob("*")}
    assert main([*command, "--save-models"]) == 0  # nothing is left to do
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "models").rglob("*")}


@pytest.mark.parametrize("name", ["static", "deebert", "dact-tau=0.5", "fastbert", "pkd", "shallow-depth=0.25"])
def test_a_loaded_model_answers_as_in_the_run(name, run):
    folder, _ = run
    model = EarlyExitClassifier.from_pretrained(folder / "models" / f"bert-rte-{name}-seed0")
    trace = Trace.load(folder / "traces" / f"{model.about['cell']}.validation.npz")
    rows = load_split(Embedded(), TASKS["rte"], "validation", 40)
    points = pd.read_csv(folder / "points.csv").query("cell == @model.about['cell'] and method == @model.method.name")
    for point in model.about["curve"][:: max(1, len(model.about["curve"]) // 4)]:
        found = model.predict(list(zip(rows.text_a, rows.text_b, strict=True)), point["knob_value"], batch_size=7)
        labels = [TASKS["rte"].labels.index(answer.label) for answer in found]
        layers = np.array([answer.layer for answer in found])
        assert layers.mean() / 12 == pytest.approx(point["layer_fraction"], abs=0.01)
        assert (trace.labels == labels).mean() == pytest.approx(point["value"], abs=0.03)  # one close call
    if name == "deebert":
        assert points["layer_fraction"].tolist() == [point["layer_fraction"] for point in model.about["curve"]]
        assert points["mac_fraction"].tolist() == [point["mac_fraction"] for point in model.about["curve"]]


def test_a_model_answers_in_the_precision_it_was_trained_in(run):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-static-seed0")
    text, knob_value = [("w1 w2", "w3")], model.about["curve"][0]["knob_value"]
    (exact,) = model.predict(text, knob_value)
    model.about["precision"] = "bfloat16"
    (rounded,) = model.predict(text, knob_value)
    assert exact.answer != rounded.answer and exact.answer == pytest.approx(rounded.answer, abs=0.1)


def test_the_setting_for_a_budget(run):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-deebert-seed0")
    points = [(0.0, 1.0, 0.9), (0.1, 0.6, 0.8), (0.2, 0.4, 0.8), (0.3, 0.2, 0.7)]
    model.about["exact"] = [
        dict(zip(("knob_value", "layer_fraction", "value"), point, strict=True)) for point in points
    ]
    model.about["constant"] = {"label": "entailment", "value": 0.5}
    assert [model.knob_for(budget) for budget in (1, 0.7, 0.5, 0.2)] == [0.0, 0.2, 0.2, 0.3]
    with pytest.raises(UserError, match=r"budget 0\.1: the cheapest setting of this model uses 0\.200 of the layers"):
        model.knob_for(0.1)
    line = "budget: expected a share of the layers, above 0 and at most 1, got "
    for budget, near in ((0, "0.2"), (1.5, "1"), (-1, "0.2"), (float("inf"), "1")):
        with pytest.raises(UserError, match=f"^{line}{budget}; the nearest is {near}$"):
            model.knob_for(budget)
    for budget in (float("nan"), "0.5", None, True):
        with pytest.raises(UserError, match=f"^{line}{budget!r}$"):
            model.knob_for(budget)
    model.about["constant"] = {"label": "entailment", "value": 0.8}
    with pytest.warns(
        UserWarning, match=r"has accuracy 0\.8000; always answering 'entailment' has 0\.8000, for no layer"
    ):
        assert model.knob_for(0.5) == 0.2


def test_exact_settings_decide_as_they_promise(run):
    """The setting for half of the layers is a threshold of the exact curve, and live it costs what it says."""
    folder, _ = run
    model = EarlyExitClassifier.from_pretrained(folder / "models" / "bert-rte-deebert-seed0")
    assert len(model.about["exact"]) > len(model.about["curve"])
    rows = load_split(Embedded(), TASKS["rte"], "validation", 40)
    for point in model.about["exact"][::12]:
        found = model.predict(list(zip(rows.text_a, rows.text_b, strict=True)), point["knob_value"])
        assert np.mean([answer.layer for answer in found]) / 12 == pytest.approx(point["layer_fraction"], abs=0.01)


def test_only_a_saved_model_is_replaced(run, tmp_path, monkeypatch):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-deebert-seed0")
    for folder in (tmp_path / "new" / "folder", tmp_path / "new" / "folder", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        model.save_pretrained(folder)
        assert EarlyExitClassifier.from_pretrained(folder).about == model.about
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for folder in (".", tmp_path, tmp_path / "mine.txt", tmp_path / "new"):  # the last holds a model one folder down
        with pytest.raises(UserError, match=r"holds something else than a saved model, '.+': name a new or an empty"):
            model.save_pretrained(folder)
    for path in ("new/folder/notes.md", "empty/notes/mine.md"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("mine")
        with pytest.raises(UserError, match="holds something else than a saved model, 'notes"):
            model.save_pretrained(tmp_path / path.split("/notes")[0])
        assert (tmp_path / path).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "empty", "mine.txt"}


@pytest.mark.parametrize(
    ("text", "reason"), [("{}", "'cell' is missing"), ("[]", "'cell' is missing"), ("{", "JSON|quotes")]
)
def test_a_broken_description(text, reason, tmp_path):
    (tmp_path / "early_exit.json").write_text(text)
    with pytest.raises(UserError, match=f"holds no early-exit model: early_exit.json cannot be read .*({reason})"):
        EarlyExitClassifier.from_pretrained(tmp_path)


def test_a_description_that_means_nothing(run, tmp_path):
    folder = run[0] / "models" / "bert-rte-static-seed0"
    about = json.loads((folder / "early_exit.json").read_text())
    for name, value in (("task", "rte2"), ("precision", "float8"), ("compat", "odd")):
        (tmp_path / "early_exit.json").write_text(json.dumps({**about, name: value}))
        with pytest.raises(UserError, match=f"cannot be read .{name} is '{value}', expected "):
            EarlyExitClassifier.from_pretrained(tmp_path)


def test_the_card_says_how_it_was_trained(run):
    folder = run[0] / "models" / "bert-rte-deebert-seed0"
    assert "- trained in float32: epochs " in (folder / "README.md").read_text()


class Sure(Method):
    """A rule of one's own on DeeBERT's models: the probability of the top class."""

    name = "sure"
    trained_by = "deebert"

    def loss(self, exits, batch):
        """Trains nothing."""
        raise NotImplementedError

    def halting_rule(self, spec):
        """Halts where the top class is sure enough."""
        return SureRule(spec)

    def knob(self, spec):
        """p = .5, .9."""
        return Knob("sure", (0.5, 0.9))


class SureRule(HaltingRule):
    """Score: probability of the top class."""

    def step(self, layer, exits, state):
        """The answer is the layer's logits."""
        return exits.logits, torch.softmax(exits.logits, dim=-1).amax(dim=-1), state


def test_a_rule_of_ones_own_decides_on_the_models_that_it_replays(run):
    folder = run[0] / "models" / "bert-rte-deebert-seed0"
    saved, mine = EarlyExitClassifier.from_pretrained(folder), EarlyExitClassifier.from_pretrained(folder, Sure())
    ours, theirs = mine.model.state_dict(), saved.model.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)
    pair = [("the cat sleeps", "the animal sleeps")]
    assert mine.predict(pair, 0.0)[0].layer == 1 and mine.predict(pair, 1.1)[0].layer == 12
    assert mine.predict(pair, 1.1)[0].answer == pytest.approx(saved.predict(pair, 0.0)[0].answer)
    line = "the curve of this model was measured with deebert, not sure: give `predict` a value of sure yourself"
    with pytest.raises(UserError, match=line):
        mine.knob_for(0.5)
    with pytest.raises(UserError, match="was saved by method and version pkd 2, not sure 1"):
        EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-pkd-seed0", Sure())


@pytest.mark.parametrize("value", ["0.5", None, float("nan"), float("inf"), True, [0.5]])
def test_a_setting_is_a_number(run, value):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-deebert-seed0")
    with pytest.raises(
        UserError, match=r"expected a number for entropy from 0 to 0\.7, such as 0, 0\.05, .* \.\., got"
    ):
        model.predict([("a", "b")], value)
    with pytest.raises(UserError, match="batch_size: expected a whole number of at least 1, got 0"):
        model.predict([("a", "b")], 0.1, batch_size=0)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("deebert", -0.1, "a number for entropy from 0 to 0.7, got -0.1; the nearest is 0"),
        ("deebert", 50, "a number for entropy from 0 to 0.7, got 50; the nearest is 0.7"),
        ("fastbert", 1.2, "a number for speed from 0 to 1, got 1.2; the nearest is 1"),
        ("static", 0.5, "a number for the knob of 1, got 0.5; the nearest is 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_the_nearest_that_does(run, name, value, line):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / f"bert-rte-{name}-seed0")
    with pytest.raises(UserError, match=f"^knob_value: expected {line}$"):
        model.predict([("a", "b")], value)


def test_patience_has_no_end_and_slack_no_bounds():
    spec = RuleSpec(6, 2)
    for name, value in (("pabee", 40), ("dact-eps", -3), ("dact", 2), ("act", -1)):
        check_knob_value(discover()[name].knob(spec), value)
    with pytest.raises(UserError, match=r"for patience from 0 on, got -1; the nearest is 0$"):
        check_knob_value(discover()["pabee"].knob(spec), -1)


@pytest.mark.parametrize("name", ["static", "deebert", "dact-tau=0.5", "fastbert", "shallow-depth=0.25"])
def test_every_setting_on_offer_is_one_that_a_model_takes(run, name):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / f"bert-rte-{name}-seed0")
    for point in model.about["exact"]:
        check_knob_value(model.knob, point["knob_value"])
    dearest = max(model.about["exact"], key=lambda point: point["layer_fraction"])
    (found,) = model.predict([("w1 w2", "w3")], dearest["knob_value"])
    assert np.isfinite(found.answer).all()
    if model.knob.name == "":
        assert found.layer == model.model.num_layers


def test_the_code_of_a_card_loads_an_outside_method(run, tmp_path, monkeypatch):
    """A model of somebody's own method: its card says how to load it, and that works as it stands."""
    folder = run[0] / "models" / "bert-rte-deebert-seed0"
    model = EarlyExitClassifier.from_pretrained(folder)
    (margin,) = load_method_file(str(OUTSIDE))
    about = {**model.about, "method": margin.name, "version": margin.version}
    EarlyExitClassifier(model.model, margin, model.tokenizer, about).save_pretrained(tmp_path / "margin")
    card = (tmp_path / "margin" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    told = {"texts": [("the cat sleeps", "the animal sleeps")]}
    exec(code.replace('"FOLDER"', repr(str(tmp_path / "margin"))).replace('"FILE.py"', repr(str(OUTSIDE))), told)
    assert len(told["answers"]) == 1 and told["model"].method.name == "margin"


def test_wrong_texts(run):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-deebert-seed0")
    assert model.predict([], 0.1) == []
    with pytest.raises(UserError, match="task 'rte' takes pairs of texts, got 'one text'"):
        model.predict(["one text"], 0.1)


def test_the_model_card(run):
    folder = run[0] / "models" / "bert-rte-deebert-seed0"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: early-exit-bench\n")
    assert card.count("\n| 0") == 15 and "J. Xin et al." in card and "generated miniature tasks" in card
    assert str(run[0]) not in card


def test_what_is_no_saved_model(run, tmp_path):
    with pytest.raises(UserError, match="holds no early-exit model"):
        EarlyExitClassifier.from_pretrained(tmp_path)
    source = run[0] / "models" / "bert-rte-deebert-seed0"
    model = EarlyExitClassifier.from_pretrained(source)
    model.save_pretrained(tmp_path / "copy")
    again = EarlyExitClassifier.from_pretrained(tmp_path / "copy")
    ours, theirs = model.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    about = json.loads((tmp_path / "copy" / "early_exit.json").read_text())
    for change, line in (
        ({"version": 99}, "was saved by method and version deebert 99, not deebert 1"),
        ({"method": "deebrt"}, "did you mean 'deebert'?"),
    ):
        (tmp_path / "copy" / "early_exit.json").write_text(json.dumps(about | change))
        with pytest.raises(UserError, match=line.replace("?", r"\?")):
            EarlyExitClassifier.from_pretrained(tmp_path / "copy")


def test_shared_and_second_exits_survive(run, fresh_backbone, tokenizers, tmp_path):
    about = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-deebert-seed0").about
    for name, family in (("pabee", "albert"), ("deebert", "electra")):
        method = discover("released")[name]
        model = build_model(method, fresh_backbone(family), 2, (family, "task", 0))
        told = {**about, "method": name, "version": method.version, "compat": "released", "max_length": 24}
        EarlyExitClassifier(model, method, tokenizers[family], told).save_pretrained(tmp_path / name)
        again = EarlyExitClassifier.from_pretrained(tmp_path / name)
        pair = [("w1 w2", "w3")]
        assert again.predict(pair, 0.3) == EarlyExitClassifier(model, method, tokenizers[family], told).predict(
            pair, 0.3
        )


def test_the_documented_program(run):
    folder = run[0] / "models" / "bert-rte-deebert-seed0"
    example = ROOT / "docs" / "examples" / "classify.py"
    done = subprocess.run(
        [sys.executable, str(example), str(folder), "1", "the cat sleeps || the animal sleeps"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.strip().splitlines()
    assert first.startswith("deebert, entropy = ")
    assert second.endswith("of 12: the cat sleeps || the animal sleeps") and "entailment" in second


# --- what the hub's leaderboards are told

ABOUT = {
    "suite": "paper",
    "metric": "accuracy",
    "method": "deebert",
    "seed": 2,
    "exact": [
        {"knob_value": 0.4, "layer_fraction": 0.31, "value": 0.801},
        {"knob_value": 0.3, "layer_fraction": 0.49, "value": 0.8312},
        {"knob_value": 0.0, "layer_fraction": 1.0, "value": 0.9},
    ],
}
SPEC = {"task": "mnli", "limit": None}
VALUES = {"validation_matched": {"accuracy": 0.84, "f1": 0.1}, "validation_mismatched": {"accuracy": 0.85, "f1": 0.2}}


def test_the_hub_library_reads_what_a_model_of_its_data_says():
    shown = board(Hub(revision="c" * 40), SPEC, TASKS["mnli"], VALUES)
    read = parse_eval_result_entries(yaml.safe_load(eval_results(ABOUT | {"board": shown})))
    assert [(e.dataset_id, e.task_id, e.value) for e in read] == [
        ("nyu-mll/glue", "mnli_matched", 0.84),
        ("nyu-mll/glue", "mnli_mismatched", 0.85),
    ]
    assert {e.dataset_revision for e in read} == {"c" * 40}
    assert read[0].source_url == "https://huggingface.co/datasets/nyu-mll/glue"
    assert read[0].source_name == "early-exit-bench, suite paper"
    assert read[0].notes == (
        "accuracy on the validation set at full depth, deebert, seed 2; early exit: 0.8312 with 0.49 of the layers"
    )
    assert read[1].notes == "accuracy on the validation set at full depth, deebert, seed 2"
    assert date.fromisoformat(read[0].date)


def test_files_of_glue_name_the_data_set_and_no_commit(tmp_path):
    shown = board(
        TsvFolder(tmp_path), {"task": "sst2", "limit": None}, TASKS["sst2"], {"validation": {"accuracy": 0.9}}
    )
    (read,) = parse_eval_result_entries(yaml.safe_load(eval_results(ABOUT | {"board": shown})))
    assert (read.dataset_id, read.task_id, read.dataset_revision) == ("nyu-mll/glue", "sst2", None)


@pytest.mark.parametrize(
    ("source", "spec", "task"),
    [
        (Embedded(), SPEC, TASKS["mnli"]),
        (Hub(), SPEC | {"limit": 100}, TASKS["mnli"]),
        (Hub(), SPEC | {"limits": {"validation": 100}}, TASKS["mnli"]),
        (Hub(str(ROOT)), SPEC, TASKS["mnli"]),
        (Hub(), SPEC, replace(TASKS["mnli"], is_own=True)),
    ],
)
def test_nothing_is_claimed_about_data_that_the_hub_has_not(source, spec, task):
    assert board(source, spec, task, VALUES) is None and eval_results(ABOUT) is None


def test_the_file_stands_in_the_folder_of_the_model(run, tmp_path):
    model = EarlyExitClassifier.from_pretrained(run[0] / "models" / "bert-rte-deebert-seed0")
    model.save_pretrained(tmp_path / "m")
    assert not (tmp_path / "m" / ".eval_results").exists()  # generated data
    model.about["board"] = {"dataset": "nyu-mll/glue", "revision": None, "date": "2026-01-01", "values": {"rte": 0.5}}
    model.save_pretrained(tmp_path / "m")
    text = (tmp_path / "m" / ".eval_results" / "early-exit-bench.yaml").read_text()
    assert parse_eval_result_entries(yaml.safe_load(text))[0].value == 0.5
    again = EarlyExitClassifier.from_pretrained(tmp_path / "m")
    del again.about["board"]
    again.save_pretrained(tmp_path / "m")  # over the one with the file
    assert not (tmp_path / "m" / ".eval_results").exists()
