"""Fixtures that several test files share: tiny random checkpoints, models, data and traces. Nothing needs a network."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from bench.models.loading import load_encoder, load_tokenizer
from bench.models.model import build_model
from bench.models.tokens import encode
from bench.plan.methods import full_variant
from bench.sources.checkpoints import Checkpoint
from bench.sources.examples import Examples
from bench.store.trace import Trace

torch.set_num_threads(1)
settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

FAMILIES = ("bert", "roberta", "distilbert", "albert", "electra")
WORDS = tuple(f"w{i}" for i in range(30))
BERT_SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_SPECIALS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder beside the checkout with real GLUE files and a real backbone; skips where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder with real GLUE and a real backbone beside the checkout")
    return folder


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """A folder with a tiny random checkpoint (safetensors) and a word-level tokenizer for each family."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for family in FAMILIES:
        random_encoder(family).save_pretrained(root / family)
        word_tokenizer(family).save_pretrained(root / family)
    return {family: root / family for family in FAMILIES}


@pytest.fixture(scope="session")
def fresh_backbone(checkpoints):
    """`fresh_backbone(family)`: a copy of a tiny pre-trained encoder that a test may change."""
    encoders = {family: load_encoder(Checkpoint(str(path))) for family, path in checkpoints.items()}
    return lambda family: copy.deepcopy(encoders[family])


@pytest.fixture(scope="session")
def tokenizers(checkpoints):
    return {family: load_tokenizer(Checkpoint(str(path))) for family, path in checkpoints.items()}


@pytest.fixture(scope="session")
def make_model(fresh_backbone):
    """`make_model(method, family, num_labels)`: a tiny untrained `EarlyExitModel`, in evaluation mode."""

    def make(method, family="bert", num_labels=2, seed=0, start=None):
        variant = full_variant(method, method.variants[0])
        return build_model(method, fresh_backbone(family), num_labels, (family, "task", seed), start, variant).eval()

    return make


@pytest.fixture(scope="session")
def examples():
    """`examples(n, num_labels)`: sentence pairs of random words and random lengths, with random labels."""

    def make(n, num_labels=2, seed=0):
        rng = np.random.default_rng(seed)
        texts = [[" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(n)] for _ in range(2)]
        labels = rng.normal(size=n).astype(np.float32) if num_labels == 1 else rng.integers(0, num_labels, n)
        return Examples(*texts, labels, np.arange(n))

    return make


@pytest.fixture(scope="session")
def make_data(examples, tokenizers):
    """`make_data(n, family, num_labels)`: the same, tokenised."""
    return lambda n, family="bert", num_labels=2, seed=0: encode(tokenizers[family], examples(n, num_labels, seed), 24)


@pytest.fixture(scope="session")
def make_trace():
    """`make_trace(n, L, C, seed)`: a random trace with halting values; some logits far apart, some equal."""

    def make(n=50, num_layers=6, num_labels=3, seed=0):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(n, num_layers, num_labels)) * rng.choice([0, 0.3, 3, 30], size=(n, num_layers, 1))
        halting = rng.uniform(size=(n, num_layers)) ** rng.choice([1, 6, 30], size=(n, 1))
        labels = rng.integers(0, num_labels, n)
        numbers = np.arange(n)
        return Trace(logits.astype(np.float32), labels, numbers, numbers + 3, halting.astype(np.float32))

    return make


def random_encoder(family: str, positions: int = 40, layers: int = 4):
    """A library encoder of width 32; wide initialisation, so that layers differ."""
    size = {"vocab_size": 5 + len(WORDS), "max_position_embeddings": positions, "initializer_range": 0.2}
    if family == "distilbert":
        config = DistilBertConfig(dim=32, hidden_dim=64, n_layers=layers, n_heads=2, pad_token_id=0, **size)
        return DistilBertModel(config)
    size |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 2}
    if family == "bert":
        return BertModel(BertConfig(pad_token_id=0, **size))
    if family == "albert":  # two groups of weights for four layers
        return AlbertModel(AlbertConfig(pad_token_id=0, embedding_size=16, num_hidden_groups=2, **size))
    if family == "electra":
        return ElectraModel(ElectraConfig(pad_token_id=0, embedding_size=16, **size))
    return RobertaModel(RobertaConfig(pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1, **size))


def word_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A word-level tokenizer with the family's special tokens and way of joining pairs."""
    special = ROBERTA_SPECIALS if family == "roberta" else BERT_SPECIALS
    ids = {token: i for i, token in enumerate([*special.values(), *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=special["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    cls, sep = special["cls"], special["sep"]
    pair = f"{cls} $A {sep} {sep} $B {sep}" if family == "roberta" else f"{cls} $A {sep} $B:1 {sep}:1"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=pair, special_tokens=[(token, ids[token]) for token in (cls, sep)]
    )
    segments = [] if family == "roberta" else ["token_type_ids"]  # DistilBERT's published tokenizer has them, too
    names = {f"{role}_token": token for role, token in special.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", *segments, "attention_mask"], **names
    )


TINY_SUITE = """
title = "generated miniature tasks"
source = "embedded"
max_length = 48

[backbones.bert]
checkpoint = "bert-nano"
student = "distilbert-nano"

[recipes.stage1]
epochs = 1
learning_rate = 1e-3
batch_size = 20

[recipes.stage2]
epochs = 1
learning_rate = 1e-3
batch_size = 20

[recipes.joint]
epochs = 1
learning_rate = 1e-3
batch_size = 20
"""


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory) -> Path:
    """The file of a suite for whole runs in seconds: the embedded one, on BERT only, one epoch a stage."""
    path = tmp_path_factory.mktemp("suite") / "embedded-tiny.toml"
    path.write_text(TINY_SUITE)
    return path
