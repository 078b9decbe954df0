"""Would a method gain from twice the steps? Gains by hand, the words, and the check on a tiny run."""

import numpy as np
import pandas as pd
import pytest
from test_end_to_end import run
from test_reproduction import make_tables, rows_of
from test_undecidable import NOTHING

from bench.plan.suite_file import load_suite
from bench.report.figures.figure2 import starved_note
from bench.store.csv_files import read_table
from bench.store.folder import RunFolder
from bench.tables.plateau import AT_PLATEAU, NOT_SHOWN, PLATEAU, STARVED, over_tasks, plateau_table, starved, verdict
from bench.tables.reproduction import HOLDS, NOT_RUN, OPEN
from bench.tables.scores import QUANTITIES, Scores

METHODS = ("dact", "static")


def scores_of(task, split, areas):
    """The exact scores of a panel: `auc_budget` of DACT by seed; static has whatever its point says."""
    keys = {"suite": "s", "task": task, "split": split, "backbone": "bert", "metric": "m", "resolution": "exact"}
    runs = [(method, seed) for method in METHODS for seed in areas]
    values = np.zeros((len(runs), len(QUANTITIES)))
    values[:, QUANTITIES.index("auc_budget")] = [areas[seed] if name == "dact" else 0 for name, seed in runs]
    nothing = np.zeros(len(runs))
    return Scores(keys, runs, values, {}, np.nan, np.nan, nothing, [], {}, nothing)


def points_of(panels, value):
    """Two points of DACT and one of static, whose value is given."""
    rows = []
    for task, split in panels:
        for seed in range(3):
            keys = {"suite": "s", "task": task, "split": split, "backbone": "bert", "seed": seed}
            rows += [{**keys, "method": "dact", "value": 0.1}] * 2 + [{**keys, "method": "static", "value": value}]
    return pd.DataFrame(rows)


@pytest.fixture
def twice(tmp_path):
    """The tables of a run with twice the steps: DACT gains .02, .03 and .04 on RTE, nothing on MNLI."""
    panels = [("rte", "validation"), ("mnli", "validation_matched"), ("mnli", "validation_mismatched")]
    keys = {"suite": "s", "backbone": "bert", "resolution": "exact"}
    rows = []
    for task, split in panels:
        for seed in range(3):
            area = 0.5 + (0.02 + 0.01 * seed if task == "rte" else 0)
            where = {**keys, "task": task, "split": split, "seed": seed}
            rows += [{**where, "method": "dact", "auc_budget": area}, {**where, "method": "static", "auc_budget": 0.0}]
    pd.DataFrame(rows).to_csv(tmp_path / "scores.csv", index=False)
    points_of(panels, 0.8).to_csv(tmp_path / "points.csv", index=False)
    at_constant = {("rte", "dact")}
    shares = [
        {"task": task, "split": split, "method": name, "constant_share": int((task, name) in at_constant)}
        for task, split in panels
        for name in METHODS
    ]
    pd.DataFrame(shares).assign(backbone="bert", budget=1).to_csv(tmp_path / "budgets.csv", index=False)
    scores = [scores_of(task, split, dict.fromkeys(range(3), 0.5)) for task, split in panels]
    return plateau_table(scores, points_of(panels, 0.81), tmp_path)


def test_gains_are_paired_by_seed_and_averaged_over_tasks(twice):
    assert twice.columns.tolist() == PLATEAU
    found = twice.set_index(["task", "split", "method"])
    rte = found.loc[("rte", "validation", "dact")]
    assert (rte["quantity"], rte["units"], rte["unit_kind"]) == ("auc_budget", 3, "seeds")
    assert [rte["once"], rte["twice"], rte["gain"]] == pytest.approx([0.5, 0.53, 0.03])
    static = found.loc[("rte", "validation", "static")]
    assert static["quantity"] == "value" and static["gain"] == pytest.approx(-0.01)
    mean = twice[twice["task"] == "mean"].set_index("method")
    assert mean.loc["dact", "units"] == 2, "MNLI counts once"
    # .03 and 0: mean .015, half-width 6.3138 x .0212132 / sqrt 2
    assert mean.loc["dact", ["gain", "gain_high"]].tolist() == pytest.approx([0.015, 0.015 + 6.31375 * 0.015], rel=1e-4)
    assert mean.loc["dact", "above_constant"] == 0 and mean.loc["static", "above_constant"] == 1
    assert mean["verdict"].tolist() == [NOT_SHOWN, AT_PLATEAU], "a fall is not starvation"


