"""PonderNet: a halting probability at every layer, drawn to a geometric distribution of depths."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.base import ExitOutputs, ExitSpec, HaltingRule, Knob, Method, RuleSpec, State, TrainingBatch
from methods.blocks import HaltingExit, layer_losses

#: Their expected depths, 6.26, 4.11 and 2.00 of 12 layers, spread over what a geometric distribution cut at L can have.
PRIORS = (0.02, 0.2, 0.5)


def halting_distribution(h: Tensor) -> Tensor:
    """p_l = h_l prod_{j<l} (1 - h_j) for halting values h [n, L]; layer L takes what is left, so rows sum to 1."""
    survival = torch.cumprod(1 - h[:, :-1], dim=1)  # [n, L - 1], still running after layer l
    before = torch.cat([torch.ones_like(h[:, :1]), survival], dim=1)
    return torch.cat([h[:, :-1] * before[:, :-1], before[:, -1:]], dim=1)


def geometric(prior: float, num_layers: int) -> Tensor:
    """The prior [L]: proportional to prior (1 - prior)^(l-1), cut at L and made to sum to 1."""
    weights = prior * (1 - prior) ** torch.arange(num_layers)
    return weights / weights.sum()


class CumulatedRule(HaltingRule):
    """Score: the probability of having halted by layer l, 1 - prod_{j<=l} (1 - h_j)."""

    def start(self, n: int, num_labels: int) -> State:
        """Nobody has halted."""
        return {"running": torch.ones(n, dtype=torch.float64)}

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        running = state["running"] * (1 - exits.halting)
        return exits.logits, 1 - running, {"running": running}


class PonderNet(Method):
    """A. Banino et al., "PonderNet: Learning to Ponder", 2021.

    The layers of the encoder take the place of the steps. h_l = sigmoid(w_l c_l + b_l) is the probability of halting at
    layer l if still running, p_l = h_l prod_{j<l} (1 - h_j), layer L takes the rest. Stage 2 trains all parameters from
    stage 1 with sum_l p_l loss_l + beta KL(p || geometric(prior)); one model per prior. b starts at -ln(L - 1),
    h = 1 / L. The geometric distribution is cut at L, so its expected depth is below 1 / prior: of L = 12 layers, 5.28
    at prior .1, 4.11 at .2 and 2.47 at .4. It never exceeds (L + 1) / 2, which it nears as the prior nears 0.

    The paper draws the layer from p. Here halting is deterministic: at the first layer by which the cumulated halting
    probability p_1 + .. + p_l reaches q (N. Balagansky and D. Gavrilov, "PALBERT", 2022, take q = .5). Knob: q.
    """

    name = "pondernet"
    version = 2
    parameters: ClassVar = {"prior": 0.2, "beta": 0.01}
    variants = tuple(f"prior={prior:g}" for prior in PRIORS)

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit with a halting unit."""
        return HaltingExit(spec, bias=-math.log(max(spec.num_layers - 1, 1)))

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Expected task loss under p plus beta KL(p || prior), mean over the batch."""
        p = halting_distribution(exits.halting.float())  # [n, L]
        expected = (p * layer_losses(exits.logits.float(), batch.labels)).sum(dim=1)
        prior = geometric(batch.variant["prior"], p.shape[1]).to(p)
        divergence = (torch.xlogy(p, p) - p * prior.log()).sum(dim=1)
        return (expected + batch.variant["beta"] * divergence).mean()

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts once the cumulated probability of halting reaches q."""
        return CumulatedRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """Cumulated probability q = .1, .2, .. .9."""
        return Knob("quantile", tuple(round(0.1 * i, 1) for i in range(1, 10)), span=(0.0, 1.0))
