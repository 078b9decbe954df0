"""Checkpoints whose weights and config differ, or that ask for what the library does not do: refused in one line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, BertForPreTraining

from bench.errors import UserError
from bench.models.loading import load_encoder
from bench.models.weight_check import is_head
from bench.sources.checkpoints import Checkpoint
from run_all import main

FAMILIES = ("bert", "roberta", "distilbert", "albert", "electra")


@pytest.fixture
def folder(checkpoints, tmp_path):
    """A private copy of the BERT checkpoint, to be changed."""
    return shutil.copytree(checkpoints["bert"], tmp_path / "model")


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def refused(folder):
    """The one line of the error that loading raises, without the checkpoint's name."""
    with pytest.raises(UserError) as caught:
        load_encoder(Checkpoint(str(folder)))
    line = str(caught.value)
    assert line.isprintable() and len(line) < 300 and line.startswith(f"checkpoint '{folder}'")
    return line.removeprefix(f"checkpoint '{folder}'").removeprefix(":").strip()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", [AutoModelForMaskedLM, AutoModelForSequenceClassification])
def test_heads_may_be_left(family, head, checkpoints, tmp_path):
    shutil.copytree(checkpoints[family], tmp_path / "model")
    head.from_config(AutoModel.from_pretrained(checkpoints[family]).config).save_pretrained(tmp_path / "model")
    assert load_encoder(Checkpoint(str(tmp_path / "model"))).num_layers == 4


def test_the_published_bert_may_bring_both_of_its_heads(folder):
    BertForPreTraining(AutoModel.from_pretrained(folder).config).save_pretrained(folder)
    assert load_encoder(Checkpoint(str(folder))).num_layers == 4


def test_what_a_head_is():
    assert is_head("cls.predictions.bias") and is_head("bert.pooler.dense.weight") and is_head("classifier.weight")
    assert not is_head("encoder.layer.2.output.dense.bias") and not is_head("bert.encoder.cls.weight")


def test_weights_for_relative_positions_are_refused(folder):
    def add(weights):
        for layer in range(4):
            weights[f"encoder.layer.{layer}.attention.self.distance_embedding.weight"] = torch.zeros(79, 16)

    change_weights(folder, add)
    assert refused(folder) == (
        "has weights that no layer of its config takes, "
        "'encoder.layer.0.attention.self.distance_embedding.weight' and 3 more"
    )
    change_config(folder, position_embedding_type="relative_key_query")
    assert refused(folder) == (
        "its position_embedding_type is 'relative_key_query', which the library would read as absolute positions"
    )


def test_a_config_of_fewer_layers_is_refused(folder):
    change_config(folder, num_hidden_layers=2)
    assert refused(folder) == (
        "has weights that no layer of its config takes, 'encoder.layer.2.attention.output.LayerNorm.bias' and 31 more"
    )


def test_a_config_of_more_layers_is_refused(folder):
    change_config(folder, num_hidden_layers=6)
    assert refused(folder) == "lacks weights of its encoder, first 'encoder.layer.4.attention.output.LayerNorm.bias'"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"vocab_size": 40},
            "weight 'embeddings.word_embeddings.weight' is 35 x 32 and its config asks for 40 x 32",
        ),
        (
            {"hidden_size": 64},
            "weight 'embeddings.LayerNorm.bias' is 32 and its config asks for 64 and 66 more",
        ),
        (
            {"type_vocab_size": 1},
            "weight 'embeddings.token_type_embeddings.weight' is 2 x 32 and its config asks for 1 x 32",
        ),
    ],
)
def test_weights_of_another_shape_are_named(folder, change, line):
    change_config(folder, **change)
    assert refused(folder) == line


ODD = [
    (
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        "its weights are quantised (quantization_config): expected float weights",
    ),
    ({"hidden_act": "gelou"}, "its config names an unknown activation 'gelou'; did you mean 'gelu'?"),
    ({"add_cross_attention": True}, "its config asks for cross attention (add_cross_attention), which only decoders"),
    ({"num_hidden_layers": 0}, "its config says 0 layers: expected at least 1"),
    ({"num_hidden_layers": "2"}, "has no usable config: StrictDataclass"),
    ({"num_attention_heads": 3}, "cannot be loaded: The hidden size (32) is not a multiple of the number of attention"),
    ({"num_attention_heads": 0}, "cannot be loaded: ZeroDivisionError: integer modulo by zero"),
    ({"pad_token_id": 1000}, "cannot be loaded: AssertionError: Padding_idx must be within num_embeddings"),
    ({"dtype": "nope"}, "has no usable config: AttributeError"),
    ({"id2label": [1]}, "has no usable config: AttributeError"),
]


@pytest.mark.parametrize(("change", "line"), ODD)
def test_odd_configs_are_refused_in_one_line(folder, change, line):
    change_config(folder, **change)
    assert refused(folder).startswith(line)


@pytest.mark.parametrize("change", [change for change, _ in ODD] + [{"vocab_size": 40}, {"num_hidden_layers": 2}])
def test_the_plan_refuses_them_too(folder, change, tmp_path, capsys):
    change_config(folder, **change)
    command = ["--backbones", f"bert={folder}", "--tasks", "rte", "--methods", "static", "--seeds", "1", "--plan"]
    assert main([*command, "--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder) in line and len(line) < 300


def test_an_adapter_is_refused(folder):
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds an adapter \(adapter_config.json\): merge it into the weights"):
        Checkpoint(str(folder)).fingerprint()
