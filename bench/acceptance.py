"""How near the embedded suite comes to GLUE on BERT-base, on rows that nobody has seen: `python -m bench.acceptance`.

It draws the six tasks again with another generator seed, trains `static` and DeeBERT's exits on them as the suite says,
lets everyone leave at one layer (`truncated`), and never asks a rule that halts. The limits were set before the
generator was tuned.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.errors import UserError, check_choice, command
from bench.models.loading import encoded, fresh_backbone
from bench.models.model import build_model
from bench.models.tracing import trace_model
from bench.models.training import train
from bench.plan.suite_file import load_suite
from bench.sources.checkpoints import Checkpoint, find_checkpoint
from bench.sources.examples import UNDECIDABLE
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS, Task
from bench.statistics.depth import gain_shares, half_gain_layer
from bench.statistics.metrics import constant_metrics, evaluate_predictions
from bench.store.trace import Trace
from bench.tables.published_depth import FINAL, FROZEN, published
from methods import discover

LAYERS = (1, 2, 3, 4, 6, 9)  # of 12, where the profiles are compared
FOUR = ("sst2", "qnli", "qqp", "mnli")  # the tasks with thousands of rows to validate on; the others are noisy
MOST_GAP, MOST_GAP_OF_FOUR, MOST_OFF = 0.10, 0.08, 0.05
#: More than this, and an encoder that was fine-tuned has learnt coins by heart: claim 9 cannot be told.
MOST_CERTAIN = 0.65


@dataclass(frozen=True)
class Measured:
    """One task on one family.

    Attributes:
        shares: [L] of the final gain over the constant answer, by layer.
        final: score of the last layer.
        certain: mean top probability of the last layer on rows that nobody can decide.
    """

    shares: np.ndarray
    final: float
    certain: float


def measured(task: Task, trace: Trace) -> Measured:
    """For the acceptance, from a trace of exits at every layer: shares of the gain, the metric, and how sure it is."""
    scores = evaluate_predictions(task, trace.labels, trace.logits.argmax(axis=2).T)[task.metric]
    constant = constant_metrics(task, trace.labels).max()
    odds = np.exp(trace.logits[:, -1] - trace.logits[:, -1].max(axis=1, keepdims=True))
    certain = (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)
    return Measured(
        gain_shares(scores, scores[-1], constant), scores[-1], certain[trace.difficulty == UNDECIDABLE].mean()
    )


def exits_of(checkpoint: Checkpoint, family: str, task: Task, source: Embedded, seed: int = 0) -> Trace:
    """For the acceptance: the trace of DeeBERT's exits on a static model, both trained as the embedded suite says.

    Args:
        checkpoint: what is fine-tuned.
        family: whose recipes hold.
        task: which task.
        source: of its rows.
        seed: of the training.
    """
    suite, start = load_suite("embedded"), None
    split = task.validation_splits[0]
    data = {name: encoded(source, task, name, None, checkpoint, suite.max_length) for name in ("train", split)}
    for method in (discover()[name] for name in ("static", "deebert")):
        model = build_model(method, fresh_backbone(checkpoint), task.num_labels, (family, task.id, seed), start)
        train(model, method, {}, data["train"][1], suite.recipe_of(method, family), (task.id, seed))
        start = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return trace_model(model, *data[split])


def beside_published(found: dict[str, Measured]) -> pd.DataFrame:
    """A row for each generated task: its shares at `LAYERS`, and how far it is from BERT-base on GLUE."""
    rows, at = {}, [layer - 1 for layer in LAYERS]
    for name, one in found.items():
        real = published(name, TASKS[name].validation_splits[0], FROZEN)[1]
        rows[name] = {
            **{f"layer {layer}": one.shares[layer - 1] for layer in LAYERS},
            "gap": np.abs(one.shares - real)[at].mean(),
            "half": half_gain_layer(one.shares),
            "real half": half_gain_layer(real),
            "final": one.final,
            "off": one.final - FINAL[name],
            "certain": one.certain,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def misses(table: pd.DataFrame) -> list[str]:
    """What of the acceptance the six tasks of one family miss, in words; empty where they are accepted."""
    half, missed = table["half"], []
    for said, value, most in (
        ("gap", table["gap"].mean(), MOST_GAP),
        (f"gap of {', '.join(FOUR)}", table.loc[list(FOUR), "gap"].mean(), MOST_GAP_OF_FOUR),
        ("a final score is off by", table["off"].abs().max(), MOST_OFF),
    ):
        if value > most:
            missed.append(f"{said} {value:.3f}, at most {most}")
    if half.idxmin() != "sst2" or half.idxmax() != "mrpc" or half[["qnli", "qqp", "mnli"]].max() >= half["rte"]:
        missed.append(
            "order of the tasks by the layer of half the gain: sst2 first, qnli qqp mnli before rte, mrpc last"
        )
    return missed


def coins(table: pd.DataFrame) -> str:
    """Whether the generated suite can tell claim 9, in words: how sure the encoder is where nobody can decide."""
    sure, most = table["certain"].mean(), table["certain"].idxmax()
    told = "claim 9 can be told" if sure <= MOST_CERTAIN else "coins learnt by heart, claim 9 cannot be told"
    highest = f"highest {table['certain'].max():.3f} on {most}"
    return f"top probability where nobody can decide: mean over tasks {sure:.3f}, {highest}: {told}"


def accept(arguments: list[str]) -> int:
    """Measure how near the generated suite comes to GLUE and print it; exit status 1 where something is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.acceptance", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=9172, help="of the generator; the suite has 1")
    parser.add_argument("--rows", type=int, default=2000, help="validation rows of each task")
    parser.add_argument("--family", action="append", help="bert or roberta; both unless named")
    options = parser.parse_args(arguments)
    if options.rows < 100:
        raise UserError(f"--rows {options.rows}: expected at least 100")
    suite, status = load_suite("embedded"), 0
    for family in options.family or suite.backbones:
        check_choice("backbone family", family, suite.backbones)
        checkpoint, source = find_checkpoint(suite.backbones[family].checkpoint), Embedded(options.seed, options.rows)
        found = {name: measured(TASKS[name], exits_of(checkpoint, family, TASKS[name], source)) for name in FINAL}
        table = beside_published(found)
        missed = misses(table)
        gaps = f"gap {table['gap'].mean():.3f}, of four tasks {table.loc[list(FOUR), 'gap'].mean():.3f}"
        verdict = f"missed: {'; '.join(missed)}" if missed else "accepted"
        print(f"{family}\n{table.round(3).to_string()}\n{gaps}: {verdict}\n{coins(table)}\n", flush=True)
        status = status or int(bool(missed))
    return status


def main(arguments: list[str]) -> int:
    """Say how near the suite comes; the exit status is 1 where it is too far, 2 after a wrong argument."""
    import torch

    torch.set_num_threads(1)  # as the suite's own cells are trained
    return command("bench.acceptance", lambda: accept(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
