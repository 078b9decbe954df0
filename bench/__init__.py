"""The benchmark: everything that is not a method, in rooms. This page is the map.

Each room imports only what stands before it (`tests/test_house.py` reads every import and holds the order):

    methods, errors, processes, timing < sources < plan, statistics < store < models < halting < run, tables
    < report < speed, tiny < conformance < app < run_all

    sources      where rows and checkpoints come from: a folder, the hub, or generated
    plan         from a suite file and a command line to cells, each with a key of all that changes its numbers
    statistics   arrays in, arrays out: intervals, curves, areas, tests, metrics; no file and no method's name
    store        the run folder and its files (records, traces, CSV), whole or not at all
    models       a backbone with exits: tokens, loaded, trained, traced; what it costs
    halting      the halting rule, replayed over a trace and run live; saved models that leave the suite
    run          cells on workers: what is left to do, scheduling, progress, devices
    tables       from traces to CSV; a file is named after the table it writes
    report       what people read: figures, LaTeX, report.html, latency
    speed        the workshop: measurements of ourselves against others; nobody imports it
    suites/, recipes.toml    what the suites that come with the project are
    errors, processes, timing, tiny, conformance, app    one file each

`run` and `tables` never import each other: they meet in `store`, because rows come from files.

For programs of your own: `EarlyExitClassifier` (a saved model that answers early) and `load_results` (the tables and
traces of a run folder). Both are imported when they are asked for, so that `import bench` stays light.
"""

from __future__ import annotations

from importlib import import_module

_PUBLIC = {"EarlyExitClassifier": "bench.halting.saved", "load_results": "bench.store.results"}

__all__ = ["EarlyExitClassifier", "load_results"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
