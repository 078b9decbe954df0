"""`--against`: one's own method beside a published run, of which nothing is trained but what one's own starts from."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from invented import OUTSIDE, make_folder

from bench import load_results
from bench.against import Published
from bench.report.figures.page import data_note
from bench.report.figures.setting import Setting, set_to
from bench.store import beside
from bench.store.beside import Beside, open_run
from bench.store.csv_files import read_table
from bench.tables.again import AGAIN, again_line, called_unpaired
from run_all import main

WHAT = ["--tasks", "sst2,rte", "--seeds", "2", "--limit", "40"]


@pytest.fixture(scope="module")
def no_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.figures.draw_all", lambda *arguments: [])
        yield


@pytest.fixture(scope="module")
def published(no_figures, tiny_suite, tmp_path_factory):
    """A run of two methods on two tasks and seeds, and a bundle of it."""
    place = tmp_path_factory.mktemp("published")
    folders = ["--results", str(place / "results"), "--figures", str(place / "figures")]
    assert main(["--suite", str(tiny_suite), "--methods", "static,deebert,pabee", *WHAT, *folders]) == 0
    for logits in ("float16", "float32"):
        assert main(["--export", str(place / logits), "--logits", logits, *folders]) == 0
    return place


@pytest.fixture(scope="module")
def run(no_figures, tiny_suite, tmp_path_factory):
    """Run a command in a folder of its own, or in the one named; gives status, folder."""

    def run(*arguments, results=None, suite=tiny_suite):
        results = results or tmp_path_factory.mktemp("own") / "results"
        folders = ["--results", str(results), "--figures", str(results.parent / "figures")]
        return main(["--suite", str(suite), *arguments, *folders]), results

    return run


@pytest.fixture(scope="module")
def own(run, published):
    """One's own method beside the bundle in float32, on one of its two tasks."""
    what = ["--tasks", "sst2", "--seeds", "2", "--limit", "40"]
    status, results = run("--methods", str(OUTSIDE), "--against", str(published / "float32"), *what)
    assert status == 0
    return results


def test_only_ones_own_method_is_trained_and_what_it_starts_from(own):
    trained = [json.loads(path.read_text())["spec"]["method"] for path in (own / "cells").glob("*.json")]
    assert sorted(trained) == ["margin", "margin", "static", "static"]


def test_the_tables_hold_both(own, published):
    points = read_table(own / "points.csv")
    assert set(points["method"]) == {"static", "deebert", "pabee", "margin", "truncated"}
    assert set(points["task"]) == {"sst2"}  # of the published two
    there = read_table(published / "results" / "points.csv")
    for method in ("static", "deebert", "pabee", "truncated"):
        mine = points[points["method"] == method].reset_index(drop=True)
        theirs = there[(there["method"] == method) & (there["task"] == "sst2")].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    pairs = read_table(own / "paired.csv")
    tested = pairs[(pairs["method_a"] == "deebert") & (pairs["method_b"] == "margin") & (pairs["task"] == "sst2")]
    assert set(tested["units"]) == {2} and set(tested["unit_kind"]) == {"seeds"}
    assert tested["p_boot"].notna().any()  # paired by example
    assert set(read_table(own / "focus.csv")["focus"]) == {"margin"}
    assert "margin" in set(read_table(own / "headline.csv")["method"])


def test_the_model_that_one_starts_from_is_the_published_one(own):
    again = read_table(own / "again.csv")
    assert list(again.columns) == AGAIN and list(again["seed"]) == [0, 1] and set(again["method"]) == {"static"}
    assert (again["difference"] == 0).all()  # the same machine
    shared = json.loads((own / "run.json").read_text())
    assert "margin" not in shared["published"] and shared["published"].keys() >= {"static", "deebert", "truncated"}
    assert "logits as float32" in shared["published"]["pabee"]


def test_the_same_command_does_nothing_more_and_collecting_needs_no_word(run, own, published, capsys):
    before = {path.name: path.read_bytes() for path in own.glob("*.csv")}
    what = ["--tasks", "sst2", "--seeds", "2", "--limit", "40"]
    assert run("--methods", str(OUTSIDE), "--against", str(published / "float32"), *what, results=own)[0] == 0
    assert "0 cells to run" in capsys.readouterr().out
    assert run("--collect", results=own)[0] == 0
    assert "2 published models trained again: accuracy differs by at most 0.0000" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in own.glob("*.csv")} == before
    assert isinstance(open_run(own), Beside) and "margin" in set(load_results(own).tables["points"]["method"])


def test_a_results_folder_gives_the_same_tables_as_its_bundle(run, own, published):
    what = ["--tasks", "sst2", "--seeds", "2", "--limit", "40"]
    status, results = run("--methods", str(OUTSIDE), "--against", str(published / "results"), *what)
    assert status == 0
    for name in ("points", "curves", "auc", "paired", "headline", "again"):
        assert (results / f"{name}.csv").read_bytes() == (own / f"{name}.csv").read_bytes(), name


