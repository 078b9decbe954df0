"""The systems beside the paper's, by hand: FastBERT, BERxiT, Shallow-Deep, ACT, PonderNet, PKD, dact-eps, shallow."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.halting.live import run_live
from bench.halting.replay import replay
from bench.models.tokens import Encoded
from bench.models.tracing import trace_model
from bench.models.training import hold_out, train
from bench.plan.suite import Recipe
from bench.store.trace import Trace
from methods import DEFAULT, discover, shallow_deep
from methods.act import Act
from methods.base import ExitOutputs, ExitSpec, RuleSpec, TrainingBatch
from methods.fastbert import StudentExit
from methods.pkd import patience
from methods.pondernet import PRIORS, geometric, halting_distribution
from methods.shallow_deep import fitted_temperature

METHODS = discover()
LN2, LN3 = math.log(2), math.log(3)
SURE_AND_UNSURE = [[0, 0], [LN3, 0], [9, 0]]  # probabilities (1/2, 1/2), (3/4, 1/4), nearly (1, 0)


def swept(name, logits, halting=None):
    """The replay of one example with logits [L, C] and halting values [L], and the method's knob."""
    logits = np.asarray(logits, dtype=np.float32)[None]
    halting = None if halting is None else np.asarray(halting, dtype=np.float32)[None]
    shape = RuleSpec(*logits.shape[1:])
    trace = Trace(logits, np.zeros(1, int), np.arange(1), None, halting)
    return replay(METHODS[name].halting_rule(shape), trace), METHODS[name].knob(shape)


def exit_at(name, value, logits, halting=None):
    """The exit layer of one example at one knob value."""
    result, knob = swept(name, logits, halting)
    return result.exit_layers(knob, (value,))[0, 0]


def test_none_of_them_runs_unless_it_is_named():
    assert DEFAULT == ("static", "distilbert", "dact", "dact-exact", "deebert", "pabee", "pabee-frozen")
    named = {
        "act",
        "berxit",
        "dact-eps",
        "dact-frozen",
        "dact-original",
        "fastbert",
        "pkd",
        "pondernet",
        "shallow",
        "shallow-deep",
        "tinybert",
    }
    assert named == set(METHODS) - set(DEFAULT) - {"truncated"}


# --- FastBERT


def test_fastbert_halts_at_a_normalised_entropy_of_at_most_the_speed():
    by_hand = (2 * LN2 - 0.75 * LN3) / LN2  # of (3/4, 1/4)
    result, knob = swept("fastbert", SURE_AND_UNSURE)
    assert result.scores[0, :2] == pytest.approx([-1, -by_hand], abs=1e-7)
    assert (knob.name, knob.values[0], knob.values[-1], len(knob.values)) == ("speed", 0, 1, 21)
    assert exit_at("fastbert", 1, SURE_AND_UNSURE) == 1
    assert exit_at("fastbert", -result.scores[0, 1], SURE_AND_UNSURE) == 2  # equality halts
    assert exit_at("fastbert", np.nextafter(-result.scores[0, 1], 0), SURE_AND_UNSURE) == 3
    assert exit_at("fastbert", 1, [[0, 0, 0], [9, 0, 0]]) == 1  # normalised: ln 3 is 1, too


def test_fastbert_loss_is_the_divergence_from_the_detached_last_layer():
    logits = torch.tensor([[[0.0, 0.0], [0.0, LN3], [LN3, 0.0]]] * 2).requires_grad_()
    loss = METHODS["fastbert"].loss(ExitOutputs(logits), TrainingBatch(labels=None))  # no label is looked at
    kl_1 = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    kl_2 = 0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.75)
    assert loss.item() == pytest.approx(kl_1 + kl_2, rel=1e-6)
    loss.backward()
    assert logits.grad[:, :2].any() and not logits.grad[:, 2].any()


def test_a_student_reads_the_tokens_and_not_the_padding():
    torch.manual_seed(0)
    student = StudentExit(ExitSpec(48, 2, 0.0, 0.5, 1, 4))
    hidden, attention = torch.randn(3, 7, 48), torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] * 2 + [0] * 5])
    logits = student(hidden, attention).logits
    noisy = torch.where(attention[..., None].bool(), hidden, hidden + 9)
    assert torch.allclose(student(noisy, attention).logits, logits, atol=1e-5)
    assert torch.allclose(student(hidden[1:2, :4], attention[1:2, :4]).logits, logits[1:2], atol=1e-5)
    other = hidden.clone()
    other[:, 1] += 1
    assert (student(other, attention).logits - logits).abs().amax(dim=1).min() > 1e-4
    assert StudentExit(ExitSpec(768, 2, 0.1, 0.02, 1, 12)).narrow.out_features == 128


