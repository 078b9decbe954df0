"""Encoders layer by layer against the library's own, batches and padding, and every checkpoint that must be refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, ViTConfig, ViTModel

from bench.errors import UserError
from bench.models.layer_calls import tensors
from bench.models.loading import load_encoder, load_tokenizer
from bench.models.tokens import encode
from bench.sources.checkpoint_folder import check_folder
from bench.sources.checkpoints import Checkpoint, find_checkpoint
from bench.sources.examples import Examples

FAMILIES = ("bert", "roberta", "distilbert", "albert", "electra")


def library_states(path, batch, segments):
    """The library's hidden states after each layer, [n, L, T, H]."""
    model = AutoModel.from_pretrained(path, attn_implementation="eager").eval()
    names = ("input_ids", "attention_mask", *segments)
    with torch.inference_mode():
        states = model(**{name: batch[name] for name in names}, output_hidden_states=True).hidden_states
    return torch.stack(states[1:], dim=1)


def our_states(backbone, batch):
    """Every layer's hidden states [n, L, T, H], by the layerwise view."""
    with torch.inference_mode():
        return torch.stack(list(backbone.sequences(batch)), dim=1)


# --- the layerwise view


@pytest.mark.parametrize("padding", [0, 1, 9])
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_the_librarys(family, padding, checkpoints, fresh_backbone, make_data):
    data, rows, backbone = make_data(9, family), np.arange(9), fresh_backbone(family).eval()
    batch = data.batch(rows, length=int(data.lengths.max()) + padding)
    segments = ("token_type_ids",) if family in ("bert", "albert", "electra") else ()
    expected, ours = library_states(checkpoints[family], batch, segments), our_states(backbone, batch)
    words = batch["attention_mask"].bool()[:, None].expand(expected.shape[:3])
    assert expected.std() > 0.1
    assert (expected - ours)[words].abs().max() < 1e-5
    with torch.inference_mode():
        assert (backbone(batch) - ours[:, :, 0]).abs().max() < 1e-5  # of layer L computed for [CLS] alone


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_without_padding_needs_no_mask(family, fresh_backbone, checkpoints, tokenizers):
    same = Examples(["w1 w2", "w3 w4"], None, np.zeros(2, int), np.arange(2))
    batch = encode(tokenizers[family], same, 24).batch(np.arange(2))
    backbone = fresh_backbone(family).eval()
    assert not dict(tensors(backbone.embed(batch)[1].calls[0]))
    expected = library_states(checkpoints[family], batch, ())
    assert (expected - our_states(backbone, batch)).abs().max() < 1e-5


def test_segments_reach_bert(fresh_backbone, make_data):
    batch = make_data(4, "bert").batch(np.arange(4))
    backbone = fresh_backbone("bert").eval()
    assert batch["token_type_ids"].any()
    without = {**batch, "token_type_ids": torch.zeros_like(batch["token_type_ids"])}
    assert not torch.allclose(backbone(batch), backbone(without))


def test_distilbert_ignores_the_segments_of_its_published_tokenizer(fresh_backbone, make_data):
    batch = make_data(4, "distilbert").batch(np.arange(4))
    backbone = fresh_backbone("distilbert").eval()
    assert "token_type_ids" in batch
    assert torch.equal(backbone(batch), backbone({name: batch[name] for name in batch if name != "token_type_ids"}))


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_cover_every_parameter_once(family, fresh_backbone):
    backbone = fresh_backbone(family)
    layers, parameters = zip(*backbone.parts(), strict=True)
    assert [id(p) for p in parameters] == [id(p) for p in backbone.parameters()]
    if family == "albert":  # two groups of weights, each for two layers
        assert sorted(set(layers)) == [0, 1, 3]
        assert backbone.layers[0] is backbone.layers[1] and backbone.layers[2] is backbone.layers[3]
        return
    assert sorted(set(layers)) == list(range(backbone.num_layers + 1))
    for number in range(1, backbone.num_layers + 1):
        own = [id(p) for p in backbone.layers[number - 1].parameters()]
        assert own == [id(p) for layer, p in backbone.parts() if layer == number]


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_the_librarys_pooler_is_gone(family, fresh_backbone):
    assert not [name for name, _ in fresh_backbone(family).named_parameters() if "pooler" in name]


