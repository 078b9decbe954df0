"""The four nano encoders: sizes, tokenizers, configurations, and how each of them starts."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import AutoModel, BertConfig, DistilBertConfig, PreTrainedTokenizerFast, RobertaConfig

from bench.sources.embedded import language

WEIGHTS = Path(__file__).parent / "weights"
WIDTH, HEADS, INNER, LAYERS = 64, 4, 128, 12
STUDENTS = {"bert": "distilbert-nano", "roberta": "distilroberta-nano"}
DISTILBERT_NAMES = {  # DistilBERT's name of a part of a layer: BERT's
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
SPECIALS = {
    "bert": {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    "roberta": {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"},
}


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return a nano encoder's word-level tokenizer; its ids start with the special tokens in the family's own order."""
    special = SPECIALS["roberta" if family == "roberta" else "bert"]
    ids = {word: i for i, word in enumerate([*special.values(), *language.vocabulary()])}
    rust = Tokenizer(models.WordLevel(ids, unk_token=special["unk"]))
    rust.normalizer = normalizers.Lowercase()
    rust.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    cls, sep = special["cls"], special["sep"]
    two = f"{cls} $A {sep} {sep} $B {sep}" if family == "roberta" else f"{cls} $A {sep} $B:1 {sep}:1"
    rust.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=two, special_tokens=[(token, ids[token]) for token in (cls, sep)]
    )
    inputs = (
        ["input_ids", "attention_mask"] if family == "roberta" else ["input_ids", "token_type_ids", "attention_mask"]
    )
    named = {f"{role}_token": token for role, token in special.items()}
    if family == "roberta":
        named |= {"bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=rust, model_max_length=64, model_input_names=inputs, **named)


def config(family: str, vocabulary: int, layers: int):
    """Return the configuration of a nano encoder; without dropout, which costs more than it helps at this size."""
    # BERT's 0.02 at width 768 lets the same share of a state through each new layer as 0.07 does at width 64.
    shared = {"vocab_size": vocabulary, "max_position_embeddings": 64, "initializer_range": 0.07}
    if family == "distilbert":
        return DistilBertConfig(
            **shared,
            dim=WIDTH,
            n_heads=HEADS,
            hidden_dim=INNER,
            n_layers=layers,
            dropout=0.0,
            attention_dropout=0.0,
            pad_token_id=0,
        )
    shared |= {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if family == "bert":
        return BertConfig(**shared, pad_token_id=0)
    shared |= {"max_position_embeddings": 66, "type_vocab_size": 1}
    return RobertaConfig(**shared, pad_token_id=1, bos_token_id=0, eos_token_id=2)


def new_encoder(family: str, vocabulary: int) -> nn.Module:
    """Return a 12-layer encoder that knows nothing, except where words stand: its positions start as sine waves.

    BERT learns them from nothing; with waves, "the word before" is found in hundreds of steps instead of thousands.
    """
    encoder = AutoModel.from_config(config(family, vocabulary, LAYERS), add_pooling_layer=False)
    table = encoder.embeddings.position_embeddings.weight
    places = torch.arange(len(table))[:, None] / 100 ** (torch.arange(0, WIDTH, 2) / WIDTH)  # [positions, WIDTH / 2]
    waves = torch.stack([places.sin(), places.cos()], dim=2).flatten(1)
    with torch.no_grad():
        table.copy_(waves * encoder.config.initializer_range * 2**0.5)
    return encoder


def make_student(family: str, teacher: nn.Module, vocabulary: int) -> nn.Module:
    """Return an encoder of half the layers that starts from the teacher's embeddings and layers 1, 3, 5, .."""
    if family == "roberta":
        student = AutoModel.from_config(config("roberta", vocabulary, LAYERS // 2), add_pooling_layer=False)
        student.embeddings.load_state_dict(teacher.embeddings.state_dict())
        for ours, theirs in zip(student.encoder.layer, teacher.encoder.layer[::2], strict=True):
            ours.load_state_dict(theirs.state_dict())
        return student
    student = AutoModel.from_config(config("distilbert", vocabulary, LAYERS // 2))
    student.embeddings.load_state_dict(teacher.embeddings.state_dict(), strict=False)  # DistilBERT has no token types
    for ours, theirs in zip(student.transformer.layer, teacher.encoder.layer[::2], strict=True):
        for name, other in DISTILBERT_NAMES.items():
            ours.get_submodule(name).load_state_dict(theirs.get_submodule(other).state_dict())
    return student


def save(encoder: nn.Module, tokens: PreTrainedTokenizerFast, name: str) -> None:
    """Write a Hugging Face folder."""
    encoder.save_pretrained(WEIGHTS / name)
    tokens.save_pretrained(WEIGHTS / name)