# --- BERxiT


def test_berxit_halts_strictly_below_the_expected_error():
    logits, u = np.zeros((3, 1)), [0.75, 0.5, 0.25]
    assert [exit_at("berxit", t, logits, u) for t in (0.25, 0.5, 0.51, 0.75, 0.76)] == [3, 3, 2, 2, 1]
    assert swept("berxit", logits, u)[1].values[::20] == (0, 1)


def berxit_loss(step, logits, u, labels):
    return (
        METHODS["berxit"]
        .loss(ExitOutputs(torch.tensor(logits), torch.tensor(u)), TrainingBatch(torch.tensor(labels), step=step))
        .item()
    )


def test_berxit_alternates_between_the_last_layer_and_all():
    logits = [[[LN3, 0.0], [0.0, LN3]]]  # right, then wrong: losses ln 4/3 and ln 4
    squares = ((0.2 - 0) ** 2 + (0.6 - 1) ** 2) / 2
    for step in (0, 2):
        assert berxit_loss(step, logits, [[0.2, 0.6]], [0]) == pytest.approx(math.log(4) + squares, rel=1e-6)
    for step in (1, 3):
        by_hand = math.log(4 / 3) + math.log(4) + squares
        assert berxit_loss(step, logits, [[0.2, 0.6]], [0]) == pytest.approx(by_hand, rel=1e-6)


def test_berxit_learns_the_size_of_the_error_of_a_regression():
    squares = ((0.5 - math.tanh(1)) ** 2 + (0.5 - math.tanh(0.5)) ** 2) / 2
    loss = berxit_loss(1, [[[3.0], [1.5]]], [[0.5, 0.5]], [2.0])
    assert loss == pytest.approx(1 + 0.25 + squares, rel=1e-6)


def test_berxit_has_one_unit_for_all_layers(make_model):
    model = make_model(METHODS["berxit"])
    assert len({id(module.exit_unit) for module in model.exits.values()}) == 1
    assert sum("exit_unit" in name for name, _ in model.named_parameters()) == 2  # weight and bias, once
    assert len({id(module.pooler) for module in model.exits.values()}) == 4


# --- Shallow-Deep Networks


def test_confidence_equal_to_the_threshold_halts():
    logits = [[0, 0], [1, 0], [9, 0]]
    result, knob = swept("shallow-deep", logits)
    at_layer_2 = result.scores[0, 1]
    assert at_layer_2 == pytest.approx(math.e / (1 + math.e), abs=1e-7)
    assert exit_at("shallow-deep", 0.5, logits) == 1
    assert exit_at("shallow-deep", at_layer_2, logits) == 2
    assert exit_at("shallow-deep", np.nextafter(at_layer_2, 1), logits) == 3
    assert (knob.values[0], knob.values[1], knob.values[-1]) == (0.5, 0.55, 1)


def test_the_most_confident_exit_answers_where_none_is_confident_enough(make_model, make_data, examples):
    result, knob = swept("shallow-deep", [[2, 0], [0, 0.1]])
    layers, answers = result.decide(knob, (0.5, 0.8, 0.99))
    assert layers[:, 0].tolist() == [1, 1, 2] and answers[:, 0].tolist() == [0, 0, 0]
    _, answers = swept("shallow-deep", [[2, 0], [0, 3]])[0].decide(knob, (0.99, 0.9))
    assert answers[:, 0].tolist() == [1, 1]  # layer L itself is the most confident
    result, _ = swept("shallow-deep", [[1, 0], [0, 1], [0, 0]])
    assert result.predictions[0].tolist() == [0, 1, 0]  # at layer L, the first of two equals


