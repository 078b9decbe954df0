"""Does a layer that is not computed save its time? The live engine against full depth, and against one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from transformers import BertConfig

from bench.halting.agreement import disagreements
from bench.halting.live import Decisions, run_full, run_live
from bench.halting.replay import replay
from bench.models.backbones import Batch
from bench.models.loading import empty_encoder
from bench.models.model import EarlyExitModel, build_model
from bench.models.tokens import sorted_batches
from bench.models.tracing import trace_model
from bench.speed.real import deebert, problem
from bench.speed.released import entropy_is_low, one_by_one
from bench.speed.table import Row, Settings
from bench.timing import in_turn, ratio
from methods.base import ExitOutputs, HaltingRule, Knob, RuleSpec, State
from methods.deebert import DeeBert

#: Mean shares of the layers that exits are imposed at.
SHARES = (0.25, 0.5, 0.75)
BATCH, GPU_BATCH, GPU_LENGTH = 32, 128, 128
#: Examples of the comparison with the static model, and those that batch 1 answers.
MANY, FEW = 400, 32


class ImposedRule(HaltingRule):
    """Score: layers since the one at which the example is told to halt; `layers` [n] are those of one batch."""

    score_kind = "fixed"

    def __init__(self, spec: RuleSpec, layers: Tensor) -> None:
        super().__init__(spec)
        self.layers = layers

    def start(self, n: int, num_labels: int) -> State:
        """The layer at which each example is to halt, as the state."""
        return {"halts": self.layers.double()}

    def step(self, layer: int, exits: ExitOutputs, state: dict) -> tuple[Tensor, Tensor, dict]:
        """The answer is the layer's logits; see `HaltingRule.step`."""
        return exits.logits, layer - state["halts"], state


def measure(settings: Settings) -> Iterator[Row]:
    """Rows on a GPU where there is one, then on real data on the CPU."""
    if torch.cuda.is_available():
        yield from on_gpu()
    given, model = problem(settings, "sst2"), deebert(settings, "sst2")
    data = given.data.take(np.random.default_rng(0).permutation(len(given.data))[:MANY])
    batches = [data.batch(some) for some in sorted_batches(data.lengths, BATCH)]
    yield from saved_time(f"batch {BATCH}, SST-2, MiniLM, CPU", model, batches, "<= 0.08")
    yield from against_batch_one(settings)


def on_gpu() -> Iterator[Row]:
    """A random model of BERT-base's size on random tokens."""
    model = build_model(DeeBert(), empty_encoder(BertConfig()), 2, ("speed",)).eval().cuda()
    ids = torch.randint(1000, 30000, (4, GPU_BATCH, GPU_LENGTH), device="cuda")
    batches = [{"input_ids": some, "attention_mask": torch.ones_like(some)} for some in ids]
    yield from saved_time(f"batch {GPU_BATCH}, BERT-base's size, GPU", model, batches, "<= 0.12")


def saved_time(where: str, model: EarlyExitModel, batches: list[Batch], goal: str) -> Iterator[Row]:
    """The share of the static model's time that remains, less the share of its layers, at imposed exits."""
    imposed = [imposed_layers(share, model.num_layers, batches) for share in SHARES]
    ways = [lambda batch, *layers, i=i: leave(model, batch, layers[i]) for i in range(len(SHARES))]
    runs = in_turn(lambda batch, *_: run_full(model, batch), *ways, items=list(zip(batches, *imposed, strict=True)))
    for i, layers in enumerate(imposed, start=1):
        share = torch.cat(layers).double().mean().item() / model.num_layers
        yield Row(
            f"live: time fraction - layer fraction at x {share:.2f}, {where}", ratio(runs, i, 0) - share, "", goal
        )


def leave(model: EarlyExitModel, batch: Batch, layers: Tensor) -> Decisions:
    """Answer a batch by the live engine, everybody at a given layer."""
    return run_live(model, ImposedRule(RuleSpec(model.num_layers, model.num_labels), layers), Knob(), 0.0, batch)


def imposed_layers(share: float, num_layers: int, batches: list[Batch]) -> list[Tensor]:
    """Layers [n] to halt at, for the examples of every batch: 1 and a binomial number of others."""
    rng, p = np.random.default_rng(0), (share * num_layers - 1) / (num_layers - 1)
    return [torch.from_numpy(1 + rng.binomial(num_layers - 1, p, len(batch["input_ids"]))) for batch in batches]


def against_batch_one(settings: Settings) -> Iterator[Row]:
    """Live exit in examples a second against the released procedure, where half of the layers are used."""
    given, model = problem(settings, "sst2"), deebert(settings, "sst2")
    method, data = DeeBert(), given.data
    asked = RuleSpec(model.num_layers, model.num_labels)
    rule, knob = method.halting_rule(asked), method.knob(asked)
    result = replay(rule, trace_model(model, given.examples, data))
    shares = result.exit_layers(knob, knob.values).mean(axis=1) / model.num_layers  # [K]
    setting = int(np.abs(shares - 0.5).argmin())
    value, few = knob.values[setting], np.random.default_rng(0).permutation(len(data))[:FEW]
    answers = torch.empty(len(data), model.num_labels, dtype=torch.float64)
    layers = torch.empty(len(data), dtype=torch.int64)
    theirs = []

    def ours() -> None:
        for rows in sorted_batches(data.lengths, BATCH):
            found = run_live(model, rule, knob, value, data.batch(rows))
            answers[rows], layers[rows] = found.answers, found.layers

    runs = in_turn(lambda: theirs.append(one_by_one(model, entropy_is_low, value, data, few)), ours)
    where = f"SST-2, MiniLM, S = {value:g}, x {shares[setting]:.2f}"
    speed = ratio(runs) * len(data) / FEW
    yield Row(f"live at batch {BATCH}, times the examples/s of the released batch 1, {where}", speed, "times", ">= 4")
    wrong, _ = disagreements(result, knob, value, Decisions(answers, layers))
    other, _ = disagreements(result.take(few), knob, value, theirs[-1])
    yield Row(
        f"decisions of {len(data)} and {FEW} that differ from the replay, {where}", len(wrong) + len(other), "", "<= 0"
    )
