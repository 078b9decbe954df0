"""Multiply-adds against the library's counter, by hand, and in the rows of a run; memory that does not suffice."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import FAMILIES, random_encoder
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.models.backbones import Layerwise
from bench.models.costs import backbone_macs, example_macs, mac_fraction, model_macs
from bench.models.loading import without_pooler
from bench.models.memory import is_out_of_memory, training_bytes
from bench.plan.grid import Grid
from bench.plan.suite import Recipe
from bench.plan.suite_file import load_suite
from bench.run import worker as cell_module
from bench.run.work import Work
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.store.folder import RunFolder
from methods import discover

METHODS = discover()
TRAINED = [name for name, method in METHODS.items() if method.trained_by is None]


def counted(model, batch, layer):
    """Multiply-adds of one example up to a layer, exits included, by the library's counter."""
    model.backbone.encoder.set_attn_implementation("eager")  # the counter does not know the CPU's fused attention
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.inference_mode():
        hidden, inputs = model.backbone.embed(batch)
        for number in range(1, layer + 1):
            hidden = model.backbone.layer(number, hidden, inputs)
            model.exit(number, hidden, batch["attention_mask"])
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", TRAINED)
def test_multiply_adds_are_those_of_the_librarys_counter(name, family, make_model, make_data):
    model, data = make_model(METHODS[name], family, 3), make_data(3, family)
    macs = all_macs(model)
    for row, layer in ((0, 1), (1, model.num_layers - 1), (2, model.num_layers)):
        ours = example_macs(macs, np.array([layer]), data.lengths[[row]])
        assert ours[0] == pytest.approx(counted(model, data.batch(np.array([row])), layer), rel=0.01)


def all_macs(model):
    own = backbone_macs(model.backbone)
    return model_macs(model, own, own, model.backbone.hidden_size)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_the_first_families_cost_what_the_formula_says(family, fresh_backbone):
    """4 H^2 + 2 H I per token and 2 H per pair of tokens; ALBERT and ELECTRA project 16 wide embeddings to 32."""
    found = backbone_macs(fresh_backbone(family))
    assert found["layers"] == [[0, 4 * 32**2 + 2 * 32 * 64, 2 * 32]] * 4
    assert found["embedding"] == [0, 16 * 32 if family in ("albert", "electra") else 0, 0]


@pytest.mark.parametrize(("family", "projects"), [("albert", True), ("electra", False)])
def test_embeddings_of_the_layers_own_width(family, projects):
    """ALBERT projects them even then, ELECTRA does not."""
    config = copy.deepcopy(random_encoder(family).config)
    config.embedding_size = config.hidden_size
    backbone = without_pooler(type(random_encoder(family))(config))
    assert (backbone_macs(backbone)["embedding"][1] > 0) == projects


def test_by_hand():
    """Two layers; a layer costs 10 T + T^2, its exit 5; the static model has one exit of 4."""
    panel = {"embedding": 0, "token": 10, "pair": 1, "layers": 2, "head": [4, 0, 0]}
    macs = {"embedding": 0, "token": 10, "pair": 1, "exits": [[5, 0, 0], [5, 0, 0]], "panel": panel}
    check_by_hand(macs)


def test_layers_that_differ_by_hand():
    """The same numbers, written layer by layer."""
    panel = {"embedding": [0, 0, 0], "layers": [[0, 10, 1]] * 2, "head": [4, 0, 0]}
    check_by_hand({"embedding": [0, 0, 0], "layers": [[0, 10, 1]] * 2, "exits": [[5, 0, 0], [5, 0, 0]], "panel": panel})
    uneven = {"embedding": [0, 3, 0], "layers": [[1, 0, 0], [0, 0, 2]], "exits": [[0, 0, 0], [7, 0, 0]]}
    assert example_macs(uneven, np.array([1, 2]), np.array([2, 5])).tolist() == [3 * 2 + 1, 3 * 5 + 1 + 2 * 25 + 7]


def check_by_hand(macs):
    lengths = np.array([2, 10])
    assert example_macs(macs, np.array([1, 2]), lengths).tolist() == [24 + 5, 2 * 200 + 10]
    full = (2 * 24 + 4) + (2 * 200 + 4)
    assert mac_fraction(macs, np.array([[1, 2], [2, 2]], np.int8), lengths).tolist() == pytest.approx(
        [(29 + 410) / full, (58 + 410) / full]
    )


def test_static_costs_one_and_exits_are_not_free(make_model):
    lengths = np.array([9, 17])
    for name, expected in (("static", 1.0), ("deebert", None)):
        model = make_model(METHODS[name])
        full = mac_fraction(all_macs(model), np.full((1, 2), 4), lengths)[0]
        assert full == expected if expected else full > 1


# --- memory


@pytest.fixture
def work(tmp_path):
    folder = RunFolder(tmp_path)
    folder.create()
    return Work(folder, Embedded(), "cpu")


