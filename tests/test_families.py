"""The families of docs/backbones.md on tiny random models: six here, all of them and the table in `make soak`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_encoder
from families import (
    COLUMNS,
    DECODERS,
    ENCODERS,
    REFUSED,
    SHORT,
    VOCABULARY,
    head_pooling,
    refusal,
    row,
    some_data,
    tiny,
)
from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel, OPTConfig, OPTModel

from bench.errors import UserError
from bench.models.backbones import taken
from bench.models.loading import without_pooler
from bench.models.model import build_model
from bench.models.pooling import first_token, last_token, mean_over_tokens
from bench.models.structure import inspect_encoder
from bench.sources.checkpoints import Checkpoint
from methods import discover

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
BEGIN, END = "<!-- made by tests/test_families.py -->", "<!-- end -->"
#: Where what the library computes depends on padding, or on nothing but the position itself.
NO_PROOF = {"mra": "zeros on a CPU"}


def line(values):
    return "| " + " | ".join(values) + " |"


def table_line(family):
    found = row(family)
    if family in NO_PROOF:
        found["live equals replay"] += f" ({NO_PROOF[family]}: no proof)"
    return line(found.values())


def is_good(found):
    """Whether a row shows what every row must."""
    exact = found["worst difference"] == "0" or float(found["worst difference"]) < 1e-5
    live = found["live equals replay"] in ("yes", "padding enters")
    return exact and live and found["a step lowers the loss"] == "yes" and found["MACs"] == "within 1 %"


# --- the table


@pytest.mark.parametrize("family", SHORT)
def test_a_row_of_the_table(family):
    found = row(family)
    assert is_good(found), found
    assert found["live equals replay"] == "yes"
    assert line(found.values()) in PAGE.read_text().splitlines()


@pytest.mark.parametrize("family", SHORT)
def test_exits_read_what_the_librarys_head_reads(family):
    assert without_pooler(tiny(family)).pooling == head_pooling(family)


@pytest.mark.parametrize("said", ["cls", "mean"])
def test_a_config_that_names_its_pooling(said):
    encoder = tiny("modernbert")
    encoder.config.classifier_pooling = said
    assert without_pooler(encoder).pooling == {"cls": "first", "mean": "mean"}[said]


@pytest.mark.parametrize("name", ["deberta-v2 with a convolution", "xlm", "vit"])
def test_a_refusal_of_the_table(name):
    assert line((name, refusal(name))) in PAGE.read_text().splitlines()


@pytest.mark.soak
def test_the_whole_table():
    """All rows are good, and the page has them; where it has not, they are written into it, to be looked at."""
    families = [*ENCODERS, *DECODERS]
    assert len(families) >= 30
    for family in families:
        found, head = row(family), head_pooling(family)
        assert is_good(found), found
        assert head in (None, found["exits read"]), (family, head)
    rows = [line(COLUMNS), line("---" for _ in COLUMNS), *map(table_line, families)]
    refused = [line(("refused", "why")), line(("---", "---")), *(line((name, refusal(name))) for name in REFUSED)]
    made = "\n".join([BEGIN, "", *rows, "", *refused, "", END])
    text = PAGE.read_text()
    after = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)
    if after != text:
        PAGE.write_text(after)
        pytest.fail("docs/backbones.md was not up to date and has been written anew: look at what changed")


# --- the view


@pytest.mark.parametrize("family", ["albert", "electra"])
def test_logits_of_before_the_generic_view(family):
    """Stored from the view that knew families by name."""
    torch.manual_seed(7)
    model = build_model(discover()["pabee"], without_pooler(random_encoder(family)), 3, (family, "stored", 0)).eval()
    attention = (torch.arange(10) < torch.tensor([[10], [9], [6], [4]])).long()
    ids = (torch.arange(5, 45).reshape(4, 10) % 35).clamp(min=5) * attention
    segments = (torch.arange(10) > 5).long().expand(4, 10) * attention
    with torch.no_grad():
        found = model({"input_ids": ids, "attention_mask": attention, "token_type_ids": segments}).logits
    expected = np.load(Path(__file__).parent / "data" / "logits.npz")[family]
    assert expected.std() > 0.5
    assert np.abs(found.numpy() - expected).max() < 1e-6


def test_groups_of_several_albert_layers():
    """The declared class is called eight times, its groups four."""
    config = AlbertConfig(
        vocab_size=50, hidden_size=32, embedding_size=16, intermediate_size=64, num_attention_heads=2,
        num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2,
    )  # fmt: skip
    found = inspect_encoder(AlbertModel(config).eval())
    assert found.layers == tuple(f"encoder.albert_layer_groups.{i}" for i in (0, 0, 1, 1))


def test_a_bert_that_sees_the_past_alone_is_a_decoder():
    config = BertConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=3, is_decoder=True
    )
    backbone = without_pooler(BertModel(config, add_pooling_layer=False))
    assert backbone.structure.is_causal and backbone.pooling == "last"
    assert backbone.functional_layers is None, "the plain functions know no causal mask"


def test_looking_at_a_model_leaves_no_trace():
    encoder = tiny("gpt2")
    encoder.h[1].eval()
    encoder.train()
    encoder.h[2].eval()
    modes, state = [module.training for module in encoder.modules()], torch.get_rng_state()
    inspect_encoder(encoder)
    assert modes == [module.training for module in encoder.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert not any("forward" in vars(module) for module in encoder.modules())


def test_layers_that_are_dropped_at_random_are_refused():
    config = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=32, ffn_dim=64, num_attention_heads=4, num_hidden_layers=4,
        max_position_embeddings=64, word_embed_proj_dim=32, layerdrop=0.9,
    )  # fmt: skip
    torch.manual_seed(0)
    backbone = without_pooler(OPTModel(config)).train()
    with pytest.raises(UserError, match=r"a 'opt' model called . of its 4 layers: layer drop is not possible"):
        backbone.embed(some_data()[1].batch(np.arange(3)))


@pytest.mark.parametrize("family", ["mpnet", "modernbert", "gpt2"])
def test_a_model_is_cut(family):
    backbone = without_pooler(tiny(family))
    batch = some_data()[1].batch(np.arange(5))
    with torch.no_grad():
        whole = backbone(batch)
        backbone.cut(2)
        assert torch.allclose(backbone(batch), whole[:, :2], atol=1e-6)
    again = without_pooler(type(backbone.encoder)(type(backbone.config)(**backbone.config.to_dict())))
    assert again.num_layers == 2


def test_rows_of_blocks_are_taken():
    """BLOOM's biases have the heads of one example after those of another."""
    tensor = torch.arange(12).reshape(6, 2)  # 3 examples of 2 heads
    found = taken(tensor, torch.tensor([0, 2]), 3, (1,), 1)
    assert found.tolist() == [[0], [2], [8], [10]]


