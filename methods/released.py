"""Quirks of released code: what stands in for a method where a suite says `compat = "released"`.

Each class extends the method that it stands in for and inherits its name; see `methods.discover`.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.base import ExitOutputs, ExitSpec, HaltingRule, RuleSpec
from methods.blocks import PoolerExit, entropy
from methods.deebert import DeeBert, EntropyRule
from methods.pabee import Pabee
from methods.pkd import Pkd


class ReleasedRule(EntropyRule):
    """Layer L has an off-ramp beside its head, and the off-ramp is asked first."""

    def ramp(self, exits: ExitOutputs) -> tuple[Tensor, Tensor]:
        """The off-ramp's logits and minus their entropy."""
        return exits.ramp, -entropy(exits.ramp)


class RampedExit(PoolerExit):
    """The shared exit with, on layer L, an off-ramp beside it."""

    def __init__(self, spec: ExitSpec) -> None:
        super().__init__(spec)
        self.ramp: nn.Module | None = None

    def forward(self, state: Tensor) -> ExitOutputs:
        """Classify examples by the state [n, H] that the exit reads, on layer L by the off-ramp as well."""
        logits = super().forward(state).logits
        return ExitOutputs(logits, ramp=None if self.ramp is None else self.ramp(state).logits)


class DeeBertReleased(DeeBert):
    """DeeBERT as its released code has it: the off-ramp of layer L, which no loss trains, may exit.

    Source: modeling_highway_bert.py. Where the entropy of that untrained off-ramp is below S, its logits are the
    answer, not those of the fine-tuned head. Which layers are used stays the same.
    """

    released = True

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit, which may carry an off-ramp."""
        return RampedExit(spec)

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """The off-ramp of layer L starts as the new exit of that layer, and stays that way."""
        exits[max(exits)].ramp = copy.deepcopy(exits[max(exits)])

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts where the entropy falls below S, at layer L by the off-ramp first."""
        return ReleasedRule(spec)


class PabeeReleased(Pabee):
    """PABEE as its released code has it: the exits of all layers share one pooler, each has a linear unit of its own.

    Source: modeling_pabee_bert.py. The shared pooler starts as the one that layer L would have alone.
    """

    released = True

    def connect(self, exits: dict[int, nn.Module]) -> None:
        """One pooler for all layers."""
        for module in exits.values():
            module.pooler = exits[max(exits)].pooler


class PkdReleased(Pkd):
    """PKD as its released code has it: the soft term is a mean over examples *and classes*, C times smaller.

    Source: distillation_loss in KD_loss.py, a KL divergence, whose gradient is that of the cross entropy.
    """

    released = True

    def soft_loss(self, logits: Tensor, taught: Tensor) -> Tensor:
        """KL divergence of probabilities [n, C] from logits [n, C], divided by n and by C."""
        return F.kl_div(torch.log_softmax(logits, dim=-1), taught, reduction="sum") / logits.numel()
