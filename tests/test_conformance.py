"""Every method that is found must pass every check; a method that lacks something is told what."""

import pytest
import torch
from torch import nn

from bench.conformance import CHECKS, ConformanceError, check_method
from bench.errors import UserError
from methods import discover
from methods.base import ExitOutputs, Knob, Method
from methods.deebert import DeeBert, EntropyRule
from methods.pabee import Pabee

METHODS = discover()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", METHODS)
def test_method_conforms(name, check):
    CHECKS[check](METHODS[name])


def lacking(method, check):
    """What one check says about a method, or None."""
    try:
        CHECKS[check](method)
    except (ConformanceError, UserError) as error:
        return str(error)


class Mine(DeeBert):
    """A. Nobody et al., 2026: passes every check, and what each test below breaks is found."""

    name = "mine"


def test_a_method_from_outside_is_checked_alike():
    assert list(check_method(Mine())) == [(name, "ok", "") for name in CHECKS]


class Leaky(EntropyRule):
    def step(self, layer, exits, state):
        answer, score, state = super().step(layer, exits, state)
        return answer, score - score.mean(), state


class Stuck(EntropyRule):
    def start(self, n, num_labels):
        return {"memory": torch.zeros(num_labels, n)}


class Single(EntropyRule):
    def step(self, layer, exits, state):
        answer, score, state = super().step(layer, exits, state)
        return answer, score.float(), state


class Undefined(EntropyRule):
    def step(self, layer, exits, state):
        answer, score, state = super().step(layer, exits, state)
        return answer, torch.full_like(score, torch.nan), state


class Endless(EntropyRule):
    def step(self, layer, exits, state):
        answer, score, state = super().step(layer, exits, state)
        return answer, score / 0, state


class Guessed(EntropyRule):
    score_kind = "guess"


class WideExit(nn.Linear):
    def forward(self, state):
        return ExitOutputs(super().forward(state))


class Sure(nn.Linear):
    def forward(self, state):
        return ExitOutputs(super().forward(state), torch.ones(len(state)))


BROKEN = {
    "slug": ({"name": "my--method"}, "must be lower-case letters and digits joined by single '-'"),
    "variants": ({"variants": ("speed=2",)}, "unknown variant 'speed=2' of mine: its parameters are none"),
    "relations": ({"starts_from": "sttic"}, "starts_from names no method: 'sttic'; did you mean 'static'?"),
    "skip": ({"skip": lambda self, count: ""}, "must return None or a reason"),
    "exits": ({"exit": lambda self, spec: WideExit(spec.hidden_size, spec.num_labels + 1)}, "have shape (24, 3)"),
    "loss": ({"loss": lambda self, exits, batch: exits.logits[:, 0]}, "must be a finite scalar"),
    "rule": ({"halting_rule": lambda self, spec: Stuck(spec)}, "state 'memory' must have leading dimension n"),
    "rows": ({"halting_rule": lambda self, spec: Leaky(spec)}, "scores"),
    "knob": ({"knob": lambda self, spec: Knob("entropy", (0.2, 0.1))}, "knob values must ascend"),
}


@pytest.mark.parametrize("check", BROKEN)
def test_what_is_lacking_is_said(check):
    attributes, message = BROKEN[check]
    assert message in lacking(type("Broken", (Mine,), {"__doc__": "Broken.", **attributes})(), check)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Single, "halting arithmetic is float64"),
        (Undefined, "24 of 24 scores at layer 1 are NaN"),
        (Endless, "24 of 24 scores at layer 1 are infinite"),
        (Guessed, "score_kind 'guess' is none of measure, best, count, fixed"),
    ],
)
def test_wrong_scores_are_found(rule, message):
    broken = type("Broken", (Mine,), {"halting_rule": lambda self, spec: rule(spec)})()
    assert message in lacking(broken, "rule")


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((0.0, 0.5), r"knob values must be in its span 0 to 0.5, got 0.6"),
        ((0.55, 1.0), r"knob values must be in its span 0.55 to 1, got 0.5"),
        ((2.0, 1.0), "span must ascend and hold no NaN, got 2.0 to 1.0"),
        ((0.0, float("nan")), "span must ascend and hold no NaN, got 0.0 to nan"),
    ],
)
def test_the_grid_of_a_knob_lies_in_its_span(span, message):
    knob = Knob("entropy", (0.5, 0.6), strict=True, sign=-1, span=span)
    assert message in lacking(type("Broken", (Mine,), {"knob": lambda self, spec: knob})(), "knob")


def test_the_exact_settings_of_a_knob_lie_in_its_span():
    knob = Knob("entropy", (0.01, 0.02), strict=True, sign=-1, span=(0.0, 0.02))
    assert "exact settings must be in its span 0 to 0.02, got" in lacking(
        type("Broken", (Mine,), {"knob": lambda self, spec: knob})(), "knob"
    )


def test_nan_is_called_nan_by_every_check_that_meets_it():
    broken = type("Broken", (Mine,), {"halting_rule": lambda self, spec: Undefined(spec)})()
    said = {name: message for name, outcome, message in check_method(broken) if outcome == "lacks"}
    assert said["knob"] == said["live"] == "Undefined: 24 of 24 scores at layer 1 are NaN"


def test_a_rule_may_read_the_variant_of_the_models_that_it_replays():
    seen = []

    def halting_rule(self, spec):
        seen.append(spec.variant)
        return EntropyRule(spec)

    attributes = {"__doc__": "Lean.", "trained_by": "dact", "halting_rule": halting_rule}
    CHECKS["rule"](type("Lean", (Mine,), attributes)())
    assert seen and seen == [{"tau": 5e-5, "penalty": "h"}] * len(seen)


def test_halting_values_must_leave_room():
    broken = type("Broken", (Mine,), {"exit": lambda self, spec: Sure(spec.hidden_size, spec.num_labels)})()
    assert "between 0 and 1" in lacking(broken, "exits")


def test_a_method_that_crashes_is_a_finding():
    broken = type("Broken", (Mine,), {"knob": lambda self, spec: 1 / 0})()
    assert ("knob", "lacks", "ZeroDivisionError: division by zero") in check_method(broken)


def test_a_loss_that_reads_labels_must_say_so():
    broken = type("Broken", (Mine,), {"reads_labels": False})()
    assert lacking(broken, "loss") == "reads_labels is False, and the loss changes with the labels"


def test_nothing_to_train_is_found():
    frozen = type("Frozen", (Mine,), {"trains": lambda self, part, layer, num_layers: False})()
    assert "trains no parameter" in lacking(frozen, "loss")


def test_a_class_without_docstring_or_citation_is_found(monkeypatch):
    assert "has no docstring" in lacking(type("Bare", (Mine,), {})(), "citation")
    required = {name: getattr(Pabee, name) for name in ("loss", "halting_rule", "knob")}
    uncited = type("Uncited", (Method,), {"__doc__": "Ours, 2026.", "name": "uncited", **required})
    said = "the docstring of Uncited cites no author and year"
    assert ("citation", "note", said) in check_method(uncited())  # from outside: nothing is lacking
    monkeypatch.setattr(uncited, "__module__", "methods.uncited")
    assert ("citation", "lacks", said) in check_method(uncited())


def test_a_method_that_extends_another_may_lean_on_its_citation():
    assert lacking(type("Mine2", (Mine,), {"__doc__": "A change of mine."})(), "citation") is None
