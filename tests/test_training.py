"""What each stage trains and what it leaves alone; order, initialisation and precision; loops that diverge."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.models import training
from bench.models.model import derive_seed
from bench.models.tokens import shuffled_batches, sorted_batches
from bench.models.tracing import trace_model
from bench.models.training import train
from bench.plan.methods import full_variant
from bench.plan.suite import Recipe
from methods import discover

METHODS = discover()
TRAINED = [name for name, method in METHODS.items() if method.trained_by is None]
#: What reaches no loss: the last halting value where layer L takes whatever is left.
LAST_HALTING = {"exits.4.halting_unit.weight", "exits.4.halting_unit.bias"}
NEVER_USED = defaultdict(set, act=LAST_HALTING, pondernet=LAST_HALTING)
RECIPE = Recipe(epochs=2, learning_rate=1e-3, batch_size=8)


def state(model):
    """A copy of all parameters by name."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def changed(before, after):
    """Names of the parameters whose bits differ."""
    return {name for name in before if not torch.equal(before[name], after[name])}


def fit(model, name, data, recipe=RECIPE, seed=0, precision="float32", teacher=None):
    """Train with a method's first variant; returns the parameters."""
    method = METHODS[name]
    variant = full_variant(method, method.variants[0])
    train(model, method, variant, data, recipe, ("task", seed), precision=precision, teacher=teacher)
    return state(model)


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(20)


@pytest.fixture(scope="module")
def stage1(make_model, data):
    """The parameters of a fine-tuned static model."""
    return fit(make_model(METHODS["static"]), "static", data)


@pytest.fixture(scope="module")
def teacher_of(make_model, stage1):
    """`teacher_of(name)`: the stage-1 model that a method learns from; None for methods without a teacher."""
    return lambda name: make_model(METHODS["static"], start=stage1) if METHODS[name].has_teacher else None


# --- who is trained


@pytest.mark.parametrize("name", ["deebert", "fastbert"])
def test_a_frozen_backbone_and_last_head_keep_every_bit(name, make_model, stage1, data):
    model = make_model(METHODS[name], start=stage1)
    before, trained = state(model), {name for name, p in model.named_parameters() if p.requires_grad}
    moved = changed(before, fit(model, name, data))
    below_last = {name for name in before if name.startswith(("exits.1.", "exits.2.", "exits.3."))}
    assert trained == below_last
    assert moved == below_last - {name for name in moved ^ below_last if "key.bias" in name}  # softmax is blind to it


def test_dact_frozen_trains_every_exit_and_nothing_else(make_model, stage1, data):
    model = make_model(METHODS["dact-frozen"], start=stage1)
    before, trained = state(model), {name for name, p in model.named_parameters() if p.requires_grad}
    moved = changed(before, fit(model, "dact-frozen", data))
    assert trained == {name for name in before if name.startswith("exits.")}
    assert moved <= trained and {name.split(".")[1] for name in moved} == {"1", "2", "3", "4"}


def test_a_teacher_keeps_every_bit(make_model, stage1, data, teacher_of):
    student, teacher = make_model(METHODS["pkd"], start=stage1), teacher_of("pkd")
    before, taught = state(student), state(teacher)
    moved = changed(before, fit(student, "pkd", data, teacher=teacher))
    assert not changed(taught, state(teacher)) and not teacher.training
    assert {name for name in before if name.startswith("exits.") or "output.dense.weight" in name} <= moved


@pytest.mark.parametrize("name", ["static", "pabee", "dact", "berxit", "shallow-deep", "act", "pondernet"])
def test_the_others_change_embeddings_and_every_layer(name, make_model, data):
    model = make_model(METHODS[name])
    before = state(model)
    moved = changed(before, fit(model, name, data))
    for part in ("embeddings.word_embeddings", *(f"encoder.layer.{i}.output.dense" for i in range(4))):
        assert f"backbone.encoder.{part}.weight" in moved
    assert {n for n in before if n.startswith("exits.") and "temperature" not in n} <= moved | NEVER_USED[name]


@pytest.mark.parametrize("name", ["deebert", "dact"])
def test_stage_2_starts_from_the_backbone_and_head_of_stage_1(name, make_model, stage1):
    start = state(make_model(METHODS[name], start=stage1))
    fresh = state(make_model(METHODS[name]))
    assert not changed({n: t for n, t in stage1.items() if n in start}, start)
    assert {n for n in stage1 if n.startswith("exits.4.")} == {n for n in start if n in stage1 and "exits" in n}
    assert not [n for n in changed(start, fresh) if n.startswith(("exits.1.", "exits.2.", "exits.3."))]


