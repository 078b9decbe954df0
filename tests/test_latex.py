"""LaTeX tables: the cells, tables that are whole, and a real LaTeX where there is one."""

import math
import re
import shutil
import subprocess
from itertools import product

import numpy as np
import pandas as pd
import pytest

from bench.report import numbers as rounding
from bench.report.figures.looks import LABELS
from bench.report.latex import write_latex
from bench.report.typeset import escaped
from bench.tables import claims as paper_claims
from bench.tables.registry import TABLES as CSV
from bench.tables.scores import AREAS, QUANTITIES

NAN = math.nan


def test_numbers_of_a_table_have_the_same_digits():
    assert rounding.mean_and_half(0.82134, 0.79794, 0.84474) == ("$82.1$", "${}\\pm 2.3$")
    assert rounding.mean_and_half(-1.234, -1.3, -1.168, digits=2, unit=1) == ("$-1.23$", "${}\\pm 0.07$")
    assert rounding.mean_and_half(0.82134, NAN, NAN) == ("$82.1$", "")
    assert rounding.value_and_ends(0.0312, 0.0201, 0.0423) == ("$0.031$", "$\\;[0.020, 0.042]$")
    assert rounding.mean_and_half(NAN, NAN, NAN) == rounding.value_and_ends(NAN, NAN, NAN) == ("--", "")
    assert rounding.number(NAN) == rounding.p_value(NAN) == rounding.interval(NAN, NAN) == "--"
    assert rounding.interval(-0.0123, 0.0456) == "$[-1.2, 4.6]$" and rounding.number(0.123) == "$12.3$"
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


NAMES = ["headline", "auc", "budgets", "paired", "focus", "stability", "undecidable", "reproduction"]
PANELS = [("rte", "validation"), ("mnli", "validation_matched"), ("mean", np.nan)]

REASON = "exits that answer the constant where a probe sees more: dact on mrpc, qqp; pabee on mrpc, qqp"


def make_tables(backbones=("bert", "roberta"), methods=("deebert", "my_own"), panels=PANELS, claims=True, why=REASON):
    """The tables of a run; on RTE the first of the methods has a proven lead over the second."""
    rows = {name: [] for name in NAMES}
    for backbone, (task, split) in product(backbones, panels):
        keys = {
            "suite": "embedded",
            "task": task,
            "split": split,
            "backbone": backbone,
            "metric": "accuracy",
            "seeds": 3,
        }
        for method, value in zip(methods, np.arange(0.8, 0.3, -0.02), strict=False):
            mine = keys | {"method": method}
            rows["auc"].append(mine | {"resolution": "exact"} | spread_of(AREAS, value, 0.02))
            rows["budgets"] += [{**mine, "budget": budget, **spread_of(["value"], value)} for budget in (0.25, 0.5)]
            rows["undecidable"].append(mine | spread_of(["difference"], 0.5, 0.75))
            if task != "mean":
                rows["stability"].append(mine | {"x_sd": 0.012, "value_sd": 0.034})
                continue
            tasks = {"tasks": 6, "promised_0_tasks": 4, "promised_1_tasks": 6, "promised_2_tasks": 6}
            tasks |= {"certified_1_tasks": 0, "certified_2_tasks": 5}
            choices = ["promised_0", "promised_1", "promised_2"]
            for quantity in ("layers_saved", "loss"):
                found = spread_of(choices, 0.25, 0.05) | {"certified_1": NAN, "certified_2": 0.004}
                rows["headline"].append(mine | tasks | found | {"quantity": quantity})
        for quantity in QUANTITIES if len(methods) > 1 else ():
            row = {"quantity": quantity, "method_a": methods[1], "method_b": methods[0], "detectable": 0.03}
            row |= spread_of(["difference"], -0.05, 0.02) | {"p_t_holm": 0.01, "p_boot_holm": 0.0005}
            row |= {"difference_boot_low": -0.08, "difference_boot_high": -0.02, "best": methods[0]}
            rows["paired"].append({**keys, **row, "winner": methods[0] if task == "rte" else ""})
    for backbone, claim in product(backbones if claims else (), paper_claims.claims()):
        row = {"suite": "embedded", "backbone": backbone, "claim": claim.id, "text": claim.text, "unit_kind": "tasks"}
        row |= spread_of(["value"], 0.0312, 0.0111) | {"low": 0.0201, "high": 0.0423, "units": 6, "why": why}
        row |= {"verdict": "cannot be told at this size"}
        rows["reproduction"].append(row | ({"value": NAN, "units": 0} if claim.id == "8" else {}))
    focus = rows["paired"] and pd.DataFrame(rows["paired"]).rename(columns={"method_a": "focus", "method_b": "rival"})
    made = {name: pd.DataFrame(of, columns=None if of else CSV[name].columns) for name, of in rows.items()}
    return made | ({"focus": focus} if len(focus) else {})


