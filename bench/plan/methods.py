"""Methods by name, by file or in a run: which are reported, which must be trained, and in which variants."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from bench.errors import UserError, check_choice, cut, named, nearest
from bench.plan.suite import STAGES, Suite
from methods import DEFAULT, LEGAL_NAME, discover, from_file, is_legal_name
from methods.base import Method, Methods, RuleSpec, Variant


def trained_methods(methods: Methods) -> list[Method]:
    """The methods that must be trained for those to report, starting models first.

    A method that only replays another's traces (`trained_by`) stands for that other one, and a method that starts from
    another's model (`starts_from`) brings it along.
    """
    known = known_methods(methods)
    needed: Methods = {}
    for method in methods.values():
        trained = known[method.trained_by] if method.trained_by else method
        for wanted in (trained.starts_from, trained.name):
            if wanted:
                needed[wanted] = known[wanted]
    return sorted(needed.values(), key=lambda method: method.starts_from is not None)


def known_methods(others: Methods, compat: str = "equal") -> Methods:
    """The methods of the project together with others, by name; `compat` as for `methods.discover`."""
    return {**discover(compat), **others}


def methods_with_files(files: Iterable[str], compat: str) -> Methods:
    """The methods of the project together with those of files outside it, by name.

    Raises:
        UserError: see `load_method_file`.
    """
    return known_methods({method.name: method for file in files for method in load_method_file(file, compat)}, compat)


def parse_variant(method: Method, text: str) -> Variant:
    """Read "name=value,name=value" with the method's own names and values.

    Returns:
        The values given, in the method's order; `full_variant` fills in the defaults.

    Raises:
        UserError: an unknown name or a wrong value.
    """
    given: Variant = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in method.parameters:
            raise UserError(
                f"unknown variant '{cut(text)}' of {method.name}: its parameters are "
                f"{', '.join(method.parameters) or 'none'}{nearest(name, method.parameters)}"
            )
        given[name] = parse_value(method, text, name, value)
    return {name: given[name] for name in method.parameters if name in given}


def parse_value(method: Method, text: str, name: str, value: str) -> float | str:
    """One value of a variant: a number or, where the parameter lists words (a tuple as its default), one of them."""
    default = method.parameters[name]
    if isinstance(default, tuple):
        if value not in default:
            raise UserError(f"variant '{cut(text)}' of {method.name}: {name} must be one of {', '.join(default)}")
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):  # "inf" and "nan" are floats to Python
        raise UserError(f"variant '{cut(text)}' of {method.name}: {name} must be a number, got '{cut(value)}'")
    return number


def full_variant(method: Method, text: str) -> Variant:
    """A variant's values with the method's defaults for what it does not name."""
    defaults = {name: d[0] if isinstance(d, tuple) else d for name, d in method.parameters.items()}
    return {**defaults, **parse_variant(method, text)}


def rule_spec(method: Method, num_layers: int, num_labels: int, variant: str) -> RuleSpec:
    """What a method's rule and knob need to know, from the variant by name that a model was trained with.

    A method that replays another one's models is told that one's variant, its defaults included.
    """
    trained = discover().get(method.trained_by, method) if method.trained_by else method
    return RuleSpec(num_layers, num_labels, full_variant(trained, variant))


def variant_name(values: Variant) -> str:
    """The canonical name of a variant: `tau=0.005`, numbers as %g."""
    return ",".join(f"{name}={value if isinstance(value, str) else f'{value:g}'}" for name, value in values.items())


def check_suite_methods(suite: Suite, known: Methods) -> None:
    """Refuse variants and recipes of a suite that are for methods that do not exist."""
    for table, what, names in (("variants", "method", suite.variants), ("recipes", "stage or method", suite.recipes)):
        choices = [*known, *STAGES] if table == "recipes" else list(known)
        for name in (name.rpartition("/")[2] for name in names):  # a family's recipe is named FAMILY/NAME
            if name not in choices:
                hint = nearest(name, choices)
                raise UserError(f"suite '{suite.name}': [{table}] names no {what} with '{name}'{hint}")


def resolve_methods(text: str | None) -> tuple[Methods, dict[str, str]]:
    """The methods that `--methods` asks to report, and the files of those from outside the project, both by name.

    Raises:
        UserError: an unknown name, or a file that defines no method.
    """
    known = discover()
    chosen: Methods = {}
    files: dict[str, str] = {}
    for entry in entries_of("default" if text is None else text):
        if entry.endswith(".py"):
            found = load_method_file(entry)
            files |= {method.name: str(Path(entry).resolve()) for method in found}
            chosen |= {method.name: method for method in found}
        elif entry in ("default", "all"):
            chosen |= known if entry == "all" else {name: known[name] for name in DEFAULT}
        else:
            check_choice("method", entry, ["default", "all", *known])
            chosen[entry] = known[entry]
    if not chosen:
        raise UserError("--methods: expected at least one name")
    return chosen, files


def entries_of(text: str) -> list[str]:
    """Entries separated by commas: names, paths and NAME=PATH; a path that is there may have commas in it."""
    parts, entries = text.split(","), []
    while parts:
        # the longest run of parts that names something; a path of one part is no matter of commas
        length = next((n for n in range(min(len(parts), 20), 1, -1) if exists(",".join(parts[:n]))), 1)
        entries.append(",".join(parts[:length]).strip())
        del parts[:length]
    return [entry for entry in entries if entry]


def exists(entry: str) -> bool:
    """Whether an entry of a command line, PATH or NAME=PATH, is of a file or folder."""
    name, _, path = entry.strip().partition("=")
    if name.endswith(".py"):
        name, path = "", name
    try:
        return bool(path) and "," not in name and os.path.exists(os.path.expanduser(path))
    except ValueError:  # a character that no path can have
        return False


def load_method_file(entry: str, compat: str = "equal") -> list[Method]:
    """The methods that a user's file defines; `compat` as for `methods.discover`.

    Raises:
        UserError: it does not exist, cannot be imported, defines none, or one with a name that cannot name a file.
    """
    path = Path(entry)
    if not path.is_file():
        raise UserError(f"method file '{entry}' does not exist")
    try:
        found = from_file(path, compat)
    except Exception as error:  # a user's code may raise anything
        raise UserError(f"method file '{entry}' cannot be imported: {named(error)}") from error
    for method in found:
        if not is_legal_name(method.name):
            raise UserError(f"method file '{entry}': a method's name is {LEGAL_NAME}, got {cut(repr(method.name), 24)}")
    if not found:
        raise UserError(f"method file '{entry}' defines no class derived from methods.base.Method with a name")
    return found
