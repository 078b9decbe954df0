"""Whatever changes a number is in a cell's key or in run.json: a change moves the key, is refused, or changes nothing.

The lists below say what a user can change; what the parser, a suite or a checkpoint can hold besides fails the test.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields

import pandas as pd
import pytest

from bench.errors import UserError
from bench.plan.cell import key_of
from bench.plan.options import resolve_grid
from bench.plan.suite import Family, Recipe, Suite
from bench.sources.checkpoint_folder import COUNTED
from bench.sources.checkpoints import Checkpoint, lost_segments
from bench.store.consistency import check_records, check_shared, merged, outdated
from bench.store.folder import RunFolder
from methods import content_of, discover, from_file
from run_all import build_parser, main

METHOD = """
from helper import SCALE
from methods.static import Static

class Mine(Static):
    "Nobody, 2026."
    name = "mine"
    recipe = "joint"
"""
UNLABELLED = "sentence1\tsentence2\n{}\tmore\n"


@pytest.fixture
def world(tmp_path, tiny_suite, checkpoints, monkeypatch):
    """A suite, two copies of a checkpoint, a method file with a helper, and rows without labels."""
    for name in ("model", "other", "tiny"):
        shutil.copytree(checkpoints["bert"], tmp_path / name)
    (tmp_path / "helper.py").write_text("SCALE = 1\n")
    (tmp_path / "mine.py").write_text(METHOD)
    (tmp_path / "embedded-x.toml").write_text(tiny_suite.read_text().replace("= 48", "= 32"))
    (tmp_path / "more" / "RTE").mkdir(parents=True)
    (tmp_path / "more" / "RTE" / "unlabelled.tsv").write_text(UNLABELLED.format("a"))
    (tmp_path / "more" / "SST-2").mkdir()
    (tmp_path / "more" / "SST-2" / "unlabelled.tsv").write_text("sentence\na\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


BASE = {"--suite": "{}/embedded-x.toml", "--tasks": "rte", "--methods": "dact,distilbert,fastbert,tinybert,{}/mine.py"}
BASE |= {"--seeds": "1", "--backbones": "bert={}/model", "--students": "bert={}/model", "--tinybert": "bert={}/model"}
BASE |= {"--unlabelled": "{}/more", "--limit": "40"}


def planned(world, **changes):
    """What run.json would hold and the spec of every cell, for the basic command with some options changed."""
    words = {**BASE, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    if "--seed-list" in words:
        words.pop("--seeds")
    command = [part.format(world) for pair in words.items() for part in pair if part is not None]
    options = build_parser().parse_args(command)
    grid, _ = resolve_grid(options, {})
    shared = json.loads(json.dumps(grid.shared() | {"commands": {}}))
    return shared, {cell.label: cell.spec for cell in grid.cells(shared) if not cell.skip}


def moved(before, after):
    """Whether a change moved every key that it must, or is refused for the folder of before."""
    (shared, specs), (others, changed) = before, after
    try:
        check_shared(".", shared, others)
    except Exception:
        return True
    return all(key_of(specs[label]) != key_of(spec) for label, spec in changed.items() if label in specs)


def test_a_run_of_an_older_generator_is_refused_with_the_reason(world):
    shared, _ = planned(world)
    older = shared | {"data": {"rte": "0" * 64}, "max_length": 64, "recipes": {}}
    with pytest.raises(UserError, match=r"made with other data for 'rte' \(000000000000\.\., not [0-9a-f]{12}\.\.\)"):
        check_shared(".", older, shared)


#: Options that say what is trained, with another value for each: it must move keys or be refused.
CHANGED = {
    "suite": None,  # every field of it below
    "backbones": "bert={}/other",
    "students": "bert={}/other",
    "tinybert": "bert={}/other",
    "limit": "30",
    "unlabelled": "{}/other-rows",
    "recipe": "pabee-scripts",
    "compat": "released",
    "precision": "bfloat16",
    "glue_dir": None,  # the content of the rows counts, whatever folder they are in: `test_rows_count`
}
#: Options that choose cells: those that two commands share have the same keys.
CHOOSING = {"tasks": "rte,sst2", "methods": "dact,fastbert", "seeds": "2", "seed_list": "0,5"}
#: Options that say where and how cells run: none may stand in a key.
ELSEWHERE = {"results", "figures", "device", "jobs", "backend", "address", "shard", "cell_timeout", "retry"}
ELSEWHERE |= {"fail_fast", "save_models", "force", "plan", "prepare", "collect", "measure_latency", "check_method"}
ELSEWHERE |= {"compare", "focus", "against", "export", "logits", "check_bundle", "check_plateau"}


def test_every_option_is_on_one_list():
    known = {action.dest for action in build_parser()._actions} - {"help"}
    assert known == CHANGED.keys() | CHOOSING.keys() | ELSEWHERE


@pytest.mark.parametrize("option", [name for name, value in CHANGED.items() if value])
def test_options_that_change_numbers(option, world):
    other = shutil.copytree(world / "more", world / "other-rows") / "RTE" / "unlabelled.tsv"
    other.write_text(UNLABELLED.format("b"))
    config = json.loads((world / "other" / "config.json").read_text())
    (world / "other" / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    assert moved(planned(world), planned(world, **{option: CHANGED[option]}))


@pytest.mark.parametrize("option", CHOOSING)
def test_options_that_choose_cells(option, world):
    (shared, specs), (others, chosen) = planned(world), planned(world, **{option: CHOOSING[option]})
    check_shared(".", shared, others)
    both = specs.keys() & chosen.keys()
    assert both and all(specs[label] == chosen[label] for label in both)


#: Every field of a suite with what to write for it; None where a test of its own, or an option above, changes it.
SUITE = {
    "name": None,  # stands in run.json: refused
    "title": ('title = "generated', 'title = "other'),
    "source": None,  # the rows count
    "max_length": ("= 32", "= 24"),
    "limits": ("[recipes.joint]", "[limits.rte]\ntrain = 25\n\n[recipes.joint]"),
    "backbones": None,  # `Family` below
    "recipes": None,  # `Recipe` below
    "variants": ("[recipes.joint]", '[variants]\ndact = ["tau=0.5"]\n\n[recipes.joint]'),
    "precision": ("max_length", 'precision = "bfloat16"\nmax_length'),
    "seed_scope": ("max_length", 'seed_scope = "heads"\nmax_length'),
    "compat": ("max_length", 'compat = "released"\nmax_length'),
    "recipe": ("max_length", 'recipe = "pabee-scripts"\nmax_length'),
    "pooling": ("max_length", 'pooling = "mean"\nmax_length'),
    "exit_norm": ("max_length", 'exit_norm = "standardise"\nmax_length'),
    "tasks": None,  # tests/test_own_tasks.py
}
RECIPE = {"epochs": 2, "learning_rate": 2e-3, "batch_size": 10, "weight_decay": 0.1, "clip": 0.5, "accumulation": 2}
RECIPE |= {"warmup": 0.1, "schedule_epochs": 2, "head_learning_rate": 1e-3}


def test_every_field_of_a_suite_is_listed():
    assert {field.name for field in fields(Suite)} == SUITE.keys()
    assert {field.name for field in fields(Recipe)} == RECIPE.keys()
    assert {field.name for field in fields(Family)} == {"checkpoint", "student", "tinybert", "pooling"}  # options above


def test_pooling_is_in_a_key_where_it_is_not_what_families_of_before_were_read_by(world):
    before, file = planned(world)[1], world / "embedded-x.toml"
    text = file.read_text()
    for word, expected in (("first", before), ("mean", {k: {**spec, "pooling": "mean"} for k, spec in before.items()})):
        file.write_text(text.replace("max_length", f'pooling = "{word}"\nmax_length', 1))
        found = {label: {**spec, "start": None} for label, spec in planned(world)[1].items()}
        assert found == {label: {**spec, "start": None} for label, spec in expected.items()}
    file.write_text(text)


@pytest.mark.parametrize("field", [name for name, change in SUITE.items() if change])
def test_fields_of_a_suite(field, world):
    before, file = planned(world), world / "embedded-x.toml"
    changed = file.read_text().replace(*SUITE[field])
    assert changed != file.read_text()
    file.write_text(changed)
    assert moved(before, planned(world))


@pytest.mark.parametrize("field", RECIPE)
@pytest.mark.parametrize("stage", ["stage1", "stage2", "joint"])
def test_fields_of_a_recipe(stage, field, world):
    before, file = planned(world), world / "embedded-x.toml"
    head, tail = file.read_text().split(f"[recipes.{stage}]\n")
    block, *rest = re.split(r"(?=\n\[)", tail)
    block = re.sub(rf"(?m)^{field} = .*\n?", "", block).rstrip("\n") + f"\n{field} = {RECIPE[field]}\n"
    file.write_text(f"{head}[recipes.{stage}]\n{block}{''.join(rest)}")
    assert moved(before, planned(world))


def test_the_name_of_a_suite_counts(world):
    before = planned(world)
    shutil.copy(world / "embedded-x.toml", world / "embedded-y.toml")
    assert moved(before, planned(world, suite="{}/embedded-y.toml"))


# --- the files of a checkpoint


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("which", ["model"])
def test_every_file_of_a_checkpoint_counts(name, which, world):
    before = planned(world)
    file = world / which / name
    file.write_bytes(file.read_bytes() + b"\n")
    assert moved(before, planned(world))


def test_a_checkpoint_has_no_other_files(world):
    assert {path.suffix for path in (world / "model").iterdir()} <= set(COUNTED)


@pytest.mark.parametrize("suffix", COUNTED)
def test_a_file_more_counts(suffix, world):
    before = Checkpoint(str(world / "model")).fingerprint()
    (world / "model" / f"vocab{suffix}").write_text("x")
    assert Checkpoint(str(world / "model")).fingerprint() != before


def test_rows_count(world):
    """Rows without labels are one file; the labelled ones are fingerprinted in the same way (`test_data`)."""
    before = planned(world)
    (world / "more" / "RTE" / "unlabelled.tsv").write_text(UNLABELLED.format("c"))
    assert moved(before, planned(world))


# --- pairs that were once read as one segment


def test_cells_of_before_the_segments_were_mended_are_refused(world):
    config = json.loads((world / "model" / "tokenizer_config.json").read_text())
    shared, specs = planned(world)
    assert not lost_segments(Checkpoint(str(world / "model"))) and not shared["segments"]
    assert all("segments" not in spec for spec in specs.values())
    config.pop("model_input_names")
    (world / "model" / "tokenizer_config.json").write_text(json.dumps(config))
    shared, specs = planned(world)
    assert shared["segments"] == dict.fromkeys(("bert", "bert student", "bert tinybert"), "0 and 1")
    label, spec = next(iter(specs.items()))
    records = [{"key": key_of(spec), "label": label, "status": "ok", "spec": spec}]
    check_records(".", records, shared)
    old = {name: value for name, value in spec.items() if name != "segments"}
    with pytest.raises(Exception, match="was made with segments None, the run has 0 and 1"):
        check_records(".", [{**records[0], "spec": old, "key": key_of(old)}], shared)


# --- variants


def test_other_variants_are_refused(world):
    before = planned(world)
    file = world / "embedded-x.toml"
    file.write_text(file.read_text() + '\n[variants]\ndact = ["tau=0.05"]\n')
    shared, _ = planned(world)
    with pytest.raises(Exception, match=r"made with other variants for 'dact' \(tau=5e-05, .*, not tau=0\.05\)"):
        check_shared(".", before[0], shared)
    # a folder of before run.json held variants: its cells say it
    older = {key: value for key, value in before[0].items() if key != "variants"}
    records = [{"key": key_of(s), "label": label, "status": "ok", "spec": s} for label, s in before[1].items()]
    check_shared(".", older, shared)
    with pytest.raises(Exception, match=r"was made with variant tau=5e-05, the run has tau=0\.05"):
        check_records(".", records, merged(older, shared))


# --- files of methods


def test_the_content_of_a_method_file_counts(world, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "helper", raising=False)
    before = planned(world)
    assert before[1]["bert/rte mine seed 0"]["content"] == from_file(world / "mine.py")[0].content
    assert "content" not in before[1]["bert/rte distilbert seed 0"]
    (world / "mine.py").write_text(METHOD + "\n# another line\n")
    after = planned(world)
    check_shared(".", before[0], after[0])
    differ = [label for label, spec in after[1].items() if spec != before[1][label]]
    assert differ == ["bert/rte mine seed 0"]


def test_what_a_method_file_imports_counts(world, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "helper", raising=False)
    from_file(world / "mine.py")
    before = content_of(world / "mine.py")
    (world / "helper.py").write_text("SCALE = 0\n")
    assert content_of(world / "mine.py") != before


def test_a_cell_of_another_content_is_outdated(world):
    (method,) = from_file(world / "mine.py")
    known = {**discover(), "mine": method}
    spec = {"method": "mine", "version": 1, "content": method.content}
    assert outdated({"spec": spec}, known) is None
    assert outdated({"spec": {**spec, "content": "else"}}, known) == "another content of the method's file: run again"
    assert outdated({"spec": {**spec, "version": 0}}, known).startswith("version 0 of the method, the program has")
    assert outdated({"spec": {**spec, "method": "gone"}}, known).startswith("unknown method 'gone'")


SCALED = """
from methods.base import HaltingRule, Knob, Method
from methods.blocks import prediction_loss