def test_tables_from_a_bundle_alone_are_those_of_the_run(run, published, capsys):
    """Float32: the same bytes. Float16: points that lie where rounding says that they may."""
    status, exact = run("--collect", "--against", str(published / "float32"))
    assert status == 0
    for path in (published / "results").glob("*.csv"):
        assert (exact / path.name).read_bytes() == path.read_bytes(), path.name
    assert not list((exact / "cells").iterdir())
    status, rounded = run("--collect", "--against", str(published / "float16"))
    a, b = read_table(exact / "points.csv"), read_table(rounded / "points.csv")
    assert status == 0 and len(a) == len(b)
    assert (a["layer_fraction"] - b["layer_fraction"]).abs().max() < 0.05
    assert run("--collect", "--against", str(published / "float16"), results=exact)[0] == 2
    assert "does not stand beside" in capsys.readouterr().err


def test_published_methods_of_the_project_need_no_training(run, published, capsys):
    status, results = run("--methods", "deebert,pabee-frozen", "--against", str(published / "float16"), *WHAT)
    said = capsys.readouterr().out
    assert (
        status == 0 and "4 are one's own" not in said and "0 are one's own, 0 published ones are trained again" in said
    )
    assert {"deebert", "pabee-frozen", "static"} <= set(read_table(results / "points.csv")["method"])
    assert "pabee-frozen" in json.loads((results / "run.json").read_text())["published"]  # it replays DeeBERT's traces


def test_a_published_method_from_outside_needs_its_file(run, own, published, tmp_path, capsys):
    bundle = tmp_path / "mine"
    assert main(["--export", str(bundle), "--results", str(own), "--logits", "float32"]) == 0
    assert {record["spec"]["method"] for record in open_run(bundle).records()} == {
        "static",
        "deebert",
        "pabee",
        "margin",
    }
    what = ["--tasks", "sst2", "--seeds", "2", "--limit", "40", "--against", str(bundle)]
    status, without = run(*what)
    assert status == 0 and "margin" not in set(read_table(without / "points.csv")["method"])
    said = capsys.readouterr().err
    assert (
        f"published method 'margin' is from outside the project and not shown: name its file with --methods ({bundle}"
        in said
    )
    status, shown = run(*what, "--methods", str(bundle / "methods" / "margin.py"))
    assert status == 0 and "0 cells to run" in capsys.readouterr().out
    pd.testing.assert_frame_equal(read_table(shown / "points.csv"), read_table(own / "points.csv"), check_exact=True)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--seeds", "4"], "lacks the seeds 2, 3: it has 0, 1"),
        (["--seed-list", "7"], "lacks the seed 7: it has 0, 1"),
        (["--tasks", "sst2,mrpc"], "lacks the task mrpc: it has rte, sst2"),
        (["--limit", "39"], "was made with limit 40, not 39: nothing can be compared"),
        (["--precision", "bfloat16"], "was made with precision 'float32', not 'bfloat16': nothing can be compared"),
        (["--recipe", "run-glue"], "was made with recipes stage1 batch_size = 20, not 32: nothing can be compared"),
    ],
)
def test_what_must_be_equal_is_named(run, published, capsys, tmp_path, arguments, line):
    what = ["--tasks", "sst2", "--seeds", "2", "--limit", "40", "--against", str(published / "float16")]
    if arguments[0] == "--seed-list":
        what = [word for word in what if word not in ("--seeds", "2")]
    elif arguments[0] in what:
        del what[what.index(arguments[0]) : what.index(arguments[0]) + 2]
    capsys.readouterr()
    status, results = run("--methods", str(OUTSIDE), *what, *arguments)
    said = capsys.readouterr().err.strip().splitlines()
    assert status == 2 and len(said) == 1 and line in said[0], said
    assert not results.exists()


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"engine": 0}, "by another version of the program (engine 0, this one has 1), whose numbers differ"),
        ({"data": {"sst2": "d" * 64}}, "with other data for 'sst2' (dddddddddddd.., not "),
        ({"checkpoints": {"bert": "c" * 64}}, "with other checkpoints for 'bert' (cccccccccccc.., not "),
    ],
)
def test_other_inputs_of_a_published_run_are_named(run, published, capsys, tmp_path, entry, line):
    copy = tmp_path / "copy"
    shutil.copytree(published / "results", copy)
    shared = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(shared | entry))
    capsys.readouterr()
    assert run("--methods", str(OUTSIDE), "--against", str(copy), *WHAT)[0] == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and line in said[0] and len(said[0]) <= 300, said


def test_a_method_of_a_published_name_is_refused(run, published, capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OUTSIDE.read_text().replace('name = "margin"', 'name = "deebert"'))
    status, _ = run("--methods", str(file), "--against", str(published / "float16"), *WHAT)
    said = capsys.readouterr().err.strip()
    assert status == 2 and said.endswith('rename yours, such as name = "my-deebert"') and "'deebert'" in said


