"""`exit_norm`: what exits read, standardised once and alike in training, probes, replay, the live engine and saving."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from bench import EarlyExitClassifier
from bench.models.exit_norm import fit_norms, sample_rows
from bench.models.model import build_model
from bench.models.probing import layer_states
from bench.models.training import train
from bench.plan.suite import Recipe
from bench.sources.examples import load_split
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.store.trace import Trace
from methods import discover
from run_all import main

METHODS, HOW = discover(), ("cpu", "float32", 8)


@pytest.fixture
def made(fresh_backbone):
    """`made(name, start)`: a tiny model of a method whose exits get standardised states, not fitted yet."""

    def make(name, start=None):
        return build_model(METHODS[name], fresh_backbone("bert"), 2, ("bert", "task", 0), start, {}, "standardise")

    return make


def test_exits_see_states_of_mean_0_and_deviation_1_however_little_they_vary(made, make_data):
    data, model = make_data(50), made("pabee")
    with torch.no_grad():  # states that hardly vary around a mean: a gain of .001 and a bias of .05 in layer 2
        norm = model.backbone.layers[1].output.LayerNorm
        norm.weight.mul_(1e-3)
        norm.bias.fill_(0.05)
        norm.weight[0] = 0  # one feature that does not vary at all
    fit_norms(model, data, *HOW)
    seen = layer_states(model, data, *HOW)["probe"]  # what probes read, too
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(seen.std(axis=0)[[0, 2, 3]], 1, atol=1e-2)
    np.testing.assert_allclose(seen.std(axis=0)[1, 1:], 1, atol=1e-2)
    assert abs(seen[:, 1, 0]).max() < 0.1, "rounding is not blown up"


def test_training_changes_no_norm_and_a_model_takes_over_the_one_of_its_head(made, make_data):
    data, recipe = make_data(30), Recipe(1, 1e-2, 10)
    static = made("static")
    fit_norms(static, data, *HOW)
    before = {name: value.clone() for name, value in static.norms.state_dict().items()}
    train(static, METHODS["static"], {}, data, recipe, ("task", 0))
    start = static.state_dict()
    assert list(static.norms) == ["4"]
    assert all(torch.equal(start[f"norms.{name}"], value) for name, value in before.items())
    model = made("deebert", start)
    fit_norms(model, data, *HOW)
    assert torch.equal(model.norms["4"].mean, before["4.mean"]), "the head was trained on these"
    seen = layer_states(model, data, *HOW)["probe"]
    np.testing.assert_allclose(seen[:, :3].mean(axis=0), 0, atol=1e-3)  # new exits: of the states of stage 1
    with torch.no_grad():
        batch = data.batch(np.arange(6))
        torch.testing.assert_close(model(batch).logits[:, -1], static(batch).logits[:, -1])  # the same answers


def test_the_rows_are_those_with_a_label_and_the_same_for_all():
    labels = np.where(np.arange(5000) % 2, -1, 1)
    rows = sample_rows(labels)
    assert len(rows) == 2000 and not (rows % 2).any() and (np.diff(rows) > 0).all()
    assert sample_rows(np.array([-1.5, np.nan, 2.0])).tolist() == [0, 2]  # scores may be negative


def test_a_run_and_its_saved_models(tiny_suite, tmp_path, capsys):
    suite, results = tmp_path / "embedded-normed.toml", tmp_path / "r"
    suite.write_text(tiny_suite.read_text().replace("max_length", 'exit_norm = "standardise"\nmax_length', 1))
    command = ["--suite", str(suite), "--tasks", "rte", "--backbones", "bert", "--seeds", "1", "--limit", "40"]
    command += ["--jobs", "1", "--results", str(results), "--figures", str(tmp_path / "f"), "--methods"]
    assert main([*command, "deebert,fastbert", "--save-models"]) == 0
    cells = [json.loads(path.read_text()) for path in (results / "cells").glob("*.json")]
    assert {cell["spec"]["exit_norm"] for cell in cells} == {"standardise"}
    rows = load_split(Embedded(), TASKS["rte"], "validation", 40)
    for name in ("static", "deebert", "fastbert"):
        model = EarlyExitClassifier.from_pretrained(results / "models" / f"bert-rte-{name}-seed0")
        assert model.about["exit_norm"] == "standardise" and all(norm.is_fixed for norm in model.model.norms.values())
        trace = Trace.load(results / "traces" / f"{model.about['cell']}.validation.npz")
        point = model.about["curve"][len(model.about["curve"]) // 2]
        found = model.predict(list(zip(rows.text_a, rows.text_b, strict=True)), point["knob_value"], batch_size=7)
        assert np.mean([answer.layer for answer in found]) / 12 == pytest.approx(point["layer_fraction"], abs=0.01)
        nobody = point["knob_value"] if name == "static" else 0.0  # halts early
        full = [answer.answer for answer in model.predict(list(zip(rows.text_a, rows.text_b, strict=True)), nobody)]
        np.testing.assert_allclose(full, trace.logits[:, -1], atol=1e-4)
    assert pd.read_csv(results / "points.csv")["value"].notna().all()
    suite.write_text(suite.read_text().replace('exit_norm = "standardise"', ""))
    assert main([*command, "deebert"]) == 2
    assert "was made with exit_norm 'standardise', not ''" in capsys.readouterr().err
    suite.write_text(suite.read_text().replace("max_length", 'exit_norm = "standard"\nmax_length', 1))
    assert main([*command, "deebert"]) == 2
    assert "unknown exit_norm 'standard'" in capsys.readouterr().err
