"""The rooms of `bench` and their order, drawn in its docstring: nobody imports upwards or in a circle."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "run_all.py", *sorted(ROOT.glob("methods/*.py")), *sorted(ROOT.glob("bench/**/*.py"))]


def order():
    """Room -> its level: 0 imports nothing of the project, and so on; rooms of one level never import each other."""
    text = re.search(r"\n\n(    methods,.*?run_all)\n", bench.__doc__, re.S)[1]
    levels = [re.split(r"[,\s]+", level.strip()) for level in text.split("<")]
    return {room: level for level, rooms in enumerate(levels) for room in rooms}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "bench" and len(parts) > 1 else parts[0]


def imports_of(path, modules):
    """Every module of the project that a file imports, wherever in the file and for types alone, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from inner & modules or {node.module}


@pytest.fixture(scope="module")
def graph():
    modules = {module_of(path) for path in FILES}
    return {module_of(path): set(imports_of(path, modules)) - {module_of(path)} for path in FILES}


def test_every_file_stands_in_a_room():
    rooms = order()
    homeless = [module_of(path) for path in FILES if room_of(module_of(path)) not in {*rooms, "bench"}]
    assert not homeless, "the docstring of bench/__init__.py names no such room"
    unused = set(rooms) - {room_of(module_of(path)) for path in FILES}
    assert not unused, "rooms on the map that are not there"


def test_the_map_names_every_file_of_a_room():
    drawn = set(re.findall(r"\w+", bench.__doc__))
    shown = [path for path in FILES if path.parts[-2] != "speed" and not path.stem.startswith("__")]
    assert not [module_of(path) for path in shown if path.stem not in drawn and "methods" not in path.parts]


def test_each_room_imports_only_what_stands_before_it(graph):
    level = order() | {"bench": -1}
    upwards = [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if room_of(module) != room_of(other) and level[room_of(other)] >= level[room_of(module)]
    ]
    assert not upwards


def test_no_circle_of_imports(graph):
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_the_rules_find_what_they_look_for():
    assert order()["sources"] < order()["plan"] == order()["statistics"] < order()["run"] == order()["tables"]
    assert set(imports_of(ROOT / "bench/cli.py", {"bench.app", "bench.errors"})) == {"bench.app", "bench.errors"}
