"""Remake the embedded checkpoints: `python -m bench.sources.embedded.pretrain [bert] [roberta]`, one thread per family.

Three objectives on the stream, none on the rows of a task (`Batches` leaves out every one of them):

    words    BERT's masked words (Devlin et al. 2019), all in the second sentence of a true pair, where the first one
             tells what is missing; half of them masked, a quarter replaced by a word of the pair, a quarter kept
    summary  the first token of an opinion predicts "great" or "awful"
    pairs    the first token tells whether the second sentence is true, the converse of a true one, or neither, in the
             manner of next-sentence prediction (BERT), sentence order (ALBERT) and both at once (StructBERT); it is
             asked at every layer, the last one most

The last two ask in general what the tasks ask in particular. That is on purpose: it is what makes a task learnable in
some tens of steps. Asking every layer lets easy pairs be told early and leaves the depth to those that need it; an
encoder this narrow would otherwise do everything in two or three late layers. The students follow DistilBERT (Sanh et
al. 2019): every other layer of the teacher to start from, soft and true masked words, cosine of the last states.
"""

from __future__ import annotations

import sys
import time
from random import Random

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, PreTrainedTokenizerFast

from bench.sources.embedded import language as lang
from bench.sources.embedded import stream
from bench.sources.embedded.nano import LAYERS, STUDENTS, WIDTH, config, make_student, save, tokenizer
from bench.sources.embedded.tasks import held_out

STEPS, WORDS_ALONE, DISTILL_STEPS = 8000, 1400, 1200
PAIRS, LEARNING_RATE, WARMUP = 32, 1e-3, 150
SEEDS = {"bert": 11, "roberta": 12}


class Heads(nn.Module):
    """The two pre-training heads: a word for a masked place, and what the second sentence is to the first."""

    def __init__(self, words: nn.Embedding):
        super().__init__()
        self.word = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.LayerNorm(WIDTH))
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))
        self.fits = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, len(stream.STATES)))

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
        self.held_out = held_out()

    def pairs(self, count: int, states: tuple[str, ...] = ("true", "true", "reversed", "open")):
        """Return encoded pairs and their [count] states, as indices of `STATES`."""
        chosen = []
        while len(chosen) < count:
            row = stream.pair(self.rng, self.rng.choice(states))
            if row[:2] not in self.held_out:
                chosen.append(row)
        first, second, state = (list(column) for column in zip(*chosen, strict=True))
        return self.encode(first, second), torch.tensor([stream.STATES.index(name) for name in state])

    def encode(self, *texts: list[str]):
        """Return a padded batch of tensors."""
        return self.tokens(*texts, padding=True, return_tensors="pt")

    def masked(self, count: int):
        """Return encoded true pairs, words of the second masked, and their [count, T] ids, -100 elsewhere."""
        inputs, _ = self.pairs(count, ("true",))
        ids = inputs["input_ids"]
        informative = self.informative[ids]
        second = informative & ((ids == self.tokens.sep_token_id).cumsum(1) > 0)
        scores = self._scores(second)
        chosen = (scores < 0.3) | (scores == scores.min(1, keepdim=True).values)
        other = ids.gather(1, self._scores(informative).argmin(1, keepdim=True)).expand_as(ids)
        fate = torch.rand(ids.shape, generator=self.random)  # as in BERT, with shares of one half and two quarters
        shown = torch.where(fate < 0.5, self.tokens.mask_token_id, torch.where(fate < 0.75, other, ids))
        inputs["input_ids"] = torch.where(chosen, shown, ids)
        return inputs, ids.masked_fill(~chosen, -100)

    def _scores(self, allowed: torch.Tensor) -> torch.Tensor:
        """Return random numbers below 1 where allowed, 2 elsewhere."""
        return torch.rand(allowed.shape, generator=self.random).masked_fill(~allowed, 2.0)

    def reviews(self, count: int):
        """Return encoded opinions and [count] ids of a word that sums each up."""
        chosen = []
        while len(chosen) < count:
            text, word = stream.review(self.rng)
            if (text, None) not in self.held_out:
                chosen.append((text, word))
        texts, words = (list(column) for column in zip(*chosen, strict=True))
        return self.encode(texts), torch.tensor(self.tokens.convert_tokens_to_ids(words))


def losses(encoder: nn.Module, heads: Heads, batches: Batches, alone: bool) -> tuple[torch.Tensor, ...]:
    """Return one step's losses: masked words, summing-up word and, unless these two are learnt `alone`, pair fit.

    Whether a pair fits is learnt much faster once masked words are, and is what most of the later work goes to.
    """
    table = encoder.get_input_embeddings().weight
    inputs, targets = batches.masked(PAIRS if alone else PAIRS // 2)
    states = encoder(**inputs).last_hidden_state  # [n, T, WIDTH]
    chosen = targets != -100
    word = F.cross_entropy(heads.words(states[chosen], table), targets[chosen])
    inputs, words = batches.reviews(PAIRS // 2)
    summary = F.cross_entropy(heads.words(encoder(**inputs).last_hidden_state[:, 0], table), words)
    if alone:
        return word, summary
    inputs, fits = batches.pairs(2 * PAIRS)
    return word, summary, at_every_layer(heads.fits(first_tokens(encoder, inputs)), fits)


def first_tokens(encoder: nn.Module, inputs: dict) -> torch.Tensor:
    """Return the first token's state after every layer, [L, n, WIDTH]."""
    return torch.stack([states[:, 0] for states in encoder(**inputs, output_hidden_states=True).hidden_states[1:]])


def at_every_layer(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the last layer's cross-entropy plus the mean of all, layer l weighted l (as PABEE weights its exits).

    Args:
        logits: [L, n, C].
        targets: [n].
    """
    each = F.cross_entropy(logits.transpose(1, 2), targets.expand(len(logits), -1), reduction="none").mean(1)  # [L]
    weights = torch.arange(1.0, len(each) + 1)
    return each[-1] + (each * weights).sum() / weights.sum()


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
        sums = sums + F.pad(torch.stack(parts).detach(), (0, 3 - len(parts)))
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
    save(student, tokenizer(student.config.model_type), STUDENTS[family])


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
    for inputs, _ in (batches.pairs(PAIRS), batches.reviews(PAIRS // 4)):
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or SEEDS:
        pretrain(chosen, SEEDS[chosen])
