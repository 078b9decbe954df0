"""`ENGINE_VERSION` stands for numbers: a fixed tiny training gives those that were written down with it."""

import json

import numpy as np
import pytest
from pin_engine import PIN, constrained, installed, trained

from bench.plan.grid import ENGINE_VERSION
from methods import discover

ANEW = "write them down anew: python tests/pin_engine.py"


def test_a_fixed_training_gives_the_numbers_of_its_version(tiny_suite, tmp_path):
    if (here := installed()) != (wanted := constrained()):
        pytest.skip(f"numbers are pinned at {wanted}, here is {here}")
    pinned = json.loads(PIN.read_text(encoding="utf8"))
    versions = {name: method.version for name, method in discover().items()}
    then = {label.split()[0]: entry["version"] for label, entry in pinned["methods"].items()}
    now = {name: versions[name] for name in then}
    assert (pinned["engine"], pinned["libraries"], then) == (ENGINE_VERSION, wanted, now), ANEW
    found = trained(tiny_suite, tmp_path)
    assert found.keys() == pinned["methods"].keys()
    for label, entry in found.items():
        ours, theirs = (np.array(each["logits"]) for each in (entry, pinned["methods"][label]))
        assert np.nanmax(np.abs(ours - theirs)) < 1e-3, f"{label}: other numbers, so raise ENGINE_VERSION, then {ANEW}"
        assert (np.isnan(ours) == np.isnan(theirs)).all()
