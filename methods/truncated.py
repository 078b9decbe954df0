"""Truncated depth: everybody leaves at the same layer. A reference curve, not a method of its own."""

from __future__ import annotations

import torch

from methods.base import HaltingRule, Knob, RuleSpec
from methods.deebert import DeeBert


class LayerRule(HaltingRule):
    """Score: the layer itself, the same for every example."""

    score_kind = "fixed"

    def step(self, layer, exits, state):
        """The answer is the layer's logits; see `HaltingRule.step`."""
        return exits.logits, torch.full_like(exits.logits[:, 0], layer), state


class Truncated(DeeBert):
    """The accuracy of each exit of DeeBERT's models for all examples: what depth alone buys, without any choice.

    Trains nothing: replays the traces of `deebert`. Knob: the layer l = 1..L at which everyone exits.
    """

    name = "truncated"
    trained_by = "deebert"
    reference = True

    def halting_rule(self, spec: RuleSpec) -> HaltingRule:
        """Halts at the layer that the knob names."""
        return LayerRule(spec)

    def knob(self, spec: RuleSpec) -> Knob:
        """The layer, 1..L."""
        layers = tuple(float(layer) for layer in range(1, spec.num_layers + 1))
        return Knob("layer", layers, span=(1.0, layers[-1]))
