"""`compat = "released"`: each quirk of released code, and the difference that it makes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.conformance import check_method
from bench.halting.live import run_live
from bench.halting.replay import exact_curve, replay
from bench.models.model import build_model
from bench.models.tracing import trace_model
from bench.models.training import train
from bench.plan.suite import Recipe
from bench.statistics.metrics import confusion
from bench.store.trace import Trace
from methods import discover, from_file
from methods.base import ExitOutputs, RuleSpec, TrainingBatch

EQUAL, RELEASED = discover(), discover("released")
RECIPE = Recipe(epochs=2, learning_rate=1e-2, batch_size=8)


def fit(model, method, data, compat):
    train(model, method, {}, data, RECIPE, ("task", 0), compat=compat)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_exactly_three_methods_have_stand_ins():
    assert list(EQUAL) == list(RELEASED)
    assert {name for name in EQUAL if type(EQUAL[name]) is not type(RELEASED[name])} == {"deebert", "pabee", "pkd"}


@pytest.mark.parametrize("name", ["deebert", "pabee", "pkd"])
def test_the_stand_ins_conform(name):
    assert [found for found in check_method(RELEASED[name]) if found[1] != "ok"] == []


OUTSIDE = """
from methods.static import Static

class Mine(Static):
    "Nobody, 2026."
    name = "mine"

class MineAsReleased(Mine):
    "With the quirks of its code."
    released = True