class Fixed(HaltingRule):
    def step(self, layer, exits, state):
        answer = exits.logits * 0
        answer[:, 1] = {scale}
        return answer, exits.logits[:, 0] * 0, state

class Mine(Method):
    "Nobody, 2026: an answer that is written in the file."
    name = "mine"
    def loss(self, exits, batch):
        return prediction_loss(exits.logits[:, -1], batch.labels)
    def halting_rule(self, spec):
        return Fixed(spec)
    def knob(self, spec):
        return Knob()
"""


def test_an_edited_file_is_never_averaged_with_its_old_self(tmp_path, tiny_suite, capsys):
    file = tmp_path / "mine.py"
    command = ["--suite", str(tiny_suite), "--tasks", "rte", "--limit", "40", "--jobs", "1", "--methods", str(file)]
    command += ["--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]
    file.write_text(SCALED.format(scale="1.0"))
    assert main([*command, "--seeds", "1"]) == 0
    file.write_text(SCALED.format(scale="-1.0"))
    capsys.readouterr()
    assert main([*command, "--seeds", "2"]) == 0
    said = capsys.readouterr().err
    assert "1 cells of 'mine' are left out of the tables: another content of the method's file: run again" in said
    points = pd.read_csv(tmp_path / "r" / "points.csv").query("method == 'mine'")
    assert points["seed"].tolist() == [0, 1] and points["value"].nunique() == 1  # of one content
    failures = pd.read_csv(tmp_path / "r" / "failures.csv")
    assert failures[["method", "seed", "status"]].to_numpy().tolist() == [["mine", 0, "left out"]]
    assert len(RunFolder(tmp_path / "r").records()) == 5  # two static, three mine
