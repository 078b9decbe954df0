"""A method of your own in one file, to copy: exits on a frozen backbone that halt by margin.

early-exit-bench run --methods margin.py --against embedded --tasks sst2,mrpc --seeds 3 --results results/margin
"""

import torch

from methods.base import HaltingRule, Knob, Method
from methods.blocks import prediction_loss


class MarginRule(HaltingRule):
    """Score: probability of the top class minus that of the runner-up."""

    def step(self, layer, exits, state):
        """The answer is the layer's logits."""
        top = torch.softmax(exits.logits, dim=-1).topk(2, dim=-1).values
        return exits.logits, top[:, 0] - top[:, 1], state


class Margin(Method):
    """A. Outsider et al., "Leaving when sure", 2026: exits on a frozen backbone, halting by margin >= m."""

    name = "margin"

    def skip(self, num_labels):
        """A margin is between classes."""
        return "a margin needs classes" if num_labels == 1 else None

    def trains(self, part, layer, num_layers):
        """The exits below layer L."""
        return part == "exit" and layer < num_layers

    def loss(self, exits, batch):
        """The mean of the losses of layers 1..L-1."""
        layers = range(exits.logits.shape[1] - 1)
        return sum(prediction_loss(exits.logits[:, i], batch.labels) for i in layers) / len(layers)

    def halting_rule(self, spec):
        """Halts where the margin reaches m."""
        return MarginRule(spec)

    def knob(self, spec):
        """The grid of m: 0, .1, .. 1."""
        return Knob("margin", tuple(i / 10 for i in range(11)))