# --- what is read


def test_poolings_by_hand():
    hidden = torch.tensor([[[1.0], [2.0], [6.0], [99.0]], [[99.0], [99.0], [4.0], [8.0]]])  # padded right, and left
    attention = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    assert mean_over_tokens(hidden, attention).tolist() == [[3.0], [6.0]]
    assert last_token(hidden, attention).tolist() == [[6.0], [8.0]]
    assert first_token(hidden).tolist() == [[1.0], [99.0]]


def test_padding_that_is_not_a_number_does_not_enter_the_mean():
    hidden = torch.tensor([[[1.0], [3.0], [float("nan")]]])
    assert mean_over_tokens(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[2.0]]


def test_the_first_token_of_a_decoder_is_refused():
    with pytest.raises(UserError, match="'first': the first token of a causal 'gpt2' model sees no other, expected"):
        without_pooler(tiny("gpt2"), "first")


@pytest.mark.parametrize("pooling", ["first", "mean", "last"])
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_every_way_reads_the_pooled_state(family, pooling):
    """Of all layers at once, one by one, and by exits that read the sequence, which find it in front."""
    backbone, batch = without_pooler(tiny(family), pooling).eval(), some_data()[1].batch(np.arange(6))
    attention = batch["attention_mask"]
    with torch.no_grad():
        states = backbone(batch)
        for layer, hidden in enumerate(backbone.sequences(batch)):
            normed = backbone.norm(hidden)
            tokens = [sequence[mask.bool()] for sequence, mask in zip(normed, attention, strict=True)]
            by_hand = {"first": 0, "last": -1}.get(pooling)
            expected = torch.stack([t.mean(0) if by_hand is None else t[by_hand] for t in tokens])
            assert torch.allclose(states[:, layer], expected, atol=1e-5)
            front, mask = backbone.read_all(hidden, attention)
            assert torch.allclose(front[:, 0], expected, atol=1e-5) and mask.shape == front.shape[:2]


def test_the_final_norm_is_trained_with_layer_l():
    backbone = without_pooler(tiny("gpt2"))
    layers = {
        name: layer for (layer, p) in backbone.parts() for name, q in backbone.encoder.named_parameters() if p is q
    }
    assert layers["ln_f.weight"] == 4 and layers["wte.weight"] == 0 and layers["h.2.attn.c_attn.weight"] == 3


# --- what a sentence model says


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"word_embedding_dimension": 32, "pooling_mode": "lasttoken", "include_prompt": True}, "last"),
        ({"pooling_mode_cls_token": True}, "first"),
        ({"pooling_mode_max_tokens": True}, "max_tokens"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "first+mean"),
        ({}, None),
    ],
)
def test_a_sentence_models_own_pooling(content, expected, tmp_path):
    assert Checkpoint(str(tmp_path)).said_pooling() is None
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(content))
    assert Checkpoint(str(tmp_path)).said_pooling() == expected


def test_a_sentence_model_that_cannot_be_read(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("[1")
    with pytest.raises(UserError, match=r"1_Pooling/config\.json cannot be read"):
        Checkpoint(str(tmp_path)).said_pooling()