def test_a_real_backbone_layer_by_layer(shared_data):
    path = shared_data / "backbones" / "minilm-l6-h384-uncased"
    if not path.is_dir():
        pytest.skip("no real backbone beside the checkout")
    texts = Examples(["A fine film.", "No."], ["It was good, wasn't it?", "Yes"], np.zeros(2, int), np.arange(2))
    batch = encode(load_tokenizer(Checkpoint(str(path))), texts, 32).batch(np.arange(2), length=20)
    ours, words = our_states(load_encoder(Checkpoint(str(path))).eval(), batch), batch["attention_mask"].bool()
    expected = library_states(path, batch, ("token_type_ids",))
    assert (expected - ours).transpose(1, 2)[words].abs().max() < 1e-5


# --- batches


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_are_padded_to_their_longest_row(family, make_data, tokenizers, examples):
    data, texts = make_data(7, family), examples(7)
    rows = np.array([4, 0, 6])
    batch = data.batch(rows)
    assert batch["input_ids"].shape == (3, data.lengths[rows].max())
    library = tokenizers[family](
        [texts.text_a[i] for i in rows], [texts.text_b[i] for i in rows], padding=True, return_tensors="pt"
    )
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {k: v.tolist() for k, v in library.items()}
    wide = data.batch(rows, length=40)
    assert wide["attention_mask"].sum(1).tolist() == data.lengths[rows].tolist()
    assert (wide["input_ids"][:, -1] == tokenizers[family].pad_token_id).all()


def test_long_inputs_are_cut(tokenizers):
    long = Examples(["w1 " * 50], ["w2 " * 9], np.zeros(1, int), np.arange(1))
    data = encode(tokenizers["bert"], long, 12)
    assert data.lengths.tolist() == [12]
    assert data.columns["input_ids"][-1] == tokenizers["bert"].sep_token_id


def test_single_sentences_have_one_separator(tokenizers):
    data = encode(tokenizers["bert"], Examples(["w0"], None, np.zeros(1, int), np.arange(1)), 12)
    assert {name: values.tolist() for name, values in data.columns.items()} == {
        "input_ids": [2, 5, 3],
        "token_type_ids": [0, 0, 0],
    }


def test_some_of_the_rows(make_data):
    data, rows = make_data(20), np.array([7, 3, 3, 19])
    some = data.take(rows)
    assert len(some) == 4 and (some.labels == data.labels[rows]).all()
    one, other = some.batch(np.arange(4)), data.batch(rows)
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert len(data.take(np.array([], dtype=int))) == 0


def test_texts_are_tokenised_in_parts(tokenizers, examples, monkeypatch):
    whole = encode(tokenizers["bert"], examples(20, 2), 12)
    monkeypatch.setattr("bench.models.tokens.AT_ONCE", 7)
    parts = encode(tokenizers["bert"], examples(20, 2), 12)
    assert (whole.lengths == parts.lengths).all()
    assert all((whole.columns[name] == parts.columns[name]).all() for name in whole.columns)


def test_targets_keep_their_kind(make_data):
    assert make_data(5, num_labels=3).targets(np.array([1, 2])).dtype == torch.int64
    assert make_data(5, num_labels=1).targets(np.array([1, 2])).dtype == torch.float32


# --- checkpoints


