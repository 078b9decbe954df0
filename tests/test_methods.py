"""Each method by hand: losses, halting rules at their edges, knob grids, and the guarantees of DACT's bounds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bench.halting.replay import replay
from bench.plan.methods import full_variant
from bench.plan.suite_file import load_suite
from bench.store.trace import Trace
from methods import DEFAULT, discover
from methods.base import ExitOutputs, RuleSpec, TrainingBatch
from methods.blocks import entropy, prediction
from methods.dact import ExactRule, combine, exact_margin, paper_margin

METHODS = discover()
REGRESSION = ("static", "distilbert", "tinybert", "shallow", "pabee", "berxit", "act", "pondernet")
LN2 = math.log(2)


def exits_at(name, logits, value, halting=None):
    """Exit layers [n] of logits [n, L, C] at one knob value."""
    logits = np.asarray(logits, dtype=np.float32)
    n, num_layers, num_labels = logits.shape
    halting = None if halting is None else np.asarray(halting, dtype=np.float32)
    spec = RuleSpec(num_layers, num_labels)
    result = replay(METHODS[name].halting_rule(spec), Trace(logits, np.zeros(n, int), np.arange(n), None, halting))
    return result.exit_layers(METHODS[name].knob(spec), (value,))[0].tolist()


def votes(*rows, num_labels=2):
    """Logits [n, L, C] with the given argmax at each layer."""
    return np.eye(num_labels, dtype=np.float32)[np.array(rows)]


def dact_margins(name, y, h):
    """Margins [L] and answers [L, C] of one example with probabilities y [L, C] and halting values h [L]."""
    logits = np.log(np.asarray(y, dtype=np.float32))[None]
    trace = Trace(logits, np.zeros(1, int), np.zeros(1, int), None, np.asarray(h, dtype=np.float32)[None])
    result = replay(METHODS[name].halting_rule(RuleSpec(len(h), len(y[0]))), trace)
    return result.scores[0], result.answers[0]


# --- what exists


def test_defaults_are_found_in_their_order():
    assert list(METHODS)[: len(DEFAULT)] == list(DEFAULT)


def test_five_tau():
    assert METHODS["dact"].variants == ("tau=5e-05", "tau=0.0005", "tau=0.005", "tau=0.05", "tau=0.5")
    assert full_variant(METHODS["dact"], "tau=5e-05") == {"tau": 5e-5, "penalty": "h"}


@pytest.mark.parametrize("name", METHODS)
def test_regression_is_refused_with_a_reason_or_done(name):
    reason = METHODS[name].skip(1)
    assert (reason is None) == (name in REGRESSION)
    assert METHODS[name].skip(2) is METHODS[name].skip(3) is None


# --- predictions and entropy


def test_argmax_ties_go_to_the_lower_class():
    answers = torch.tensor([[1.0, 1, 0], [0, 1, 1], [2, 2, 2], [0, 0, 1]])
    assert prediction(answers).tolist() == [0, 1, 0, 2]
    assert prediction(answers[:, None]).tolist() == [[0], [1], [0], [2]]


def test_a_regression_predicts_its_value():
    assert prediction(torch.tensor([[2.5], [-1.0]])).tolist() == [2.5, -1.0]


@pytest.mark.parametrize("num_labels", [2, 3])
def test_entropy_of_certainty_is_zero_and_of_ignorance_ln_c(num_labels):
    certain = torch.full((1, num_labels), -1e4, dtype=torch.float64)
    certain[0, 0] = 1e4
    assert entropy(certain).tolist() == [0]
    assert entropy(torch.zeros(1, num_labels, dtype=torch.float64)).item() == pytest.approx(math.log(num_labels))


def test_entropy_by_hand():
    # softmax (3/4, 1/4): -(3/4 ln 3/4 + 1/4 ln 1/4) = 2 ln 2 - 3/4 ln 3
    logits = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    assert entropy(logits).item() == pytest.approx(2 * LN2 - 0.75 * math.log(3), abs=1e-15)


# --- static, distilbert, truncated


@pytest.mark.parametrize("name", ["static", "distilbert"])
def test_static_models_give_one_point_at_full_depth(name):
    logits = np.full((3, 4, 2), np.nan, dtype=np.float32)
    logits[:, -1] = [[0, 1], [1, 0], [0, 1]]
    values = METHODS[name].knob(RuleSpec(4, 2)).values
    assert len(values) == 1
    assert exits_at(name, logits, values[0]) == [4, 4, 4]


def test_truncated_leaves_at_the_knob():
    assert METHODS["truncated"].knob(RuleSpec(4, 2)).values == (1, 2, 3, 4)
    for layer in (1, 2, 3, 4):
        assert exits_at("truncated", votes([0, 1, 0, 1]), layer) == [layer]


# --- DeeBERT


@pytest.mark.parametrize(("num_labels", "size", "last"), [(2, 15, 0.70), (3, 23, 1.10)])
def test_entropy_grid_ends_at_the_first_value_above_ln_c(num_labels, size, last):
    values = METHODS["deebert"].knob(RuleSpec(12, num_labels)).values
    assert (len(values), values[0], values[1], values[-1]) == (size, 0, 0.05, last)
    assert values[-2] < math.log(num_labels) <= values[-1]


def test_entropy_equal_to_the_threshold_does_not_halt():
    logits = np.array([[[0, 0], [math.log(3), 0], [9, 0]]], dtype=np.float32)
    at_layer_2 = entropy(torch.tensor(logits[:, 1]).double()).item()
    assert exits_at("deebert", logits, at_layer_2) == [3]
    assert exits_at("deebert", logits, np.nextafter(at_layer_2, 1)) == [2]
    assert exits_at("deebert", logits, LN2) == [2]  # layer 1 is exactly ln 2
    assert exits_at("deebert", logits, 0.70) == [1]


def test_zero_entropy_never_exits_at_s_zero_but_does_above():
    certain = votes([0, 1, 0, 1], [1, 1, 1, 1]) * 2e4 - 1e4
    assert exits_at("deebert", certain, 0.0) == [4, 4]
    assert exits_at("deebert", certain, 0.05) == [1, 1]


# --- PABEE


def test_patience_exits_by_hand():
    rows = votes([0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0])
    assert METHODS["pabee"].knob(RuleSpec(6, 2)).values == (1, 2, 3, 4, 5, 6)
    assert exits_at("pabee", rows, 1) == [2, 3, 6, 2]
    assert exits_at("pabee", rows, 2) == [3, 4, 6, 5]
    assert exits_at("pabee", rows, 3) == [4, 6, 6, 6]  # the disagreement at layer 5 or 3 started the count anew
    assert exits_at("pabee", rows, 4) == [5, 6, 6, 6]


@pytest.mark.parametrize("patience", [5, 6])
def test_patience_of_l_minus_1_or_more_is_full_depth(patience):
    assert exits_at("pabee", votes([0] * 6, [0, 1] * 3), patience) == [6, 6]


def test_patience_counts_ties_as_the_lower_class():
    tied = np.array([[[1, 1], [1, 0], [1, 1], [0, 1]]], dtype=np.float32)
    assert exits_at("pabee", tied, 2) == [3]


def test_patience_of_regression_needs_a_step_strictly_below_theta():
    # .5 - .4 and .6 - .5 in float32 lie on the two sides of the .1 of float64; 1/8 and 1/16 are exact
    values = np.array([[1.0, 1.125, 1.1875, 1.1875, 1.25]], dtype=np.float32)[:, :, None]
    assert exits_at("pabee", values, 1) == [3]
    assert exits_at("pabee", values, 2) == [4]


def test_a_step_of_exactly_theta_disagrees(monkeypatch):
    monkeypatch.setattr("methods.pabee.REGRESSION_THRESHOLD", 0.125)
    assert exits_at("pabee", np.array([[[1.0], [1.125], [1.1875]]]), 1) == [3]


def test_pabee_frozen_replays_the_same_rule():
    assert METHODS["pabee-frozen"].trained_by == "deebert"
    assert exits_at("pabee-frozen", votes([0, 0, 1, 1]), 1) == [2]


# --- DACT

Y = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
H = [0.5, 0.25, 0.9]


def test_algorithm_1_by_hand():
    # p: 1, .5, .125, .1125
    # a_1 = y_1; a_2 = .5 (.2, .8) + .5 (.9, .1); a_3 = .125 (.6, .4) + .875 a_2
    _, answers = dact_margins("dact", Y, H)
    assert answers == pytest.approx(np.array([[0.9, 0.1], [0.55, 0.45], [0.55625, 0.44375]]), abs=1e-7)


def test_both_margins_by_hand():
    # layer 1: p = .5, d = 2; layer 2: p = .125, d = 1; layer 3: d = 0
    paper, _ = dact_margins("dact", Y, H)
    exact, _ = dact_margins("dact-exact", Y, H)
    by_hand = [0.9 * 0.5**2 - (0.1 + 0.5 * 2), 0.55 * 0.875 - (0.45 + 0.125), 0.55625 - 0.44375]
    assert paper == pytest.approx(by_hand, abs=1e-7)
    by_hand = [0.5**2 * 1.8 - 1, 0.875 * 1.1 - 1, 0.1125]
    assert exact == pytest.approx(by_hand, abs=1e-7)


def test_combine_in_the_order_of_the_algorithm():
    a, p = combine(torch.tensor([[0.2, 0.8]]), torch.tensor([0.3]), torch.tensor([[0.9, 0.1]]), torch.tensor([0.4]))
    assert a[0].tolist() == pytest.approx([0.62, 0.38])
    assert p.item() == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("best", "d", "paper", "exact"),
    [(0.90, 11, 0.0420, 0.0520), (0.99, 11, 0.0502, 0.0602), (0.99, 6, 0.0913, 0.1076), (0.99, 3, 0.1792, 0.2036)],
)
def test_the_largest_p_that_lets_each_bound_halt(best, d, paper, exact):
    a = torch.tensor([[best, 1 - best]], dtype=torch.float64)
    for margin, p in ((paper_margin, paper), (exact_margin, exact)):
        below, above = torch.tensor([p - 6e-5]).double(), torch.tensor([p + 6e-5]).double()
        assert margin(a, below, d).item() > 0 > margin(a, above, d).item()


def test_d_counts_the_layers_to_go():
    # p_1 = .15 at layer 1 of 3 (d = 2) holds the answer back, at layer 1 of 2 (d = 1) it does not
    y = np.log(np.array([[[0.75, 0.25]] * 3], dtype=np.float32))
    h = np.array([[0.15, 0.9, 0.9]], dtype=np.float32)
    assert 0.75 * 0.85 - (0.25 + 0.15) > 0 > 0.75 * 0.85**2 - (0.25 + 0.3)
    assert exits_at("dact", y[:, :2], 0, h[:, :2]) == [1]
    assert exits_at("dact", y, 0, h) == [2]


def test_a_closed_gate_halts_at_once_and_an_open_one_never():
    y = np.log(np.array([[[0.75, 0.25]] * 4] * 2, dtype=np.float32))
    for name in ("dact", "dact-exact"):
        assert exits_at(name, y, 0, [[1e-9] * 4, [1 - 1e-7] * 4]) == [1, 4]


def test_eps_loosens_the_margin_and_equality_halts():
    margins, _ = dact_margins("dact", Y, H)
    logits = np.log(np.array([Y], dtype=np.float32))
    assert exits_at("dact", logits, -margins[1], [H]) == [2]
    assert exits_at("dact", logits, np.nextafter(-margins[1], -9), [H]) == [3]
    assert exits_at("dact", logits, 0, [H]) == [3]


@st.composite
def dact_traces(draw):
    """Random probabilities and halting values: sure and unsure layers, gates that close early, late or never."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, num_layers, num_labels = 60, draw(st.integers(2, 12)), draw(st.integers(2, 4))
    logits = rng.normal(size=(n, num_layers, num_labels)) * draw(st.sampled_from([0.1, 1, 5, 40]))
    halting = rng.uniform(size=(n, num_layers)) ** draw(st.sampled_from([0.2, 1, 5, 40]))
    halting = halting.clip(1e-7, 1 - 1e-7).astype(np.float32)
    return Trace(logits.astype(np.float32), np.zeros(n, int), np.arange(n), None, halting)


