"""Run folders of cells that nobody trained, of any size: what tables, figures and the report are tried on."""

from pathlib import Path

import numpy as np

from bench.plan.cell import key_of
from bench.sources.tasks import TASKS
from bench.store.folder import RunFolder
from bench.store.trace import Trace
from methods import discover

#: A method that stands outside the project, in one file.
OUTSIDE = Path(__file__).parents[1] / "docs" / "examples" / "margin.py"
RECIPE = {"epochs": 1, "learning_rate": 0.001, "batch_size": 20, "weight_decay": 0.0, "clip": 1.0}
#: Multiply-adds of an invented layer: a token's, and a pair of tokens'.
MACS = {"embedding": 0, "token": 1000, "pair": 10}
EVERY = ("static", "distilbert", "dact", "dact-exact", "deebert", "pabee", "pabee-frozen")


def make_folder(
    path,
    tasks=("rte", "mnli"),
    methods=EVERY,
    seeds=(0, 1),
    rows=12,
    layers=4,
    suite="embedded-x",
    families=("bert",),
    labels=None,
):
    """A finished run folder; `labels` gives all rows one label."""
    known, folder = discover(), RunFolder(path)
    folder.create()
    shared = {
        "suite": suite,
        "title": "invented tasks",
        "compat": "equal",
        "precision": "float32",
        "seed_scope": "full",
        "max_length": 48,
        "limit": None,
        "engine": 1,
        "recipes": {"stage1": RECIPE},
        "data": dict.fromkeys(tasks, "d" * 64),
        "unlabelled": dict.fromkeys(tasks, "none"),
        "checkpoints": dict.fromkeys(families, "c" * 64),
        "variants": {},
        "segments": {},
        "commands": {"python run_all.py": list(seeds)},
    }
    folder.share(shared, dict.fromkeys(methods))
    trained = {known[name].trained_by or name for name in methods}
    for family in families:
        for task in tasks:
            for name in sorted(trained):
                for variant in known[name].variants:
                    for seed in seeds:
                        spec = {"task": task, "backbone": family, "method": name, "version": known[name].version}
                        spec |= {"variant": variant, "seed": seed, "start": None, "data": "d" * 64, "limit": None}
                        spec |= {"engine": 1, "checkpoint": "c" * 64, "max_length": 48, "recipe": RECIPE}
                        spec |= {"precision": "float32", "compat": "equal"}
                        write_cell(folder, spec, TASKS[task], rows, layers, labels)
    return folder


def write_cell(folder, spec, task, rows, layers, labels):
    """The record and the traces of one cell, different for every method and seed, on the same labels."""
    rng, key, traces = np.random.default_rng([*spec["method"].encode(), spec["seed"]]), key_of(spec), {}
    for split in (name for name in task.splits if name != "train"):
        truth = np.arange(rows) % task.num_labels if labels is None else np.full(rows, labels)
        logits = rng.normal(size=(rows, layers, task.num_labels))
        if task.regression:
            truth = np.linspace(0, 5, rows, dtype=np.float32) if labels is None else np.full(rows, labels, np.float32)
        else:
            logits[np.arange(rows), :, truth] += 3 * np.linspace(0.1, 1, layers)
        halting = rng.uniform(0, 0.5, (rows, layers)).astype(np.float32) if spec["method"].startswith("dact") else None
        numbers = np.arange(rows)
        trace = Trace(logits.astype(np.float32), truth, numbers, 10 + numbers % 7, halting, numbers % 3)
        traces[split] = trace.save(folder.trace_path(key, split))
    label = f"{spec['backbone']}/{task.id} {spec['method']} {spec['variant']} seed {spec['seed']}"
    record = {"key": key, "label": label, "status": "ok", "reason": "", "spec": spec, "traces": traces}
    record |= {"model": None, "layers": layers, "panel_layers": layers, "constant_label": 0, "accumulation": 1}
    of_panel = {**MACS, "layers": layers, "head": [0, 0, 0]}
    record |= {"macs": {**MACS, "exits": [[0, 0, 0]] * layers, "panel": of_panel}}
    record |= {"examples_seen": rows, "seconds": {"all": 1.0}, "environment": ""}
    folder.write_record(record)
