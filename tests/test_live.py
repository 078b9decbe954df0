"""The live engine against replay: the same decisions for every method, family, batch size and padding."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from bench.halting.agreement import disagreements, may_differ
from bench.halting.live import Decisions, run_live
from bench.halting.replay import Replay, replay
from bench.models.tracing import trace_model
from bench.speed.leaving import ImposedRule
from bench.store.trace import Trace
from methods import discover
from methods.base import HaltingRule, Knob, RuleSpec

METHODS = discover()
PAPER = ("dact", "dact-exact", "deebert", "pabee", "pabee-frozen")
EARLY = (*PAPER, "fastbert", "berxit", "shallow-deep", "act", "pondernet")
N = 40


def trained_by(method):
    return METHODS[method.trained_by] if method.trained_by else method


def spread(model, data):
    """Shift and scale every exit's outputs, so that examples leave at different layers for every method."""
    inputs = defaultdict(list)

    def note(unit, arguments):
        inputs[unit].append(arguments[0])

    for module in model.exits.values():
        for name in {"classifier", "halting_unit", "exit_unit"} & set(dict(module.named_children())):
            module.get_submodule(name).register_forward_pre_hook(note)
    with torch.no_grad():
        model(data.batch(np.arange(N)))
        for unit, seen in list(inputs.items()):
            is_classifier = any(unit is module.classifier for module in model.exits.values())
            mean, std = (0, 0.1 if model.num_labels == 1 else 1.5) if is_classifier else (-2, 2)
            standardise(unit, torch.cat(seen), mean, std)
    return model


def standardise(linear, inputs, mean, std):
    """Give a linear unit's outputs a mean and a standard deviation over the inputs [n, H]."""
    outputs = linear(inputs) - linear.bias
    scale = std / outputs.std(dim=0)
    linear.weight.mul_(scale[:, None])
    linear.bias.copy_(mean - scale * outputs.mean(dim=0))


def thresholds(result, knob):
    """Knob values to try: counts from the grid; of continuous scores also those in the middle of what occurs."""
    scores = result.scores[:, :-1]
    if result.score_kind in ("count", "fixed"):
        return knob.values[:3]
    return (knob.values[0], *(float(knob.sign * np.quantile(scores, q)) for q in (0.4, 0.8)))


def run_in_batches(model, method, value, data, size, padding=0, seed=None, precision="float32"):
    """Live decisions of all rows in their own order, from batches of a size in a shuffled order."""
    rows = np.arange(N) if seed is None else np.random.default_rng(seed).permutation(N)
    spec = RuleSpec(model.num_layers, model.num_labels)
    rule, knob = method.halting_rule(spec), method.knob(spec)
    answers, layers = torch.empty(N, model.num_labels, dtype=torch.float64), torch.empty(N, dtype=torch.int64)
    for start in range(0, N, size):
        some = rows[start : start + size]
        batch = data.batch(some, length=int(data.lengths[some].max()) + padding)
        live = run_live(model, rule, knob, value, batch, precision)
        answers[some], layers[some] = live.answers, live.layers
    return Decisions(answers, layers)


def world(name, family, num_labels, make_model, make_data, examples, precision="float32"):
    """A method's model with spread exits, its data, replay and knob."""
    method = METHODS[name]
    data = make_data(N, family, num_labels)
    model = spread(make_model(trained_by(method), family, num_labels), data)
    spec = RuleSpec(model.num_layers, num_labels)
    result = replay(method.halting_rule(spec), trace_model(model, examples(N, num_labels), data, precision=precision))
    return model, data, result, method.knob(spec)


CASES = [("bert", 2, name) for name in METHODS]
CASES += [(family, 2, name) for family in ("roberta", "distilbert") for name in (*PAPER, "fastbert", "static")]
CASES += [("albert", 2, "deebert"), ("electra", 2, "dact")]
CASES += [("bert", 3, name) for name in METHODS] + [("bert", 1, name) for name in METHODS if not METHODS[name].skip(1)]


