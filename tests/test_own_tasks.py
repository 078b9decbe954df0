"""A suite's own task: a whole run on a decoder, its tables and saved models; and every table that must be refused."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import TINY_SUITE, WORDS, word_tokenizer
from families import tiny

from bench import EarlyExitClassifier
from bench.errors import UserError
from bench.plan.options import resolve_tasks
from bench.plan.suite_file import load_suite
from bench.sources.examples import fingerprint, load_split
from bench.sources.tasks import TASKS, own_task, task_of
from bench.sources.tsv import TsvFolder
from run_all import main

TABLE = {"columns": ["text"], "labels": ["low", "middle", "high"], "metric": "matthews"}
SUITE = f"""{TINY_SUITE.replace('"embedded"', '"folder"').split("[backbones.bert]")[0]}
[backbones.gpt]

[tasks.grade]
columns = ["text"]
label = "level"
labels = ["low", "middle", "high"]
metric = "matthews"

[recipes.{TINY_SUITE.split("[recipes.", 1)[1]}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A suite file, a folder of rows whose label is told by a word, and a tiny GPT-2 that has no padding token."""
    root = tmp_path_factory.mktemp("own")
    (root / "own.toml").write_text(SUITE)
    rng = np.random.default_rng(0)
    (root / "data" / "grade").mkdir(parents=True)
    for split, rows in (("train", 120), ("dev", 40)):
        lines = ["text\tlevel"]
        for _ in range(rows):
            level = rng.integers(3)
            words = rng.choice(WORDS[3:], rng.integers(2, 7)).tolist()
            lines.append(f"{' '.join([*words, WORDS[level]])}\t{TABLE['labels'][level]}")
        (root / "data" / "grade" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    tiny("gpt2").save_pretrained(root / "gpt")
    tokenizer = word_tokenizer("bert")
    tokenizer._tokenizer.post_processor = None
    tokenizer.eos_token, tokenizer.pad_token = "[SEP]", None
    tokenizer.save_pretrained(root / "gpt")
    return root


@pytest.fixture(scope="module")
def run(world):
    command = [
        "--suite",
        str(world / "own.toml"),
        "--glue-dir",
        str(world / "data"),
        "--tasks",
        "grade",
        "--seeds",
        "2",
    ]
    command += ["--backbones", f"gpt={world / 'gpt'}", "--methods", "static,deebert,fastbert,pabee", "--save-models"]
    command += ["--jobs", "2", "--device", "cpu", "--results", str(world / "r"), "--figures", str(world / "f")]
    assert main(command) == 0
    return world / "r", command


def test_a_run_on_an_own_task_and_a_decoder(run):
    folder, _ = run
    points = pd.read_csv(folder / "points.csv")
    assert set(points["task"]) == {"grade"} and set(points["metric"]) == {"matthews"}
    assert points["f1"].isna().all() and points["accuracy"].notna().all()
    assert set(points["method"]) >= {"static", "deebert", "fastbert", "pabee"}
    assert pd.read_csv(folder / "failures.csv").empty
    assert "grade" in (folder / "report.html").read_text()
    records = [json.loads(path.read_text().rpartition("}")[0] + "}") for path in (folder / "cells").iterdir()]
    assert {record["pooling"] for record in records} == {"last"}
    assert all(record["spec"]["own_task"] == {**TABLE, "label": "level"} for record in records)
    assert not any("pooling" in record["spec"] for record in records)


def test_it_is_finished_when_it_is_finished(run):
    folder, command = run
    before = {path: path.read_bytes() for path in folder.glob("*.csv")}
    assert main(command) == 0
    assert main(["--results", str(folder), "--figures", str(folder.parent / "f"), "--collect"]) == 0
    assert before == {path: path.read_bytes() for path in folder.glob("*.csv")}


def test_its_saved_models_answer_as_in_the_run(run, world):
    folder, _ = run
    rows = load_split(TsvFolder(world / "data"), own_task("grade", {**TABLE, "label": "level"}), "validation")
    for name in ("deebert", "fastbert", "pabee"):
        model = EarlyExitClassifier.from_pretrained(folder / "models" / f"gpt-grade-{name}-seed0")
        assert model.model.backbone.pooling == "last" and model.about["pooling"] == "last"
        for point in model.about["curve"][::5]:
            found = model.predict(rows.text_a, point["knob_value"], batch_size=7)
            layers = np.array([answer.layer for answer in found])
            assert layers.mean() / 4 == pytest.approx(point["layer_fraction"], abs=0.02)
            assert {answer.label for answer in found} <= set(TABLE["labels"])
        model.save_pretrained(world / "again" / name)
        again = EarlyExitClassifier.from_pretrained(world / "again" / name)
        assert again.predict(["w0 w1", "", "w2"], 0.3) == model.predict(["w0 w1", "", "w2"], 0.3)


def test_the_definition_is_in_the_key():
    task, other = (own_task("grade", {**TABLE, "metric": metric}) for metric in ("matthews", "accuracy"))
    assert task_of({"task": "grade", **task.spec()}) == task != other
    assert TASKS["sst2"].spec() == {} and task_of({"task": "sst2"}) is TASKS["sst2"]


def test_own_tasks_are_named_beside_glues():
    task = own_task("grade", TABLE)
    assert resolve_tasks("rte,grade", {"grade": task}) == [TASKS["rte"], task]
    with pytest.raises(UserError, match=r"unknown task 'grad'.*did you mean 'grade'"):
        resolve_tasks("grad", {"grade": task})


def test_scores_are_a_task_without_labels():
    task = own_task("grade", {"columns": ["a", "b"], "label": "score"})
    assert task.regression and task.metric == "pearson" and task.num_labels == 1


# --- what is refused


def refused(tmp_path, old, new):
    path = tmp_path / "own.toml"
    assert old in SUITE
    path.write_text(SUITE.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_suite(str(path))
    line = str(caught.value)
    assert "\n" not in line
    return line.removeprefix("suite 'own': ").replace(str(path), "own.toml")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"matthews"',
            '"mathews"',
            "own.toml, line 13: [tasks.grade] metric: 3 classes have accuracy, matthews, got 'mathews'; "
            "did you mean 'matthews'?",
        ),
        ('"matthews"', '"f1"', "own.toml, line 13: [tasks.grade] metric: 3 classes have accuracy, matthews, got 'f1'"),
        (
            'columns = ["text"]',
            "columns = []",
            "own.toml, line 10: [tasks.grade] columns: expected the one or two columns of texts, got []",
        ),
        (
            'columns = ["text"]',
            "",
            "own.toml, line 9: [tasks.grade] columns: expected the one or two columns of texts, got None",
        ),
        (
            '"low", "middle", "high"',
            '"low", "low"',
            "own.toml, line 12: [tasks.grade] labels: expected two classes or more, each once, or none for scores, "
            "got ['low', 'low']",
        ),
        ("label =", "lable =", "own.toml, line 11: [tasks.grade] has no key 'lable'; did you mean 'label'?"),
        (
            "[tasks.grade]",
            "[tasks.sst2]",
            "own.toml, line 9: [tasks.sst2] has the name of one of GLUE's tasks (sst2, mrpc, qnli, rte, qqp, mnli, "
            "cola, stsb, wnli, or all)",
        ),
        (
            '"folder"',
            '"hub"',
            'own.toml, line 9: [tasks.grade] needs TSV files: expected source = "folder", got "hub"',
        ),
    ],
)
def test_a_table_that_is_wrong(old, new, expected, tmp_path):
    assert refused(tmp_path, old, new) == expected


def rows(tmp_path, *lines):
    (tmp_path / "grade").mkdir()
    for name in ("train", "dev"):
        (tmp_path / "grade" / f"{name}.tsv").write_text("\n".join(["text\tlevel", *lines]) + "\n")
    with pytest.raises(UserError) as caught:
        fingerprint(TsvFolder(tmp_path), own_task("grade", {**TABLE, "label": "level"}))
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_a_label_that_the_table_lacks(tmp_path):
    assert rows(tmp_path, "a\tlow", "b\thihg") == (
        "DIR/grade/train.tsv, line 3: unknown label 'hihg', expected one of low, middle, high; did you mean 'high'?"
    )


def test_a_label_that_the_file_lacks(tmp_path):
    assert rows(tmp_path, "a\tlow", "b\thigh", "c\tlow") == (
        "DIR/grade/train.tsv, lines 2 to 4: no row has the label 'middle' of [tasks.grade], found high, low"
    )


def test_a_column_that_the_file_lacks(tmp_path):
    (tmp_path / "grade").mkdir()
    (tmp_path / "grade" / "train.tsv").write_text("txt\tlevel\na\tlow\n")
    with pytest.raises(UserError) as caught:
        load_split(TsvFolder(tmp_path), own_task("grade", {**TABLE, "label": "level"}), "train")
    assert str(caught.value).replace(str(tmp_path), "DIR") == (
        "DIR/grade/train.tsv, line 1: no column 'text', found txt, level; did you mean 'txt'?"
    )
