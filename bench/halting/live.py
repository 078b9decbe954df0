"""Early exit in batches, live: after each layer the examples that halt leave, and only the others are computed on.

The halting-rule code is the one that replay uses. Shape symbols: n examples, m those still running, T tokens,
C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.models.backbones import Batch
from bench.models.model import EarlyExitModel, autocast
from methods.base import HaltingRule, Knob


@dataclass(frozen=True)
class Decisions:
    """What a batch of examples answered, and at which layers.

    Attributes:
        answers: float64 [n, C].
        layers: int64 [n], the layer (1..L) at which each example halted.
    """

    answers: Tensor
    layers: Tensor


@torch.inference_mode()
def run_full(model: EarlyExitModel, batch: Batch, precision: str = "float32") -> Tensor:
    """The logits [n, C] of layer L's exit, without early exit: the static model whose time `run_live` is to beat."""
    with autocast(batch["input_ids"].device.type, precision):
        *_, hidden = model.backbone.sequences(batch)
        return model.exit(model.num_layers, hidden, batch["attention_mask"]).logits


@torch.inference_mode()
def run_live(
    model: EarlyExitModel, rule: HaltingRule, knob: Knob, value: float, batch: Batch, precision: str = "float32"
) -> Decisions:
    """Answer a batch, computing for each example only the layers up to its exit.

    Args:
        model: a trained model in evaluation mode.
        rule: the halting rule.
        knob: the rule's knob, and `value` its setting.
        value: see `knob`.
        batch: input_ids [n, T], attention_mask [n, T] and what else the backbone takes.
        precision: of matrix products; halting arithmetic is float64 in any case.
    """
    with autocast(batch["input_ids"].device.type, precision):
        return run_layers(model, rule, knob, value, batch)


def run_layers(model: EarlyExitModel, rule: HaltingRule, knob: Knob, value: float, batch: Batch) -> Decisions:
    """The loop of `run_live` over the layers, at whatever precision is set."""
    n, device = len(batch["input_ids"]), batch["input_ids"].device
    answers = torch.empty(n, model.num_labels, dtype=torch.float64, device=device)
    layers = torch.empty(n, dtype=torch.int64, device=device)
    running = torch.arange(n, device=device)  # [m], positions in the batch
    state = {name: tensor.to(device) for name, tensor in rule.start(n, model.num_labels).items()}
    hidden, inputs = model.backbone.embed(batch)
    attention = batch["attention_mask"]
    for layer in range(1, model.num_layers + 1):
        hidden = model.backbone.layer(layer, hidden, inputs)  # [m, T, H]
        outputs = model.exit(layer, hidden, attention).double()
        answer, score, state = rule.step(layer, outputs, state)
        if layer == model.num_layers and (ramp := rule.ramp(outputs)) is not None:
            answer = torch.where(knob.reached(ramp[1], value)[:, None], ramp[0], answer)
        answers[running], layers[running] = answer, layer  # who goes on is answered again by a later layer
        if layer == model.num_layers:
            break
        stay = (~knob.reached(score, value)).nonzero()[:, 0]  # the only look at the device: all else waits in its queue
        if not len(stay):
            break
        if len(stay) < len(running):
            running, attention = running[stay], attention[stay]
            state = {name: tensor[stay] for name, tensor in state.items()}
            # padding on the right leaves with the example that needed it
            longest = int(attention.any(dim=0).nonzero()[-1]) + 1
            attention, hidden = attention[:, :longest], hidden[stay, :longest]
            inputs = inputs.take(stay, longest, layer)
    return Decisions(answers, layers)