@pytest.mark.parametrize(("family", "num_labels", "name"), CASES)
def test_live_and_replay_decide_alike(family, num_labels, name, make_model, make_data, examples):
    model, data, result, knob = world(name, family, num_labels, make_model, make_data, examples)
    layouts = [{"size": 1}, {"size": 7, "seed": 1, "padding": 5}, {"size": 7, "seed": 2}, {"size": 32, "padding": 11}]
    used, exceptions = set(), 0
    for value in thresholds(result, knob):
        used |= set(result.exit_layers(knob, (value,))[0].tolist())
        for layout in layouts:
            live = run_in_batches(model, METHODS[name], value, data, **layout)
            wrong, excused = disagreements(result, knob, value, live)
            assert not len(wrong), f"rows {wrong} differ at {value} with {layout}"
            exceptions += excused
    print(f"{name} on {family}, {num_labels} labels: {exceptions} close calls differ")
    if name in EARLY:
        assert len(used) >= 3, f"exits do not spread: only layers {used}"


@pytest.mark.parametrize("name", PAPER)
def test_half_precision_is_live_as_in_the_trace(name, make_model, make_data, examples):
    """How many decisions differ is printed; most do not, and it is that precision."""
    model, data, result, knob = world(name, "bert", 2, make_model, make_data, examples, "bfloat16")
    value = thresholds(result, knob)[1]
    live, full = (run_in_batches(model, METHODS[name], value, data, 8, precision=p) for p in ("bfloat16", "float32"))
    differing = (live.layers.numpy() != result.exit_layers(knob, (value,))[0]).sum()
    print(f"{name}: {differing} of {N} exits differ at bfloat16")
    assert differing <= N / 4 and live.answers.dtype == torch.float64
    assert not torch.equal(live.answers, full.answers)


@pytest.mark.parametrize("name", EARLY)
def test_few_examples_are_excused(name, make_model, make_data, examples):
    _, _, result, knob = world(name, "bert", 2, make_model, make_data, examples)
    for value in thresholds(result, knob):
        assert may_differ(result, knob, value).sum() <= 2


@pytest.mark.parametrize("name", METHODS)
def test_finished_examples_are_not_computed_on(name, make_model, make_data, examples):
    model, data, result, knob = world(name, "bert", 2, make_model, make_data, examples)
    value = thresholds(result, knob)[-1]
    computed, counts = (
        [],
        [
            layer.attention.register_forward_pre_hook(lambda _, args: computed.append(len(args[0])))
            for layer in model.backbone.layers
        ],
    )
    live = run_in_batches(model, METHODS[name], value, data, size=N)
    still_running = [(live.layers >= layer).sum().item() for layer in range(1, live.layers.max().item() + 1)]
    assert computed == still_running
    for handle in counts:
        handle.remove()


def test_a_batch_that_is_done_early_stops(make_model, make_data):
    model, data = make_model(METHODS["deebert"]), make_data(N)
    calls = []
    model.backbone.layers[1].attention.register_forward_pre_hook(lambda *_: calls.append(1))
    live = run_in_batches(model, METHODS["deebert"], 0.70, data, size=N)  # above ln 2: everybody leaves at layer 1
    assert set(live.layers.tolist()) == {1}
    assert not calls


def test_padding_leaves_with_the_example_that_needed_it(make_model, make_data):
    model, data, widths = make_model(METHODS["deebert"]), make_data(N), []
    batch = data.batch(np.arange(N), length=int(data.lengths.max()) + 3)
    longest = data.lengths.argsort()[::-1]
    layers = torch.full((N,), 3)
    layers[longest[:-2].copy()] = 1  # the two shortest go on
    for layer in model.backbone.layers:
        layer.attention.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[1]))
    found = run_live(model, ImposedRule(RuleSpec(model.num_layers, 2), layers), Knob(), 0.0, batch)
    assert found.layers.tolist() == layers.tolist()
    left = data.lengths[longest[-2]]
    assert widths == [data.lengths.max() + 3, left, left]