def test_live_and_replay_agree_on_the_most_confident_exit(make_model, make_data, examples):
    method, data = METHODS["shallow-deep"], make_data(30)
    model = make_model(method)
    with torch.no_grad():
        for layer, module in model.exits.items():  # every layer is less sure than the one before, and disagrees with it
            module.classifier.weight.mul_((-1) ** int(layer) * 20 / int(layer))
    rule, knob = method.halting_rule(RuleSpec(4, 2)), method.knob(RuleSpec(4, 2))
    result = replay(rule, trace_model(model, examples(30), data))
    live = run_live(model, rule, knob, 1.0, data.batch(np.arange(30)))
    layers, answers = result.decide(knob, (1.0,))
    assert (layers == 4).all() and (live.layers == 4).all()
    assert live.answers.argmax(dim=1).tolist() == answers[0].tolist()
    last = result.answers[:, -1]
    assert (last == result.answers[np.arange(30), result.scores.argmax(axis=1)]).all()
    assert (result.scores.argmax(axis=1) < 3).sum() >= 10  # mostly, it is not layer L that answers


@pytest.mark.parametrize(("step", "weights"), [(0, (0.01 + 1 / 12, 0.01 + 2 / 12)), (3, (1 / 3, 2 / 3))])
def test_shallow_deep_weights_grow_to_the_share_of_the_computation(step, weights):
    logits = torch.tensor([[[LN3, 0.0], [0.0, LN3], [0.0, 0.0]]])
    loss = METHODS["shallow-deep"].loss(ExitOutputs(logits), TrainingBatch(torch.tensor([0]), step=step, steps=4))
    assert loss.item() == pytest.approx(LN2 + weights[0] * math.log(4 / 3) + weights[1] * math.log(4), rel=1e-6)


def test_the_fitted_temperature_makes_confidence_accuracy():
    logits = torch.tensor([[4.0, 0.0]] * 8)  # right three times in four: softmax(4 / T) = 3/4
    assert fitted_temperature(logits, torch.tensor([0, 0, 0, 1] * 2)) == pytest.approx(4 / LN3, rel=1e-3)


def test_temperatures_are_fitted_on_rows_that_are_not_trained_on(make_model, make_data, monkeypatch):
    method, data, seen = METHODS["shallow-deep"], make_data(40), []
    take = Encoded.take
    monkeypatch.setattr(Encoded, "take", lambda self, rows: seen.append(rows.tolist()) or take(self, rows))
    model = make_model(method)
    recipe = Recipe(epochs=2, learning_rate=3e-3, batch_size=8)
    monkeypatch.setattr(shallow_deep, "fitted_temperature", lambda logits, labels: 1 + logits.abs().mean().item())
    assert train(model, method, {"temperature": "fitted"}, data, recipe, ("task", 0)) == 2 * 36
    assert seen[1] == [0, 10, 20, 30] and sorted(seen[0] + seen[1]) == list(range(40))
    temperatures = [module.temperature.item() for module in model.exits.values()]
    assert len(set(temperatures)) == 4 and min(temperatures) > 1
    with torch.no_grad():
        scaled = model(data.take(np.array(seen[1])).batch(np.arange(4))).logits
    unscaled = scaled * torch.tensor(temperatures)[None, :, None]
    assert temperatures == pytest.approx((1 + unscaled.abs().mean(dim=(0, 2))).tolist(), rel=1e-4)
    again = make_model(method)
    train(again, method, {"temperature": "fitted"}, data, recipe, ("task", 0))
    assert [module.temperature.item() for module in again.exits.values()] == temperatures
    plain = make_model(method)
    assert train(plain, method, {"temperature": "none"}, data, recipe, ("task", 0)) == 2 * 40
    assert {module.temperature.item() for module in plain.exits.values()} == {1.0}
    assert hold_out(data, 0.0) == (data, None)


# --- ACT

ACT_Y = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]
ACT_H = [0.3, 0.5, 0.4, 0.9]  # sums .3, .8, 1.2: N = 3, R = .2


def test_act_halts_where_the_halting_values_reach_one_and_gives_the_rest_to_that_layer():
    logits = np.log(ACT_Y)
    result, knob = swept("act", logits, ACT_H)
    assert knob.values == (0.01,)
    assert exit_at("act", 0.01, logits, ACT_H) == 3
    mixed = 0.3 * np.array(ACT_Y[0]) + 0.5 * np.array(ACT_Y[1]) + 0.2 * np.array(ACT_Y[2])
    assert result.answers[0, 2] == pytest.approx(mixed, abs=1e-7)
    assert result.answers[0, 3] == pytest.approx(mixed, abs=1e-7)  # nothing is left for layer 4
    assert result.answers[0, 1] == pytest.approx(0.3 * np.array(ACT_Y[0]) + 0.7 * np.array(ACT_Y[1]), abs=1e-7)
    assert exit_at("act", 0.01, logits, [0.1, 0.1, 0.1, 0.1]) == 4
    assert exit_at("act", 0.01, logits, [0.5, 0.4922, 0.1, 0.1]) == 2  # .9922 is within eps of 1
    assert exit_at("act", 0.01, logits, [0.5, 0.4844, 0.1, 0.1]) == 3


