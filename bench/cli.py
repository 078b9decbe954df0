"""The command line: reads the arguments and calls `bench.app`, which imports the heavy libraries.

The same for `python run_all.py` in a checkout and for `early-exit-bench` where the package is installed: a first word
says what to do, and every option stands behind it. Without such a word, options are as they have always been.
"""

from __future__ import annotations

import argparse
import os
import sys

from bench.errors import check_choice, command
from bench.run.gpus import GPUS

CHECKOUT, INSTALLED = "run_all.py", "early-exit-bench"
EXAMPLES = """\
commands:
{verbs}

examples:
  {start} --tasks all --seeds 3
      the embedded suite: generated data, tiny encoders, no network, no GPU
  {start} --suite glue-local --glue-dir GLUE --backbones bert=CHECKPOINT --tasks sst2,mrpc
      real GLUE in TSV files on a real checkpoint
  {start} --methods MINE.py --against embedded --tasks sst2,mrpc
      one's own method beside published ones, of which none is trained

The same command again resumes. Exit status: 0 all cells ok, 1 some failed, 2 usage, 130 interrupted.
"""
#: First word -> the option that it stands for (with the words behind it, if that takes some), and what it does.
VERBS = {
    "run": ("", "train, trace, tables, figures, report; what is finished is not done again"),
    "plan": ("--plan", "list the cells, hours and disk, and train nothing"),
    "prepare": ("--prepare", "download data and checkpoints and train nothing"),
    "collect": ("--collect", "tables and figures from the results that are there"),
    "compare": ("--compare", "RUN_A RUN_B: paired difference of two results folders"),
    "check-method": ("--check-method", "NAME|FILE.py: try a method on a tiny random model"),
    "check-plateau": ("--check-plateau", "run, and beside it with twice the steps: who would gain?"),
    "latency": ("--measure-latency", "time early exit on the models that --save-models kept"),
    "export": ("--export", "BUNDLE: the results as one small folder to share"),
    "check-bundle": ("--check-bundle", "BUNDLE: is it whole?"),
}
#: First word -> the module whose `main` does it, and what it does.
OTHERS = {
    "list": ("bench.report.listing", "[KIND]: tasks, methods, suites, backbones and references, a line each"),
    "show": ("bench.report.showing", "METHOD: its citation, rule, knob and variants"),
    "status": ("bench.report.status", "RESULTS [--json]: what is done, running and failed, and when it ends"),
    "tune": ("bench.tune.__main__", "the search for recipes, the same for every method"),
}


def help_text(program: str) -> str:
    """What stands below the options in the help: commands and examples."""
    verbs = "\n".join(f"  {name:14}{text}" for name, (_, text) in {**VERBS, **OTHERS}.items())
    return EXAMPLES.format(verbs=verbs, start=start_of(program))


def start_of(program: str) -> str:
    """The words that a command which runs something begins with."""
    return f"python {CHECKOUT}" if program == CHECKOUT else f"{program} run"