@pytest.mark.parametrize(
    ("gain", "low", "high", "above", "word"),
    [
        (0.004, -0.010, 0.019, True, AT_PLATEAU),
        (0.004, -0.010, 0.019, False, NOT_SHOWN),
        (0.004, -0.012, 0.020, True, NOT_SHOWN),
        (0.010, 0.001, 0.030, True, STARVED),
        (0.015, 0.011, 0.019, True, STARVED),
        (0.010, 0.000, 0.030, True, NOT_SHOWN),
        (0.009, 0.001, 0.019, True, AT_PLATEAU),
        (0.050, np.nan, np.nan, True, NOT_SHOWN),
    ],
)
def test_the_words(gain, low, high, above, word):
    assert verdict(gain, low, high, above) == word


def test_one_task_has_no_interval():
    row = over_tasks(pd.DataFrame([{"gain": 0.05, "once": 0.5, "twice": 0.55, "above_constant": 1}]))
    assert row["verdict"] == NOT_SHOWN and row["units"] == 1


def test_figure2_names_who_is_starved(twice):
    hungry = twice.assign(verdict=STARVED, gain=0.0234)
    assert starved_note(hungry) == (
        "Starved, would gain from twice the steps: DACT-BERT on BERT (+2.3 points), static on BERT (+2.3 points). "
    )
    assert starved_note(twice) == starved_note(None) == "" and not len(starved(twice))


def test_verdicts_say_whether_they_are_the_same_at_twice_the_steps():
    four = tuple(NOTHING)
    tables = make_tables(tasks=four, gain=dict.fromkeys(four, 0.1))
    assert set(rows_of(tables)["at_twice_the_steps"].dropna()) == {"not checked"}
    other = rows_of(make_tables(tasks=four, gain=NOTHING)).reset_index()
    found = rows_of(tables | {"twice": other})
    assert found.loc["3a", ["verdict", "at_twice_the_steps"]].tolist() == [HOLDS, OPEN]
    assert found.loc["1c", "at_twice_the_steps"] == "the same"
    fewer = rows_of(tables | {"twice": other.assign(verdict=NOT_RUN)})  # other methods with twice the steps
    assert set(fewer["at_twice_the_steps"].dropna()) == {"not checked"}


def test_a_suite_with_twice_the_steps():
    suite = load_suite("embedded")
    longer = suite.longer(2)
    assert all(longer.recipes[name].epochs == 2 * recipe.epochs for name, recipe in suite.recipes.items())
    assert longer.recipes["dact"].learning_rate == suite.recipes["dact"].learning_rate
    assert longer.title == "generated miniature tasks, 2 times the steps" and longer.name == suite.name


def test_the_check_on_a_tiny_run(tiny_suite, tmp_path, capsys):
    command = ["--tasks", "sst2,rte", "--methods", "static,deebert", "--limit", "20", "--jobs", "2"]
    assert run(tiny_suite, tmp_path, *command, "--seeds", "2", "--check-plateau") == 2
    assert "--check-plateau: expected at least 3 seeds, got 2" in capsys.readouterr().err
    assert run(tiny_suite, tmp_path, *command, "--seeds", "3", "--check-plateau") == 0
    results = tmp_path / "results"
    epochs = {
        name: {record["spec"]["recipe"]["epochs"] for record in RunFolder(results / name).records()}
        for name in ("", "plateau")
    }
    assert epochs == {"": {1}, "plateau": {2}}
    table = read_table(results / "plateau.csv")
    once, more = (read_table(folder / "scores.csv") for folder in (results, results / "plateau"))
    keys = "resolution == 'exact' and method == 'deebert' and task == 'rte'"
    gain = more.query(keys)["auc_budget"].mean() - once.query(keys)["auc_budget"].mean()
    assert table.query("method == 'deebert' and task == 'rte'")["gain"].iloc[0] == pytest.approx(gain)
    assert set(table.query("task == 'mean'")["verdict"]) <= {AT_PLATEAU, STARVED, NOT_SHOWN}
    capsys.readouterr()
    assert run(tiny_suite, tmp_path, *command, "--seeds", "3", "--check-plateau") == 0
    assert capsys.readouterr().out.count("are up to date") == 2
    other = tmp_path / "other" / tiny_suite.name
    other.parent.mkdir()
    other.write_text(tiny_suite.read_text().replace("epochs = 1", "epochs = 3"))
    assert run(other, tmp_path, *command, "--seeds", "3", "--check-plateau") == 2
    said = capsys.readouterr().err
    assert "with recipes joint epochs = 1, not 3" in said and said.count("\n") == 1
