"""ACT: answers mixed by a halting distribution, with a cost for every layer that takes part."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.base import ExitOutputs, ExitSpec, HaltingRule, Knob, Method, RuleSpec, State, TrainingBatch
from methods.blocks import HaltingExit, prediction_loss

#: What a layer must be worth in loss to be computed: from hardly anything to most of what depth gives.
TAUS = (0.1, 0.4, 0.7)
#: The halting probabilities of one example reach 1 when their sum is within this of it.
EPS = 0.01


def share_out(h: Tensor, remainder: Tensor, halts: Tensor | bool) -> tuple[Tensor, Tensor]:
    """The weight of layer l in the answer and what is left after it.

    Args:
        h: [n] halting value of layer l.
        remainder: [n] 1 - sum of the weights before layer l.
        halts: bool [n], whether the example halts here.

    Returns:
        p_l [n]: h_l, or the whole remainder where it halts; and the next remainder [n].
    """
    p = torch.where(torch.as_tensor(halts, device=h.device), remainder, h)
    return p, remainder - p


def values(logits: Tensor) -> Tensor:
    """What is mixed: class probabilities of logits [..., C], or the value itself where C = 1 (regression)."""
    return logits if logits.shape[-1] == 1 else torch.softmax(logits, dim=-1)


class ActRule(HaltingRule):
    """Score: the sum of the halting values so far, minus 1.

    The answer at layer l gives l what is left: a_{l-1} + (1 - sum_{j<l} h_j) y_l. An example whose sum has reached
    1 - EPS has shared everything out, and its answer does not change any more.
    """

    answers_probabilities = True

    def start(self, n: int, num_labels: int) -> State:
        """Nothing is mixed yet, everything remains."""
        zeros = torch.zeros(n, dtype=torch.float64)
        return {"a": torch.zeros(n, num_labels, dtype=torch.float64), "remainder": zeros + 1, "sum": zeros}

    def step(self, layer, exits, state):
        """The answer is the mixture that ends here; see `HaltingRule.step`."""
        y = values(exits.logits)
        answer = state["a"] + state["remainder"][:, None] * y
        total = state["sum"] + exits.halting
        p, remainder = share_out(exits.halting, state["remainder"], total - 1 >= -EPS)
        return answer, total - 1, {"a": state["a"] + p[:, None] * y, "remainder": remainder, "sum": total}


class Act(Method):
    """A. Graves, "Adaptive Computation Time for Recurrent Neural Networks", 2016.

    The layers of the encoder take the place of the steps. h_l = sigmoid(w_l c_l + b_l); N is the first layer where
    h_1 + .. + h_N >= 1 - eps, or L; R = 1 - sum_{l<N} h_l; p_l = h_l below N and p_N = R. Stage 2 trains all parameters
    from stage 1 with the task loss of the mixture sum_l p_l y_l plus tau (N + R). Halts at layer N. One model per tau;
    eps = .01. b starts at -ln(L - 1), where h = 1 / L and all layers take part: a layer behind N gets no gradient.
    """

    name = "act"
    parameters: ClassVar = {"tau": 0.4}
    variants = tuple(f"tau={tau:g}" for tau in TAUS)

    def exit(self, spec: ExitSpec) -> nn.Module:
        """The shared exit with a halting unit."""
        return HaltingExit(spec, bias=-math.log(max(spec.num_layers - 1, 1)))

    def loss(self, exits: ExitOutputs, batch: TrainingBatch) -> Tensor:
        """Task loss of the mixture plus tau times the ponder cost N + R, mean over the batch."""
        y, h = values(exits.logits.float()), exits.halting.float()  # [n, L, C], [n, L]
        num_layers, totals = h.shape[1], h.detach().cumsum(dim=1)
        a, remainder, ponder = torch.zeros_like(y[:, 0]), torch.ones_like(h[:, 0]), torch.zeros_like(h[:, 0])
        for i in range(num_layers):
            running = (remainder > 0).float()  # 0 behind layer N
            last = (totals[:, i] - 1 >= -EPS) | torch.tensor(i == num_layers - 1, device=h.device)
            p, left = share_out(h[:, i], remainder, last)
            a = a + p[:, None] * y[:, i]
            ponder = ponder + running + torch.where(last, p, 0.0)
            remainder = left
        return mixture_loss(a, batch.labels) + batch.variant["tau"] * ponder.mean()

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts where the halting values have summed up to 1 - eps."""
        return ActRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """One value, the eps that the models are trained with."""
        return Knob("eps", (EPS,), sign=-1)


def mixture_loss(answer: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log a[label] for probabilities a [n, C]; squared error where C = 1."""
    if answer.shape[-1] == 1:
        return prediction_loss(answer, labels)
    return -torch.log(answer.gather(1, labels[:, None]).clamp_min(torch.finfo(answer.dtype).tiny)).mean()
