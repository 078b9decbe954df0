"""Remake the embedded checkpoints: `python -m bench.embedded.pretrain [bert] [roberta]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, BertConfig, DistilBertConfig, PreTrainedTokenizerFast, RobertaConfig

from bench.embedded import language as lang
from bench.embedded import stream
from bench.embedded.tasks import TASKS, generate, splits

WEIGHTS = Path(__file__).parent / "weights"
WIDTH, HEADS, INNER, LAYERS = 64, 4, 128, 12
STEPS, WORDS_ALONE, DISTILL_STEPS = 2600, 800, 1200
PAIRS, LEARNING_RATE, WARMUP = 64, 1.5e-3, 150
SEEDS = {"bert": 11, "roberta": 12}
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
    """Return the family's word-level tokenizer; its ids start with the special tokens in the family's own order."""
    special = SPECIALS[family]
    ids = {word: i for i, word in enumerate([*special.values(), *lang.vocabulary()])}
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
    shared = {"vocab_size": vocabulary, "max_position_embeddings": 64}
    if family == "distilbert":
        sizes = {"dim": WIDTH, "n_heads": HEADS, "hidden_dim": INNER, "n_layers": layers}
        return DistilBertConfig(**shared, **sizes, dropout=0.0, attention_dropout=0.0, pad_token_id=0)
    sizes = {
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
    }
    shared |= sizes | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if family == "bert":
        return BertConfig(**shared, pad_token_id=0)
    positions = {"max_position_embeddings": 66, "type_vocab_size": 1}
    return RobertaConfig(**shared | positions, pad_token_id=1, bos_token_id=0, eos_token_id=2)


class Heads(nn.Module):
    """The two pre-training heads: a word for a masked place, and whether the second sentence fits the first."""

    def __init__(self, words: nn.Embedding):
        super().__init__()
        self.word = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.LayerNorm(WIDTH))
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))
        self.fits = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 2))

    def words(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Return [n, vocabulary] logits for [n, WIDTH] states; the output matrix is the input embedding."""
        return self.word(states) @ embeddings.T + self.bias


class Batches:
    """Batches of the stream, encoded; no example of any task is among them."""

    def __init__(self, tokens: PreTrainedTokenizerFast, seed: int):
        self.tokens, self.rng = tokens, Random(f"stream {seed}")
        self.random = torch.Generator().manual_seed(seed)
        special = set(tokens.all_special_ids) | set(tokens.convert_tokens_to_ids(lang.FUNCTION_WORDS))
        self.informative = torch.tensor([i not in special for i in range(len(tokens))])
        self.held_out = set()
        for task in TASKS:
            for split in splits(task):
                rows = generate(task, split)
                self.held_out |= set(zip(rows["text_a"], rows["text_b"] or [None] * len(rows["labels"]), strict=True))

    def pairs(self, count: int, share_true: float):
        """Return encoded pairs and [count] 1 where the second sentence is true."""
        chosen = []
        while len(chosen) < count:
            first, true, false = stream.pair(self.rng)
            fits = self.rng.random() < share_true
            row = (first, true if fits else false, int(fits))
            if row[:2] not in self.held_out:
                chosen.append(row)
        first, second, fits = (list(column) for column in zip(*chosen, strict=True))
        return self.tokens(first, second, padding=True, return_tensors="pt"), torch.tensor(fits)

    def masked(self, count: int):
        """Return encoded true pairs, words of the second masked, and their [count, T] ids, -100 elsewhere."""
        inputs, _ = self.pairs(count, 1.0)
        ids = inputs["input_ids"]
        second = (ids == self.tokens.sep_token_id).cumsum(1) > 0
        scores = torch.rand(ids.shape, generator=self.random).masked_fill(~(self.informative[ids] & second), 2.0)
        hidden = (scores < 0.3) | (scores == scores.min(1, keepdim=True).values)
        targets = ids.masked_fill(~hidden, -100)
        inputs["input_ids"] = ids.masked_fill(hidden, self.tokens.mask_token_id)
        return inputs, targets

    def reviews(self, count: int):
        """Return encoded opinions and [count] ids of a word that sums each up."""
        chosen = []
        while len(chosen) < count:
            text, word = stream.review(self.rng)
            if (text, None) not in self.held_out:
                chosen.append((text, word))
        texts, words = (list(column) for column in zip(*chosen, strict=True))
        return self.tokens(texts, padding=True, return_tensors="pt"), torch.tensor(
            self.tokens.convert_tokens_to_ids(words)
        )


