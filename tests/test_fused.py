"""What makes training fast against what it stands for: fused layers, exits side by side, parameters as one vector."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from bench import backbones
from bench.flat import as_vector
from bench.fused import EncoderLayer, FusedLayer
from bench.plan import full_variant
from methods import discover
from methods.base import TrainingBatch

METHODS = discover()
TRAINED = [name for name, method in METHODS.items() if method.trained_by is None and not method.has_teacher]
FUSED = ("bert", "roberta", "electra", "distilbert")


def without_dropout(module):
    """A module in training mode whose dropout does nothing."""
    for part in module.train().modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return module


def gradients(module, output):
    """Gradients of a fixed function of an output, by name of the parameter."""
    module.zero_grad()
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def assert_close(ours, expected):
    """Equal to 1e-6 of the largest value, but for what only rounding makes: softmax is blind to a bias of all keys."""
    assert set(ours) == set(expected)
    scale = max(tensor.abs().max() for tensor in expected.values())
    for name, tensor in expected.items():
        assert (ours[name] - tensor).abs().max() <= 1e-6 * scale, name


# --- layers


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("family", FUSED)
def test_fused_layers_compute_what_the_librarys_do(family, padding, fresh_backbone, make_data, monkeypatch):
    backbone, data = without_dropout(fresh_backbone(family)), make_data(9, family)
    rows = np.arange(9) if padding else np.flatnonzero(data.lengths == data.lengths[0])
    batch = data.batch(rows, length=int(data.lengths[rows].max()) + padding)
    ours = backbone(batch)
    assert type(ours.grad_fn.next_functions[-1][0].next_functions[0][0]).__name__ == "EncoderLayerBackward"
    found = gradients(backbone, ours)
    monkeypatch.setattr(backbones, "can_fuse", lambda config: False)
    expected = backbone(batch)
    assert (ours - expected).abs().max() <= 1e-6 * expected.abs().max()
    assert_close(found, gradients(backbone, expected))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_dropout_falls_where_the_librarys_does(family, fresh_backbone):
    backbone = fresh_backbone(family).train()
    layer, hidden = backbone.layers[1], torch.randn(3, 7, 32)
    torch.manual_seed(1)
    expected = layer(hidden, None)
    torch.manual_seed(1)
    ours = FusedLayer(layer, backbone.config)(hidden, None, 7)
    assert not torch.allclose(expected, layer(hidden, None), atol=1e-3)
    assert torch.allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("queries", [5, 1])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_backward_pass_is_the_derivative(queries, rate):
    torch.manual_seed(0)
    width, inner = 6, 8
    shapes = [(width, width), (width,)] * 4 + [(width,)] * 2 + [(inner, width), (inner,), (width, inner), (width,)]
    weights = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes + [(width,)] * 2]
    hidden = torch.randn(2, 5, width, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[0.0] * 5, [0.0] * 3 + [-torch.inf] * 2], dtype=torch.float64)[:, None, None]

    def layer(hidden, *weights):
        torch.manual_seed(2)
        return EncoderLayer.apply(hidden, mask, queries, 3, 1e-5, [rate] * 3, *weights)

    assert torch.autograd.gradcheck(layer, (hidden, *weights))


def test_other_activations_and_families_stay_with_the_library(fresh_backbone):
    config = copy.deepcopy(fresh_backbone("bert").config)
    assert backbones.can_fuse(config)
    config.hidden_act = "relu"
    assert not backbones.can_fuse(config)
    assert not backbones.can_fuse(fresh_backbone("albert").config)


# --- exits


@pytest.mark.parametrize("num_labels", [1, 3])
@pytest.mark.parametrize("name", TRAINED)
def test_exits_side_by_side_say_what_each_says_alone(name, num_labels, make_model, monkeypatch):
    method = METHODS[name]
    if method.skip(num_labels):
        pytest.skip(method.skip(num_labels))
    model = without_dropout(make_model(method, num_labels=num_labels))
    cls, labels = torch.randn(9, 4, 32), torch.randint(3, (9,)) if num_labels > 1 else torch.randn(9)
    batch = TrainingBatch(labels, full_variant(method, method.variants[0]), step=1, steps=4)
    if name in ("static", "distilbert", "tinybert", "shallow", "fastbert"):
        assert model.side_by_side is None
        return

    def found():
        said = model.read(cls)
        model.zero_grad()
        method.loss(said, batch).backward()
        trained = {name: p.grad.clone() for name, p in model.exits.named_parameters() if p.grad is not None}
        halting = {} if said.halting is None else {"halting": said.halting.detach()}
        return {"logits": said.logits.detach(), **halting, **trained}

    ours = found()
    assert model.side_by_side is not None
    model.side_by_side = None
    assert_close(ours, found())


def test_exits_that_differ_stay_apart(make_model):
    released = discover("released")
    assert make_model(released["deebert"]).side_by_side is None  # layer L has an off-ramp
    assert make_model(released["pabee"]).side_by_side is not None  # one pooler for all


def test_dropout_differs_between_exits_side_by_side(make_model):
    model = make_model(METHODS["pabee"]).train()
    for module in list(model.exits.values())[1:]:
        module.load_state_dict(model.exits["1"].state_dict())
    logits = model.read(torch.randn(1, 1, 32).expand(5, 4, 32)).logits
    assert len({tuple(row) for row in logits.flatten(0, 1).tolist()}) == 20


# --- parameters


def test_a_step_on_the_vector_is_a_step_on_every_parameter():
    torch.manual_seed(0)
    ours = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    theirs = copy.deepcopy(ours)
    vector, parameters = as_vector(list(ours.parameters())), list(theirs.parameters())
    optimizers = [torch.optim.AdamW(some, lr=0.1, weight_decay=0.1) for some in ([vector], parameters)]
    for _ in range(5):
        x = torch.randn(8, 5)
        for module, some, optimizer in zip((ours, theirs), ([vector], parameters), optimizers, strict=True):
            (module(x) - x[:, :1]).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(some, 0.3)
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    for mine, other in zip(ours.parameters(), parameters, strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-6)
    again = load(save(ours.state_dict()))
    assert all(torch.equal(again[name], tensor) for name, tensor in ours.state_dict().items())