def test_pabee_starts_from_the_pretrained_checkpoint():
    assert METHODS["pabee"].starts_from is METHODS["static"].starts_from is METHODS["distilbert"].starts_from is None
    assert METHODS["dact"].starts_from == METHODS["deebert"].starts_from == "static"


# --- initialisation


def test_exits_start_alike_whatever_the_method(make_model):
    dact, deebert, pabee, static = (state(make_model(METHODS[n])) for n in ("dact", "deebert", "pabee", "static"))
    shared = {name for name in dact if "halting_unit" not in name}
    assert shared == set(deebert) == set(pabee)
    assert not changed(deebert, pabee)
    assert not changed(deebert, dact)
    assert not changed(static, deebert)


def test_exits_depend_on_backbone_task_seed_and_layer(make_model):
    model = make_model(METHODS["deebert"])
    weight = model.exits["1"].pooler.weight
    assert not torch.equal(weight, model.exits["2"].pooler.weight)
    assert not torch.equal(weight, make_model(METHODS["deebert"], seed=1).exits["1"].pooler.weight)
    assert not torch.equal(weight, make_model(METHODS["deebert"], "roberta").exits["1"].pooler.weight)


def test_initialisation_as_documented(make_model):
    unit = make_model(METHODS["dact"]).exits["2"].halting_unit
    assert unit.bias.item() == 0
    assert 0.01 < unit.weight.std().item() < 0.03
    pooler = make_model(METHODS["dact"]).exits["2"].pooler
    assert pooler.weight.std().item() == pytest.approx(0.2, rel=0.1)  # the checkpoint's initializer_range


def test_building_a_model_leaves_the_random_state_alone(make_model):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    make_model(METHODS["dact"])
    assert torch.equal(torch.rand(1), expected)


def test_seeds_are_the_same_on_every_machine():
    assert derive_seed("exit", "bert", "sst2", 0, 1) == 3605655635681990452
    assert derive_seed("order", "sst2", 1) != derive_seed("order", "sst2", 11)


# --- the loop


@pytest.mark.parametrize("name", TRAINED)
def test_two_trainings_are_bit_identical(name, make_model, stage1, data, teacher_of):
    start = stage1 if METHODS[name].starts_from else None
    one = fit(make_model(METHODS[name], start=start), name, data, teacher=teacher_of(name))
    torch.rand(7)  # whatever ran in between
    assert not changed(one, fit(make_model(METHODS[name], start=start), name, data, teacher=teacher_of(name)))


def test_another_seed_is_another_training(make_model, data):
    one, two = (fit(make_model(METHODS["static"]), "static", data, seed=seed) for seed in (0, 1))
    assert "exits.4.classifier.weight" in changed(one, two)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_frozen_features_train_like_the_whole_model(family, make_model, make_data, monkeypatch):
    data, method = make_data(20, family), METHODS["deebert"]
    kept = fit(make_model(method, family), "deebert", data)
    monkeypatch.setattr(training, "FEATURE_BYTES", 0)
    recomputed = fit(make_model(method, family), "deebert", data)
    for name in kept:
        assert torch.allclose(kept[name], recomputed[name], rtol=0, atol=1e-5), name
    assert changed(state(make_model(method, family)), kept)


def test_the_order_of_the_data_does_not_depend_on_the_method(make_model, stage1, data, teacher_of, monkeypatch):
    orders, epochs = [], training.epochs

    def spy(*arguments):
        orders.append([rows.tolist() for rows in epochs(*arguments)])
        return iter([np.array(rows) for rows in orders[-1]])

    monkeypatch.setattr(training, "epochs", spy)
    for name in TRAINED:
        start = stage1 if METHODS[name].starts_from else None
        fit(make_model(METHODS[name], start=start), name, data, teacher=teacher_of(name))
    assert len(orders) == len(TRAINED)
    assert all(order == orders[0] for order in orders)
    assert orders[0][:3] != orders[0][3:]  # another order in each epoch


def test_the_learning_rate_falls_linearly_to_nothing(make_model, data, monkeypatch):
    rates = []

    class Spy(torch.optim.AdamW):
        def step(self, *arguments):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*arguments)

    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    fit(make_model(METHODS["static"]), "static", data)
    assert rates == pytest.approx([1e-3 * (6 - step) / 6 for step in range(6)])  # 2 epochs of 3 batches