# --- the comparison itself must be able to fail

KNOB = Knob("entropy", (0.5,), strict=True, sign=-1)


def replayed(scores):
    scores = np.array(scores)
    return Replay(np.zeros(scores.shape, int), scores, np.zeros((*scores.shape, 2)))


def live(layers, answer=0.0):
    return Decisions(torch.full((len(layers), 2), answer, dtype=torch.float64), torch.tensor(layers))


def test_another_layer_is_a_disagreement():
    result = replayed([[-0.4, 0.0], [-0.6, 0.0]])
    assert disagreements(result, KNOB, 0.5, live([1, 2]))[0].tolist() == []
    assert disagreements(result, KNOB, 0.5, live([2, 2]))[0].tolist() == [0]


def test_another_answer_is_a_disagreement():
    assert disagreements(replayed([[-0.4, 0.0]]), KNOB, 0.5, live([1], 2e-4))[0].tolist() == [0]
    assert disagreements(replayed([[-0.4, 0.0]]), KNOB, 0.5, live([1], 5e-5))[0].tolist() == []


def test_close_calls_are_counted_not_reported():
    wrong, excused = disagreements(replayed([[-0.50005, 0.0], [-0.4, 0.0]]), KNOB, 0.5, live([1, 1]))
    assert wrong.tolist() == []
    assert excused == 1


def test_counters_are_excused_by_ties_and_steps_only():
    counters = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    answers = np.array([[[1, 0], [1, 0.99995], [1, 0]], [[1, 0], [1, 0], [1, 0]]])
    knob = Knob("patience", (1.0,))
    assert may_differ(Replay(counters, counters, answers, None, "count"), knob, 1.0).tolist() == [True, False]
    steps = np.array([[0, 0.10005, 1], [0, 0.2, 1]])[:, :, None]
    assert may_differ(Replay(counters, counters, steps, None, "count"), knob, 1.0).tolist() == [True, False]


def test_whole_numbers_are_not_taken_for_counts():
    """Certain everywhere, to the last bit: scores of 0 and 1 that were computed from the exits all the same."""
    scores, answers = np.array([[0.0, 1.0, 1.0]]), np.zeros((1, 3, 2))
    assert may_differ(Replay(scores, scores, answers), Knob("confidence", (1.0,)), 1.0).tolist() == [True]
    assert may_differ(Replay(scores, scores, answers), Knob("confidence", (0.5,)), 0.5).tolist() == [False]
    assert may_differ(Replay(scores, scores, answers, None, "fixed"), Knob("layer", (1.0,)), 1.0).tolist() == [False]


def test_two_equally_confident_layers_are_a_close_call_for_those_that_use_all_layers():
    scores = np.array([[0.6, 0.60005, 0.5], [0.6, 0.7, 0.5], [0.9, 0.6, 0.60005]])
    answers, knob = np.zeros((3, 3, 2)), Knob("confidence", (0.8,))
    assert may_differ(Replay(scores, scores, answers, None, "best"), knob, 0.8).tolist() == [True, False, False]


def test_rules_say_what_their_scores_are():
    shape = RuleSpec(4, 2)
    kinds = {name: method.halting_rule(shape).score_kind for name, method in METHODS.items()}
    assert HaltingRule.score_kind == "measure"
    assert {name for name, kind in kinds.items() if kind == "count"} == {"pabee", "pabee-frozen"}
    assert {name for name, kind in kinds.items() if kind == "best"} == {"shallow-deep"}
    fixed = {"static", "distilbert", "tinybert", "shallow", "pkd", "truncated"}
    assert {name for name, kind in kinds.items() if kind == "fixed"} == fixed
    result = replay(METHODS["pabee"].halting_rule(shape), Trace(np.zeros((3, 4, 2), np.float32), *[np.arange(3)] * 3))
    assert result.score_kind == result.take(np.array([0])).score_kind == "count"
