"""FastBERT: students distilled from the last layer of a frozen fine-tuned backbone, halting by normalised entropy."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import ExitOutputs, ExitSpec, HaltingRule, Knob, Method, RuleSpec, TrainingBatch
from methods.blocks import PoolerExit, entropy, normal_linear

HEADS = 2
SPEEDS = tuple(round(0.05 * i, 2) for i in range(21))


class StudentExit(nn.Module):
    """A student: states narrowed to a sixth, tanh, self-attention over the sequence, linear, tanh, linear.

    Two heads of H / 12 units each: 128 in all for H = 768, as in the released code. Only the first position is
    classified, so attention is computed for its query alone.
    """

    reads_sequence = True

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__()
        width, std = HEADS * max(1, spec.hidden_size // 12), spec.initializer_range
        self.narrow = normal_linear(spec.hidden_size, width, std)
        self.query, self.key, self.value, self.output = (normal_linear(width, width, std) for _ in range(4))
        self.pooler = normal_linear(width, width, std)
        self.dropout = nn.Dropout(spec.dropout)
        self.classifier = normal_linear(width, spec.num_labels, std)

    def forward(self, hidden: Tensor, attention: Tensor) -> ExitOutputs:
        """Classify states [n, T, H]; attention [n, T] is 1 at tokens and 0 at padding."""
        hidden = torch.tanh(self.narrow(hidden))
        query, key, value = self.query(hidden[:, :1]), self.key(hidden), self.value(hidden)
        heads = [part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (query, key, value)]  # [n, 2, T, width / 2]
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=attention[:, None, None, :].bool())  # [n, 2, 1, ..]
        first = self.output(mixed.transpose(1, 2).flatten(1))  # [n, width]
        return ExitOutputs(self.classifier(self.dropout(torch.tanh(self.pooler(first)))))


class NormalisedEntropyRule(HaltingRule):
    """Score: minus the entropy of the layer's prediction as a share of its maximum, H / ln C."""

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        return exits.logits, -entropy(exits.logits) / math.log(self.spec.num_labels), state


class FastBert(Method):
    """W. Liu et al., "FastBERT: a Self-distilling BERT with Adaptive Inference Time", ACL 2020.

    Stage 2 trains a student on each of the layers 1..L-1 of the frozen stage-1 model with the sum over them of
    KL(teacher || student); the teacher is the detached head of layer L, without dropout. No label is used, so any text
    can be distilled on (`--unlabelled`). Halts at the first layer with H(softmax(logits_l)) / ln C <= speed. Knob:
    speed = 0, .05, .. 1.
    """

    name = "fastbert"
    reads_labels = False
    needs_classes = "the entropy rule needs classes, this task is a regression"

    def exit(self, spec: ExitSpec) -> nn.Module:
        """A student; on layer L the head of stage 1, which teaches."""
        return StudentExit(spec) if spec.layer < spec.num_layers else PoolerExit(replace(spec, dropout=0.0))

    def trains(self, part: str, layer: int, num_layers: int) -> bool:
        """The students, nothing else."""
        return part == "exit" and layer < num_layers

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Sum over layers 1..L-1 of KL(teacher || student), mean over the batch."""
        log_p = torch.log_softmax(exits.logits.float(), dim=-1)  # [n, L, C]
        teacher = log_p[:, -1:].detach().expand_as(log_p[:, :-1])
        return F.kl_div(log_p[:, :-1], teacher, reduction="sum", log_target=True) / len(log_p)

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts where the normalised entropy is at most `speed`."""
        return NormalisedEntropyRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """Speed in steps of .05 from 0 to 1."""
        return Knob("speed", SPEEDS, sign=-1, span=(0.0, 1.0))
