"""DACT-BERT: a differentiable combination of all layers' answers that halts once it cannot change any more.

Comments name the lines of the paper's Algorithm 1. Its loop (lines 3 and 17) is not in this file: to train, `Dact.loss`
walks through the layers; to infer, the benchmark's two drivers do, `run_layers` live and `replay` over a trace, which
call `DactRule.step` at each layer and end an example's loop where `Knob.reached` says so.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.base import ExitOutputs, ExitSpec, HaltingRule, Knob, Method, RuleSpec, State, TrainingBatch
from methods.blocks import HaltingExit

TAUS = (5e-5, 5e-4, 5e-3, 5e-2, 5e-1)
#: By how much the guaranteed margin may fall short of 0.
SLACK = (0.0, 0.05, 0.1, 0.2, 0.5)


def combine(y: Tensor, h: Tensor, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Lines 8 and 10 of Algorithm 1: take layer l into the accumulated answer, then update p.

    Args:
        y: [n, C] class probabilities of layer l.
        h: [n] halting value of layer l, the weight of *continuing*.
        a: [n, C] accumulated answer a_{l-1}.
        p: [n] p_{l-1}.

    Returns:
        a_l [n, C] = y_l p_{l-1} + a_{l-1} (1 - p_{l-1}) and p_l [n] = p_{l-1} h_l.
    """
    a = y * p[:, None] + a * (1 - p[:, None])
    return a, p * h


def top_two(a: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities of the top class and of the runner-up, each [n], of answers [n, C]."""
    top = a.topk(2, dim=-1).values
    return top[:, 0], top[:, 1]


def paper_margin(a: Tensor, p: Tensor, d: int) -> Tensor:
    """Eq. 2, left minus right [n]: a* (1 - p)^d - (a' + p d), with d layers to go."""
    best, runner_up = top_two(a)
    return best * (1 - p) ** d - (runner_up + p * d)


def exact_margin(a: Tensor, p: Tensor, d: int) -> Tensor:
    """The guaranteed final margin [n]: (1 - p)^d (1 + a* - a') - 1, with d layers to go.

    Worst case: every remaining layer gives its whole weight to the runner-up and h = 1. The margin m = a* - a'
    then follows m <- (1 - p) m - p, hence m_d + 1 = (1 - p)^d (m + 1). Never smaller than Eq. 2's margin.
    """
    best, runner_up = top_two(a)
    return (1 - p) ** d * (1 + best - runner_up) - 1


class DactRule(HaltingRule):
    """Score: the margin of the top class that no remaining layer can take away."""

    answers_probabilities = True
    margin = staticmethod(paper_margin)

    def start(self, n: int, num_labels: int) -> State:
        """Lines 1 and 2 of Algorithm 1: p_0 = 1, a_0 = 0."""
        return {"a": torch.zeros(n, num_labels, dtype=torch.float64), "p": torch.ones(n, dtype=torch.float64)}

    def step(self, layer, exits, state):
        """The answer is a_l; see `HaltingRule.step`."""
        y, h = torch.softmax(exits.logits, dim=-1), exits.halting  # lines 5 and 6, said by this layer's `HaltingExit`
        a, p = combine(y, h, state["a"], state["p"])  # lines 8 and 10
        margin = self.margin(a, p, self.spec.num_layers - layer)  # line 13: the answer can't change from 0 upwards
        return a, margin, {"a": a, "p": p}


class ExactRule(DactRule):
    """The same with the exact worst case: an equal guarantee that halts no later."""

    margin = staticmethod(exact_margin)


class Dact(Method):
    """C. Eyzaguirre et al., "DACT-BERT: Differentiable Adaptive Computation Time for an Efficient BERT Inference".

    NLP Power workshop at ACL 2022. Algorithm 1: p_0 = 1, a_0 = 0; a_l = y_l p_{l-1} + a_{l-1} (1 - p_{l-1});
    p_l = p_{l-1} h_l. Stage 2 trains all parameters from stage 1 with -log a_L[label] + tau * sum_l h_l (Eq. 1).
    Halts where Eq. 2 holds with margin -eps: a* (1 - p_l)^d - (a' + p_l d) >= -eps, d = L - l; eps = 0 never
    changes the answer. One model per tau.

    Variants may set `penalty`: "h" is Eq. 1's sum of h_l, "p" the original regulariser, the sum of the accumulated
    p_l (C. Eyzaguirre and A. Soto, "Differentiable Adaptive Computation Time for Visual Reasoning", CVPR 2020).
    """

    name = "dact"
    parameters: ClassVar = {"tau": 5e-3, "penalty": ("h", "p")}
    variants = tuple(f"tau={tau:g}" for tau in TAUS)
    needs_classes = "the halting bound needs classes, this task is a regression"

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit with a halting unit, which starts undecided: h near .5."""
        return HaltingExit(spec)  # lines 5 and 6: the output module says y_l, the halting module h_l

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Eq. 1: -log(a_L[label]) + tau * sum_l h_l, mean over the batch."""
        y = torch.softmax(exits.logits.float(), dim=-1)  # [n, L, C], line 5
        h = exits.halting.float()  # [n, L], line 6
        a, p, accumulated = torch.zeros_like(y[:, 0]), torch.ones_like(h[:, 0]), []  # lines 1 and 2
        for y_l, h_l in zip(y.unbind(dim=1), h.unbind(dim=1), strict=True):  # line 3; training never halts (line 12)
            a, p = combine(y_l, h_l, a, p)  # lines 8 and 10
            accumulated.append(p)
        nll = -torch.log(a.gather(1, batch.labels[:, None])[:, 0].clamp_min(torch.finfo(a.dtype).tiny))
        ponder = h.sum(dim=1) if batch.variant["penalty"] == "h" else sum(accumulated)
        return (nll + batch.variant["tau"] * ponder).mean()

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts once no remaining layer can change the argmax, by the bound of the paper."""
        return DactRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """One value, eps = 0: the paper's lossless halting."""
        return Knob("eps", (0.0,), sign=-1)  # lines 12 to 14: break the loop where `Knob.reached`, margin >= -eps


class DactExact(Dact):
    """DACT-BERT's models with the exact worst-case bound (1 - p_l)^d (1 + a* - a') >= 1 instead of Eq. 2.

    Trains nothing: replays the traces of `dact`. The same guarantee, halts no later.
    """

    name = "dact-exact"
    trained_by = "dact"

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts once no remaining layer can change the argmax, by the exact bound."""
        return ExactRule(spec)


class DactEps(DactExact):
    """DACT-BERT's models with slack in the exact bound: an inference-time knob for a method that has none.

    Halts where (1 - p_l)^d (1 + a* - a') - 1 >= -eps: the guaranteed final margin may fall short of 0 by eps, so
    answers may change for eps > 0. Trains nothing: replays the traces of `dact`. One curve per tau.
    """

    name = "dact-eps"

    def knob(self, spec: RuleSpec) -> Knob:
        """Slack eps = 0, .05, .1, .2, .5."""
        return Knob("eps", SLACK, sign=-1)
