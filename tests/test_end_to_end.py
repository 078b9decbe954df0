"""Whole runs through the command line, on a suite that is as small as it can be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from bench.errors import UserError
from bench.plan.cell import key_of
from bench.report.figures import PLOTS
from bench.store.folder import RunFolder
from bench.tables.again import AGAIN
from bench.tables.registry import TABLES
from bench.tables.reproduction import read_sources, reproduction_table
from run_all import main

COMMAND = ["--tasks", "rte,mnli", "--backbones", "bert", "--seeds", "2", "--limit", "40", "--jobs", "2"]


def run(suite: Path, folder: Path, *arguments: str) -> int:
    return main(
        ["--suite", str(suite), "--results", str(folder / "results"), "--figures", str(folder / "figures"), *arguments]
    )


def hashes(folder: Path) -> dict[str, str]:
    files = sorted((folder / "results").glob("*.csv"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def finished(tiny_suite, tmp_path_factory):
    """A folder with a finished run of all default methods."""
    folder = tmp_path_factory.mktemp("finished")
    assert run(tiny_suite, folder, *COMMAND) == 0
    return folder


def test_results_as_frames_and_arrays(finished, tmp_path):
    from bench import load_results

    results = load_results(finished / "results")
    assert set(results.tables) == set(TABLES) and results.run["limit"] == 40
    points = results.tables["points"].query("method == 'deebert' and task == 'mnli'")
    traces = results.traces(points["cell"].iloc[0])
    assert set(traces) == {"validation_matched", "validation_mismatched"}
    assert traces["validation_matched"].logits.shape == (40, 12, 3)
    with pytest.raises(UserError, match="has no finished cell 'abc'"):
        results.traces("abc")
    with pytest.raises(UserError, match="is no results folder: expected"):
        load_results(tmp_path)


def test_the_documented_program_for_figures(finished, tmp_path):
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [
            sys.executable,
            "docs/examples/own_figure.py",
            finished / "results",
            "bert",
            "rte",
            "deebert",
            tmp_path / "a.png",
        ],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "", "HOME": str(tmp_path), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("30 points of 2 seeds") and (tmp_path / "a.png").stat().st_size > 10_000


def has_rows(path: Path) -> bool:
    return len(pd.read_csv(path)) > 0


def test_every_output_is_there(finished):
    assert sorted(hashes(finished)) == sorted(f"{name}.csv" for name in TABLES)
    figures = {path.name for path in (finished / "figures").iterdir()}
    drawn = {
        name: plot
        for name, plot in PLOTS.items()
        if set(plot.tables) <= set(TABLES) and has_rows(finished / "results" / f"{plot.tables[0]}.csv")
    }
    stems = [f"{name}-bert" if plot.per_backbone else name for name, plot in drawn.items()]
    assert set(PLOTS) - set(drawn) <= {"latency", "undecidable"}
    assert figures == {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "svg", "png")}
    assert "The command was not recorded" not in (finished / "results" / "report.html").read_text()
    assert len(list((finished / "results" / "environments").glob("*.json"))) == 1
    assert not list((finished / "results" / "checkpoints").iterdir()), "models that nobody needs were kept"


def test_points(finished):
    points = pd.read_csv(finished / "results" / "points.csv", keep_default_na=False, na_values=[""])
    assert set(points["split"]) == {"validation", "validation_matched", "validation_mismatched"}
    counts = points.groupby(["method", "task", "split", "seed"]).size().unstack(0)
    assert (counts["static"] == 1).all() and (counts["distilbert"] == 1).all()
    assert (counts["dact"] == 5).all() and (counts["dact-exact"] == 5).all()
    assert (counts["pabee"] == 12).all() and (counts["pabee-frozen"] == 12).all()
    assert (counts["truncated"] == 12).all()
    assert set(counts["deebert"].xs("rte")) == {15} and set(counts["deebert"].xs("mnli")) == {23}
    assert points["layer_fraction"].between(0, 1).all() and (points["n"] == 40).all()
    by_method = points.set_index("method")["layer_fraction"]
    assert (by_method["static"] == 1).all() and (by_method["distilbert"] == 0.5).all()
    both = points[points["method"].isin(["dact", "dact-exact"])].pivot(
        index=["cell", "split"], columns="method", values=["layer_fraction", "value"]
    )
    assert (both["value"]["dact"] == both["value"]["dact-exact"]).all(), "halting changed an answer"
    assert (both["layer_fraction"]["dact-exact"] <= both["layer_fraction"]["dact"]).all()


def test_exits_add_up(finished):
    exits = pd.read_csv(finished / "results" / "exits.csv")
    keys = ["cell", "split", "method", "knob_value"]
    sums = exits.groupby(keys, dropna=False)["exit_count"].sum()
    assert (sums == 40).all()
    assert (exits.loc[exits["layer"] == 1, "used_count"] == 40).all()


def test_full_depth_values_are_those_of_the_evaluate_library(finished):
    points = pd.read_csv(finished / "results" / "points.csv")
    for file in (finished / "results" / "cells").glob("*.json"):
        record = json.loads(file.read_text())
        if record["spec"]["method"] in ("static", "dact"):
            for split, values in record["full_depth"].items():
                rows = points[(points["cell"] == record["key"]) & (points["split"] == split)]
                for name, value in values.items():
                    # halting never changes DACT's answer, so its points stand at full depth, too
                    assert rows[name].to_numpy() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("key", "value"),
    [("checkpoint", "b" * 64), ("data", "c" * 64), ("limit", 50), ("precision", "bfloat16"), ("recipe", {"epochs": 9})],
)
def test_a_cell_of_another_run_is_refused(key, value, finished, tmp_path, capsys):
    shutil.copytree(finished / "results", tmp_path / "results")
    folder = RunFolder(tmp_path / "results")
    record = next(record for record in folder.records() if record["spec"]["method"] == "static")
    spec = {**record["spec"], key: value}
    folder.write_record({**record, "spec": spec, "key": key_of(spec)})  # as if copied from elsewhere
    assert run(Path("embedded"), tmp_path, "--collect") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"holds 1 cell of another run: '{record['label']}' was made with {key} {str(value)[:6]}" in line
    assert ", the run has " in line and len(line) <= 300
    assert f"(cells/{key_of(spec)[:12]}*.json)" in line


def documented_columns() -> dict[str, list[str]]:
    """The columns that docs/outputs.md lists for every table, in order."""
    columns, name = {}, None
    for line in (Path(__file__).parents[1] / "docs" / "outputs.md").read_text().splitlines():
        if line.startswith("## "):
            name = line[3:]
        elif line.startswith("| ") and str(name).endswith(".csv") and not line.startswith(("| column", "| ---")):
            columns.setdefault(name, []).extend(line.split("|")[1].strip().split(", "))
    return columns


def test_every_column_is_documented(finished, tmp_path):
    results = finished / "results"
    command = ["--compare", str(results), str(results), "--results", str(tmp_path), "--figures", str(tmp_path)]
    assert main(command) == 0
    files = [*results.glob("*.csv"), *tmp_path.glob("*.csv")]
    written = {file.name: pd.read_csv(file, nrows=0).columns.tolist() for file in files}
    documented = documented_columns()
    assert sorted(documented) == sorted({*written, "latency.csv", "again.csv"})  # those have tests of their own
    assert documented["again.csv"] == AGAIN
    for name, columns in written.items():
        assert sorted(documented[name]) == sorted(columns), name
    assert {f"{name}.csv": table.columns for name, table in TABLES.items()}.items() <= written.items()
    assert (pd.read_csv(tmp_path / "comparison.csv")["difference"] == 0).all()


def test_latex_tables(finished):
    names = sorted(path.name for path in (finished / "results" / "latex").iterdir())
    kinds = ["auc", "budgets", "headline", "paired", "reproduction", "stability", "undecidable"]
    with_rows = [kind for kind in kinds if has_rows(finished / "results" / f"{kind}.csv")]
    assert names == [f"{kind}.tex" for kind in with_rows]


def test_the_claims_are_the_same_from_the_files(finished):
    written = (finished / "results" / "reproduction.csv").read_text()
    again = reproduction_table(read_sources(finished / "results"))
    assert again.to_csv(index=False, lineterminator="\n") == written
    assert set(pd.read_csv(finished / "results" / "confidence.csv")["train_rows"]) == {40}


def test_the_same_command_again_changes_nothing(finished, tiny_suite, capsys):
    before = hashes(finished)
    assert run(tiny_suite, finished, *COMMAND) == 0
    said = capsys.readouterr().out
    assert "0 cells to run" in said and "are up to date" in said
    assert hashes(finished) == before


def test_a_lost_figure_is_drawn_again(finished, tiny_suite):
    figure = finished / "figures" / "figure2.png"
    kept = figure.read_bytes()
    figure.unlink()
    assert run(tiny_suite, finished, *COMMAND) == 0
    assert figure.read_bytes() == kept


def test_collect_rebuilds_the_tables(finished, tiny_suite):
    before = hashes(finished)
    for file in (finished / "results").glob("*.csv"):
        file.unlink()
    assert run(tiny_suite, finished, "--collect") == 0
    assert hashes(finished) == before


def test_another_folder_gets_the_same_tables(finished, tiny_suite, tmp_path):
    assert run(tiny_suite, tmp_path, *COMMAND, "--jobs", "1") == 0
    assert hashes(tmp_path) == hashes(finished)


def test_a_lost_trace_is_made_again(finished, tiny_suite, capsys):
    before = hashes(finished)
    traces = sorted((finished / "results" / "traces").iterdir())
    kept = traces[0].read_bytes()
    traces[0].unlink()
    assert run(tiny_suite, finished, *COMMAND) == 0
    assert traces[0].read_bytes() == kept
    assert hashes(finished) == before


def test_damaged_files_are_set_aside_and_made_again(finished, tiny_suite, capsys):
    before = hashes(finished)
    trace = sorted((finished / "results" / "traces").iterdir())[1]
    record = sorted((finished / "results" / "cells").iterdir())[-1]
    kept = trace.read_bytes()
    trace.write_bytes(kept[:-1])
    record.write_text(record.read_text().replace('"status": "ok"', '"status": "OK"'))
    assert run(tiny_suite, finished, "--collect") == 1
    assert "2 files are not as they were written and were left out" in capsys.readouterr().err
    assert run(tiny_suite, finished, *COMMAND) == 0
    assert trace.read_bytes() == kept and hashes(finished) == before
    aside = sorted(path.name for path in (finished / "results" / "damaged").iterdir())
    assert aside == sorted([trace.name, record.name])


def test_another_limit_is_refused(finished, tiny_suite, capsys):
    assert run(tiny_suite, finished, *COMMAND, "--limit", "41") == 2
    assert "was made with limit 40, not 41" in capsys.readouterr().err


def test_finished_cells_that_do_not_count_are_rows_of_failures_csv(finished, tmp_path, capsys):
    shutil.copytree(finished / "results", tmp_path / "results")
    folder = RunFolder(tmp_path / "results")
    gone, old, lost = [record for record in folder.records() if record["spec"]["method"] == "pabee"][:3]
    gone["spec"]["method"] = "gone"
    old["spec"]["version"] += 1
    for record in (gone, old):
        folder.write_record(record)
    folder.trace_path(lost["key"], next(iter(lost["traces"]))).unlink()
    capsys.readouterr()
    assert main(["--collect", "--results", str(folder.path), "--figures", str(tmp_path / "figures")]) == 0
    assert f"3 finished cells left out, see {folder.path / 'failures.csv'}" in capsys.readouterr().err
    failures = pd.read_csv(folder.path / "failures.csv").set_index("cell")
    assert (failures["status"] == "left out").all() and len(failures) == 3
    version = old["spec"]["version"]
    reasons = {
        gone["key"]: "unknown method 'gone': no file of methods/ and none that run.json names defines it",
        old["key"]: f"version {version} of the method, the program has {version - 1}: run again",
        lost["key"]: "a trace is missing or not as it was written: run again",
    }
    assert failures["reason"].to_dict() == reasons and failures["method"].iloc[-1] == "gone"
    assert not set(reasons) & set(pd.read_csv(folder.path / "points.csv")["cell"])
    assert "0 failed, 0 skipped, 3 left out" in (folder.path / "report.html").read_text()


METHOD = '''
"""A method from outside the project."""
import os
from methods.static import Static

class Outside(Static):
    """A. Nobody, 2026. Fails where it is told to."""
    name = "outside"
    recipe = "joint"
    parameters = {"mode": ("fine", "raise", "die", "diverge", "hoard")}
    variants = ("mode=fine", "mode=raise", "mode=die", "mode=diverge", "mode=hoard")

    def loss(self, exits, batch):
        if batch.variant["mode"] == "raise":
            raise RuntimeError("this method cannot train\\nnot even a bit")
        if batch.variant["mode"] == "die":
            os.kill(os.getpid(), 9)
        if batch.variant["mode"] == "hoard":
            bytearray(2**60)
        loss = super().loss(exits, batch)
        return loss * float("nan") if batch.variant["mode"] == "diverge" else loss
'''


def test_failures_are_rows_and_the_rest_goes_on(tiny_suite, tmp_path, capsys):
    (tmp_path / "outside.py").write_text(METHOD)
    command = ["--tasks", "rte", "--backbones", "bert", "--seeds", "1", "--limit", "40", "--jobs", "2"]
    command += ["--methods", f"{tmp_path / 'outside.py'},pabee", "--cell-timeout", "3600"]
    assert run(tiny_suite, tmp_path, *command) == 1
    failures = pd.read_csv(tmp_path / "results" / "failures.csv").set_index("variant")["reason"].to_dict()
    hoard = failures.pop("mode=hoard")  # tried again in smaller parts, in vain
    assert hoard.startswith("out of memory on cpu with ") and "10 rows at once (accumulation = 2)" in hoard
    assert failures == {
        "mode=raise": "RuntimeError: this method cannot train",
        "mode=die": "its worker process died: killed, or out of memory",
        "mode=diverge": "FloatingPointError: the training loss is nan at step 1: training diverged",
    }
    points = pd.read_csv(tmp_path / "results" / "points.csv")
    assert set(points["method"]) == {"outside", "pabee"}
    assert len(points[points["method"] == "outside"]) == 1

    capsys.readouterr()
    assert run(tiny_suite, tmp_path, *command, "--retry", "none") == 1
    assert "0 cells to run" in capsys.readouterr().out
    assert run(tiny_suite, tmp_path, *command, "--plan") == 0
    assert "4 to run" in capsys.readouterr().out, "only what failed is run again"


def test_ctrl_c_keeps_what_is_finished(tiny_suite, tmp_path, capsys):
    command = ["--suite", str(tiny_suite), *COMMAND]
    command += ["--results", str(tmp_path / "results"), "--figures", str(tmp_path / "figures")]
    process = subprocess.Popen(
        [sys.executable, "run_all.py", *command],
        cwd=Path(__file__).parents[1],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, which gets the signal as a terminal would send it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the tests run in the background
    )
    cells = tmp_path / "results" / "cells"
    while not list(cells.glob("*.json")):
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted: what is finished is kept; the same command again goes on"
    assert "Traceback" not in errors
    kept = len(list(cells.glob("*.json")))
    assert main([*command, "--plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"36 cells, {36 - kept} to run, {kept} done or skipped"


def test_unlabelled_rows_are_learnt_from_where_no_label_is_read(tiny_suite, tmp_path, capsys):
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE" / "unlabelled.tsv").write_text("sentence1\tsentence2\n" + "it rains\tit is wet\n" * 30)
    command = ["--tasks", "rte", "--backbones", "bert", "--seeds", "1", "--jobs", "1", "--methods", "fastbert,deebert"]
    assert run(tiny_suite, tmp_path, *command, "--unlabelled", str(tmp_path)) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "cells").glob("*.json")]
    seen = {record["spec"]["method"]: record["examples_seen"] for record in records}
    assert seen["fastbert"] == seen["deebert"] + 30 and len({record["constant_label"] for record in records}) == 1
    capsys.readouterr()
    assert run(tiny_suite, tmp_path, *command) == 2
    line = capsys.readouterr().err
    assert "was made with other unlabelled for 'rte'" in line and "not none" in line


def test_no_student_is_a_reason_not_a_failure(tiny_suite, tmp_path):
    suite = tmp_path / "embedded-no-student.toml"
    suite.write_text(tiny_suite.read_text().replace('student = "distilbert-nano"\n', ""))
    command = ["--tasks", "rte", "--backbones", "bert", "--seeds", "1", "--limit", "40", "--methods", "distilbert"]
    assert run(suite, tmp_path, *command) == 0
    failures = pd.read_csv(tmp_path / "results" / "failures.csv")
    reason = "no student checkpoint: name one with --students bert=DIR"
    assert failures[["status", "reason"]].to_numpy().tolist() == [["skipped", reason]]


def test_real_glue_on_a_real_backbone(tmp_path):
    shared = Path(__file__).parents[2] / "shared"
    backbone = shared / "backbones" / "minilm-l6-h384-uncased"
    if not backbone.is_dir():
        pytest.skip("no folder with real GLUE and a real backbone beside the project")
    arguments = ["--suite", "glue-local", "--glue-dir", str(shared / "glue"), "--backbones", f"bert={backbone}"]
    arguments += ["--tasks", "sst2,stsb", "--methods", "static,pabee,deebert", "--seeds", "1", "--limit", "16"]
    arguments += ["--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f"), "--jobs", "1"]
    assert main(arguments) == 0
    points = pd.read_csv(tmp_path / "r" / "points.csv")
    assert set(points["task"]) == {"sst2", "stsb"}
    assert set(points.loc[points["task"] == "stsb", "method"]) == {"static", "pabee"}
    failures = pd.read_csv(tmp_path / "r" / "failures.csv")
    assert failures["reason"].unique().tolist() == ["the entropy rule needs classes, this task is a regression"]
