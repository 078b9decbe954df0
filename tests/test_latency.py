"""--measure-latency: what it measures on saved models, and what it says where there are none."""

from pathlib import Path

import pandas as pd
import pytest
from test_end_to_end import documented_columns

from bench.report import latency
from run_all import main

METHODS = "static,deebert,pabee-frozen"


@pytest.fixture(scope="module")
def command(tiny_suite, tmp_path_factory):
    """A command line whose run has kept its models."""
    folder = tmp_path_factory.mktemp("latency")
    parts = ["--suite", str(tiny_suite), "--tasks", "rte", "--backbones", "bert", "--methods", METHODS]
    parts += ["--seeds", "1", "--limit", "40", "--results", str(folder / "r"), "--figures", str(folder / "f")]
    assert main([*parts, "--jobs", "1", "--save-models"]) == 0
    return parts


def folder_of(command, option):
    return Path(command[command.index(option) + 1])


def test_layers_are_those_of_the_replay_and_times_those_of_batches(command, monkeypatch):
    monkeypatch.setattr(latency, "BATCH_SIZES", (1, 8))
    monkeypatch.setattr(latency, "ROUNDS", 1)
    assert main([*command, "--measure-latency", "--device", "cpu"]) == 0
    results = folder_of(command, "--results")
    table = pd.read_csv(results / "latency.csv", keep_default_na=False)
    assert table.columns.tolist() == documented_columns()["latency.csv"]
    assert set(table["method"]) == {"deebert", "pabee-frozen"}, "a static model leaves no layer out"
    assert table.groupby("batch_size")["n"].agg(set).to_dict() == {1: {32}, 8: {40}}  # 32 batches at most
    keys = ["method", "knob_value"]
    points = pd.read_csv(results / "points.csv").set_index(keys)["layer_fraction"]
    all_rows = table[table["batch_size"] == 8].set_index(keys)["layer_fraction"]
    assert len(all_rows) >= 2
    assert all_rows.to_numpy() == pytest.approx(points.loc[all_rows.index].to_numpy())
    assert (table["time_fraction"] > 0).all()
    assert table["milliseconds"].to_numpy() == pytest.approx(table["time_fraction"] * table["full_milliseconds"])
    assert {path.name for path in folder_of(command, "--figures").glob("latency*")} == {
        f"latency-bert.{kind}" for kind in ("pdf", "svg", "png")
    }
    assert main(["--collect", *command[-4:]]) == 0  # the report has the figure, too
    assert "what a layer saved is worth in time" in (results / "report.html").read_text().lower()


def test_without_saved_models_one_line_says_what_to_do(command, tmp_path, capsys):
    elsewhere = [*command[:-4], "--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]
    assert main([*elsewhere, "--measure-latency"]) == 2
    models = tmp_path / "r" / "models"
    line = f"run_all.py: '{models}' holds no early-exit model of this plan: repeat the run with --save-models first"
    assert capsys.readouterr().err.strip() == line
    assert not (tmp_path / "r" / "latency.csv").exists()
