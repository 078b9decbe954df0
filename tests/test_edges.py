"""Every table, figure and report of run folders at the edge of what there can be: one of something, or none."""

import csv
import warnings

import pytest
from invented import EVERY, make_folder

from bench.report.outputs import collect_and_draw
from bench.store.csv_files import TEXT, read_table

SCORED = ("static", "pabee")  # the methods that regression is no reason to skip
FEW = ("static", "dact", "deebert", "pabee")
EDGES = {
    "one row, F1": {"rows": 1, "tasks": ("mrpc",), "methods": ("static",), "seeds": (0,)},
    "one row": {"rows": 1, "tasks": ("qqp", "sst2")},
    "two rows, Matthews": {"rows": 2, "tasks": ("cola",), "methods": FEW},
    "one row, regression": {"rows": 1, "tasks": ("stsb",), "methods": SCORED},
    "two rows, regression": {"rows": 2, "tasks": ("stsb",), "methods": SCORED, "seeds": (0,)},
    "one seed, two splits": {"seeds": (7,), "tasks": ("mnli",), "methods": FEW},
    "one class": {"labels": 0, "tasks": ("mrpc", "sst2"), "methods": FEW},
    "the other class": {"labels": 1, "tasks": ("cola",), "methods": FEW},
    "one score": {"labels": 2.5, "tasks": ("stsb",), "methods": SCORED},
    "one layer": {"layers": 1, "tasks": ("rte",)},
    "one layer, one row, one seed": {"layers": 1, "rows": 1, "seeds": (0,), "tasks": ("mrpc",), "methods": FEW},
    "two layers": {"layers": 2, "tasks": ("rte",), "methods": FEW},
    "no curve": {"methods": ("static", "distilbert"), "tasks": ("rte", "sst2")},
    **{f"{name} alone": {"methods": (name,), "tasks": ("rte",), "seeds": (0,)} for name in EVERY},
    "names": {"suite": "null", "families": ("NA", "2024"), "tasks": ("rte",), "methods": FEW},
    "more names": {"suite": "under_s", "families": ("nan", "true"), "tasks": ("rte",), "methods": FEW, "seeds": (0,)},
}


@pytest.fixture(autouse=True)
def one_format(monkeypatch):
    """Figures as SVG alone: the other two formats would take most of the time."""

    def save(figure, stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(stem.with_suffix(".svg"))
        return [stem.with_suffix(".svg")]

    def call_all(function, arguments, what):
        return [function(*each) for each in arguments]

    monkeypatch.setattr("bench.report.figures.draw.save", save)
    monkeypatch.setattr("bench.report.figures.draw.call_all", call_all)
    monkeypatch.setattr("bench.tables.collect.call_all", call_all)


@pytest.mark.parametrize("edge", EDGES)
def test_everything_is_written(edge, tmp_path, capsys):
    folder = make_folder(tmp_path / "r", **EDGES[edge])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a mean of nothing is said by a warning only
        assert collect_and_draw(folder, tmp_path / "f") == 0
    assert not capsys.readouterr().err
    points = read_table(folder.path / "points.csv")
    assert len(points) and points["value"].between(-1, 1).all() and points["layer_fraction"].between(0, 1).all()
    assert (folder.path / "report.html").stat().st_size > 1000
    assert set(points["suite"]) == {EDGES[edge].get("suite", "embedded-x")}
    assert set(points["backbone"]) == set(EDGES[edge].get("families", ("bert",)))
    assert len(read_table(folder.path / "failures.csv")) == 0


def test_text_columns_are_declared(tmp_path):
    """A column with a field that is no number is one of those that are read as text."""
    folder = make_folder(tmp_path / "r", tasks=("rte", "mrpc"))
    collect_and_draw(folder, tmp_path / "f")
    for path in folder.path.glob("*.csv"):
        with path.open(newline="", encoding="utf8") as file:
            for row in csv.DictReader(file):
                for name, field in row.items():
                    if name not in TEXT and field:
                        float(field)


def test_areas_of_one_row_are_empty(tmp_path):
    folder = make_folder(tmp_path / "r", **EDGES["one row, F1"])
    collect_and_draw(folder, tmp_path / "f")
    areas = read_table(folder.path / "auc.csv")
    assert areas[["auc_common", "auc_budget", "auc_budget_half"]].isna().all(axis=None)
    assert read_table(folder.path / "points.csv")["f1"].isin([0.0, 1.0]).all()
