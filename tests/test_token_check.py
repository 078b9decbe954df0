"""What a tokenizer gives is not believed: mended or refused in one line, at loading and at `--plan`."""

import json
import shutil

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, AutoTokenizer

from bench.errors import UserError
from bench.models.loading import check_length, load_encoder, load_tokenizer
from bench.models.token_check import check_tokens, mend_padding
from bench.models.tokens import encode
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Examples
from run_all import main

FAMILIES = ("bert", "roberta", "distilbert", "albert", "electra")
WITH_SEGMENTS = ("bert", "albert", "electra")
PAIRS = Examples(["w1 w2", "w3"], ["w4", "w5 w6 w7"], np.zeros(2, int), np.arange(2))


@pytest.fixture
def folder(request, checkpoints, tmp_path):
    """A private copy of a checkpoint, BERT's if no other is asked for, to be changed."""
    return shutil.copytree(checkpoints[getattr(request, "param", "bert")], tmp_path / "model")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def retoken(folder, change):
    """Change the tokenizer.json of a checkpoint by way of the library's own object."""
    path = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    change(tokenizer)
    tokenizer.save(path)


def refused(folder):
    """The one line of the error that loading the tokenizer raises, without the checkpoint's name."""
    with pytest.raises(UserError) as caught:
        load_tokenizer(Checkpoint(str(folder)))
    line = str(caught.value)
    assert line.isprintable() and len(line) < 300 and line.startswith(f"checkpoint '{folder}': ")
    return line.removeprefix(f"checkpoint '{folder}': ")


@pytest.mark.parametrize("folder", FAMILIES, indirect=True)
def test_good_tokenizers_pass(folder):
    assert load_tokenizer(Checkpoint(str(folder)))


# --- segments


@pytest.mark.parametrize("said", ["PreTrainedTokenizerFast", "TokenizersBackend"])
@pytest.mark.parametrize("folder", WITH_SEGMENTS, indirect=True)
def test_segments_that_the_library_leaves_out_are_mended(folder, said):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("model_input_names")
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": said}))
    assert "token_type_ids" not in AutoTokenizer.from_pretrained(folder)("w1", "w2")  # the fault that is mended

    checkpoint = Checkpoint(str(folder))
    data = encode(load_tokenizer(checkpoint), PAIRS, 24)
    assert data.columns["token_type_ids"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1]
    batch, backbone = data.batch(np.arange(2)), load_encoder(checkpoint).eval()
    library = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1, 1]])
    with torch.inference_mode():
        ids, mask = batch["input_ids"], batch["attention_mask"]
        explicit = library(input_ids=ids, attention_mask=mask, token_type_ids=segments).last_hidden_state[:, 0]
        without = library(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
        assert (backbone(batch)[:, -1] - explicit).abs().max() < 1e-5
        assert (backbone(batch)[:, -1] - without).abs().max() > 1e-2


@pytest.mark.parametrize("folder", WITH_SEGMENTS, indirect=True)
def test_a_template_without_segments_is_refused(folder):
    specials = [("[CLS]", 2), ("[SEP]", 3)]
    template = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=specials
    )
    retoken(folder, lambda tokenizer: setattr(tokenizer, "post_processor", template))
    assert refused(folder) == "a pair gets segments 0 0 0 0 0: expected 0 for the first text and 1 for the second"


@pytest.mark.parametrize("folder", ["roberta"], indirect=True)
def test_roberta_has_one_segment_whatever_its_embeddings_hold(folder):
    change(folder / "config.json", type_vocab_size=2)
    assert load_tokenizer(Checkpoint(str(folder)))("w1", "w2").keys() == {"input_ids", "attention_mask"}


# --- first position and separators


@pytest.mark.parametrize("folder", FAMILIES, indirect=True)
def test_inputs_without_a_classification_token_are_refused(folder):
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    retoken(folder, lambda tokenizer: setattr(tokenizer, "post_processor", processors.Sequence([])))
    name = "<s>" if "<s>" in (folder / "tokenizer.json").read_text() else "[CLS]"
    assert refused(folder) == (
        f"inputs do not begin with the classification token ({name}) but with 'w0': the tokenizer lacks its "
        "post-processor"
    )


@pytest.mark.parametrize(
    ("single", "pair", "ids", "line"),
    [
        ("[SEP] $A [SEP]", "[SEP] $A [SEP] $B:1 [SEP]:1", {}, "inputs do not begin with the classification token"),
        ("[CLS] $A [SEP]", "[CLS] $A $B:1 [SEP]:1", {}, "nothing separates the two texts of a pair"),
        ("[CLS] $A [SEP]", "[CLS] $A [CLS] $B:1 [SEP]:1", {}, "between the texts stands '[CLS]': expected the"),
        ("[CLS] $A", "[CLS] $A [SEP] $B:1 [SEP]:1", {}, "at the end of a text stands"),
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1", {}, "at the end of a pair stands"),
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", {"[CLS]": 7}, "inputs do not begin with the classification"),
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", {"[SEP]": 7}, "between the texts stands 'w2'"),
        ("[CLS] [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", {}, "a word has no token of its own"),
    ],
)
def test_templates_that_join_otherwise_are_refused(folder, single, pair, ids, line):
    specials = list({"[CLS]": 2, "[SEP]": 3, **ids}.items())
    template = processors.TemplateProcessing(single=single, pair=pair, special_tokens=specials)
    retoken(folder, lambda tokenizer: setattr(tokenizer, "post_processor", template))
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert refused(folder).startswith(line)


