"""The benchmark: everything that is not a method, in rooms. This page is the map.

Each room imports only what stands before it (`tests/test_house.py` reads every import and holds the order):

    methods, errors, processes, timing < sources < plan, statistics < store < models < halting < run, tables
    < report < speed, tiny < acceptance, conformance, against < app < tune < cli < run_all

sources: where rows and checkpoints come from: a folder, the hub, or generated.
    tasks           GLUE's nine tasks, and the value that a task is: columns, labels, splits, metrics
    examples        load a split, whatever its source; difficulty codes
    tsv, hub_rows, generated, held_out
                    the sources: GLUE's own files, the hub, the embedded suite, training rows held out
    checkpoints     which pre-trained encoder a name means, its fingerprint, what its files say unloaded
    checkpoint_folder, hub_checkpoints
                    one that is a folder (refused, hashed), one on the hub (its commit, its files)
    known_sizes     published sizes of data and checkpoints that are not on this machine
    embedded/       the generated suite: language (words), puzzles, pairs (texts), tasks, stream, batches and
                    pretrain (pre-training), nano (its encoders)
plan: from a suite file and a command line to cells, each with a key of all that changes its numbers.
    suite           a suite as values: recipes, limits, backbones
    suite_file      a suite read from TOML, every key checked; the names of suites
    own_tasks       tasks that a suite file adds to GLUE's
    options         the options of a command line, resolved and refused: tasks, backbones, seeds; the words that
                    repeat a run
    methods         methods by name or file, their variants, what must be trained for them
    grid, cell      all cells of a run; one cell, its key and how many rows it reads
    shards          one of N parts of a plan
statistics: arrays in, arrays out; no file and no method's name.
    intervals       t-intervals over seeds; bootstrap resamples of examples and percentile intervals
    significance    p-values, Holm, minimal detectable differences, seeds needed
    curves          points joined, averaged over seeds, matched in cost
    areas, mixing   areas, budgets by steps, the halves of a validation set; budgets spent exactly by mixtures
    metrics         GLUE's metrics of many predictions at once (confusion counts)
    glue_metric     GLUE's metrics of one prediction, by the `evaluate` library
    risk, paths     how often a setting may fail, tested; every threshold from full depth to the cheapest
    calibration, overthinking, oracle, depth, probe
                    calibration errors; right before the last layer; the best choice of exits; what a layer is worth;
                    what a linear probe reads
store: the run folder and its files, whole or not at all.
    folder          where each file of a run is: records, run.json, damaged files
    trace           the outputs of every exit on every example, and their file
    csv_files       tables as CSV, text columns declared
    results         `load_results`
    files           files written whole or not at all, checksums
    locks           one process at a time
    consistency     two runs are not mixed in one folder
    revisions       the hub's commits that a folder keeps to
    code_hash       whether two processes run the same code
    bundle, bundle_writing, bundle_check, packed
                    a run as one small folder to share: read, written, checked; its traces as rows of a table
    beside          one's own results beside published ones
models: a backbone with exits: loaded, checked, trained, traced; what it costs.
    loading         encoders, configurations, tokenizers, tokenised splits: checked, and kept by a worker
    token_check, weight_check
                    whether tokenizer and weights of a checkpoint are what it says
    structure       where the layers of a library model are
    layer_calls     how the library calls its layers: made-up batches, calls watched, stubs, arguments
    backbones       one layer-by-layer view of every model; made shorter, made fresh
    layers          encoder layers as plain tensor functions
    pooling, exit_norm
                    which state of a layer an exit reads; the same standardised
    model           a backbone with exits, built or started from stage 1; seeds of random generators
    tokens          batches of token ids, grouped by length
    training        the training loop: losses, features kept of a frozen backbone, teachers
    vector          all trained parameters as one vector
    tracing         a trace made from a trained model
    probing         probes fitted at tracing
    costs, memory   multiply-adds of an example; memory: estimated, out of it, told and cleaned up
    card, eval_results
                    what a saved model says of itself: early_exit.json, model card; to leaderboards
halting: the halting rule over a trace and live; saved models that leave the suite.
    replay, live    a rule over a whole trace; a rule in batches that examples leave
    agreement       whether both decided alike, up to rounding
    sweep           all operating points of one trace; points.csv
    candidates      the exact settings of a knob to choose from
    rounding        what two bytes a number change
    saved           `EarlyExitClassifier`: saved models on texts of one's own
run: cells on workers.
    todo            which cells are left; skipped ones recorded, leftovers deleted
    runner          a plan run from start to end
    scheduler, seeds
                    which cell is next; when all cells of a seed have ended
    slot            a worker process that runs a cell at a time
    work, worker    what a worker gets; what it does: load, train, trace, record
    pause, gate     a run that waits at a signal; where its workers wait, and their clock
    progress, state
                    the progress display; what a running process says for `status`
    estimator       how long cells take, from those that have run
    workload, forecast
                    how much there is to do in a cell; hours and disk of a plan, from cells measured on such a
                    machine or FLOP counts
    gpus, devices, environment
                    GPUs known by name; devices and processes at a time; machine and packages of a cell
    backends/       local, dask, dask_worker: where cells run
tables: from traces to CSV; a file is named after the table it writes.
    collect         every table of a folder, panel by panel
    registry        all tables: columns, caption, how made
    columns         what several tables share: intervals as columns, rows put together, the main metric, one seed
    scores, settings
                    scores.csv; the settings of a run under weights of its examples
    summaries       quantities over seeds and tasks, for auc and budgets
    claims          the paper's claims as numbers; contrasts: what each is about, by task and seed; effects: its table
    reproduction    the verdict on each claim, and why
    verdicts        does choosing exits pay against truncated depth and exits at random?
    health, depth, published_depth, plateau
                    exits beside probes; layers beside BERT-base, and its published numbers; twice the steps
    knobs, stability, transfer, matched
                    settings over seeds; how they move; chosen on a half; at equal cost by layer
    exits, layers, difficulty, undecidable, confidence, bounds, references, shares
                    who leaves where; what rules see; harder examples; what nobody can answer; sureness at exit; DACT's
                    bound; curves to hold against; verdicts with other shares of undecidable rows
    auc, budgets, curves, paired, ranks, focus, headline, comparison, again
                    areas; values; mean curves; every pair; ranks; one method minus each; saved at no loss; two
                    folders; models trained again
    calibration, reliability, overthinking, oracle, risk, risk_cache, failures
                    is confidence right; its diagram; right too early; share of the possible; guarantees, kept; cells
                    without rows
report: what people read.
    outputs, refresh, uptodate
                    everything written; while cells run; only where something changed
    html, claims, numbers
                    report.html; the claims in Markdown; digits, p-values and counts for print
    latex, crossed, typeset
                    tables for a paper: what each holds; rows by method and columns by task; a table as LaTeX
    export, card    a bundle and what it changes; its data card
    planned, listing, showing, status
                    what `--plan`, `list`, `show` and `status` print
    latency         latency.csv: the live engine's time
    figures/        draw (all of them), page (axes, keys, fine print, files), looks (colours, names), setting (width,
                    words), curves (drawn by several); figure2, figure3, multiples, auc, bounds, calibration,
                    comparison, depth, difficulty, latency, layers, risk, undecidable
tune: the search for recipes, on rows held out of training; a run never tunes.
    space, trials, search
                    which recipes; a trial's cells and score; the search itself (`python -m bench.tune`)
speed: the workshop, where the project is measured against others; nobody imports it.
    table           rows with goals, settings; `__main__`: all of it in one table; released: the released procedure;
                    finished: invented results folders; real: models for real data
    sweeping, leaving, ramps, grid, planning, collecting, starting, scheduling, trainer, step, anchor, families
                    one measurement each: all points from one pass; live exit; ramps on kept features; grid against a
                    naive one; `--plan`; `--collect`; nothing to do; processes and Dask; the library's Trainer; one
                    training step; our static model against the Trainer's; any family
suites/, recipes.toml, references/: the suites, recipes and published runs that come with the project.
errors, processes, timing, tiny, acceptance, conformance, against, app, cli: one file each.
                    messages of one line; calls on all cores; times in turn; a random model; how near the generated
                    suite comes to GLUE; what a method must do (`--check-method`); one's own method beside a published
                    run; what commands do, and check before they do it; the command line

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