def build_parser(program: str = CHECKOUT) -> argparse.ArgumentParser:
    """The command line's parser.

    Its default `asked_for` names the options that say what to run, as opposed to where and how: those that a run notes
    as the command that repeats it.

    Args:
        program: how it was started.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [COMMAND] [OPTIONS]",
        description="Efficiency-performance curves of early-exit Transformers on GLUE.",
        epilog=help_text(program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what to run")
    what.add_argument("--suite", default="embedded", metavar="NAME|FILE.toml", help="default: embedded")
    what.add_argument(
        "--tasks", default="all", metavar="T,..", help="sst2,mrpc,qnli,rte,qqp,mnli,cola,stsb,wnli; all: the first six"
    )
    what.add_argument(
        "--methods", metavar="NAME|FILE.py,..", help="default: the paper's (`default`); `all`: every method found"
    )
    what.add_argument(
        "--backbones", metavar="NAME|NAME=DIR,..", help="families of the suite, with a checkpoint of your own"
    )
    what.add_argument("--students", metavar="NAME=DIR,..", help="student checkpoint of a family")
    what.add_argument("--tinybert", metavar="NAME=DIR,..", help="TinyBERT checkpoint of a family, for that method")
    seeds = what.add_mutually_exclusive_group()
    seeds.add_argument("--seeds", type=int, metavar="N", help="seeds 0..N-1 (default: 3)")
    seeds.add_argument("--seed-list", metavar="S,..", help="these seeds")
    what.add_argument("--limit", type=int, metavar="N", help="N training and N validation rows per task")
    what.add_argument("--glue-dir", metavar="DIR", help="GLUE in TSV files, for suites that read a folder")
    what.add_argument(
        "--unlabelled", metavar="DIR", help="more rows to learn from, TASK/unlabelled.tsv, for methods without labels"
    )
    what.add_argument("--recipe", metavar="NAME", help="hyper-parameters of another system: see bench/recipes.toml")
    what.add_argument("--compat", metavar="C", help="equal or released (quirks of released code); default: the suite's")
    what.add_argument("--precision", metavar="P", help="float32, bfloat16 or float16; default: the suite's")
    what.add_argument(
        "--against", metavar="NAME|PATH", help="a published run (reference, bundle, results) that yours stands beside"
    )
    what.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda", *GPUS), help="a GPU's name: for --plan alone"
    )
    parser.set_defaults(asked_for=tuple(vars(parser.parse_args([]))), start=start_of(program))  # all options so far
    where = parser.add_argument_group("where and how")
    where.add_argument("--results", metavar="DIR", help="default: results/SUITE; with --compare: results/compare")
    where.add_argument("--figures", metavar="DIR", help="default: figures/SUITE, figures/compare")
    where.add_argument("--jobs", type=int, metavar="N", help="cells at a time; default: one per core, or one per GPU")
    where.add_argument("--backend", default="local", choices=("local", "dask"), help="this machine, or a Dask cluster")
    where.add_argument("--address", metavar="tcp://..", help="the Dask scheduler")
    where.add_argument("--shard", metavar="I/N", help="only part I of N of the plan; results merge by copying files")
    where.add_argument("--cell-timeout", type=float, metavar="S", help="a cell that takes longer has failed")
    where.add_argument("--retry", default="failed", choices=("failed", "none"), help="cells that failed before")
    where.add_argument("--fail-fast", action="store_true", help="stop at the first failed cell")
    where.add_argument("--save-models", action="store_true", help="keep every trained model in RESULTS/models")
    where.add_argument("--focus", metavar="NAME", help="the method that focus.csv is about; default: yours, else dact")
    where.add_argument(
        "--logits", default="float16", metavar="P", help="of --export: float32, float16 (default) or bfloat16"
    )
    where.add_argument("--force", action="store_true", help="run finished cells again")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--plan", action="store_true", help="list the cells and train nothing")
    for verb in ("prepare", "collect", "check-plateau", "latency"):
        instead.add_argument(VERBS[verb][0], action="store_true", help=VERBS[verb][1])
    instead.add_argument(
        "--check-method", metavar="NAME|FILE.py", help="try a method on a tiny random model and say what it lacks"
    )
    instead.add_argument("--export", metavar="BUNDLE", help="the results as one small folder to share")
    instead.add_argument("--check-bundle", metavar="BUNDLE", help="say whether a bundle is whole, or what is wrong")
    instead.add_argument(
        "--compare", nargs=2, metavar=("RUN_A", "RUN_B"), help="paired difference B - A of two results folders"
    )
    return parser


def main(argv: list[str] | None = None, program: str = CHECKOUT) -> int:
    """Run the command line.

    Args:
        argv: the words behind the program's name; None: those that it was started with.
        program: that name.

    Returns:
        The exit status: 0 all cells ok, 1 some failed, 2 usage or configuration, 130 interrupted.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        return command(program, lambda: run(words, program))
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; the same command again goes on", file=sys.stderr)
        return 130


def installed() -> int:
    """`early-exit-bench`, as the package installs it; without a word it says what it can do."""
    words = sys.argv[1:]
    return main(words or ["--help"], INSTALLED)


def run(words: list[str], program: str) -> int:
    """Parse a command line and do what it asks for."""
    verb = words[0] if words and not words[0].startswith("-") else None
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if verb in OTHERS:
        from importlib import import_module

        return import_module(OTHERS[verb][0]).main(words[1:])
    if verb is not None:
        flag = VERBS[check_choice("command", verb, [*VERBS, *OTHERS])][0]
        words = [flag, *words[1:]] if flag else words[1:]
        if "-h" in words or "--help" in words:
            words = ["--help"]
    options = build_parser(program).parse_args(words)
    from bench.app import run as act  # here: --help and wrong options are answered without the heavy libraries

    return act(options)
