"""What the command line answers to wrong input: one line with the nearest valid choice, status 2, nothing trained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.plan.methods import check_suite_methods
from bench.plan.suite_file import RECIPES, load_suite, with_recipe
from methods import discover
from run_all import build_parser, main

ROOT = Path(__file__).parents[1]
TASKS = "all, sst2, mrpc, qnli, rte, qqp, mnli, cola, stsb, wnli"
METHODS = "all, static, distilbert, dact, dact-exact, deebert, pabee, pabee-frozen"


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command into folders of its own; gives the status and the lines on standard error."""

    def run(*arguments, results="results"):
        folders = ["--results", str(tmp_path / results), "--figures", str(tmp_path / "figures")]
        status = main([*arguments, *folders])
        return status, capsys.readouterr().err.strip().splitlines()

    return run


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--tasks", "sst3"], f"unknown task 'sst3': expected one of {TASKS}; did you mean 'sst2'?"),
        (["--methods", "deebrt"], "unknown method 'deebrt': expected one of {methods}; did you mean 'deebert'?"),
        (["--backbones", "brt"], "unknown backbone 'brt': expected one of bert, roberta; did you mean 'bert'?"),
        (["--students", "brt=x"], "unknown backbone 'brt': expected one of bert, roberta; did you mean 'bert'?"),
        (["--students", "bert"], "--students bert: expected NAME=DIR"),
        (["--suite", "glue-locl"], "unknown suite 'glue-locl': expected one of {suites}; did you mean 'glue-local'?"),
        (
            ["--suite", "glue-local"],
            "suite 'glue-local' names no checkpoints: give them with --backbones bert=DIR, roberta=DIR",
        ),
        (
            ["--suite", "glue-local", "--backbones", "bert=."],
            "suite 'glue-local' reads GLUE from a folder: name it with --glue-dir DIR",
        ),
        (
            ["--suite", "glue-local", "--backbones", "bert=.", "--glue-dir", "nowhere"],
            "--glue-dir: 'nowhere' is not a folder",
        ),
        (["--glue-dir", "."], "--glue-dir: suite 'embedded' reads embedded data; use --suite glue-local"),
        (
            ["--precision", "float23"],
            "unknown precision 'float23': expected one of float32, bfloat16, float16; did you mean 'float32'?",
        ),
        (["--seeds", "0"], "no seeds: expected --seeds N with N of at least 1, or --seed-list 0,1,2"),
        (["--seed-list", "1,x"], "--seed-list: expected whole numbers such as 0,1,2, got '1,x'"),
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
        (["--shard", "4/3"], "--shard: expected I/N with I from 1 to N, such as 1/3, got '4/3'"),
        (["--cell-timeout", "0"], "--cell-timeout: expected seconds above 0, got 0"),
        (["--backend", "dask"], "--backend dask: name the scheduler with --address tcp://HOST:PORT"),
        (["--address", "tcp://x:1"], "--address: only --backend dask has a scheduler"),
        (["--seeds", "10001"], "too many or too large seeds: expected at most 10000, each below 2147483648"),
        (["--limit", "0"], "--limit: expected at least 1 row, got 0"),
        (["--methods", "nowhere.py"], "method file 'nowhere.py' does not exist"),
        (["--backbones", "bert=./nowhere"], "checkpoint folder './nowhere' does not exist"),
        (
            ["--unlabelled", "."],
            "--unlabelled: every method named reads labels, name one that does not: fastbert",
        ),
        (["--unlabelled", "nowhere", "--methods", "fastbert"], "--unlabelled: 'nowhere' is not a folder"),
        (["--collect"], "results folder '{results}' holds no run: run.json is missing"),
    ],
)
def test_wrong_arguments(run, tmp_path, arguments, line):
    from bench.plan.suite_file import available

    status, lines = run(*arguments)
    expected = line.replace("{methods}", ", ".join(["default", "all", *discover()])).replace(
        "{suites}", ", ".join(available())
    )
    assert (status, lines) == (2, [f"run_all.py: {expected.replace('{results}', str(tmp_path / 'results'))}"])
    assert not (tmp_path / "results" / "cells").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("max_length = 48", "max_lenght = 48"), "unknown key 'max_lenght'; did you mean 'max_length'?"),
        (("max_length = 48", ""), "missing: 'max_length'"),
        (
            ('title = "generated miniature tasks"\nsource = "embedded"\nmax_length = 48', ""),
            "missing: 'title', 'source', 'max_length'",
        ),
        (
            ("[recipes.joint]\nepochs = 1", "[recipes.bert.pabee]"),
            "missing: a table [recipes.joint], 'epochs' in [recipes.bert.pabee]",
        ),
        (
            ("[recipes.joint]", "[recipes.brt.joint]"),
            "unknown backbone in [recipes] 'brt': expected one of bert; did you mean 'bert'?",
        ),
        (
            ("[recipes.joint]", "[limits.rtee]\ntrain = 9\n[recipes.joint]"),
            "unknown task in [limits] 'rtee': expected one of {tasks}; did you mean 'rte'?",
        ),
        (
            ("[recipes.joint]", "[limits.rte]\ntrian = 9\n[recipes.joint]"),
            "unknown key in [limits.rte] 'trian'; did you mean 'train'?",
        ),
        (
            ("[recipes.joint]", "[limits.rte]\ntrain = 0\n[recipes.joint]"),
            "[limits.rte]: train must be a whole number of rows, at least 1, got 0",
        ),
        (
            ("[recipes.joint]", "[limits.rte]\n[recipes.joint]"),
            "[limits.rte]: expected train or validation, a number of rows",
        ),
        (("max_length = 48", 'max_length = "48"'), "'max_length' must be of type int, got '48'"),
        (
            ('source = "embedded"', 'source = "embeded"'),
            "unknown source 'embeded': expected one of embedded, folder, hub; did you mean 'embedded'?",
        ),
        (
            ('title = "generated', 'extends = "papers"\ntitle = "generated'),
            "unknown suite to extend 'papers': expected one of {suites}; did you mean 'paper'?",
        ),
        (
            ("max_length = 48", 'max_length = 48\ncompat = "release"'),
            "unknown compat 'release': expected one of equal, released; did you mean 'released'?",
        ),
        (
            ("max_length = 48", 'max_length = 48\nrecipe = "trainer-default"'),
            "unknown recipe 'trainer-default': expected one of run-glue, trainer-defaults, deebert-scripts, "
            "pabee-scripts, fastbert-scripts, berxit-scripts; did you mean 'trainer-defaults'?",
        ),
        (
            ("epochs = 1", "warmup = 1\nepochs = 1"),
            "[recipes.stage1]: warmup must be a share of the steps, from 0 to below 1, got 1",
        ),
        (("epochs = 1", "accumulation = 0\nepochs = 1"), "[recipes.stage1]: accumulation must be positive, got 0"),
        (
            ("epochs = 1", "schedule_epochs = -1\nepochs = 1"),
            "[recipes.stage1]: schedule_epochs must not be negative, got -1",
        ),
        (
            (
                "[recipes.joint]",
                "[recipes.bert.stage3]\nepochs = 1\nlearning_rate = 1.0\nbatch_size = 1\n[recipes.joint]",
            ),
            "[recipes] names no stage or method with 'stage3'; did you mean 'stage2'?",
        ),
        (
            ("epochs = 1", "epoch = 1"),
            "unknown key in [recipes.stage1] 'epoch'; did you mean 'epochs'?",
        ),
        (("epochs = 1", "epochs = 0"), "[recipes.stage1]: epochs must be positive, got 0"),
        (("[recipes.joint]", "[recipes.joined]"), "missing: a table [recipes.joint]"),
        (
            ("max_length = 48", 'max_length = 48\nseed_scope = "head"'),
            "unknown seed_scope 'head': expected one of full, heads; did you mean 'heads'?",
        ),
    ],
)
def test_wrong_suites(run, tmp_path, tiny_suite, change, line):
    file = tmp_path / "embedded-broken.toml"
    file.write_text(tiny_suite.read_text().replace(*change, 1))
    from bench.plan.suite_file import available

    line = line.replace("{suites}", ", ".join(available())).replace("{tasks}", TASKS.removeprefix("all, "))
    assert run("--suite", str(file)) == (2, [f"run_all.py: suite 'embedded-broken': {line}"])


