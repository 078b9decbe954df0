"""Remake the embedded checkpoints: `python -m bench.sources.embedded.pretrain [bert] [roberta]`, one thread per family.

Three objectives on the stream, none on the rows of a task (`pairs.is_kept` divides all texts between both). Each is
asked at set layers (`batches`), so that what a row needs decides how deep it is known:

    subjects   the object of each fact stands for its subject; a masked-word head says it
    look-ups   the word that a question is about stands for what was found by then: whom anna follows, whom he follows,
               what he picks; the same head says it
    answers    the first token tells whether what is asked is true, the opposite of it, or another matter, in the manner
               of next-sentence prediction (BERT) and sentence order (ALBERT); from the layer of the row's steps on, and
               "nobody knows yet" before (all answers equally likely), always so where the evidence is removed

Two phases: rows of one step more every `GROWTH` training steps, until look-ups are known; then all rows, for answers.
The students follow DistilBERT (Sanh et al. 2019): every other layer of the teacher to start from, then the teacher's
soft answers, the true ones, and the cosine of the last states.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from bench.sources.embedded.batches import SUBJECTS_AT, Batches
from bench.sources.embedded.nano import LAYERS, STUDENTS, WIDTH, make_student, new_encoder, save, tokenizer
from bench.sources.embedded.pairs import FIRST_CHAIN
from bench.sources.embedded.puzzles import STATES
from bench.sources.embedded.stream import DEEPEST

ROWS, STEPS, FALL = 64, 2500, 4500  # the learning rate falls as if there were `FALL` steps
ANSWER_ROWS, ANSWER_STEPS = 32, 2700
DISTILL_STEPS = 400
GROWTH, LEARNING_RATE, WARMUP = 300, 1e-3, 150
DOUBT = 0.5  # in the first phase: weight of a layer that must not know yet, 1 being one that must
SEEDS = {"bert": 11, "roberta": 12}


class Heads(nn.Module):
    """The two pre-training heads, each the same at all layers: a word, and what is asked to what is told."""

    def __init__(self, words: nn.Embedding):
        super().__init__()
        self.word = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.LayerNorm(WIDTH))
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))
        self.fits = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, len(STATES)))

    def words(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Return [.., vocabulary] logits for [.., WIDTH] states; the output matrix is the input embedding."""
        return self.word(states) @ embeddings.T + self.bias


def losses(
    encoder: nn.Module, heads: Heads, batches: Batches, count: int, most: int = DEEPEST, doubt: float = 1.0
) -> tuple[torch.Tensor, ...]:
    """Return the losses of one batch of pre-training: subjects, look-ups, and answers.

    Args:
        encoder: what is trained.
        heads: trained with it.
        batches: of the stream.
        count: rows.
        most: steps that they need at most.
        doubt: see `answer_loss`.
    """
    rows = batches.rows(count, most)
    states = encoder(**batches.encode(rows), output_hidden_states=True).hidden_states  # L + 1 of [n, T, WIDTH]
    table = encoder.get_input_embeddings().weight
    which, places, found = batches.subjects(rows)
    subjects = F.cross_entropy(heads.words(states[SUBJECTS_AT][which, places], table), found)
    which, places, found = batches.lookups(rows)
    at = torch.stack([layer[which, places] for layer in states[1:]], dim=1)  # [m, L, WIDTH]
    lookups = F.cross_entropy(heads.words(at, table).flatten(0, 1), found.flatten())
    logits = heads.fits(torch.stack([layer[:, 0] for layer in states[1:]], dim=1))
    return subjects, lookups, answer_loss(logits, *batches.answers(rows), doubt)


def answer_loss(logits: torch.Tensor, answers: torch.Tensor, told_from: torch.Tensor, doubt: float) -> torch.Tensor:
    """Return pre-training's cross-entropy at all layers: to the answer from a row's layer on, to equal shares before.

    Args:
        logits: [n, L, C].
        answers: [n].
        told_from: [n] layers.
        doubt: weight of a layer before that, 1 being one after.
    """
    shares, layers = logits.log_softmax(-1), torch.arange(1, logits.shape[1] + 1)
    right = -shares.gather(2, answers[:, None, None].expand(-1, len(layers), 1))[..., 0]
    known = layers >= told_from[:, None]  # [n, L]
    # the first layer at which a row is known, and the last one, count more than those between
    weights = torch.where(known, 1.0, doubt) + (layers == told_from[:, None]) * 2.0
    weights[:, -1] += 2.0
    return (torch.where(known, right, -shares.mean(-1)) * weights).sum(1).mean() / len(layers)


def train(parameters: list[nn.Parameter], step, steps: int, label: str, fall: int | None = None) -> None:
    """Pre-train: minimise the sum of the losses that `step(i)` returns; prints their running means.

    The learning rate rises over `WARMUP` steps, then falls as if to 0 after `fall` steps, by default `steps`.
    """
    fall = fall or steps
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / WARMUP, (fall - i) / (fall - WARMUP)))
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
    """Pre-train a 12-layer encoder and its student, and write their folders."""
    torch.manual_seed(seed)
    tokens = tokenizer(family)
    encoder = new_encoder(family, len(tokens))
    heads = Heads(encoder.get_input_embeddings())
    trained = [*encoder.parameters(), *heads.parameters()]
    batches = Batches(tokens, seed)

    def growing(i: int) -> tuple[torch.Tensor, ...]:
        return losses(encoder, heads, batches, ROWS, min(FIRST_CHAIN + i // GROWTH, DEEPEST), DOUBT)

    train(trained, growing, STEPS, family, FALL)
    train(trained, lambda i: losses(encoder, heads, batches, ANSWER_ROWS), ANSWER_STEPS, family)
    save(encoder, tokens, f"{family}-nano")
    student = make_student(family, encoder, len(tokens))
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
    """Return DistilBERT's three losses: the teacher's soft answers, the true ones, and cosine of the last states."""
    rows = batches.rows(ROWS)
    inputs = batches.encode(rows)
    answers, told_from = batches.answers(rows)
    ours = last_states(student, inputs)
    with torch.no_grad():  # nothing is learnt through the teacher
        theirs = last_states(teacher, inputs)
    logits, soft = (heads.fits(states[:, 0]) for states in (ours, theirs))
    known = told_from <= LAYERS
    soft = F.kl_div(F.log_softmax(logits, -1), F.softmax(soft.detach(), -1), reduction="batchmean")
    return soft, F.cross_entropy(logits[known], answers[known]), distance(ours, theirs, inputs)


def last_states(encoder: nn.Module, inputs: dict) -> torch.Tensor:
    """In pre-training: run an encoder, without the token types where it has none."""
    if encoder.config.model_type == "distilbert":
        inputs = {name: value for name, value in inputs.items() if name != "token_type_ids"}
    return encoder(**inputs).last_hidden_state


def distance(ours: torch.Tensor, theirs: torch.Tensor, inputs: dict) -> torch.Tensor:
    """In distillation: 1 - cosine, the mean over all tokens and, with equal weight, over first tokens."""
    apart = 1 - F.cosine_similarity(ours, theirs, dim=-1)  # [n, T]
    return apart[inputs["attention_mask"] > 0].mean() + apart[:, 0].mean()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or SEEDS:
        pretrain(chosen, SEEDS[chosen])
