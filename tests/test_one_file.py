"""Adding a method is one file, outside the repository as well: checked, run, tabled and drawn."""

import shutil

import pandas as pd
import pytest
from invented import OUTSIDE

from run_all import main


@pytest.fixture
def outside(tmp_path):
    """The file in a folder that the project knows nothing about."""
    return shutil.copy(OUTSIDE, tmp_path / "leaving.py")


def test_it_is_about_40_lines():
    assert len(OUTSIDE.read_text().splitlines()) <= 45


def test_it_is_checked_by_its_file(outside, capsys):
    assert main(["--check-method", str(outside)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("margin: class Margin\n  ok     slug ")
    assert said.splitlines()[-1] == "nothing is lacking"


def test_what_it_lacks_is_said_in_words(outside, capsys):
    outside.write_text(outside.read_text().replace("name = ", 'recipe = "stage3"\n    name = '))
    assert main(["--check-method", str(outside)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "  lacks  relations  recipe 'stage3' is none of stage1, stage2, joint" in said
    assert said[-1] == "1 of 11 checks found something lacking"


def test_a_method_of_the_project_is_checked_by_its_name(capsys):
    assert main(["--check-method", "truncated"]) == 0
    assert main(["--check-method", "deebrt"]) == 2
    assert "did you mean 'deebert'?" in capsys.readouterr().err


def test_it_is_in_the_points_and_in_the_figure(outside, tiny_suite, tmp_path):
    command = ["--suite", str(tiny_suite), "--tasks", "rte", "--seeds", "1", "--limit", "40", "--jobs", "1"]
    command += ["--methods", f"deebert,pkd,tinybert,{outside}"]
    assert main([*command, "--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]) == 0
    points = pd.read_csv(tmp_path / "r" / "points.csv")
    assert (points["method"] == "margin").sum() == 11
    assert "<title>margin, margin 0.5, seed 0: " in (tmp_path / "f" / "methods-bert.svg").read_text()
    # a student cut from 12 layers to 6 stands at half of its panel's depth; no checkpoint is a reason, not a failure
    assert points.loc[points["method"] == "pkd", "layer_fraction"].tolist() == [0.5]
    failures = pd.read_csv(tmp_path / "r" / "failures.csv")
    assert failures[["method", "status", "reason"]].to_numpy().tolist() == [
        ["tinybert", "skipped", "no tinybert checkpoint: name one with --tinybert bert=DIR"]
    ]
    beside = pd.read_csv(tmp_path / "r" / "references.csv")
    assert {"margin", "deebert"} <= set(beside["method"])
    verdicts = pd.read_csv(tmp_path / "r" / "verdicts.csv")
    assert set(verdicts["verdict"]) <= {"not shown", "does not beat"}  # of one seed


def test_a_tinybert_checkpoint_comes_from_the_command_line(tiny_suite, capsys):
    command = ["--suite", str(tiny_suite), "--tasks", "rte", "--seeds", "1", "--methods", "tinybert"]
    assert main([*command, "--tinybert", "bert=distilbert-nano", "--plan"]) == 0
    assert "bert/rte tinybert seed 0" in capsys.readouterr().out.splitlines()[0]
    assert main([*command, "--tinybert", "bert", "--plan"]) == 2
    assert main([*command, "--tinybert", "brt=distilbert-nano", "--plan"]) == 2
    wrong, unknown = capsys.readouterr().err.splitlines()
    assert wrong == "run_all.py: --tinybert bert: expected NAME=DIR" and "did you mean 'bert'?" in unknown


def test_all_may_stand_beside_a_file(outside, tiny_suite, capsys):
    command = ["--suite", str(tiny_suite), "--tasks", "rte", "--seeds", "1", "--plan", "--methods", f"all,{outside}"]
    assert main(command) == 0
    planned = capsys.readouterr().out
    assert "bert/rte margin seed 0" in planned and "bert/rte shallow depth=0.75 seed 0" in planned
