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
        for method in defined_in(importlib.import_module(f"methods.{info.name}"), compat):
            if method.name in found:
                raise ValueError(f"two methods are named '{method.name}': rename the one in methods/{info.name}.py")
            found[method.name] = method
    order = {name: i for i, name in enumerate(DEFAULT)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def from_file(path: Path, compat: str = "equal") -> list[Method]:
    """The methods that a file outside this folder defines; `compat` as for `discover`."""
    name = f"external_method_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return defined_in(module, compat)


def defined_in(module: ModuleType, compat: str) -> list[Method]:
    """One instance of every named `Method` class that a module itself defines, or of what stands in for it."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method)]
    own = [c for c in classes if c.__module__ == module.__name__]  # imported ones do not count
    named = [c for c in own if "name" in vars(c)]
    if compat == "released":
        stand_ins = {c.__base__: c for c in own if "released" in vars(c)}
        named = [stand_ins.get(c, c) for c in named]
    return [c() for c in named]
