"""docs/methods.md against the code: one row per method, and what it says about each is true."""

import inspect
import re
from pathlib import Path

import pandas as pd
import pytest

from bench.plan.suite_file import load_suite
from methods import discover
from methods.base import RuleSpec

ROOT = Path(__file__).parents[1]
METHODS = discover()


def rows():
    """The table of methods, name -> column -> text."""
    lines = [line for line in (ROOT / "docs" / "methods.md").read_text().splitlines() if line.startswith("| ")]
    header, *body = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    table = [dict(zip(header, cells, strict=True)) for cells in body if len(cells) == len(header)]
    return {row["method"].strip("`"): row for row in table if row["method"].startswith("`")}


def trained(method):
    return METHODS[method.trained_by] if method.trained_by else method


def test_every_method_has_its_row_in_the_order_of_the_tables():
    assert list(rows()) == list(METHODS)


@pytest.mark.parametrize("suite", ["embedded", "glue-local"])
def test_epochs_are_those_of_all_stages(suite):
    recipes = load_suite(suite)
    for name, row in rows().items():
        method = trained(METHODS[name])
        stages = [method, METHODS[method.starts_from]] if method.starts_from else [method]
        epochs = [recipes.recipe_of(stage, "bert").epochs for stage in stages]
        usual, here = re.fullmatch(r"(\d+)(?: \((\w+: \d+)\))?", row["epochs"]).groups()
        differs = here is not None and here.startswith(f"{suite}: ")
        assert int(here.split()[-1] if differs else usual) == sum(epochs), name


def test_files_lines_and_knobs():
    for name, row in rows().items():
        method = METHODS[name]
        path = Path(inspect.getfile(type(method)))
        assert row["file"] == f"`methods/{path.name}`"
        assert int(row["lines"]) == len(path.read_text().splitlines()), f"{name}: lines of {path.name}"
        assert row["knob"] == (method.knob(RuleSpec(12, 2)).name or "none"), name


def test_what_is_replayed_and_what_is_cited():
    for name, row in rows().items():
        method = METHODS[name]
        replayed = re.match(r"nothing: replays `(.*)`", row["trained"])
        assert (replayed.group(1) if replayed else None) == method.trained_by, name
        documented = " ".join(c.__doc__ or "" for c in type(method).__mro__)
        for author, year in re.findall(r"(\w+) et al\. (\d{4})", row["citation"]):
            assert author in documented and year in documented, f"{name} cites {author} {year}"


def test_the_number_of_models_is_said():
    for name, row in rows().items():
        said = re.search(r"once per \w+ \((\d)\)", row["trained"])
        if METHODS[name].trained_by is None:
            assert int(said.group(1) if said else 1) == len(METHODS[name].variants), name


def test_who_can_do_regression():
    text = (ROOT / "docs" / "methods.md").read_text()
    sentence = text[text.index("Regression (STS-B):") : text.index("the others are")]
    assert set(re.findall(r"`([\w-]+)`", sentence)) == {name for name in METHODS if METHODS[name].skip(1) is None}


def league():
    """The table of what the methods reach, from the committed tables of a run of all of them."""
    folder = ROOT / "results" / "reference" / "embedded-all"
    areas, verdicts = pd.read_csv(folder / "auc.csv"), pd.read_csv(folder / "verdicts.csv")
    areas = areas[areas["task"] == "mean"].set_index(["backbone", "method"])
    yield "| method | auc_budget, bert | auc_budget, roberta | beats truncated depth | beats random exit |"
    yield "| --- | --- | --- | --- | --- |"
    for method in (name for name in METHODS if ("bert", name) in areas.index):
        cells = []
        for backbone in ("bert", "roberta"):
            row = areas.loc[backbone, method]
            cells.append("{auc_budget:.3f} [{auc_budget_low:.3f}, {auc_budget_high:.3f}]".format(**row))
        for against in ("truncated", "random"):
            found = verdicts[(verdicts["method"] == method) & (verdicts["against"] == against)]["verdict"].dropna()
            cells.append(f"{(found == 'beats').sum()} of {len(found)}" if len(found) else "-")
        yield f"| `{method}` | " + " | ".join(cells) + " |"


def test_what_they_reach_is_what_was_measured():
    assert "\n".join(league()) in (ROOT / "docs" / "methods.md").read_text()