def spread_of(names, value, half=NAN):
    """A value under several names, each with the ends of its interval."""
    return {f"{name}{end}": value + d for name in names for end, d in (("", 0), ("_low", -half), ("_high", half))}


def body(text):
    """The rows of all tabulars of a file: title and cells, without spaces at their ends."""
    inside = re.findall(r"\\begin{tabular}.*?\n(.*?)\\end{tabular}", text, flags=re.DOTALL)
    lines = [line.removesuffix("\\\\") for part in inside for line in part.splitlines() if line.endswith("\\\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]


def written(tables, folder):
    return {path.stem: path.read_text() for path in write_latex(folder, tables)}


def test_cells(tmp_path):
    texts = written(make_tables(), tmp_path / "latex")
    assert list(texts) == NAMES
    rows = {name: body(text) for name, text in texts.items()}
    in_bold, even = ["$\\mathbf{80.0}$", "${}\\pm \\mathbf{2.0}$"], ["$80.0$", "${}\\pm 2.0$"]
    assert rows["auc"][2:4] == [["my\\_own", *["$78.0$", "${}\\pm 2.0$"] * 3], ["DeeBERT", *in_bold, *even * 2]]
    assert rows["auc"][0][1:] == [f"\\multicolumn{{2}}{{c}}{{{name}}}" for name in ("RTE-like", "MNLI-m-like", "mean")]
    blocks = [
        f"{name}, {area}" for name in ("BERT", "RoBERTa") for area in ("common range", "all budgets", "budgets to .5")
    ]
    assert re.findall(r"\\emph{(.*?)}", texts["auc"]) == re.findall(r"\\emph{(.*?)}", texts["paired"]) == blocks
    assert "RoBERTa, 25 \\% of the layers" in texts["budgets"] and "$78.0$ &  &" in texts["budgets"]
    assert ["my\\_own", *["$1.2$", "$3.4$"] * 2] in rows["stability"]
    assert ["my\\_own", *["$0.50$", "${}\\pm 0.75$"] * 3] in rows["undecidable"]
    # the best minus the runner-up, whichever way round paired.csv has them
    lead = ["my\\_own", "$5.0$", "${}\\pm 2.0$", "$[2.0, 8.0]$", "$3.0$", "$0.010$", "$<.001$"]
    assert ["RTE-like", "\\textbf{DeeBERT}", *lead] in rows["paired"]
    assert ["MNLI-m-like", "DeeBERT", *lead] in rows["paired"]
    # my_own minus DeeBERT, its only rival, whose lead is proven everywhere in these made-up numbers
    assert rows["focus"][2] == ["DeeBERT", *["$\\mathbf{-5.0}$", "${}\\pm \\mathbf{2.0}$"] * 3]
    assert "\\caption{my\\_own minus each other method:" in texts["focus"]
    saved, no_certificate = ["$25.0$", "${}\\pm 5.0$"], "\\multicolumn{2}{c}{--}"
    assert ["DeeBERT", *[*saved * 2, "4 of 6"] * 2] in rows["headline"]
    assert ["DeeBERT", *[*[no_certificate] * 2, "0 of 6"] * 2] in rows["headline"]
    assert "\\cmidrule(lr){2-6}\\cmidrule(lr){7-11}" in texts["headline"] and "time" not in rows["headline"][1]
    (first, *_) = [row for row in rows["reproduction"] if row[0] == "1a"]
    assert "DeeBERT" in first[1] and first[2:5] == ["$0.031$", "$\\;[0.020, 0.042]$", "6 tasks"]
    (eighth, *_) = [row for row in rows["reproduction"] if row[0] == "8"]
    assert eighth[2:4] == ["\\multicolumn{2}{c}{--}", "--"]


MANY = [*[name for name in LABELS if name != "static"], "outside-with-a-name-of-forty-characters-x", "a_b"]
TASKS = [("cola", "validation"), ("sst2", "validation"), ("mrpc", "validation"), ("stsb", "validation")]
TASKS += [("qqp", "validation"), ("mnli", "validation_matched"), ("mnli", "validation_mismatched")]
TASKS += [("qnli", "validation"), ("rte", "validation"), ("wnli", "validation"), ("mean", np.nan)]
RUNS = {
    "two of everything": {},
    "one of everything": {"backbones": ("bert",), "methods": ("deebert",), "panels": PANELS[:1], "claims": False},
    "without DACT": {"methods": ("pabee", "my_own"), "claims": False},
    "claims without a reason": {"why": ""},
    "a family of one's own": {"backbones": ("my_bert-2",), "panels": [("my_task", "validation"), ("mean", np.nan)]},
    "everything": {"backbones": ("bert", "roberta", "minilm"), "methods": MANY, "panels": TASKS},
}


@pytest.mark.parametrize("run", RUNS)
def test_every_table_is_whole(run, tmp_path):
    texts = written(make_tables(**RUNS[run]), tmp_path)
    assert {"auc", "budgets", "stability", "undecidable"} <= texts.keys()
    assert ("reproduction" in texts) == RUNS[run].get("claims", True)
    for name, text in texts.items():
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count("{") == bare.count("}"), name
        for part in re.findall(r"\\begin{tabular}(.*?)\\end{tabular}", text, flags=re.DOTALL):
            form = re.sub(r"@{}|p(?={)|{\d+pt}", lambda found: "l" if found[0] == "p" else "", part.split("\n")[0])
            wide = {sum(map(span_of, row)) for row in body(f"\\begin{{tabular}}{part}\\end{{tabular}}")}
            assert wide == {len(form) - 2}, name  # in braces
    for method in RUNS[run].get("methods", ("deebert", "my_own")):
        shown = escaped(LABELS.get(method, method))
        assert all(shown in text for name, text in texts.items() if name not in ("paired", "focus", "reproduction")), (
            method
        )


def span_of(cell):
    found = re.match(r"\\multicolumn{(\d+)}", cell)
    return int(found[1]) if found else 1


def test_a_method_without_a_value_is_named_below(tmp_path):
    tables = make_tables(methods=("static", "deebert"))
    tables["budgets"].loc[tables["budgets"]["method"] == "static", "value"] = NAN
    text = written(tables, tmp_path)["budgets"]
    assert "Without a value: static. " in text and not any(row[0] == "static" for row in body(text))


def test_metrics_are_named_in_captions(tmp_path):
    tables = make_tables()
    tables["auc"].loc[tables["auc"]["task"] == "mnli", "metric"] = "f1"
    assert "in points of accuracy; F1 of MNLI-m-like: mean" in written(tables, tmp_path)["auc"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here: apt-get install texlive-latex-recommended")
@pytest.mark.parametrize("size", ["10pt", "11pt"])
@pytest.mark.parametrize("run", RUNS)
def test_a_real_latex_sets_every_table_in_two_columns_of_16_cm(run, size, tmp_path):
    inputs = "\n".join(f"\\input{{{path.name}}}\\clearpage" for path in write_latex(tmp_path, make_tables(**RUNS[run])))
    head = f"\\documentclass[twocolumn,{size}]{{article}}\\usepackage{{booktabs}}\\setlength{{\\textwidth}}{{16cm}}"
    text = f"{head}\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    (tmp_path / "paper.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "Float too large" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_names_are_escaped_in_captions(tmp_path):
    named = {name: table.assign(suite="under_s") for name, table in make_tables().items()}
    texts = written(named, tmp_path)
    assert not [name for name, text in texts.items() if "under_s" in text]
    assert "Data: suite under\\_s." in texts["auc"]
    assert escaped("a_b & 5 % ~ \\x {y}^2 #1 $") == (
        "a\\_b \\& 5 \\% \\textasciitilde{} \\textbackslash{}x \\{y\\}\\textasciicircum{}2 \\#1 \\$"
    )