def test_other_poolings_need_a_separator_too(folder):
    """An empty text is one padding token then (`bench.models.tokens.encode`), and need not begin with a special one."""
    config = load_encoder(Checkpoint(str(folder))).config
    retoken(folder, lambda tokenizer: setattr(tokenizer, "post_processor", processors.Sequence([])))
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(UserError, match="nothing separates the two texts of a pair"):
        check_tokens(AutoTokenizer.from_pretrained(folder), config, folder, pooling="mean")


def test_a_decoders_tokenizer_is_mended(folder):
    """It pads with its end-of-text token, which also stands between the texts of a pair and for an empty text."""
    config = load_encoder(Checkpoint(str(folder))).config
    retoken(folder, lambda tokenizer: setattr(tokenizer, "post_processor", processors.Sequence([])))
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with pytest.raises(UserError, match="nothing separates the two texts of a pair"):
        check_tokens(tokenizer, config, folder, pooling="mean")
    tokenizer.eos_token, tokenizer.pad_token = tokenizer.sep_token, None
    mend_padding(tokenizer)
    check_tokens(tokenizer, config, folder, pooling="last")
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    word, end = tokenizer("w0")["input_ids"], tokenizer.eos_token_id
    assert tokenizer("w0", "w0")["input_ids"] == [*word, end, *word]
    data = encode(tokenizer, Examples(["", "w0"], None, np.zeros(2, int), np.arange(2)), 12)
    assert data.columns["input_ids"].tolist() == [end, *word] and data.lengths.tolist() == [1, len(word)]


# --- the checkpoint's own tokenizer.json


@pytest.mark.parametrize("folder", ["bert", "electra"], indirect=True)
def test_a_class_that_reads_in_small_letters_is_refused(folder):
    """The library's BertTokenizer builds a normaliser of its own, whatever tokenizer.json says."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "the": 5, "The": 6, "w0": 7}
    retoken(folder, lambda tokenizer: setattr(tokenizer, "model", models.WordLevel(vocabulary, unk_token="[UNK]")))
    change(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert refused(folder) == (
        "the library's tokens are not those of tokenizer.json: token 2 of 'The' is 'the', not 'The'; "
        "tokenizer_config.json (tokenizer_class, do_lower_case) does not fit it"
    )
    retoken(folder, lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Lowercase()))
    retoken(folder, lambda tokenizer: setattr(tokenizer, "pre_tokenizer", pre_tokenizers.BertPreTokenizer()))
    assert "not those of tokenizer.json" in refused(folder)  # accents and Chinese are read otherwise


def test_a_cased_vocabulary_alone_keeps_its_case(folder):
    (folder / "tokenizer.json").unlink()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "The", "film"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert refused(folder) == "the tokenizer reads 'The' in small letters, though its vocabulary is cased"
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False}))
    assert load_tokenizer(Checkpoint(str(folder)))("The")["input_ids"] == [2, 6, 3]


# --- ids and room


def test_an_id_behind_the_embeddings_is_refused(folder):
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "w0": 5, "far": 35}
    retoken(folder, lambda tokenizer: setattr(tokenizer, "model", models.WordLevel(vocabulary, unk_token="[UNK]")))
    assert refused(folder) == "the tokenizer does not fit: 'far' has id 35, the model embeds 35"


@pytest.mark.parametrize("folder", ["roberta"], indirect=True)
def test_padding_that_the_positions_do_not_know_is_refused(folder):
    change(folder / "config.json", pad_token_id=0)
    assert refused(folder) == "the tokenizer pads with id 1, the model counts positions over ids other than 0"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_suite_without_room_for_text_is_refused(family, checkpoints):
    checkpoint = Checkpoint(str(checkpoints[family]))
    taken, backbone = 4 if family == "roberta" else 3, load_encoder(checkpoint)
    check_length(checkpoint, backbone, taken + 2)
    with pytest.raises(UserError) as caught:
        check_length(checkpoint, backbone, taken + 1)
    assert str(caught.value) == (
        f"checkpoint '{checkpoint.path}': a pair has {taken} tokens besides its texts, the suite's max_length "
        f"{taken + 1} leaves no room for both"
    )


@pytest.mark.parametrize("what", ["--plan", "--prepare"])
def test_the_plan_says_it_too(folder, tmp_path, capsys, what):
    retoken(folder, lambda tokenizer: setattr(tokenizer, "post_processor", processors.Sequence([])))
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    command = ["--backbones", f"bert={folder}", "--tasks", "rte", "--methods", "static", "--seeds", "1", what]
    assert main([*command, "--results", str(tmp_path / "r"), "--figures", str(tmp_path / "f")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "inputs do not begin with the classification token" in lines[0]
    assert not (tmp_path / "r").exists()