@pytest.fixture
def plan(tiny_suite):
    """`plan(name, ..)`: the cells of some methods on RTE by method; one of each, on 100 rows."""

    def plan(*names):
        methods = {name: METHODS[name] for name in names}
        grid = Grid(load_suite(str(tiny_suite)), [TASKS["rte"]], ["bert"], methods, [0], Embedded(), 100)
        return {cell.spec["method"]: cell for cell in grid.cells(grid.shared())}

    return plan


@pytest.fixture
def one_cell(plan):
    return plan("static")["static"]


def failing(times, error, monkeypatch):
    """Let training fail so many times; gives the recipes that it was called with."""
    recipes, train = [], cell_module.train

    def fail(model, method, variant, data, recipe, *rest):
        recipes.append(recipe)
        if len(recipes) <= times:
            raise error
        return train(model, method, variant, data, recipe, *rest)

    monkeypatch.setattr(cell_module, "train", fail)
    return recipes


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: ..."),
    ],
)
def test_a_cell_that_runs_out_of_memory_is_tried_again_in_smaller_parts(error, work, one_cell, monkeypatch):
    recipes = failing(1, error, monkeypatch)
    record = cell_module.run_cell(one_cell, work, False)
    assert (record["status"], record["accumulation"], record["spec"]["recipe"]["batch_size"]) == ("ok", 2, 20)
    assert [recipe.accumulation for recipe in recipes] == [1, 2]
    assert record["key"] == one_cell.key


def test_a_cell_that_never_fits_says_what_it_needs(work, one_cell, monkeypatch):
    recipes = failing(2, torch.OutOfMemoryError("CUDA out of memory."), monkeypatch)
    record = cell_module.run_cell(one_cell, work, False)
    assert record["status"] == "failed" and len(recipes) == 2
    assert record["reason"].startswith("out of memory on cpu with ")
    assert "needed (estimate) for the smallest batch tried, 10 rows at once" in record["reason"]
    assert "(accumulation = 2)" in record["reason"]


def test_a_frozen_backbone_is_read_in_smaller_parts(work, plan, monkeypatch):
    """A card that holds 64 rows: the pass that computes the features of all epochs must get smaller, too."""
    cells = plan("deebert")
    assert cell_module.run_cell(cells["static"], work, True)["status"] == "ok"
    seen, forward = [], Layerwise.forward

    def small(backbone, batch):
        seen.append(len(batch["input_ids"]))
        if seen[-1] > 64:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(backbone, batch)

    monkeypatch.setattr(Layerwise, "forward", small)
    record = cell_module.run_cell(cells["deebert"], work, False)
    assert (record["status"], record["accumulation"]) == ("ok", 2), record["reason"]
    assert seen[0] == 100 and max(seen[1:]) == 64


def test_a_frozen_backbone_that_never_fits_says_how_it_was_read(work, plan, monkeypatch):
    cells = plan("pkd", "deebert")
    assert cell_module.run_cell(cells["static"], work, True)["status"] == "ok"
    failing(9, MemoryError("no"), monkeypatch)
    reason = cell_module.run_cell(cells["deebert"], work, False)["reason"]
    assert "smallest batch tried, 64 rows at once (accumulation = 2)" in reason
    recipe = replace(Recipe(**cells["pkd"].spec["recipe"]), accumulation=2)
    rows, needed = cell_module.needed_memory(cells["pkd"], work, recipe)
    assert rows == recipe.batch_size / 2
    assert needed > cell_module.needed_memory(cells["static"], work, recipe)[1], "the teacher takes nothing"


def test_a_device_that_is_full_from_the_start_is_tried_again(work, one_cell, monkeypatch):
    calls = []

    def full(device):
        calls.append(device)
        if len(calls) == 1:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`")

    monkeypatch.setattr(cell_module, "reset_peak_memory", full)
    assert cell_module.run_cell(one_cell, work, False)["accumulation"] == 2


def test_other_errors_are_not_tried_again(work, one_cell, monkeypatch):
    recipes = failing(9, RuntimeError("index out of range"), monkeypatch)
    assert cell_module.run_cell(one_cell, work, False)["reason"] == "RuntimeError: index out of range"
    assert len(recipes) == 1
    assert not is_out_of_memory(RuntimeError("out of luck")) and is_out_of_memory(MemoryError())


def test_the_estimate_grows_with_what_is_computed_at_once(fresh_backbone):
    backbone = fresh_backbone("bert")
    weights = 4 * sum(p.numel() for p in backbone.parameters())
    small, large = (training_bytes(backbone, True, rows, 10, "float32") for rows in (8, 16))
    assert large - small == 8 * 10 * 4 * (8 * 32 + 2 * 64) * 4  # rows, tokens, layers, values, bytes
    assert small - (large - small) == 4 * weights
    assert training_bytes(backbone, True, 16, 10, "float16") - 4 * weights == (large - 4 * weights) / 2
    assert training_bytes(backbone, False, 16, 10, "float32") < large / 3