def test_examples_seen_and_evaluation_mode(make_model, data):
    model = make_model(METHODS["static"])
    assert train(model, METHODS["static"], {}, data, RECIPE, ("task", 0)) == 40
    assert not any(module.training for module in model.modules())


def test_training_learns(make_model, data):
    model = make_model(METHODS["static"])
    fit(model, "static", data, Recipe(epochs=40, learning_rate=3e-3, batch_size=8))
    with torch.inference_mode():
        logits = model(data.batch(np.arange(20))).logits[:, -1]
    assert (logits.argmax(1).numpy() == data.labels).mean() >= 0.9


class Diverging(type(METHODS["static"])):
    """The static loss until a step, NaN in that step."""

    def __init__(self, bad_step):
        self.step, self.bad_step = 0, bad_step

    def loss(self, exits, batch):
        self.step += 1
        return super().loss(exits, batch) * (np.nan if self.step == self.bad_step else 1)


@pytest.mark.parametrize(("bad_step", "noticed"), [(1, 1), (3, 6), (6, 6)])
def test_a_training_that_diverges_stops(bad_step, noticed, make_model, data):
    method = Diverging(bad_step)
    with pytest.raises(FloatingPointError, match=f"the training loss is nan at step {noticed}: training diverged"):
        train(make_model(method), method, {}, data, RECIPE, ("task", 0))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", TRAINED)
def test_mixed_precision_trains_float32_weights(name, precision, make_model, data, examples, teacher_of):
    model = make_model(METHODS[name])
    before = state(model)
    after = fit(model, name, data, precision=precision, teacher=teacher_of(name))
    assert changed(before, after)
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    trace = trace_model(model, examples(20), data, precision=precision)
    assert trace.logits.dtype == np.float32
    assert np.isfinite(trace.logits[:, -1]).all()


class Scaled(type(METHODS["static"])):
    """The static loss times a factor."""

    factor = 1.0

    def loss(self, *arguments):
        return super().loss(*arguments) * self.factor


@pytest.mark.parametrize(("factor", "moves"), [(1e-9, True), (1.0, True), (1e6, False)])
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_float16_scales_the_loss_and_leaves_out_steps_that_overflow(factor, moves, make_model, data):
    """Gradients of 1e-9 would be 0 in float16; those of a loss of 1e6 overflow whatever three halvings do."""
    method = type("Method", (Scaled,), {"factor": factor})()
    model = make_model(METHODS["static"])
    before = state(model)
    train(model, method, {}, data, Recipe(epochs=1, learning_rate=1e-3, batch_size=8), ("task", 0), precision="float16")
    name = "exits.4.pooler.weight"
    assert (name in changed(before, state(model))) == moves
    assert all(torch.isfinite(tensor).all() for tensor in state(model).values())