def losses(encoder: nn.Module, heads: Heads, batches: Batches, alone: bool) -> list[torch.Tensor]:
    """Return the losses of one step: masked words and, unless they are learnt `alone`, pair fit and summing-up word."""
    table = encoder.get_input_embeddings().weight
    inputs, targets = batches.masked(PAIRS)
    states = encoder(**inputs).last_hidden_state  # [n, T, WIDTH]
    hidden = targets != -100
    word = F.cross_entropy(heads.words(states[hidden], table), targets[hidden])
    if alone:
        return [word, word.new_zeros(()), word.new_zeros(())]
    inputs, fits = batches.pairs(PAIRS, 0.5)
    fit = F.cross_entropy(heads.fits(encoder(**inputs).last_hidden_state[:, 0]), fits)
    inputs, words = batches.reviews(PAIRS // 4)
    summary = F.cross_entropy(heads.words(encoder(**inputs).last_hidden_state[:, 0], table), words)
    return [word, fit, summary]


def train(parameters: list[nn.Parameter], step, steps: int, label: str) -> None:
    """Minimise the sum of the losses that `step()` returns; prints their running means."""
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / WARMUP, (steps - i) / (steps - WARMUP)))
    began, sums = time.monotonic(), 0.0
    for i in range(1, steps + 1):
        parts = step(i)
        sum(parts).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        rate.step()
        sums = sums + torch.stack(parts).detach()
        if i % 100 == 0:
            means = " ".join(f"{value:.3f}" for value in (sums / 100).tolist())
            print(f"{label} {i}/{steps} {means} {time.monotonic() - began:.0f} s", flush=True)
            sums = 0.0


def pretrain(family: str, seed: int) -> None:
    """Pre-train a 12-layer encoder and write its folder."""
    torch.manual_seed(seed)
    tokens = tokenizer(family)
    encoder = AutoModel.from_config(config(family, len(tokens), LAYERS), add_pooling_layer=False)
    heads = Heads(encoder.get_input_embeddings())
    batches = Batches(tokens, seed)
    train(
        [*encoder.parameters(), *heads.parameters()],
        lambda i: losses(encoder, heads, batches, i <= WORDS_ALONE),
        STEPS,
        family,
    )
    save(encoder, tokens, f"{family}-nano")
    student = make_student(family, encoder, len(tokens))
    batches = Batches(tokens, seed + 100)
    train(
        [*student.parameters()],
        lambda i: distillation_losses(student, encoder, heads, batches),
        DISTILL_STEPS,
        STUDENTS[family],
    )
    save(student, tokens, STUDENTS[family])


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


def distillation_losses(
    student: nn.Module, teacher: nn.Module, heads: Heads, batches: Batches
) -> tuple[torch.Tensor, ...]:
    """Return DistilBERT's three losses: the teacher's soft words, the true words, and cosine of the last states.

    The cosine is also taken on whole pairs and on opinions, where it teaches the first token's state.
    """
    inputs, targets = batches.masked(PAIRS)
    hidden = targets != -100
    table = teacher.get_input_embeddings().weight.detach()
    ours, theirs = _states(student, inputs), _teach(teacher, inputs)
    logits, soft = (heads.words(states[hidden], table) for states in (ours, theirs))
    soft = F.kl_div(F.log_softmax(logits, -1), F.softmax(soft.detach(), -1), reduction="batchmean")
    cosine = _distance(ours, theirs, inputs)
    for inputs, _ in (batches.pairs(PAIRS, 0.5), batches.reviews(PAIRS // 4)):
        cosine = cosine + _distance(_states(student, inputs), _teach(teacher, inputs), inputs)
    return soft, F.cross_entropy(logits, targets[hidden]), cosine


def _states(encoder: nn.Module, inputs: dict) -> torch.Tensor:
    """Run an encoder, without the token types where it has none."""
    if encoder.config.model_type == "distilbert":
        inputs = {name: value for name, value in inputs.items() if name != "token_type_ids"}
    return encoder(**inputs).last_hidden_state


@torch.no_grad()
def _teach(teacher: nn.Module, inputs: dict) -> torch.Tensor:
    return _states(teacher, inputs)


def _distance(ours: torch.Tensor, theirs: torch.Tensor, inputs: dict) -> torch.Tensor:
    """Return 1 - cosine, the mean over all tokens and, with equal weight, over first tokens."""
    apart = 1 - F.cosine_similarity(ours, theirs, dim=-1)  # [n, T]
    return apart[inputs["attention_mask"] > 0].mean() + apart[:, 0].mean()


def save(encoder: nn.Module, tokens: PreTrainedTokenizerFast, name: str) -> None:
    """Write a Hugging Face folder."""
    encoder.save_pretrained(WEIGHTS / name)
    tokens.save_pretrained(WEIGHTS / name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or SEEDS:
        pretrain(chosen, SEEDS[chosen])