@pytest.mark.parametrize(
    ("variants", "line"),
    [
        (
            'dact = ["tua=0.1"]',
            "unknown variant 'tua=0.1' of dact: its parameters are tau, penalty; did you mean 'tau'?",
        ),
        ('dact = ["tau=much"]', "variant 'tau=much' of dact: tau must be a number, got 'much'"),
        ('dact = ["penalty=q"]', "variant 'penalty=q' of dact: penalty must be one of h, p"),
        ('dcat = ["tau=0.1"]', "suite 'embedded-broken': [variants] names no method with 'dcat'; did you mean 'dact'?"),
        (
            'dact = "tau=0.1"',
            "suite 'embedded-broken': [variants] must hold lists of text, such as dact = [\"tau=0.005\"]",
        ),
    ],
)
def test_wrong_variants(run, tmp_path, tiny_suite, variants, line):
    file = tmp_path / "embedded-broken.toml"
    file.write_text(tiny_suite.read_text() + f"\n[variants]\n{variants}\n")
    assert run("--suite", str(file)) == (2, [f"run_all.py: {line}"])


def test_generated_data_says_so_in_its_name(run, tmp_path, tiny_suite):
    (tmp_path / "mine.toml").write_text(tiny_suite.read_text())
    line = "suite 'mine': generated data must say so in every row: name the file embedded-mine.toml"
    assert run("--suite", str(tmp_path / "mine.toml")) == (2, [f"run_all.py: {line}"])


