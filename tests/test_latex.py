"""LaTeX tables: digits by hand, the cells, and a real LaTeX where there is one."""

import math
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from bench.report import numbers as rounding
from bench.report.latex import escaped, write_latex
from bench.tables import claims as paper_claims
from bench.tables.scores import AREAS, QUANTITIES

NAN = math.nan


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.82134, 0.0234, "$82 \\pm 2$"),
        (0.82134, 0.0134, "$82.1 \\pm 1.3$"),
        (0.82134, 0.0034, "$82.1 \\pm 0.3$"),
        (0.82134, 0.000961, "$82.13 \\pm 0.10$"),  # .0961 points round to .10
        (0.82134, 0.23, "$82 \\pm 23$"),
        (0.82134, 0.0, "$82.1 \\pm 0.0$"),
    ],
)
def test_digits_follow_the_interval(mean, half, text):
    assert rounding.supported(mean, mean - half, mean + half) == text


def test_without_an_interval_one_decimal_and_no_value_a_dash():
    assert rounding.supported(0.82134, NAN, NAN) == "$82.1$"
    assert rounding.supported(NAN, NAN, NAN) == rounding.number(NAN, 1) == rounding.p_value(NAN) == "--"
    assert rounding.interval(-0.0123, 0.0456, 1) == "$[-1.2, 4.6]$" and rounding.interval(NAN, NAN, 1) == "--"
    assert rounding.p_value(0.0004) == "$<.001$" and rounding.p_value(0.0312) == "$0.031$"


@pytest.mark.parametrize(
    ("half", "text"),
    [
        (0.0111, "0.031 [0.020, 0.042]"),
        (0.3, "0.03 [-0.27, 0.33]"),
        (0.00042, "0.03120 [0.03078, 0.03162]"),
        (0, "0.031 [0.031, 0.031]"),
        (NAN, "0.031"),
    ],
)
def test_plain_text_has_two_digits_of_the_half_width(half, text):
    assert rounding.plain(0.0312, 0.0312 - half, 0.0312 + half) == text
    assert rounding.plain(NAN, NAN, NAN) == "--"


@pytest.fixture
def tables():
    """auc, budgets and paired with two methods, one of them with an awkward name and a proven lead."""
    panels = [("rte", "validation"), ("mnli", "validation_matched"), ("mean", np.nan)]
    auc, budgets, paired = [], [], []
    for task, split in panels:
        keys = {"suite": "embedded", "task": task, "split": split, "backbone": "bert", "metric": "accuracy"}
        for method, value in (("deebert", 0.8), ("my_own", 0.75)):
            ends = {
                f"{area}{end}": value + d for area in AREAS for end, d in (("", 0), ("_low", -0.02), ("_high", 0.02))
            }
            auc.append({**keys, "method": method, "seeds": 3, **ends})
            for budget in (0.25, 0.5):
                interval = {"value": value, "value_low": NAN, "value_high": NAN}
                budgets.append({**keys, "method": method, "seeds": 3, "budget": budget, **interval})
        for quantity in QUANTITIES:
            row = {"quantity": quantity, "method_a": "my_own", "method_b": "deebert", "difference": -0.05}
            row |= {"difference_low": -0.07, "difference_high": -0.03, "detectable": 0.03}
            row |= {"difference_boot_low": -0.08, "difference_boot_high": -0.02}
            row |= {"p_t_holm": 0.01, "p_boot_holm": 0.0005, "best": "deebert"}
            paired.append({**keys, **row, "winner": "deebert" if task == "rte" else ""})
    claims = [
        {"claim": claim.id, "text": claim.text, "value": 0.0312, "low": 0.0201, "high": 0.0423, "units": 6}
        for claim in paper_claims.claims()
    ]
    claims[[claim["claim"] for claim in claims].index("8")] |= {"value": NAN, "units": 0}
    claims += [{**claims[0], "claim": f"10{letter}", "text": f"ten {letter}"} for letter in "ab"]
    found = pd.DataFrame(claims).assign(suite="embedded", backbone="bert", unit_kind="tasks")
    found["verdict"] = "cannot be told at this size"
    keys |= {"task": "mean", "quantity": "loss", "tasks": 6, "seeds": 3, "promised_0_tasks": 4, "promised_1_tasks": 6}
    keys |= {"promised_2_tasks": 6, "certified_1_tasks": 0, "certified_2_tasks": 5, "certified_2": 0.004}
    saved = {"promised_0": 0.25, "promised_0_low": 0.2, "promised_0_high": 0.3}
    headline = [{**keys, "method": "my_own", "promised_0": 0.001}]
    headline += [{**keys, **saved, "method": "my_own", "quantity": "layers_saved"}]
    coins = {**keys, "task": "rte", "method": "my_own", "difference": 0.5}
    coins |= {"difference_low": -0.25, "difference_high": 1.25}
    tables = {"auc": auc, "budgets": budgets, "paired": paired, "reproduction": found, "headline": headline}
    tables["undecidable"] = [coins, {**coins, "task": "mean"}]
    tables = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return tables | {"auc": tables["auc"].assign(resolution="exact")}


