"""Two results folders compared, from small tables."""

import json

import numpy as np
import pandas as pd
import pytest

from bench.errors import UserError
from bench.report.figures.comparison import draw_comparison
from bench.store.folder import RunFolder
from bench.tables.comparison import compare_runs
from bench.tables.scores import QUANTITIES

KEYS = {"suite": "tiny", "split": "validation", "backbone": "bert", "method": "deebert", "metric": "accuracy"}
EXACT = {"resolution": "exact"}


def make_run(folder, shift=0.0, tasks=("rte", "sst2"), seeds=3, data="d", limit=None, low=0.2):
    """A folder whose one method's curve is .5 + .4 x + shift + .01 seed on [low, 1]."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"data": dict.fromkeys(tasks, data), "limit": limit}))
    points, scores, auc = [], [], []
    for task in tasks:
        keys = {**KEYS, "task": task}
        for seed in range(seeds):
            height = 0.5 + shift + 0.01 * seed
            for x in (low, 0.6, 1.0):
                knob = {"variant": "", "knob": "entropy", "knob_value": 1 - x}
                points.append({**keys, "seed": seed, **knob, "layer_fraction": x, "value": height + 0.4 * x})
            scores.append({**keys, **EXACT, "seed": seed, **dict.fromkeys(QUANTITIES, height), "value_25": np.nan})
        auc.append({**keys, **EXACT, "x_low": low, "x_high": 1.0})
    for name, rows in (("points", points), ("scores", scores), ("auc", auc)):
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return RunFolder(folder)


def test_differences_are_b_minus_a_paired_by_seed(tmp_path):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", shift=0.03, low=0.4)
    table = compare_runs(a, b, RunFolder(tmp_path / "out"))
    assert set(table["task"]) == {"rte", "sst2", "mean"} and "value_25" not in set(table["quantity"])
    assert table["difference"].tolist() == pytest.approx([0.03] * len(table))
    common = table[(table["quantity"] == "auc_common") & (table["task"] == "rte")].iloc[0]
    # over [.4, 1], which both cover: .51 + .4 * .7
    assert common["value_a"] == pytest.approx(0.79) and common["units"] == 3 and common["unit_kind"] == "seeds"
    assert table.loc[table["task"] == "mean", "units"].tolist() == [2] * table["quantity"].nunique()
    written = pd.read_csv(tmp_path / "out" / "comparison_seeds.csv")
    assert len(written) == 2 * 3 * (len(QUANTITIES) - 1)
    assert written["difference"].to_numpy() == pytest.approx(0.03)


def test_only_common_runs_are_compared(tmp_path):
    a, b = make_run(tmp_path / "a", seeds=2), make_run(tmp_path / "b", tasks=("rte",))
    table = compare_runs(a, b, RunFolder(tmp_path / "out"))
    assert set(table["task"]) == {"rte"} and (table["units"] == 2).all()


def test_one_figure_in_three_formats(tmp_path):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", shift=0.03)
    paths = draw_comparison(a, b, tmp_path / "figures")
    assert [path.name for path in paths] == ["comparison.pdf", "comparison.svg", "comparison.png"]
    text = paths[1].read_text()
    assert "95 % Student-t over 3 seeds" in text and "Δ accuracy" in text
    again = draw_comparison(a, b, tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"data": "other"}, "the data of task '(rte|sst2)' differ between"),
        ({"limit": 50}, "different --limit have different examples: None and 50"),
        ({"tasks": ("qnli",)}, "have no task, backbone, method and seed in common"),
    ],
)
def test_what_cannot_be_paired_is_refused(tmp_path, kwargs, message):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", **kwargs)
    with pytest.raises(UserError, match=message):
        compare_runs(a, b, RunFolder(tmp_path / "out"))


def test_a_folder_without_a_run_or_without_tables_is_refused(tmp_path):
    a = make_run(tmp_path / "a")
    with pytest.raises(UserError, match=r"holds no run: run\.json is missing"):
        compare_runs(a, RunFolder(tmp_path / "nothing"), RunFolder(tmp_path / "out"))
    (tmp_path / "a" / "scores.csv").unlink()
    with pytest.raises(UserError, match=r"no scores\.csv in .*--collect --results"):
        compare_runs(a, a, RunFolder(tmp_path / "out"))
