"""What all operating points from one pass cost: against a plain pass to full depth, and against the released code.

A sweep is DeeBERT's thresholds and PABEE's patiences 1..L on the model of the former, and, of our side alone, both
rules' exact curves at every distinct threshold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bench.halting.agreement import disagreements
from bench.halting.live import run_full
from bench.halting.replay import Replay, exact_curve, replay
from bench.models.loading import encoded, fresh_backbone
from bench.models.model import EarlyExitModel, build_model
from bench.models.tokens import Encoded, sorted_batches
from bench.models.tracing import trace_model
from bench.models.training import INFERENCE_BATCH
from bench.sources.checkpoints import find_checkpoint
from bench.sources.examples import Examples
from bench.sources.generated import Embedded
from bench.sources.tasks import TASKS
from bench.speed.real import deebert, problem
from bench.speed.released import Stops, entropy_is_low, one_by_one, patience_is_over
from bench.speed.table import Row, Settings
from bench.store.trace import Trace
from bench.timing import in_turn, ratio
from methods.base import Method, RuleSpec
from methods.deebert import DeeBert
from methods.pabee_frozen import PabeeFrozen

#: Examples that the released procedure answers, one by one, at every threshold.
FEW = 16
#: Task -> how many times as fast as the released procedure the sweep is to be.
GOALS = {"sst2": 40, "qnli": 20}
#: Methods that share a model, with the released test of each.
RULES: dict[Method, Stops] = {DeeBert(): entropy_is_low, PabeeFrozen(): patience_is_over}


def measure(settings: Settings) -> Iterator[Row]:
    """Rows on generated data, then on real data."""
    torch.set_num_threads(1)
    checkpoint = find_checkpoint("bert-nano")
    examples, data = encoded(Embedded(), TASKS["qnli"], "validation", None, checkpoint, max_length=48)
    model = build_model(DeeBert(), fresh_backbone(checkpoint), TASKS["qnli"].num_labels, ("speed",)).eval()
    yield from against_plain_pass("embedded QNLI", model, examples, data)
    for task, goal in GOALS.items():
        given, model = problem(settings, task), deebert(settings, task)
        yield from against_plain_pass(f"{given.task.title}, MiniLM", model, given.examples, given.data)
        yield from against_released(f"{given.task.title}, MiniLM", model, given.examples, given.data, goal)


def against_plain_pass(where: str, model: EarlyExitModel, examples: Examples, data: Encoded) -> Iterator[Row]:
    """What all points from one pass cost beside one pass of the static model over the same batches."""
    trace = trace_model(model, examples, data)
    rounds = in_turn(
        lambda: sweep_all(trace_model(model, examples, data)), lambda: plain_pass(model, data), lambda: sweep_all(trace)
    )
    yield Row(f"whole sweep / plain full-depth pass, {where}", ratio(rounds, 0, 1), "times", "<= 1.10")
    yield Row(f"replay alone / plain full-depth pass, {where}", ratio(rounds, 2, 1), "times", "<= 0.02")


def plain_pass(model: EarlyExitModel, data: Encoded) -> np.ndarray:
    """Logits [n, C] of the static model, in the batches of a trace."""
    logits = np.empty((len(data), model.num_labels), dtype=np.float32)
    for rows in sorted_batches(data.lengths, INFERENCE_BATCH):
        logits[rows] = run_full(model, data.batch(rows)).numpy()
    return logits


def sweep_all(trace: Trace) -> dict[Method, Replay]:
    """All points of both rules from one pass over a trace."""
    found, asked = {}, RuleSpec(*trace.logits.shape[1:])
    for method in RULES:
        found[method] = replay(method.halting_rule(asked), trace)
        knob = method.knob(asked)
        found[method].decide(knob, knob.values)
        exact_curve(found[method], trace.labels, asked.num_labels)
    return found


def against_released(
    where: str, model: EarlyExitModel, examples: Examples, data: Encoded, goal: float
) -> Iterator[Row]:
    """All points from one pass against one pass for each threshold: how much faster, how many decisions differ."""
    few = np.random.default_rng(0).permutation(len(data))[:FEW]
    knobs = {method: method.knob(RuleSpec(model.num_layers, model.num_labels)) for method in RULES}
    swept, answered = {}, {}

    def ours() -> None:
        swept.update(sweep_all(trace_model(model, examples, data)))

    def theirs() -> None:
        for method, stops in RULES.items():
            for value in knobs[method].values:
                answered[method, value] = one_by_one(model, stops, value, data, few)

    rounds = in_turn(theirs, ours)
    compared = [
        disagreements(swept[method].take(few), knobs[method], value, decisions)
        for (method, value), decisions in answered.items()
    ]
    depth = np.mean([decisions.layers.numpy().mean() for decisions in answered.values()]) / model.num_layers
    what = f"whole sweep, times as fast as one pass a threshold (mean x {depth:.2f}), {where}"
    yield Row(what, ratio(rounds) * len(data) / FEW, "times", f">= {goal}")
    wrong, excused = (sum(counts) for counts in zip(*((len(rows), near) for rows, near in compared), strict=True))
    yield Row(
        f"decisions of {FEW * len(answered)} that differ, {excused} close calls left out, {where}",
        wrong,
        "decisions",
        "<= 0",
    )