"""


def test_a_file_from_outside_may_hold_a_stand_in_of_its_own(tmp_path):
    (tmp_path / "mine.py").write_text(OUTSIDE)
    for compat, expected in (("equal", "Mine"), ("released", "MineAsReleased")):
        assert [type(method).__name__ for method in from_file(tmp_path / "mine.py", compat)] == [expected]


# --- PABEE: one pooler


def test_pabee_shares_one_pooler(make_model, make_data):
    alone, shared = make_model(EQUAL["pabee"]), make_model(RELEASED["pabee"])
    size = sum(p.numel() for p in alone.exits["1"].pooler.parameters())
    assert sum(p.numel() for p in alone.parameters()) - sum(p.numel() for p in shared.parameters()) == 3 * size
    for layer in "1234":
        assert torch.equal(shared.exits[layer].pooler.weight, alone.exits["4"].pooler.weight)
        assert torch.equal(shared.exits[layer].classifier.weight, alone.exits[layer].classifier.weight)
    after = fit(shared, RELEASED["pabee"], make_data(16), "released")
    assert torch.equal(after["exits.1.pooler.weight"], after["exits.4.pooler.weight"])
    assert not torch.equal(after["exits.1.pooler.weight"], alone.exits["4"].pooler.weight)
    after = fit(alone, EQUAL["pabee"], make_data(16), "equal")
    assert not torch.equal(after["exits.1.pooler.weight"], after["exits.4.pooler.weight"])


# --- DeeBERT: the untrained last off-ramp


def test_the_last_off_ramp_is_never_trained(make_model, make_data):
    static = make_model(EQUAL["static"])
    start = fit(static, EQUAL["static"], make_data(16), "equal")
    fresh = make_model(EQUAL["deebert"]).exits["4"].classifier.weight
    model = make_model(RELEASED["deebert"], start=start)
    after = fit(model, RELEASED["deebert"], make_data(16), "released")
    assert torch.equal(after["exits.4.ramp.classifier.weight"], fresh)
    assert torch.equal(after["exits.4.classifier.weight"], start["exits.4.classifier.weight"])
    untrained = make_model(EQUAL["deebert"]).exits["3"].classifier.weight
    assert not torch.equal(after["exits.3.classifier.weight"], untrained)


def ramped_trace():
    """Two layers; nobody is sure before the last one, where head and off-ramp contradict each other."""
    head, ramp = [[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]], [[0.0, 2.0], [0.0, 0.1], [0.0, 2.0]]
    logits = np.array([[[0.0, 0.0], row] for row in head], np.float32)
    return Trace(logits, np.array([0, 0, 1]), np.arange(3), np.arange(3), ramp=np.array(ramp, np.float32))


def test_the_untrained_off_ramp_answers_where_it_is_sure():
    trace = ramped_trace()  # entropies of the off-ramp: .365, .692, .365
    shape = RuleSpec(2, 2)
    knob = EQUAL["deebert"].knob(shape)
    values = (0.0, 0.3, 0.4, 0.65)
    layers, answers = replay(RELEASED["deebert"].halting_rule(shape), trace).decide(knob, values)
    assert (layers == 2).all()
    assert answers.tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 1], [1, 0, 1]]
    layers, answers = replay(EQUAL["deebert"].halting_rule(shape), trace).decide(knob, values)
    assert (layers == 2).all() and (answers == [0, 0, 1]).all()
    for name in ("pabee-frozen", "truncated"):  # other rules on these models see the head
        result = replay(RELEASED[name].halting_rule(shape), trace)
        assert result.ramp is None and result.predictions[:, -1].tolist() == [0, 0, 1]


def test_live_agrees_with_replay(make_model, make_data, examples):
    method, data = RELEASED["deebert"], make_data(30)
    model = make_model(method)
    with torch.no_grad():  # an off-ramp that is sometimes sure, and says the opposite of the head
        last = model.exits["4"]
        pooled = torch.tanh(last.pooler(model.backbone(data.batch(np.arange(30)))[:, 3]))
        last.ramp.classifier.weight.copy_(-40 * last.classifier.weight / last.classifier(pooled).std())
    rule, knob = method.halting_rule(RuleSpec(4, 2)), method.knob(RuleSpec(4, 2))
    result = replay(rule, trace_model(model, examples(30), data))
    changed = set()
    for value in knob.values:
        layers, answers = result.decide(knob, (value,))
        live = run_live(model, rule, knob, value, data.batch(np.arange(30)))
        assert live.layers.tolist() == layers[0].tolist()
        assert live.answers.argmax(1).tolist() == answers[0].tolist()
        changed.add(int((answers != result.predictions_at(layers)).sum()))
    assert max(changed) > 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 3))
def test_the_exact_curve_passes_through_every_point(seed, num_layers, num_labels):
    rng = np.random.default_rng(seed)
    n = 30
    logits = rng.normal(size=(n, num_layers, num_labels)).astype(np.float32)
    ramp = rng.normal(size=(n, num_labels)).astype(np.float32)
    trace = Trace(logits, rng.integers(0, num_labels, n), np.arange(n), np.arange(n), ramp=ramp)
    method = RELEASED["deebert"]
    shape = RuleSpec(num_layers, num_labels)
    result, knob = replay(method.halting_rule(shape), trace), method.knob(shape)
    layers, answers = result.decide(knob, knob.values)
    curve = exact_curve(result, trace.labels, num_labels)
    every = {
        (round(x * n * num_layers), *c.ravel()) for x, c in zip(curve.layer_fraction, curve.confusion, strict=True)
    }
    for used, counts in zip(layers.sum(axis=1), confusion(trace.labels, answers, num_labels), strict=True):
        assert (used, *counts.ravel()) in every


# --- PKD: the mean over classes


@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_soft_term_is_divided_by_the_number_of_classes(num_labels):
    scores, taught = [[1.0, -1.0, 0.5][:num_labels]], [[3.0, 0.0, 1.0][:num_labels]]
    found = {}
    for name, methods in (("equal", EQUAL), ("released", RELEASED)):
        logits, states = torch.tensor([scores]).requires_grad_(), torch.ones(1, 1, 4)
        teacher = ExitOutputs(torch.tensor([taught]), states=torch.ones(1, 2, 4))
        variant = {"alpha": 1.0, "temperature": 5.0, "beta": 0.0}
        loss = methods["pkd"].loss(
            ExitOutputs(logits, states=states), TrainingBatch(torch.tensor([0]), variant, teacher=teacher)
        )
        loss.backward()
        found[name] = loss.item(), logits.grad
    assert torch.allclose(found["equal"][1], num_labels * found["released"][1])
    p, q = (np.exp(np.array(row[0]) / 5) / np.exp(np.array(row[0]) / 5).sum() for row in (taught, scores))
    assert found["equal"][0] == pytest.approx(-25 * (p * np.log(q)).sum(), rel=1e-5)
    assert found["released"][0] == pytest.approx(25 * (p * np.log(p / q)).sum() / num_labels, rel=1e-4)


# --- dropout in the frozen backbone


def test_dropout_stays_on_in_the_frozen_backbone(make_model, make_data):
    """With dropout the frozen backbone says something else at every step; without, the same each time."""
    data, method = make_data(16), RELEASED["deebert"]
    before = {name: t.clone() for name, t in make_model(method).state_dict().items()}
    quiet, noisy = (fit(make_model(method), method, data, compat) for compat in ("equal", "released"))
    frozen = [name for name in before if name.startswith("backbone.")]
    assert all(torch.equal(before[name], noisy[name]) for name in frozen)
    assert not torch.allclose(quiet["exits.1.pooler.weight"], noisy["exits.1.pooler.weight"], atol=1e-5)


def test_without_dropout_probability_the_quirk_makes_no_difference(fresh_backbone, make_data):
    def model():
        backbone = fresh_backbone("bert")
        for module in backbone.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return build_model(RELEASED["deebert"], backbone, 2, ("bert", "task", 0))

    quiet, noisy = (fit(model(), RELEASED["deebert"], make_data(16), compat) for compat in ("equal", "released"))
    assert all(torch.allclose(quiet[name], noisy[name], atol=1e-5) for name in quiet)
