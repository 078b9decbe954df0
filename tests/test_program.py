"""The program `early-exit-bench`: its words and the options that they stand for, what it lists, shows and reports."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from invented import OUTSIDE, make_folder
from setuptools import Distribution

import bench.app
import methods
from bench.cli import INSTALLED, OTHERS, VERBS, main
from bench.plan.options import command_of
from bench.run.state import State, running
from bench.sources.tasks import TASKS
from bench.store.folder import RunFolder
from methods import discover

ROOT = Path(__file__).parents[1]


@pytest.fixture
def parsed(monkeypatch):
    """`parsed(words)`: the options that a command line ends in."""
    found = []
    monkeypatch.setattr(bench.app, "run", lambda options: found.append(vars(options)) or 0)

    def parse(*words):
        assert main(list(words), INSTALLED) == 0
        return found.pop()

    return parse


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["run"], []),
        (["plan"], ["--plan"]),
        (["prepare"], ["--prepare"]),
        (["collect"], ["--collect"]),
        (["compare", "a", "b"], ["--compare", "a", "b"]),
        (["check-method", "dact"], ["--check-method", "dact"]),
        (["latency"], ["--measure-latency"]),
        (["export", "b"], ["--export", "b"]),
        (["check-bundle", "b"], ["--check-bundle", "b"]),
    ],
)
def test_a_word_stands_for_its_option(parsed, words, flags):
    more = ["--tasks", "rte", "--seeds", "2"]
    assert parsed(*words, *more) == parsed(*flags, *more) == parsed(*more, *flags)


def test_every_word_is_in_the_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"], INSTALLED)
    said = capsys.readouterr().out
    assert ended.value.code == 0 and all(f"\n  {word} " in said for word in [*VERBS, *OTHERS])
    assert "early-exit-bench run --tasks all --seeds 3" in said


def test_a_command_that_repeats_a_run_is_the_programs_own(parsed):
    assert command_of(SimpleNamespace(**parsed("run", "--tasks", "rte"))).startswith(
        "early-exit-bench run --suite embedded --tasks rte"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rnu"], "unknown command 'rnu': expected one of run, plan, "),
        (
            ["list", "methds"],
            "unknown kind 'methds': expected one of tasks, methods, suites, backbones, references; did",
        ),
        (["show", "dacct"], "did you mean 'dact'?"),
        (["status", "nowhere"], "'nowhere' holds no run: run.json is missing"),
        (["plan", "--tasks", "sst3"], "unknown task 'sst3'"),
    ],
)
def test_wrong_words_are_one_line(capsys, words, line):
    assert main(words, INSTALLED) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("early-exit-bench: ") and line in said[0]


def test_the_help_of_the_installed_program_needs_no_heavy_import():
    code = "import sys; from bench.cli import build_parser; build_parser('x').format_help()"
    code += "; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_list_names_everything_there_is(capsys):
    assert main(["list"], INSTALLED) == 0
    said = capsys.readouterr().out
    for name in [*TASKS, *discover(), "paper", "glue-minilm", "bert", "roberta"]:
        assert f"\n  {name} " in said
    assert main(["list", "tasks"], INSTALLED) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(TASKS)


def test_a_method_is_shown_with_its_rule_knob_and_variants(capsys):
    assert main(["show", "dact"], INSTALLED) == 0
    said = capsys.readouterr().out
    assert "Halts where Eq. 2 holds" in said and "knob: eps = 0 (12 layers, 2 classes)" in said
    assert "variants: tau=5e-05, tau=0.0005, tau=0.005, tau=0.05, tau=0.5" in said
    assert "parameters: tau (default 0.005), penalty (default h, of h, p)" in said
    assert "not for regression: the halting bound needs classes" in said
    assert main(["show", f"{OUTSIDE},pabee-frozen"], INSTALLED) == 0
    said = capsys.readouterr().out
    assert "Leaving when sure" in said and "trains nothing: replays the models of deebert" in said


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "results", ("rte",), ("static", "deebert"), seeds=(0,))


def test_the_status_of_a_folder_that_nothing_runs_in(folder, capsys):
    record = {k: v for k, v in folder.records()[0].items() if k != "checksum"}
    folder.write_record(record | {"status": "failed", "reason": "ValueError: no"})
    assert main(["status", str(folder.path), "--json"], INSTALLED) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "failed" and found["cells"] == {"ok": 1, "failed": 1, "skipped": 0}
    assert found["failed"] == [{"cell": record["label"], "reason": "ValueError: no"}]
    assert found["tables"] == "none yet" and found["ends_at"] is None
    assert main(["status", str(folder.path)], INSTALLED) == 0
    assert "1 cells ok, 1 failed, 0 skipped" in capsys.readouterr().out


def test_the_status_of_a_run_in_another_process(folder, capsys):
    state = State(folder)
    running_now = [{"cell": "bert/rte dact seed 0", "seconds": 61.0}]
    state.write(cells=9, done=2, failed=0, elsewhere=0, running=running_now, seconds_left=30.0)
    assert main(["status", str(folder.path)], INSTALLED) == 0
    said = capsys.readouterr().out
    assert "running\n2 of 9 cells ok" in said and "running: bert/rte dact seed 0 for 1:01" in said and "ends at" in said
    state.remove()
    assert running(folder) == []


def test_a_killed_process_is_not_said_to_run(folder):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    state = State(folder)
    state.write(cells=1, done=0, failed=0, elsewhere=0, running=[], seconds_left=None)
    about = json.loads(state.path.read_text())
    assert [each["pid"] for each in running(folder)] == [os.getpid()]
    state.path.write_text(json.dumps({**about, "pid": gone.pid}))
    assert running(folder) == []
    state.path.write_text(json.dumps({**about, "host": "another", "updated": about["updated"] - 1000}))
    assert running(folder) == []
    State(folder)
    assert list((folder.path / "progress").iterdir()) == []  # the next process cleans up


def test_a_run_says_how_far_it_is_and_takes_that_back(tmp_path, monkeypatch):
    from fake_cells import make_grid, run_cells

    from bench.run import state

    monkeypatch.setattr(state, "WRITE_EVERY", 0.0)
    said = []
    original = State.write
    monkeypatch.setattr(State, "write", lambda self, **about: (said.append(about), original(self, **about)))
    folder = RunFolder(tmp_path / "r")
    assert run_cells(make_grid(1, seconds=0.6), folder) == 0
    assert said and said[-1]["cells"] == 3 and all("seconds" in cell for each in said for cell in each["running"])
    assert list((folder.path / "progress").iterdir()) == []


def test_methods_of_other_packages_are_found(tmp_path, monkeypatch, capsys):
    package = tmp_path / "their_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "margin.py").write_text(OUTSIDE.read_text().replace('name = "margin"', 'name = "their-margin"'))
    about = tmp_path / "their_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    entries = "[early_exit_bench.methods]\nmargin = their_package.margin\nbroken = their_package.nowhere\n"
    (about / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    methods.from_packages.cache_clear()
    try:
        found = discover()
        assert list(found)[: len(methods.DEFAULT)] == list(methods.DEFAULT) and "their-margin" in found
        assert len(found["their-margin"].content) == 64  # nobody raises its version: its file is part of every key
        assert "methods of 'their_package.nowhere' are left out: ModuleNotFoundError" in capsys.readouterr().err
        assert main(["show", "their-margin"], INSTALLED) == 0
    finally:
        methods.from_packages.cache_clear()
    monkeypatch.undo()
    assert "their-margin" not in discover()


def test_a_wheel_has_all_that_the_program_reads(monkeypatch):
    """Everything beside the code in bench/ that is kept under version control, as the build finds it."""
    monkeypatch.chdir(ROOT)
    build = Distribution({"script_name": "setup.py"})
    build.parse_config_files()
    command = build.get_command_obj("build_py")
    command.ensure_finalized()
    found = command.get_data_files_without_manifest()
    packed = {Path(source, name) for _, source, _, names in found for name in names}
    packed |= {Path(file) for _, _, file in command.find_all_modules()}
    here = [path.relative_to(ROOT) for part in ("bench", "methods") for path in (ROOT / part).rglob("*.*")]
    needed = {path for path in here if path.suffix != ".pyc" and "__pycache__" not in path.parts}
    assert needed - packed == set()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"] == {
        "early-exit-bench": "bench.cli:installed"
    }
