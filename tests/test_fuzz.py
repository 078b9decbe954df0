"""Mutated files and command lines: status 0 or 2, one line that says why, never a traceback, never a hang.

`--plan` reads everything a run reads and trains nothing.
"""

from __future__ import annotations

import re
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from run_all import main

#: Cases of each of the three kinds: a few in every run of the tests, many in `make soak`.
FEW, MANY = 40, 1700
counts = pytest.mark.parametrize("cases", [FEW, pytest.param(MANY, marks=pytest.mark.soak)])

RTE = "index\tsentence1\tsentence2\tlabel\n" + "".join(
    f"{i}\tA dog {i} runs.\tAn animal moves.\t{label}\n" for i, label in enumerate(["entailment", "not_entailment"] * 3)
)
ODD = ["", " ", "nan", "inf", "-1", "0", "1e999", "9" * 5000, "../../x", "<b>x</b>", "\\", '"', "'", "x" * 10_000]
ODD += ["\ud800", "\x1b[31m", "é", "\u202e", "=1+1", "$x_1$", "true", "[]", "{}", "[" * 3000, "\t", "\r", "\n", "#"]


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """Nobody answers: the hub is not what is tested here, and its client waits long before it gives up."""

    def refuse(*arguments):
        raise UserError("no hub")

    for module in ("checkpoints", "hub_checkpoints"):
        monkeypatch.setattr(f"bench.sources.{module}.hub_config", refuse)
    monkeypatch.setattr("bench.sources.hub_rows.Hub.read", refuse)


def check(arguments, folder):
    """Plan a command; it must end as the docstring above says."""
    out, err = StringIO(), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main([*arguments, "--plan", "--results", str(folder / "r"), "--figures", str(folder / "f")])
    except SystemExit as ended:  # argparse: usage, or --help
        assert ended.code in (0, 2)
        return
    lines = err.getvalue().splitlines()
    assert status in (0, 2), status
    assert (len(lines) == 1 and lines[0].startswith("run_all.py: ") and lines[0].isprintable()) if status else not lines
    assert not (folder / "r").exists()


def fuzz(cases, strategy, test):
    """Run a test on examples of a strategy."""
    options = settings(max_examples=cases, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    options(given(strategy)(test))()


def mutations(odd):
    """Edits of a text: a place in thousandths, how many characters go, what comes instead."""
    edit = st.tuples(st.integers(0, 1000), st.integers(0, 12), st.sampled_from(odd) | st.text(max_size=4))
    return st.lists(edit, min_size=1, max_size=4)


def mutated(text, edits):
    for place, gone, new in edits:
        at = len(text) * place // 1000
        text = text[:at] + new + text[at + gone :]
    return text.encode("utf8", "surrogatepass")


@counts
def test_tsv_files(tmp_path, checkpoints, cases):
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    (folder / "dev.tsv").write_text(RTE)
    command = ["--suite", "glue-local", "--glue-dir", str(tmp_path / "glue"), "--tasks", "rte", "--methods", "static"]
    command += ["--backbones", f"bert={checkpoints['bert']}", "--seeds", "1"]
    (folder / "train.tsv").write_text(RTE)
    check(command, tmp_path)

    def test(edits):
        (folder / "train.tsv").write_bytes(mutated(RTE, edits))
        check(command, tmp_path)

    fuzz(cases, mutations([*ODD, "\t\t", "entailment", "\ufeff", "\x00"]), test)


@counts
def test_suite_files(tmp_path, tiny_suite, cases):
    original = tiny_suite.read_text() + '\n[variants]\ndact = ["tau=0.005"]\n'
    file = tmp_path / "embedded-x.toml"
    command = ["--suite", str(file), "--tasks", "rte", "--methods", "dact", "--seeds", "1"]
    values = [found.span() for found in re.finditer(r"(?<= = ).*|(?<=\[)[^\]]*", original)]

    def test(choice):
        where, odd, edits = choice
        start, end = values[where]
        text = original[:start] + odd + original[end:] if odd is not None else original
        file.write_bytes(mutated(text, edits) if edits else text.encode("utf8", "surrogatepass"))
        check(command, tmp_path)

    odd = st.sampled_from(
        [*ODD, *(f'"{text}"' for text in ODD), '"\\u0000"', '"~nobody/x"', "1979-05-27", '["tau=nan"]']
    )
    where = st.integers(0, len(values) - 1)
    fuzz(cases, st.tuples(where, st.none() | odd, st.just([]) | mutations(ODD)), test)


OPTIONS = ["--suite", "--tasks", "--methods", "--backbones", "--students", "--seeds", "--seed-list", "--limit"]
OPTIONS += ["--glue-dir", "--precision", "--device", "--jobs", "--backend", "--address", "--shard", "--cell-timeout"]
OPTIONS += ["--retry", "--fail-fast", "--force", "--tinybert", "--compat", "--recipe", "--save-models"]
OPTIONS += ["--unlabelled"]
WORDS = [
    "rte",
    "sst2",
    "all",
    "static",
    "deebert",
    "bert",
    "bert=.",
    "embedded",
    "glue-local",
    "cpu",
    "1/2",
    "3",
    "0,1",
]
WORDS += ["dask", "none", "1.5", "tcp://x:1", "float32", "released", "default", "--help", "--", "-h", ","]


@counts
def test_command_lines(tmp_path, cases):
    odd = [text for text in ODD if "\x00" not in text]  # no program can be given one
    value = st.sampled_from([*WORDS, *odd]) | st.lists(st.sampled_from([*WORDS, *odd]), max_size=3).map(",".join)
    part = st.tuples(st.sampled_from(OPTIONS), value) | st.tuples(value) | st.tuples(st.sampled_from(OPTIONS))
    fuzz(
        cases,
        st.lists(part, max_size=4).map(lambda parts: [word for part in parts for word in part]),
        lambda words: check(["--tasks", "rte", "--seeds", "1", *words], tmp_path),
    )
