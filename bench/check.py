"""`--check-method`: what a method still lacks to plug in, in plain words."""

from __future__ import annotations

import inspect
import time

from bench.conformance import CHECKS, check_method
from methods.base import Method


def check_and_say(methods: dict[str, Method]) -> int:
    """Run the conformance suite over methods and print each check with its outcome.

    Args:
        methods: by name.

    Returns:
        The exit status: 0 if every method passes every check, else 1.
    """
    lacking = 0
    for name, method in methods.items():
        started = time.monotonic()
        print(f"{name}: class {type(method).__name__}")
        for check, outcome, message in check_method(method):
            print(f"  {outcome:5}  {check:9}  {message or first_sentence(check)}", flush=True)
            lacking += outcome == "lacks"
        print(f"  {time.monotonic() - started:.1f} s")
    print(
        f"{lacking} of {len(CHECKS) * len(methods)} checks found something lacking" if lacking else "nothing is lacking"
    )
    return int(lacking > 0)


def first_sentence(check: str) -> str:
    """What a check asks for."""
    return inspect.getdoc(CHECKS[check]).splitlines()[0]