def test_cells(tables, tmp_path):
    paths = write_latex(tmp_path / "latex", tables)
    names = [f"{name}-bert.tex" for name in ("auc", "budgets", "paired", "reproduction", "undecidable", "headline")]
    assert [path.name for path in paths] == names
    auc, budgets, paired, found, coins, headline = (path.read_text() for path in paths)
    assert coins.count("$0.50 [-0.25, 1.25]$") == 2 and "mean over tasks" in coins
    assert "layers saved & $25 \\pm 5$ \\\\" in headline and "tasks & 4 of 6 \\\\" in headline
    assert "a larger area than DeeBERT & $0.031 [0.020, 0.042]$ & 6 tasks & cannot be told at this size" in found
    tenth = found[found.index("\n10 & a ten a & ") :]  # a block of its own, not a line of claim 1
    assert "\n & b ten b & " in tenth
    assert "stops at lower confidence than DeeBERT & -- & -- & cannot be told at this size" in found
    assert " & RTE-like & \\textbf{\\boldmath $80 \\pm 2$} & $75 \\pm 2$ \\\\" in auc.replace("common range", "")
    assert " & MNLI-m-like & $80 \\pm 2$ & $75 \\pm 2$ \\\\" in auc and "mean over tasks" in auc
    assert "DeeBERT & my\\_own" in auc and "(generated, not GLUE)" in auc
    assert "25 \\% of layers" in budgets and "$75.0$" in budgets
    # the best minus the runner-up, whichever way round paired.csv has them
    assert "DeeBERT} & my\\_own & $5 \\pm 2$ & $[2.0, 8.0]$ & $3$ & $0.010$ & $<.001$" in paired


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here: apt-get install texlive-latex-recommended")
def test_a_real_latex_compiles_every_table(tables, tmp_path):
    inputs = "\n".join(f"\\input{{{path.name}}}" for path in write_latex(tmp_path, tables))
    text = (
        "\\documentclass[twocolumn]{article}\\usepackage{booktabs}\\begin{document}\n" + inputs + "\n\\end{document}\n"
    )
    (tmp_path / "paper.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_names_are_escaped_in_captions(tables, tmp_path):
    named = {name: table.assign(suite="under_s") for name, table in tables.items()}
    texts = {path.name: path.read_text() for path in write_latex(tmp_path / "latex", named)}
    assert not [name for name, text in texts.items() if "under_s" in text]
    assert "Data: suite under\\_s." in texts["auc-bert.tex"]
    assert escaped("a_b & 5 % ~ \\x {y}^2 #1 $") == (
        "a\\_b \\& 5 \\% \\textasciitilde{} \\textbackslash{}x \\{y\\}\\textasciicircum{}2 \\#1 \\$"
    )
