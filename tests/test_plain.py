"""What makes training fast, against what it stands for: layers in plain functions, parameters as one vector, losses."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from bench.models.layers import PARTS, FunctionalLayer
from bench.models.model import build_model
from bench.models.training import train
from bench.models.vector import as_one_vector
from bench.plan.suite import Recipe
from methods import discover
from methods.blocks import layer_losses, prediction_loss


def gradients(module, output):
    """Gradients of a fixed function of an output, by name of the parameter."""
    module.zero_grad()
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def assert_close(ours, expected):
    """Equal to 1e-6 of the largest gradient: some are nothing but rounding, softmax is blind to a bias of all keys."""
    assert set(ours) == set(expected)
    scale = max(tensor.abs().max() for tensor in expected.values())
    for name, tensor in expected.items():
        assert (ours[name] - tensor).abs().max() <= 1e-6 * scale, name


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("family", PARTS)
def test_plain_layers_compute_and_learn_what_the_librarys_do(family, padding, fresh_backbone, make_data):
    backbone, data = fresh_backbone(family).eval(), make_data(9, family)
    rows = np.arange(9) if padding else np.flatnonzero(data.lengths == data.lengths[0])
    batch = data.batch(rows, length=int(data.lengths[rows].max()) + padding)
    ours = backbone(batch)
    expected = torch.stack([hidden[:, 0] for hidden in backbone.sequences(batch)], dim=1)
    assert (ours - expected).abs().max() <= 1e-6 * expected.abs().max()
    assert_close(gradients(backbone, ours), gradients(backbone, expected))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_dropout_falls_where_the_librarys_does(family, fresh_backbone):
    backbone = fresh_backbone(family).train()
    layer, hidden = backbone.layers[1], torch.randn(3, 7, 32)
    torch.manual_seed(1)
    expected = layer(hidden, None)
    torch.manual_seed(1)
    ours = FunctionalLayer(layer, backbone.config)(hidden, None, 7)
    assert not torch.allclose(expected, layer(hidden, None), atol=1e-3)
    assert torch.allclose(ours, expected, atol=1e-5)


def test_a_backbone_that_is_cut_after_use_stays_right(fresh_backbone, make_data):
    backbone, batch = fresh_backbone("bert").eval(), make_data(4).batch(np.arange(4))
    whole = backbone(batch)
    backbone.cut(2)
    assert torch.allclose(backbone(batch), whole[:, :2], atol=1e-5)


def test_a_layer_of_another_family_stays_with_the_library(fresh_backbone):
    assert fresh_backbone("albert").functional_layers is None


@pytest.mark.parametrize("num_labels", [1, 3])
def test_losses_of_all_layers_are_those_of_each(num_labels):
    logits = torch.randn(7, 4, num_labels)
    labels = torch.randn(7) if num_labels == 1 else torch.randint(3, (7,))
    each = [prediction_loss(logits[:, i], labels, reduction="none") for i in range(4)]
    assert torch.allclose(layer_losses(logits, labels), torch.stack(each, dim=1), rtol=1e-6)


def test_a_step_on_the_vector_is_a_step_on_every_parameter():
    torch.manual_seed(0)
    ours = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    theirs = copy.deepcopy(ours)
    identities = [id(parameter) for parameter in ours.parameters()]
    vector, parameters = as_one_vector(list(ours.parameters())), list(theirs.parameters())
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
    assert [id(parameter) for parameter in ours.parameters()] == identities
    again = load(save(ours.state_dict()))
    assert all(torch.equal(again[name], tensor) for name, tensor in ours.state_dict().items())


def test_training_through_plain_layers_is_training_through_the_librarys(fresh_backbone, make_data):
    trained, data, method = [], make_data(24), discover()["pabee"]
    for is_plain in (True, False):
        backbone = fresh_backbone("bert")
        for module in backbone.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if not is_plain:
            backbone.functional_layers = None
        model = build_model(method, backbone, 2, ("bert", "task", 0))
        train(model, method, {}, data, Recipe(epochs=2, learning_rate=1e-4, batch_size=8), ("task", 0))
        trained.append(model.eval()(data.batch(np.arange(24))).logits)
    assert trained[0].std() > 0.1
    assert torch.allclose(*trained, atol=1e-5)
