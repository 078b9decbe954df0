"""The search for recipes: what is held out, what is drawn, who wins, and a whole small search that is interrupted."""

import tomllib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.plan.suite import Recipe
from bench.plan.suite_file import load_suite
from bench.sources.examples import Examples
from bench.sources.generated import Embedded
from bench.sources.held_out import HeldOut
from bench.sources.tasks import TASKS
from bench.tune import search as search_module
from bench.tune.__main__ import main
from bench.tune.search import winner
from bench.tune.space import AXES, beyond, draw, scaled, steps_of
from bench.tune.trials import Trial
from methods import discover
from run_all import main as run_all

OWN = Recipe(epochs=4, learning_rate=2e-4, batch_size=16)


class Few:
    """A source of so many rows."""

    def __init__(self, count):
        self.count = count

    def read(self, task, split):
        assert split == "train", "real validation is never read"
        return Examples([f"t{i}" for i in range(self.count)], None, np.arange(self.count) % 2, np.arange(self.count))


def test_a_quarter_of_training_is_held_out_and_validation_never_read():
    source, task = HeldOut(Few(200)), TASKS["sst2"]
    train, held = source.read(task, "train"), source.read(task, "validation")
    assert (len(train), len(held)) == (150, 50)
    assert sorted([*train.index, *held.index]) == list(range(200))
    assert train.text_a[3] == f"t{train.index[3]}" and train.labels[3] == train.index[3] % 2
    mnli = HeldOut(Embedded())
    assert np.array_equal(
        mnli.read(TASKS["mnli"], "validation_matched").index, mnli.read(TASKS["mnli"], "validation_mismatched").index
    )
    with pytest.raises(UserError, match=r"sst2 has 77 training rows, .* is 19: expected at least 20 to hold out"):
        HeldOut(Few(77)).read(task, "train")


def test_steps_are_those_of_the_task_with_most():
    assert steps_of(OWN, [150, 161]) == 4 * 11
    assert scaled(OWN, 2, 0.5, 0.5) == Recipe(epochs=2, learning_rate=4e-4, batch_size=8)


@given(st.integers(1, 60), st.integers(1, 400))
def test_what_is_drawn_is_short_enough_different_and_the_same_again(count, most):
    found = draw(OWN, count, most, [150], "dact")
    assert len(found) <= count and len(set(found)) == len(found)
    assert all(steps_of(each, [150]) <= most for each in found)
    assert found == draw(OWN, count, most, [150], "dact")
    assert found[:-1] == draw(OWN, count, most, [150], "dact")[: len(found) - 1]
    if steps_of(OWN, [150]) <= most:
        assert found[0] == OWN
        assert len(found) == count or most < 400


def test_a_winner_on_the_edge_is_gone_beyond():
    tried = [OWN, scaled(OWN, 2), scaled(OWN, 1, 2), scaled(OWN, 1, 0.5), scaled(OWN, 1, 1, 2), scaled(OWN, 0.5)]
    assert beyond(scaled(OWN, 2), tried, 10_000, [160]) == [scaled(OWN, 4)], "never fewer epochs"
    assert beyond(scaled(OWN, 1, 0.5), tried, 10_000, [160]) == [scaled(OWN, 1, 0.25)], "never a larger batch"
    assert beyond(scaled(OWN, 1, 1, 2), tried, 80, [160]) == [], "twice the epochs are too many steps"
    inner = [OWN, *(scaled(OWN, *factors) for factors in ((2,), (0.5,), (1, 2), (1, 0.5), (1, 1, 2), (1, 1, 0.5)))]
    assert beyond(OWN, inner, 10_000, [160]) == []


def made(number, steps, *scores, reason=""):
    return Trial(discover()["dact"], number, "drawn", OWN, steps, dict(enumerate(scores)), reason=reason)