def test_named_recipes_fit_the_paper_suite():
    paper = load_suite("paper")
    for name in tomllib.loads(RECIPES.read_text()):
        check_suite_methods(with_recipe(paper, name), discover())
    fastbert = with_recipe(paper, "fastbert-scripts").recipe_of(discover()["fastbert"], "bert")
    assert (fastbert.epochs, fastbert.warmup) == (5, 0.1)


def test_a_recipe_for_nobody(run, tmp_path, tiny_suite):
    file = tmp_path / "embedded-broken.toml"
    recipe = "\n[recipes.deebrt]\nepochs = 1\nlearning_rate = 1e-3\nbatch_size = 20\n"
    file.write_text(tiny_suite.read_text() + recipe)
    line = (
        "run_all.py: suite 'embedded-broken': [recipes] names no stage or method with 'deebrt'; did you mean 'deebert'?"
    )
    assert run("--suite", str(file)) == (2, [line])


def test_a_suite_that_is_no_toml(run, tmp_path):
    (tmp_path / "x.toml").write_text("= 3")
    status, lines = run("--suite", str(tmp_path / "x.toml"))
    assert status == 2 and len(lines) == 1 and "is not valid TOML" in lines[0]


def test_a_folder_of_another_suite_is_refused(run, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "run.json").write_text(json.dumps({"suite": "paper", "methods": {}}))
    status, lines = run("--tasks", "rte", "--backbones", "bert")
    assert status == 2
    assert lines == [
        f"run_all.py: results folder '{results}' was made with suite 'paper', not 'embedded'; name another folder with "
        "--results DIR, or repeat the command that made this one"
    ]


def test_a_results_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, lines = run("--tasks", "rte", "--backbones", "bert", results="file/results")
    assert status == 2 and len(lines) == 1 and "cannot be written: Not a directory" in lines[0]


def test_the_plan_lists_the_cells_and_runs_nothing(run, tmp_path, capsys):
    assert (
        main(["--plan", "--tasks", "rte", "--backbones", "bert", "--seeds", "2", "--results", str(tmp_path / "r")]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    # static, distilbert, pabee, deebert and five tau, two seeds; the others replay their traces
    assert lines[-6].startswith("replayed, not trained: dact-exact (from dact)")
    assert lines[-5] == "nothing to fetch: data and checkpoints are on this machine"
    assert len(lines) == 2 * 9 + 6 and lines[-1] == "18 cells, 18 to run, 0 done or skipped"
    assert re.fullmatch(
        r"about \d+\.\d\d core-hours: [\d:]+ with \d+ at a time, until \d{4}-\d\d-\d\d \d\d:\d\d if started now "
        r"\(from the FLOP count, at 0\.4 of the \d+ GFLOP/s of a matrix product\)",
        lines[-4],
    )
    assert re.match(r"about 0:\d\d of one core for tables and figures", lines[-3])
    assert re.fullmatch(r"about \d+ MB of traces and \d+ MB of models on disk", lines[-2])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("imported", "heavy"),
    [
        ("run_all; run_all.build_parser().format_help()", "{'torch', 'numpy'}"),
        # what a command imports that finds nothing to do
        ("bench.app", "{'pandas', 'scipy', 'matplotlib', 'transformers', 'datasets', 'pyarrow'}"),
    ],
)
def test_heavy_imports_wait_until_they_are_needed(imported, heavy):
    code = f"import sys, {imported}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_command_that_repeats_a_run_says_what_to_run_and_not_where_or_how():
    from bench.plan.options import command_of

    what = ["--tasks", "sst2,rte", "--seed-list", "1,2", "--glue-dir", "my data", "--precision", "bfloat16"]
    how = ["--results", "r", "--jobs", "2", "--shard", "1/2", "--retry", "none", "--save-models", "--force", "--plan"]
    assert command_of(build_parser().parse_args([*how, *what])) == (
        "python run_all.py --suite embedded --tasks sst2,rte --seed-list 1,2 --glue-dir 'my data' "
        "--precision bfloat16 --device auto"
    )
