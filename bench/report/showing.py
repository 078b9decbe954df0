"""`show METHOD`: its citation and rule, its knob, what is trained for it and where training starts."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator

from bench.plan.methods import resolve_methods, rule_spec
from methods.base import Method

#: Layers and classes that the grid of a knob is shown for.
LAYERS, CLASSES = 12, 2


def main(words: list[str]) -> int:
    """Print what `show` says of a method, or of the methods of a file."""
    about = argparse.ArgumentParser(prog="show", description=__doc__.splitlines()[0], allow_abbrev=False)
    about.add_argument("method", metavar="NAME|FILE.py")
    methods, _ = resolve_methods(about.parse_args(words).method)
    print("\n\n".join("\n".join(lines(method)) for method in methods.values()))
    return 0


def lines(method: Method) -> Iterator[str]:
    """What `show` prints of a method."""
    yield method.name
    yield inspect.getdoc(type(method)) or "(no docstring: no citation)"
    yield ""
    knob = method.knob(rule_spec(method, LAYERS, CLASSES, method.variants[0]))
    values = ", ".join(f"{value:g}" for value in knob.values)
    yield f"knob: {f'{knob.name} = {values} ({LAYERS} layers, {CLASSES} classes)' if knob.name else 'none'}"
    if method.trained_by:
        yield f"trains nothing: replays the models of {method.trained_by}"
        return
    yield f"variants: {', '.join(name for name in method.variants if name) or 'one'}"
    if method.parameters:
        yield f"parameters: {', '.join(f'{name} ({shown(value)})' for name, value in method.parameters.items())}"
    yield f"starts from: {method.starts_from or 'the pre-trained checkpoint'}"
    recipe = (
        f"{method.recipe}, or {method.trains_like}'s where a suite has one" if method.trains_like else method.recipe
    )
    yield f"recipe: {recipe}; a suite may have one for {method.name} alone"
    reasons = {name: method.skip(number) for name, number in (("regression", 1), ("three classes", 3))}
    for name, reason in reasons.items():
        if reason:
            yield f"not for {name}: {reason}"


def shown(default: float | tuple[str, ...]) -> str:
    """How `show` prints a parameter's default: a number, or the first of several words."""
    return (
        f"default {default:g}" if isinstance(default, float | int) else f"default {default[0]}, of {', '.join(default)}"
    )