def test_ties_within_one_standard_error_go_to_fewer_steps():
    # .70, .72, .74: mean .72, standard error .0115
    best, near, far = made(1, 400, 0.70, 0.72, 0.74), made(2, 200, 0.71, 0.71, 0.71), made(3, 100, 0.70, 0.70, 0.70)
    assert winner([best, near, far]) is near
    assert winner([best, far]) is best
    assert winner([best, made(4, 10, 0.99)]) is best, "one seed is not three"
    assert winner([made(1, 1, np.nan, 0.9), made(2, 9, 0.1, 0.1)]).number == 2, "what failed does not win"


def test_a_search_from_start_to_end(tiny_suite, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(search_module, "BEST", 1)
    monkeypatch.setattr(search_module, "WIDER", 0)
    monkeypatch.setattr(search_module, "SEEDS", (1000, 1001))
    folder = tmp_path / "search"
    command = ["--suite", str(tiny_suite), "--tasks", "sst2,rte", "--methods", "deebert", "--trials", "2"]
    command += ["--limit", "20", "--most-steps", "40", "--results", str(folder), "--jobs", "1"]
    real = search_module.Search.run

    def interrupted(self, trials, seeds, fixed):
        real(self, trials, seeds, fixed)
        raise KeyboardInterrupt

    monkeypatch.setattr(search_module.Search, "run", interrupted)
    assert main(command) == 130 and "the same command again goes on" in capsys.readouterr().err
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}
    assert len(before) == 4 and (folder / "trials.csv").is_file()
    monkeypatch.setattr(search_module.Search, "run", real)
    assert main(command) == 0
    again = {path: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}
    kept = [path for path in before if again[path] == before[path]]
    assert len(kept) >= 2, "what was finished was trained again, besides the models that others start from"
    trials = pd.read_csv(folder / "trials.csv")
    assert trials["method"].tolist() == ["static"] * 2 + ["deebert"] * 2 and trials["trial"].tolist() == [1, 2] * 2
    assert trials["origin"].tolist() == ["suite", "drawn"] * 2 and trials["score"].between(0, 1).all()
    assert sorted(trials["seeds"]) == [1, 1, 2, 2] and (trials["models"] == 2 * trials["seeds"]).all()
    assert (trials["seconds"] > 0).all() and trials["status"].value_counts().to_dict() == {"chosen": 2}
    recipes = tomllib.loads((folder / "recipes.toml").read_text())["recipes"]
    for name, method in (("stage1", "static"), ("deebert", "deebert")):
        won = trials[(trials["method"] == method) & (trials["status"] == "chosen")].iloc[0]
        assert [recipes[name][axis] for axis in AXES] == [won[axis] for axis in AXES]
    own = tmp_path / "embedded-tuned.toml"
    own.write_text('extends = "embedded"\n' + (folder / "recipes.toml").read_text())
    assert load_suite(str(own)).recipes["deebert"].epochs == recipes["deebert"]["epochs"]
    # a search and a run never share a folder, nor do two suites
    assert run_all(["--suite", str(tiny_suite), "--results", str(folder), "--tasks", "rte", "--limit", "20"]) == 2
    other = tmp_path / "other" / tiny_suite.name
    other.parent.mkdir()
    other.write_text(tiny_suite.read_text().replace("epochs = 1", "epochs = 2"))
    assert main([*command, "--suite", str(other)]) == 2
    said = capsys.readouterr().err
    assert "with other data for 'rte'" in said and "with recipes joint epochs = 1, not 2" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--methods", "pabee-frozen"], "'pabee-frozen' trains nothing, it replays 'deebert': name that"),
        (["--tasks", "sst2"], "expected two tasks, whose mean is the score, got 1"),
        (["--trials", "0"], "expected at least 1"),
        (["--most-steps", "1"], "--most-steps 1: no recipe of 'static' is so short, the suite's own takes"),
        (["--suite", "embeded"], "did you mean 'embedded'?"),
    ],
)
def test_wrong_usage_is_one_line(arguments, line, tmp_path, capsys):
    assert main([*arguments, "--results", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1 and not list((tmp_path / "new").glob("cells/*"))
