"""Early-exit methods, one file each; found by looking into this folder, so adding one edits nothing else."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from methods.base import Method, Methods

#: The order of the tables: the methods that run when nobody names any, before all others.
DEFAULT = ("static", "distilbert", "dact", "dact-exact", "deebert", "pabee", "pabee-frozen")
#: The entry points by which other packages offer methods.
GROUP = "early_exit_bench.methods"
#: The folder of Python's own modules.
STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
#: What a method may be called, in words for messages: names stand in file names, on the command line and in every row.
LEGAL_NAME = "lower-case letters and digits joined by single '-', at most 40 characters"


def is_legal_name(name: object) -> bool:
    """Whether a method may be called that; `LEGAL_NAME` says it in words."""
    return isinstance(name, str) and len(name) <= 40 and bool(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name))


def discover(compat: str = "equal") -> Methods:
    """All methods of this folder and of installed packages by name: the default ones in their order, others by name.

    Another package offers the modules of its methods as entry points of the group `early_exit_bench.methods`; a method
    of this folder's name is not taken from there.

    Args:
        compat: "equal", or "released" for the quirks of released code: a class derived from a method that says
            `released = True` takes the method's place. Those of the project are in `methods.released`.

    Raises:
        ValueError: two files define methods of the same name.
    """
    found: Methods = {}
    names = [info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)])]
    for method in defined_in([importlib.import_module(f"methods.{name}") for name in names], compat):
        if method.name in found:
            file = type(method).__module__.replace(".", "/")
            raise ValueError(f"two methods are named '{method.name}': rename the one in {file}.py")
        found[method.name] = method
    for method in defined_in(from_packages(), compat):
        method.content = content_of(Path(sys.modules[type(method).__module__].__file__))
        found.setdefault(method.name, method)
    order = {name: i for i, name in enumerate(DEFAULT)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


@cache
def from_packages() -> tuple[ModuleType, ...]:
    """The modules with methods of other installed packages; one that cannot be imported is named on the error stream.

    An entry point names a module, or a class in it.
    """
    modules = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            modules.append(importlib.import_module(entry.module))
        except Exception as error:  # another package's code may raise anything, and must not stop every command
            print(f"methods of '{entry.value}' are left out: {type(error).__name__}: {error}", file=sys.stderr)
    return tuple(dict.fromkeys(modules))


def from_file(path: Path, compat: str = "equal") -> list[Method]:
    """The methods that a file outside this folder defines, each with the hash of its content; `compat` as above."""
    name = f"external_method_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    found, content = defined_in([module], compat), content_of(path)
    for method in found:
        method.content = content
    return found


def content_of(path: Path) -> str:
    """sha256 of a method file and of the files that it imports, but for the project's and installed packages'."""
    digest, files = hashlib.sha256(), [path.resolve()]
    for file in files:  # grows while it is read
        source = file.read_bytes()
        digest.update(hashlib.sha256(source).digest())
        files += [own for name in imported(ast.parse(source)) if (own := own_file(name)) and own not in files]
    return digest.hexdigest()


def imported(tree: ast.Module) -> list[str]:
    """The modules that a source file imports by name, and those that the names it takes out of a package may be."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted(names)


def own_file(name: str) -> Path | None:
    """The file of an imported module that is neither the project's nor installed: only that can change unseen."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name.partition(".")[0] in ("methods", "bench"):
        return None
    path = Path(file).resolve()
    installed = {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(STANDARD)
    return None if path.suffix != ".py" or installed else path


def is_of_project(method: Method) -> bool:
    """Whether a method comes with the project, not from a file outside this folder."""
    return type(method).__module__.startswith(f"{__name__}.")


def defined_in(modules: Sequence[ModuleType], compat: str) -> list[Method]:
    """One instance of every `Method` class with a name of its own that modules define, or of what stands in for it."""
    own = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__  # not imported
    ]
    stand_ins = {c.__base__: c for c in own if vars(c).get("released")} if compat == "released" else {}
    return [stand_ins.get(c, c)() for c in own if "name" in vars(c)]
