"""Early-exit methods, one file each; found by looking into this folder, so adding one edits nothing else."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from methods.base import Method

#: The order of the tables: the methods that run when nobody names any, before all others.
DEFAULT = ("static", "distilbert", "dact", "dact-exact", "deebert", "pabee", "pabee-frozen")


def discover(compat: str = "equal") -> dict[str, Method]:
    """All methods of this folder by name: the default ones in their order, then the others by name.

    Args:
        compat: "equal", or "released" for the quirks of released code: a class derived from a method that says
            `released = True` takes the method's place.

    Raises:
        ValueError: two files define methods of the same name.
    """
    found: dict[str, Method] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        for method in defined_in(importlib.import_module(f"methods.{info.name}")):
            if method.name in found:
                raise ValueError(f"two methods are named '{method.name}': rename the one in methods/{info.name}.py")
            found[method.name] = method
    if compat == "released":
        stand_ins = [c for method in found.values() for c in type(method).__subclasses__() if "released" in vars(c)]
        found |= {stand_in.name: stand_in() for stand_in in stand_ins}
    order = {name: i for i, name in enumerate(DEFAULT)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def from_file(path: Path) -> list[Method]:
    """The methods that a file outside this folder defines."""
    name = f"external_method_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return defined_in(module)


def defined_in(module: ModuleType) -> list[Method]:
    """One instance of every named `Method` class that a module itself defines (imported ones do not count)."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method)]
    return [c() for c in classes if c.__module__ == module.__name__ and "name" in vars(c)]