def test_act_loss_is_that_of_the_mixture_plus_the_ponder_cost():
    h = torch.tensor([ACT_H, [0.2, 0.2, 0.2, 0.2]]).requires_grad_()
    exits = ExitOutputs(torch.log(torch.tensor([ACT_Y, ACT_Y])), h)
    loss = METHODS["act"].loss(exits, TrainingBatch(torch.tensor([0, 1]), {"tau": 0.1}))
    first = 0.3 * 0.9 + 0.5 * 0.2 + 0.2 * 0.6
    second = 0.2 * (0.1 + 0.8 + 0.4) + 0.4 * 0.5  # layer 4 takes the remainder .4
    ponder = (3 + 0.2 + 4 + 0.4) / 2
    assert loss.item() == pytest.approx(-(math.log(first) + math.log(second)) / 2 + 0.1 * ponder, rel=1e-5)
    loss.backward()
    assert h.grad[0, :2].all() and not h.grad[0, 2:].any()  # behind N nothing is learnt


def test_act_mixes_the_values_of_a_regression():
    exits = ExitOutputs(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0.25, 0.5]]))
    loss = METHODS["act"].loss(exits, TrainingBatch(torch.tensor([2.0]), {"tau": 0.0}))
    assert loss.item() == pytest.approx((0.25 * 1 + 0.75 * 3 - 2) ** 2)


def test_act_starts_with_all_layers_taking_part():
    unit = Act().exit(ExitSpec(16, 2, 0.0, 0.02, 3, 12)).halting_unit
    assert torch.sigmoid(unit.bias).item() == pytest.approx(1 / 12, rel=1e-5)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=12))
def test_the_weights_of_act_sum_to_one(h):
    result, knob = swept("act", np.zeros((len(h), 3)), h)
    assert result.answers[0].sum(axis=1) == pytest.approx(np.ones(len(h)))
    assert 1 <= result.exit_layers(knob, knob.values)[0, 0] <= len(h)


# --- PonderNet


def test_the_halting_distribution_by_hand():
    p = halting_distribution(torch.tensor([[0.5, 0.25, 0.9]]))
    assert p[0].tolist() == pytest.approx([0.5, 0.125, 0.375])
    assert geometric(0.5, 3).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_pondernet_halts_once_the_cumulated_probability_reaches_q():
    logits, h = np.zeros((3, 2)), [0.5, 0.25, 0.9]
    assert swept("pondernet", logits, h)[0].scores[0, :2] == pytest.approx([0.5, 0.625])
    assert [exit_at("pondernet", q, logits, h) for q in (0.1, 0.5, 0.6, 0.625, 0.63)] == [1, 1, 2, 2, 3]


def test_pondernet_loss_by_hand():
    exits = ExitOutputs(torch.tensor([[[LN3, 0.0], [0.0, LN3], [0.0, 0.0]]]), torch.tensor([[0.5, 0.25, 0.9]]))
    loss = METHODS["pondernet"].loss(exits, TrainingBatch(torch.tensor([0]), {"prior": 0.5, "beta": 0.1}))
    expected = 0.5 * math.log(4 / 3) + 0.125 * math.log(4) + 0.375 * LN2
    pairs = ((0.5, 4 / 7), (0.125, 2 / 7), (0.375, 1 / 7))
    assert loss.item() == pytest.approx(expected + 0.1 * sum(p * math.log(p / g) for p, g in pairs), rel=1e-5)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=12), st.sampled_from([0.1, 0.2, 0.4]))
def test_both_distributions_of_pondernet_sum_to_one(h, prior):
    assert halting_distribution(torch.tensor([h]).double()).sum().item() == pytest.approx(1)
    assert geometric(prior, len(h)).sum().item() == pytest.approx(1)


def test_the_depth_that_a_prior_expects():
    def expected(prior):
        return (geometric(prior, 12) * torch.arange(1, 13)).sum().item()

    assert [round(expected(prior), 2) for prior in (0.1, 0.2, 0.4)] == [5.28, 4.11, 2.47]  # as the docstring says
    assert [round(expected(prior), 2) for prior in PRIORS] == [6.26, 4.11, 2.0]
    assert expected(1e-4) == pytest.approx(6.5, abs=0.01)
    # the models' priors spread over what a prior can ask for, 1 to 6.5 layers: in steps of about 2
    assert np.diff([expected(prior) for prior in (*PRIORS[::-1], 1e-9)]) == pytest.approx([2, 2, 0], abs=0.3)