@given(dact_traces())
def test_halting_never_changes_the_answer(trace):
    shape = RuleSpec(*trace.logits.shape[1:])
    for name in ("dact", "dact-exact"):
        result = replay(METHODS[name].halting_rule(shape), trace)
        layers = result.exit_layers(METHODS[name].knob(shape), (0.0,))
        halted = result.predictions_at(layers)[0]
        top = np.sort(result.answers, axis=2)
        tied = (top[:, :, -1] - top[:, :, -2] <= 1e-9).any(axis=1)
        assert (halted == result.predictions[:, -1])[~tied].all()


@given(dact_traces())
def test_the_exact_bound_halts_no_later(trace):
    shape = RuleSpec(*trace.logits.shape[1:])
    paper, exact = (replay(METHODS[name].halting_rule(shape), trace) for name in ("dact", "dact-exact"))
    assert (exact.scores >= paper.scores - 1e-12).all()
    knob = METHODS["dact"].knob(shape)
    sure = (np.abs(exact.scores) > 1e-12).all(axis=1)
    assert (exact.exit_layers(knob, (0.0,)) <= paper.exit_layers(knob, (0.0,)))[0, sure].all()


@given(st.floats(0.5, 1), st.floats(0, 1), st.integers(1, 11))
def test_the_exact_bound_is_the_worst_case_rolled_out(best, p, d):
    a, gate = torch.tensor([[best, 1 - best]], dtype=torch.float64), torch.tensor([p], dtype=torch.float64)
    bound = exact_margin(a, gate, d).item()
    for _ in range(d):
        a, gate = combine(torch.tensor([[0.0, 1.0]], dtype=torch.float64), torch.ones(1).double(), a, gate)
    assert (a[0, 0] - a[0, 1]).item() == pytest.approx(bound, abs=1e-12)