def test_other_recipes_of_ones_own_are_free(run, published, tiny_suite, tmp_path, capsys):
    """A suite file with another name and a recipe for one's own method; another stage 1 is refused."""
    suite = tmp_path / "embedded-mine.toml"
    recipe = "\n[recipes.pabee]\nepochs = 1\nlearning_rate = 1e-3\nbatch_size = 10\n"
    suite.write_text(tiny_suite.read_text() + recipe)
    plan = ["--plan", "--methods", "static", "--against", str(published / "float16"), *WHAT]
    assert run(*plan, suite=suite)[0] == 0
    suite.write_text(tiny_suite.read_text().replace("learning_rate = 1e-3", "learning_rate = 2e-3", 1))
    assert run(*plan, suite=suite)[0] == 2
    said = capsys.readouterr().err
    assert (
        "(suite 'embedded-tiny', here 'embedded-mine') was made with recipes stage1 learning_rate = 0.001, not" in said
    )


def test_what_is_no_published_run(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(beside, "REFERENCES", tmp_path / "references")
    (tmp_path / "references" / "embedded").mkdir(parents=True)
    (tmp_path / "references" / "embedded" / "bundle.json").write_text("{}")
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "run.json").write_text("{}")
    for name, line in [
        ("embeded", "expected one of a bundle, a results folder, embedded; did you mean 'embedded'?"),
        (str(tables), "neither a bundle nor a results folder (no bundle.json, no run.json)"),
        ("embedded", "bundle.json is not as it was written (cut or edited)"),
    ]:
        assert run("--against", name)[0] == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and line in said[0]
    (tables / "run.json").write_text('{"suite": "x"}')
    assert run("--against", str(tables))[0] == 2
    assert "it has tables and no cells" in capsys.readouterr().err


def test_a_reference_of_the_project_is_found_by_name(run, published, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "REFERENCES", tmp_path)
    shutil.copytree(published / "float16", tmp_path / "tiny")
    status, results = run("--collect", "--against", "tiny")
    assert status == 0 and json.loads((results / "run.json").read_text())["against"] == "tiny"


def test_a_published_run_that_has_changed_or_gone(run, published, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(published / "float16", copy)
    status, results = run("--collect", "--against", str(copy))
    assert status == 0
    capsys.readouterr()
    shutil.rmtree(copy)
    assert run("--collect", results=results)[0] == 2
    assert f"--against '{copy}': expected one of a bundle" in capsys.readouterr().err
    shutil.copytree(published / "float32", copy)
    assert run("--collect", results=results)[0] == 2
    assert "does not stand beside" in capsys.readouterr().err
    with pytest.raises(Exception, match="which has changed since"):
        open_run(results)


def test_nothing_is_written_into_a_bundle(run, published, capsys):
    assert run("--collect", results=published / "float16")[0] == 2
    assert "is a bundle: --against" in capsys.readouterr().err


def test_pairs_of_other_models_are_called_unpaired():
    pairs = pd.DataFrame(
        {
            "task": ["sst2", "sst2", "rte", "mean"],
            "backbone": "bert",
            "method_a": ["dact", "dact", "dact", "dact"],
            "method_b": ["mine", "deebert", "mine", "mine"],
            "unit_kind": ["seeds", "seeds", "seeds", "tasks"],
        }
    )
    row = {"split": "validation", "backbone": "bert", "method": "static", "seed": 1, "metric": "accuracy"}
    again = pd.DataFrame([{**row, "task": "sst2", "difference": -0.002}, {**row, "task": "rte", "difference": 0.0009}])
    found = called_unpaired(pairs, again, ["mine"])
    assert list(found["unit_kind"]) == ["unpaired seeds", "seeds", "seeds", "tasks"]
    line = "2 published models trained again: accuracy differs by at most 0.0020 (bert/sst2 static seed 1); "
    assert again_line(again) == line + "pairs are called unpaired on bert/sst2"
    assert again_line(again[1:]).endswith("at most 0.0009 (bert/rte static seed 1); pairs are paired by seed")
    assert again_line(again[:0]).startswith("no published model was trained again")
    assert len(called_unpaired(pairs[:0], again, ["mine"])) == 0


def test_the_fine_print_says_what_was_not_trained_here():
    rows = pd.DataFrame({"suite": ["embedded"] * 2, "method": ["dact", "mine"]})
    assert data_note(rows) == "Data: suite embedded (generated, not GLUE)."
    with set_to(Setting(published={"dact": "bundle x", "deebert": "bundle x"})):
        expected = "Data: suite embedded (generated, not GLUE). Published, not trained here: DACT-BERT (bundle x)."
        assert data_note(rows) == expected


def test_cells_of_a_published_run_that_failed_are_no_reason_to_skip(tmp_path):
    folder = make_folder(tmp_path / "r", ("rte",), ("static",), seeds=(0,))
    record = folder.records()[0]
    folder.write_record({k: v for k, v in record.items() if k != "checksum"} | {"status": "failed"})
    assert Published("x", folder).keys() == set()
