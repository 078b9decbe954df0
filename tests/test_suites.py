"""Suites of one's own: what docs/suites.md says of them, and [limits] in the keys of the cells that read them."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.plan.cell import row_limit
from bench.plan.grid import Grid
from bench.plan.suite import Limits, Recipe, Suite
from bench.plan.suite_file import load_suite
from bench.run.workload import tokens_of
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.store.consistency import check_shared, foreign_key
from methods import discover


def grid_of(suite, text="", limit=None):
    """The grid of a suite file with a text behind it: static on RTE and SST-2, one seed."""
    path = suite.with_name("embedded-limited.toml")
    path.write_text(suite.read_text() + text)
    methods = {"static": discover()["static"]}
    return Grid(load_suite(str(path)), [TASKS["rte"], TASKS["sst2"]], ["bert"], methods, [0], Embedded(), limit)


def cells_of(grid):
    """The cell of each task."""
    return {cell.spec["task"]: cell for cell in grid.cells(grid.shared())}


LIMITS = "\n[limits.rte]\ntrain = 50\nvalidation = 30\n"


def test_the_reference_run_is_one_short_command():
    """Its suite says how exits read, which rows, which recipes and which tau; sizes differ by task."""
    suite, methods = load_suite("glue-minilm"), discover()
    assert (suite.pooling, suite.seed_scope, suite.exit_norm) == ("mean", "full", "")
    limits = {task: (each.train, each.validation) for task, each in suite.limits.items()}
    assert limits == {"sst2": (6000, 2000), "qnli": (3000, 2000), "qqp": (5000, 2000), "mnli": (4000, 2000)}
    for name in ("dact", "dact-frozen"):
        assert suite.variants.get(name, methods[name].variants) == methods["dact"].variants
    whole = load_suite("glue-all")
    assert whole.pooling == "mean" and not whole.limits and "mpnet" in whole.backbones
    paper = load_suite("paper")
    assert all(whole.recipes[stage] == paper.recipes[stage] for stage in ("stage1", "stage2", "joint"))


def test_a_limit_changes_the_cells_of_its_task_alone(tiny_suite):
    without, limited = cells_of(grid_of(tiny_suite)), cells_of(grid_of(tiny_suite, LIMITS))
    assert without["sst2"].key == limited["sst2"].key and "limits" not in limited["sst2"].spec
    assert without["rte"].key != limited["rte"].key
    assert limited["rte"].spec["limits"] == {"train": 50, "validation": 30}
    spec = limited["rte"].spec
    assert [len(tokens_of(spec, split, Embedded())) for split in ("train", "validation")] == [50, 30]


@pytest.mark.parametrize(
    ("limit", "limits", "rows"),
    [
        (None, {}, (None, None)),
        (40, {}, (40, 40)),
        (None, {"train": 50}, (50, None)),
        (40, {"train": 50, "validation": 30}, (40, 30)),
        (60, {"validation": 30}, (60, 30)),
    ],
)
def test_the_smaller_of_both_limits_holds(limit, limits, rows):
    spec = {"limit": limit} | ({"limits": limits} if limits else {})
    assert (row_limit(spec, "train"), row_limit(spec, "validation_matched")) == rows


def test_runs_with_other_limits_do_not_mix(tiny_suite, tmp_path):
    without, limited = grid_of(tiny_suite).shared(), grid_of(tiny_suite, LIMITS)
    with pytest.raises(UserError, match="was made with limits rte train = none, not 50"):
        check_shared(tmp_path, without, limited.shared() | {"suite": without["suite"]})
    spec = cells_of(limited)["rte"].spec
    assert foreign_key(spec, limited.shared()) is None
    assert foreign_key(spec, without) == "limits"
    bare = {name: value for name, value in spec.items() if name != "limits"}
    assert foreign_key(bare, limited.shared()) == "limits"
    assert foreign_key(bare, without) is None


def test_a_suite_that_extends_another_may_limit_its_tasks(tmp_path):
    path = tmp_path / "embedded-few.toml"
    path.write_text('extends = "embedded"\n[limits.mnli]\nvalidation = 100\n')
    suite, base = load_suite(str(path)), load_suite("embedded")
    assert suite.limits["mnli"].spec() == {"validation": 100}
    assert dataclasses.replace(suite, name="embedded", limits={}) == base


DOCS = (Path(__file__).parents[1] / "docs" / "suites.md").read_text()


def test_every_key_is_documented():
    keys = set(re.findall(r"^\| `\[?(\w+)", DOCS, flags=re.M)) | set(re.findall(r"(?<=, )`(\w+)`", DOCS))
    documented = {field.name for kind in (Suite, Recipe) for field in dataclasses.fields(kind)} - {"name"}
    assert documented <= keys
    assert all(f"{field.name} = " in DOCS for field in dataclasses.fields(Limits))


def test_the_worked_example_changes_the_heads_alone(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, flags=re.S)
    assert tomllib.loads(example)["extends"] == "paper"
    path = tmp_path / "heads.toml"
    path.write_text(example)
    suite, paper = load_suite(str(path)), load_suite("paper")
    assert suite.recipes["stage2"] == dataclasses.replace(paper.recipes["stage2"], learning_rate=1e-4)
    again = dataclasses.replace(suite, name="paper", title=paper.title, recipes=paper.recipes)
    assert again == paper


def test_a_family_may_have_any_legal_name(tiny_suite):
    text = tiny_suite.read_text().replace("[backbones.bert]", "[backbones.my-MiniLM_6]")
    path = tiny_suite.with_name("embedded-named.toml")
    path.write_text(text)
    assert list(load_suite(str(path)).backbones) == ["my-MiniLM_6"]
    path.write_text(text.replace("my-MiniLM_6", "'my MiniLM'"))
    with pytest.raises(
        UserError, match=r"names a family with letters, digits, '-' and '_', at most 40, got 'my MiniLM'"
    ):
        load_suite(str(path))