@pytest.mark.parametrize(("name", "key"), [("act", "tau"), ("pondernet", "prior")])
def test_three_ponder_costs(name, key):
    assert len(METHODS[name].variants) == 3 and all(text.startswith(f"{key}=") for text in METHODS[name].variants)


# --- PKD, TinyBERT, shallow: static points


def test_patience_compares_unit_vectors_of_every_second_layer():
    student = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [7.0, 7.0]]])  # layers 1, 2 of 3; the last does not count
    teacher = torch.zeros(1, 6, 2)
    teacher[0, 1], teacher[0, 3] = torch.tensor([0.0, 5.0]), torch.tensor([0.0, 1.0])  # layers 2 and 4
    assert patience(student, teacher).item() == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert patience(student[:, :1], teacher).item() == 0


def test_pkd_loss_by_hand():
    states = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    teacher = torch.zeros(1, 4, 2)
    teacher[0, 1] = torch.tensor([0.0, 1.0])
    nothing = torch.full((1, 1, 2), math.nan)
    exits = ExitOutputs(torch.cat([nothing, torch.tensor([[[2 * LN3, 0.0]]])], dim=1), states=states)
    taught = ExitOutputs(torch.cat([nothing] * 3 + [torch.tensor([[[0.0, 2 * LN3]]])], dim=1), states=teacher)
    variant = {"alpha": 0.25, "temperature": 2.0, "beta": 10.0}
    loss = METHODS["pkd"].loss(exits, TrainingBatch(torch.tensor([0]), variant, teacher=taught))
    soft = -(0.25 * math.log(0.75) + 0.75 * math.log(0.25)) * 4  # both at temperature 2: (3/4, 1/4), (1/4, 3/4)
    assert loss.item() == pytest.approx(0.75 * math.log(10 / 9) + 0.25 * soft + 10 * 1, rel=1e-5)


@pytest.mark.parametrize(("num_layers", "depths"), [(12, [3, 6, 9]), (6, [2, 3, 4])])
def test_depths(num_layers, depths):
    assert [METHODS["shallow"].depth(num_layers, {"depth": share}) for share in (0.25, 0.5, 0.75)] == depths
    assert METHODS["pkd"].depth(num_layers, {}) == num_layers // 2


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_cut_backbone_is_the_beginning_of_the_whole(family, make_model, make_data, fresh_backbone):
    model, batch = make_model(METHODS["pkd"], family), make_data(8, family).batch(np.arange(8))
    with torch.no_grad():
        states, whole = model.backbone(batch), fresh_backbone(family).eval()(batch)
    assert model.num_layers == 2 and list(model.exits) == ["2"]
    torch.testing.assert_close(states, whole[:, :2])  # of its last layer, [CLS] alone is computed


def test_a_student_starts_from_the_first_layers_of_its_teacher_with_a_head_of_its_own(make_model):
    teacher = make_model(METHODS["static"], seed=5)
    student = make_model(METHODS["pkd"], seed=1, start=teacher.state_dict())
    states = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        assert name.startswith("exits.2.") or torch.equal(tensor, states[name])
    assert torch.equal(
        student.exits["2"].pooler.weight, make_model(METHODS["deebert"], seed=1).exits["2"].pooler.weight
    )


# --- dact-eps


def test_slack_halts_no_later_and_none_is_the_exact_bound(make_trace):
    trace = make_trace(n=80)
    shape = RuleSpec(*trace.logits.shape[1:])
    knob, exact = METHODS["dact-eps"].knob(shape), METHODS["dact-exact"].knob(shape)
    assert knob.values == (0, 0.05, 0.1, 0.2, 0.5) and METHODS["dact-eps"].trained_by == "dact"
    result = replay(METHODS["dact-eps"].halting_rule(shape), trace)
    layers = result.exit_layers(knob, knob.values)
    assert (np.diff(layers, axis=0) <= 0).all() and (layers[-1] < layers[0]).any()
    assert (layers[0] == replay(METHODS["dact-exact"].halting_rule(shape), trace).exit_layers(exact, (0.0,))[0]).all()