@pytest.mark.parametrize("name", ["static", "deebert", "dact", "fastbert", "berxit", "pkd"])
def test_the_gradients_of_parts_add_up_to_the_batchs(name, make_model, data, teacher_of, monkeypatch):
    """Seen where they are clipped, in the first step: Adam would make much of differences in the last bit."""
    clip = torch.nn.utils.clip_grad_norm_

    def gradients(parts):
        seen = []

        def spy(parameters, *arguments, **options):
            seen.append([p.grad.clone() for p in parameters if p.grad is not None])
            return clip(parameters, *arguments, **options)

        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
        model = make_model(METHODS[name])
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        recipe = Recipe(epochs=1, learning_rate=1e-3, batch_size=8, accumulation=parts)
        fit(model, name, data, recipe, teacher=teacher_of(name))
        assert len(seen) == 3  # one step a batch, whatever the parts
        return seen[0]

    whole = gradients(1)
    for parts in (3, 99):
        for ours, expected in zip(gradients(parts), whole, strict=True):
            assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_learning_rate_rises_and_falls():
    shares = [training.learning_rate(10, 4)(step) for step in range(10)]
    assert shares == pytest.approx([0, 1 / 4, 2 / 4, 3 / 4, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [training.learning_rate(10, 0)(step) for step in range(10)] == [1 - step / 10 for step in range(10)]


def test_a_schedule_may_end_before_the_training(make_model, data):
    """As FastBERT's released scheduler, which counts 3 epochs of the students' 5: 345 of MRPC's 575 steps learn."""
    shares = [training.learning_rate(345, 34)(step) for step in range(576)]
    assert shares[33] < shares[34] == 1 and shares[344] > 0 and not any(shares[345:])
    how = {"learning_rate": 1e-3, "batch_size": 8, "warmup": 0.1}
    whole = fit(make_model(METHODS["static"]), "static", data, Recipe(epochs=2, **how))
    longer = fit(make_model(METHODS["static"]), "static", data, Recipe(epochs=4, schedule_epochs=2, **how))
    assert not changed(whole, longer)
    assert changed(whole, fit(make_model(METHODS["static"]), "static", data, Recipe(epochs=4, **how)))


def test_heads_may_have_a_rate_of_their_own(make_model, data):
    before = state(make_model(METHODS["pabee"]))

    def largest_moves(rate, head_rate):
        recipe = Recipe(epochs=1, batch_size=8, learning_rate=rate, head_learning_rate=head_rate)
        after = fit(make_model(METHODS["pabee"]), "pabee", data, recipe)
        moves = {name: (after[name] - before[name]).abs().max().item() for name in before}
        heads = {name for name in moves if name.startswith("exits.")}
        return max(moves[name] for name in moves.keys() - heads), max(moves[name] for name in heads)

    backbone, heads = largest_moves(1e-3, 1e-6)
    assert backbone > 1e-3 and 0 < heads < 1e-5
    backbone, heads = largest_moves(1e-6, 1e-3)
    assert heads > 1e-3 and 0 < backbone < 1e-5
    assert largest_moves(1e-3, 1e-3) == pytest.approx(largest_moves(1e-3, 0.0), rel=1e-3)


def test_the_learning_rate_is_that_of_the_library():
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_linear_schedule_with_warmup(optimizer, 4, 10)
    ours = training.learning_rate(10, 4)
    for step in range(10):
        assert theirs.get_last_lr()[0] == pytest.approx(ours(step))
        optimizer.step()
        theirs.step()


def test_what_is_usual_in_a_recipe_stands_in_no_key():
    assert not {"accumulation", "warmup", "schedule_epochs", "head_learning_rate"} & set(RECIPE.spec())
    assert Recipe(epochs=1, learning_rate=1.0, batch_size=4, head_learning_rate=0.1).spec()["head_learning_rate"] == 0.1
    assert Recipe(epochs=1, learning_rate=1.0, batch_size=4, warmup=0.1).spec()["warmup"] == 0.1
    assert Recipe(epochs=1, learning_rate=1.0, batch_size=4, accumulation=2).spec()["accumulation"] == 2
    assert Recipe(epochs=1, learning_rate=1.0, batch_size=4, schedule_epochs=1).spec()["schedule_epochs"] == 1


@pytest.mark.parametrize("family", ["albert", "electra"])
@pytest.mark.parametrize("name", TRAINED)
def test_one_step_on_every_family(name, family, make_model, make_data):
    model, teacher = make_model(METHODS[name], family), None
    if METHODS[name].has_teacher:
        teacher = make_model(METHODS["static"], family)
    before, last = state(model), {id(parameter) for parameter in model.backbone.layers[-1].parameters()}
    last = {name for name, parameter in model.named_parameters() if id(parameter) in last}
    recipe = Recipe(epochs=1, learning_rate=1e-3, batch_size=8)
    moved = changed(before, fit(model, name, make_data(8, family), recipe, teacher=teacher))
    assert moved
    assert bool(moved & last) != (name in ("deebert", "dact-frozen", "fastbert"))


def test_regression_trains(make_model, make_data):
    for name in ("static", "pabee", "berxit", "act", "pondernet"):
        model = make_model(METHODS[name], num_labels=1)
        assert changed(state(model), fit(model, name, make_data(20, num_labels=1)))


# --- the order of batches

lengths = st.lists(st.integers(1, 128), min_size=1, max_size=400).map(np.array)


@given(lengths, st.integers(1, 9), st.integers(0, 99))
def test_an_epoch_covers_every_row_once(lengths, batch_size, seed):
    batches = list(shuffled_batches(lengths, batch_size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    again = shuffled_batches(lengths, batch_size, np.random.default_rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


@given(lengths, st.integers(1, 9))
def test_inference_covers_every_row_once_by_length(lengths, batch_size):
    rows = np.concatenate(list(sorted_batches(lengths, batch_size)))
    assert sorted(rows) == list(range(len(lengths)))
    assert (np.diff(lengths[rows]) >= 0).all()


def test_batches_hold_similar_lengths():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 100, 1000)
    spread = [np.ptp(lengths[rows]) for rows in shuffled_batches(lengths, 20, rng)]
    assert np.mean(spread) < 12  # in random order: about 86