def test_rules_say_what_they_know_in_float64():
    rule = ExactRule(RuleSpec(3, 2))
    outputs = ExitOutputs(torch.zeros(2, 2).double(), torch.full((2,), 0.5).double())
    answer, score, state = rule.step(1, outputs, rule.start(2, 2))
    assert {tensor.dtype for tensor in (answer, score, *state.values())} == {torch.float64}


# --- losses

LABELS = torch.tensor([0, 1])


def all_exits(seed=0, num_labels=2, num_layers=3, halting=False):
    """Outputs [2, 3, C] that want gradients."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, num_layers, num_labels, generator=generator).requires_grad_()
    gates = torch.rand(2, num_layers, generator=generator).requires_grad_() if halting else None
    return ExitOutputs(logits, gates)


def hand_cross_entropy(logits, labels=(0, 1)):
    """Mean of -log softmax at the labels, for logits [n, C], written out."""
    terms = [math.log(sum(math.exp(x) for x in row)) - row[y] for row, y in zip(logits.tolist(), labels, strict=True)]
    return sum(terms) / len(terms)


def by_layer(exits):
    return [hand_cross_entropy(exits.logits[:, i]) for i in range(exits.logits.shape[1])]


def layers_with_gradient(gradient):
    return [bool(gradient[:, i].any()) for i in range(gradient.shape[1])]


def test_static_loss_is_the_last_layers():
    exits = all_exits()
    loss = METHODS["static"].loss(exits, TrainingBatch(LABELS))
    assert loss.item() == pytest.approx(by_layer(exits)[2], rel=1e-6)
    loss.backward()
    assert layers_with_gradient(exits.logits.grad) == [False, False, True]


def test_static_loss_of_regression_is_the_squared_error():
    exits = ExitOutputs(torch.tensor([[[9.0], [1.0]], [[9.0], [2.0]]]))
    assert METHODS["static"].loss(exits, TrainingBatch(torch.tensor([0.5, 4.0]))).item() == (0.25 + 4) / 2


def test_deebert_loss_sums_all_but_the_last():
    exits = all_exits()
    loss = METHODS["deebert"].loss(exits, TrainingBatch(LABELS))
    assert loss.item() == pytest.approx(sum(by_layer(exits)[:2]), rel=1e-6)
    loss.backward()
    assert layers_with_gradient(exits.logits.grad) == [True, True, False]


def test_pabee_loss_weights_layers_by_depth():
    exits = all_exits()
    one, two, three = by_layer(exits)
    loss = METHODS["pabee"].loss(exits, TrainingBatch(LABELS))
    assert loss.item() == pytest.approx((one + 2 * two + 3 * three) / 6, rel=1e-6)
    loss.backward()
    assert layers_with_gradient(exits.logits.grad) == [True, True, True]


def hand_dact(exits):
    """-log a_L[label] [n], h [n, L] and accumulated p [n, L], with plain numbers."""
    y, h = torch.softmax(exits.logits, dim=-1).tolist(), exits.halting.tolist()
    losses, gates = [], []
    for row, halting, label in zip(y, h, (0, 1), strict=True):
        a, p, ps = 0.0, 1.0, []
        for layer, h_l in zip(row, halting, strict=True):
            a, p = layer[label] * p + a * (1 - p), p * h_l
            ps.append(p)
        losses.append(-math.log(a))
        gates.append(ps)
    return np.array(losses), np.array(h), np.array(gates)


@pytest.mark.parametrize("tau", [0.0, 5e-5, 0.5])
def test_dact_loss_is_equation_1(tau):
    exits = all_exits(halting=True)
    losses, h, p = hand_dact(exits)
    eq_1 = METHODS["dact"].loss(exits, TrainingBatch(LABELS, {"tau": tau, "penalty": "h"})).item()
    original = METHODS["dact"].loss(exits, TrainingBatch(LABELS, {"tau": tau, "penalty": "p"})).item()
    assert eq_1 == pytest.approx((losses + tau * h.sum(axis=1)).mean(), rel=1e-6)
    assert original == pytest.approx((losses + tau * p.sum(axis=1)).mean(), rel=1e-6)


def test_dact_original_is_dact_with_the_older_penalty():
    exits, variant = all_exits(halting=True), full_variant(METHODS["dact-original"], "tau=0.5")
    older = METHODS["dact"].loss(exits, TrainingBatch(LABELS, {"tau": 0.5, "penalty": "p"})).item()
    assert METHODS["dact-original"].loss(exits, TrainingBatch(LABELS, variant)).item() == older
    assert set(METHODS["dact-original"].variants) < set(METHODS["dact"].variants)
    suite = load_suite("embedded")
    recipes = [suite.recipe_of(METHODS[name], "bert") for name in ("dact", "dact-original", "dact-frozen")]
    assert recipes[0] == recipes[1] != recipes[2]


def test_the_last_halting_value_is_penalised_but_never_reaches_the_answer():
    exits = all_exits(halting=True)
    METHODS["dact"].loss(exits, TrainingBatch(LABELS, {"tau": 0.5, "penalty": "h"})).backward()
    assert layers_with_gradient(exits.logits.grad) == [True, True, True]
    assert exits.halting.grad[:, 2].tolist() == pytest.approx([0.25, 0.25])  # tau / n and nothing else
    exits = all_exits(halting=True)
    METHODS["dact"].loss(exits, TrainingBatch(LABELS, {"tau": 0.0, "penalty": "h"})).backward()
    assert layers_with_gradient(exits.halting.grad) == [True, True, False]


def test_dact_loss_of_a_hopeless_answer_is_finite():
    logits = torch.tensor([[[-200.0, 200.0]] * 3]).requires_grad_()
    exits = ExitOutputs(logits, torch.full((1, 3), 0.5))
    loss = METHODS["dact"].loss(exits, TrainingBatch(torch.tensor([0]), {"tau": 0.5, "penalty": "h"}))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_cross_entropy_agrees_with_the_library():
    exits = all_exits(seed=3)
    assert by_layer(exits)[0] == pytest.approx(F.cross_entropy(exits.logits[:, 0], LABELS).item(), rel=1e-6)