@pytest.fixture
def folder(checkpoints, tmp_path):
    """A private copy of the BERT checkpoint, to be damaged."""
    return shutil.copytree(checkpoints["bert"], tmp_path / "model")


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(action, *arguments):
    """The one line of the error that `action` raises."""
    with pytest.raises(UserError) as caught:
        action(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_fingerprints_follow_the_content(folder, checkpoints):
    before = Checkpoint(str(folder)).fingerprint()
    assert before == Checkpoint(str(checkpoints["bert"])).fingerprint()
    (folder / "README.md").write_text("says nothing about the numbers")
    assert Checkpoint(str(folder)).fingerprint() == before
    change_config(folder, layer_norm_eps=1e-6)
    assert Checkpoint(str(folder)).fingerprint() != before


def test_a_pickle_is_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refused(check_folder, folder) == (
        f"checkpoint folder '{folder}': expected model.safetensors, "
        "found 'pytorch_model.bin', a pickle, which is never loaded"
    )
    refused(load_encoder, Checkpoint(str(folder)))


def test_no_weights_at_all(folder):
    (folder / "model.safetensors").unlink()
    assert refused(check_folder, folder) == (
        f"checkpoint folder '{folder}': expected model.safetensors, found no weights"
    )


def test_a_missing_config(folder):
    (folder / "config.json").unlink()
    assert refused(check_folder, folder) == (
        f"checkpoint folder '{folder}': config.json cannot be read (No such file or directory)"
    )


def test_a_broken_config(folder):
    (folder / "config.json").write_text("{")
    assert refused(check_folder, folder).startswith(f"checkpoint folder '{folder}': config.json is not valid JSON (")


def test_code_of_its_own_is_refused(folder):
    change_config(folder, auto_map={"AutoModel": "mine.Model"})
    assert refused(check_folder, folder) == (
        f"checkpoint folder '{folder}': config.json asks for code of its own, which is never run"
    )


def test_a_model_that_reads_no_text_is_refused(tmp_path):
    config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    ViTModel(config).save_pretrained(tmp_path)
    assert refused(load_encoder, Checkpoint(str(tmp_path))) == (
        f"checkpoint '{tmp_path}' is a 'vit' model, which has no vocabulary: expected a model that reads tokens"
    )


def test_a_config_without_a_family(folder):
    change_config(folder, model_type=None)
    assert refused(check_folder, folder) == (
        f"checkpoint folder '{folder}': config.json names no model_type, expected a family of the library "
        "such as 'bert'"
    )


def test_a_tokenizer_larger_than_the_model(folder):
    change_config(folder, vocab_size=20)
    assert refused(load_tokenizer, Checkpoint(str(folder))) == (
        f"checkpoint '{folder}': the tokenizer does not fit, it has 35 entries and the model 20"
    )
    refused(load_encoder, Checkpoint(str(folder)))  # its own weights do not fit either


@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_tokenizer(family, checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints[family], tmp_path / "model", ignore=shutil.ignore_patterns("tokenizer*"))
    assert refused(load_tokenizer, Checkpoint(str(folder))) == (
        f"checkpoint '{folder}' has no usable tokenizer: its vocabulary is missing, expected tokenizer.json"
    )


def test_missing_weights_are_named(folder):
    weights = load_file(folder / "model.safetensors")
    lost = "encoder.layer.2.output.dense.weight"
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert refused(load_encoder, Checkpoint(str(folder))) == (
        f"checkpoint '{folder}' lacks weights of its encoder, first '{lost}'"
    )


def test_a_checkpoint_without_pooler_is_complete(folder):
    weights = {k: v for k, v in load_file(folder / "model.safetensors").items() if "pooler" not in k}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_encoder(Checkpoint(str(folder))).num_layers == 4


def test_damaged_weights(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert refused(load_encoder, Checkpoint(str(folder))).startswith(f"checkpoint '{folder}' cannot be loaded: ")


def test_a_folder_that_does_not_exist(tmp_path):
    name = str(tmp_path / "nowhere")
    assert refused(find_checkpoint, name) == f"checkpoint folder '{name}' does not exist"
