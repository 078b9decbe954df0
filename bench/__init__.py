"""The benchmark: everything that is not a method, in rooms. This page is the map.

Each room imports only what stands before it (`tests/test_house.py` reads every import and holds the order):

    methods, errors, processes, timing < sources < plan, statistics < store < models < halting < run, tables
    < report < speed, tiny < acceptance, conformance, against < app < tune < cli < run_all

sources: where rows and checkpoints come from: a folder, the hub, or generated.
    tasks (GLUE's nine, and one's own), examples (rows of a split), tsv, hub_rows and generated (where rows are read),
    held_out (of training rows), checkpoints (which one a name means), checkpoint_folder, hub_checkpoints, known_sizes
    (of what is not here),
    embedded/ (the generated suite: language, puzzles, pairs, tasks, stream, batches, nano, pretrain)
plan: from a suite file and a command line to cells, each with a key of all that changes its numbers.
    suite, suite_file (TOML), own_tasks, options (of the command line), methods (which, which variants), grid, cell,
    shards
statistics: arrays in, arrays out; no file and no method's name.
    intervals, curves, areas, mixing (budgets spent exactly), metrics, glue_metric, significance (tests), risk, paths
    (every threshold), calibration, overthinking, oracle, depth, probe
store: the run folder and its files, whole or not at all.
    folder (records), trace, csv_files, results (`load_results`), files, locks, consistency (of one run?), revisions,
    code_hash; packed (traces as rows of a table), bundle (a run as one small folder to share), bundle_writing,
    bundle_check, beside (one's own run beside a published one)
models: a backbone with exits: loaded, checked, trained, traced; what it costs.
    loading, token_check, weight_check, structure (finding the layers), backbones, layers (in plain functions), pooling,
    model, tokens, training, vector, tracing, probing, costs (multiply-adds), memory, card and
    eval_results (of a saved model)
halting: the halting rule over a trace and live; saved models that leave the suite.
    replay, live, agreement (of the two), sweep (all points of one trace), candidates (exact settings), rounding
    (what fewer bits change), saved
run: cells on workers.
    todo, runner, scheduler, seeds (when one is complete), slot, worker, work, progress, state (for `status`),
    estimator, workload and forecast (of time), gpus (known by name), devices, environment,
    backends/ (local, dask, dask_worker)
tables: from traces to CSV; a file is named after the table it writes.
    collect, registry (all tables), columns (shared), scores, summaries, claims (what they say), contrasts (the numbers
    behind them), risk_cache, published_depth; again (models trained again), auc, bounds, budgets, calibration,
    comparison, confidence, curves, depth, difficulty, effects, exits, failures, focus, headline, health, knobs, layers,
    matched, oracle, overthinking, paired, plateau, ranks, references, reliability, reproduction, risk, shares,
    stability, transfer, undecidable, verdicts
report: what people read.
    outputs (all of it), refresh (while cells run), html, latex, numbers (rounded), claims (in Markdown), uptodate,
    latency, export (a bundle), card (its README), planned (what a plan says), listing, showing, status (of a run,
    from its files);
    figures/: draw (all figures), page, looks (colours and labels), setting (width, panels), figure2, figure3,
    multiples, curves, auc, bounds, calibration, comparison, depth, difficulty, latency, layers, risk, undecidable
tune: the search for recipes, on rows held out of training; a run never tunes.
    space (which recipes), trials (cells and their score), search.
speed: the workshop, where the project is measured against others; nobody imports it.
suites/, recipes.toml, references/: the suites, recipes and published runs that come with the project.
errors, processes, timing, tiny (a model to try things on), acceptance (how near the generated suite comes to GLUE),
conformance (what a method must do), against (one's own method beside a published run), app, cli (the command line):
one file each.

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
