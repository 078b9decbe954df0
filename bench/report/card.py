"""The data card of a bundle: README.md with what the hub reads at its head, and what people read below."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from bench.store.bundle import panel_file
from bench.store.folder import RunFolder
from bench.store.packed import COLUMNS
from bench.tables.registry import TABLES

#: What `datasets.load_dataset` gives where no configuration is named.
FIRST = "points"


def data_card(about: dict, folder: RunFolder, records: Sequence[dict], tables: dict[str, pd.DataFrame]) -> str:
    """README.md of a bundle.

    Args:
        about: of bundle.json.
        folder: the run.
        records: of the shared cells.
        tables: the tables by name; those without rows have no configuration, because they have no columns' types.
    """
    run = folder.shared()
    traces = sorted({panel_file(record["spec"], split) for record in records for split in record.get("traces", {})})
    files = {name: f"tables/{name}.parquet" for name, table in tables.items() if len(table)}
    files |= {"cells": "cells.parquet", "traces": traces}
    shown = [name for name in tables if name in files]
    commands = "\n".join(run.get("commands", {}))
    return "\n".join(
        [
            "---",
            "license: mit",
            f"pretty_name: {json.dumps('Early exit: ' + run['title'])}",
            "task_categories: [text-classification]",
            "tags: [early-exit, early-exit-bench]",
            "configs:",
            *(line for name, paths in files.items() for line in configuration(name, paths)),
            "---",
            "",
            f"# Early exit: {run['title']}",
            "",
            f"A run of early-exit-bench {about['program']} (engine {about['engine']}) on suite `{run['suite']}`: "
            f"{len(records)} cells, tasks {', '.join(run['data'])}, methods {', '.join(run['methods'])}.",
            *(["The data are generated, not GLUE."] if run["suite"].startswith("embedded") else []),
            "",
            "    early-exit-bench run --methods MINE.py --against BUNDLE",
            "",
            "puts a method of your own beside these; `datasets.load_dataset(BUNDLE, NAME)` and",
            "`bench.load_results(BUNDLE)` read it.",
            "",
            "## How it was made",
            "",
            *(f"    {line}" for line in commands.splitlines()),
            "",
            "## Logits",
            "",
            f"Every `number` is kept as {about['logits']}. What rounding changed: {about['changed']}.",
            *LOGITS[about["logits"] == "float32"],
            "The tables are those of the run itself, before rounding.",
            "",
            "## Columns of `traces`",
            "",
            "| column | type | |",
            "| --- | --- | --- |",
            *(f"| {name} | {kind} | {text} |" for name, (kind, text) in COLUMNS.items()),
            "",
            "## Tables",
            "",
            "| name | rows | |",
            "| --- | --- | --- |",
            *(f"| {name} | {len(tables[name])} | {TABLES[name].says} |" for name in shown),
            "",
            "## License",
            "",
            "The numbers are under the MIT license, as the program is; labels of others' data sets under theirs.",
            "",
        ]
    )


#: By whether all logits are kept.
LOGITS = (
    [
        "Those of a layer stand less that of the last class, which is then 0 and left out: one number for two classes,",
        "two for three, and the same softmax. Scores of a regression are as they were.",
    ],
    [],
)


def configuration(name: str, paths: str | list[str]) -> list[str]:
    """The lines of a data card that make a file, or several with the same columns, a configuration of it."""
    paths = [f"    path: {paths}"] if isinstance(paths, str) else ["    path:", *(f"    - {path}" for path in paths)]
    default = ["  default: true"] if name == FIRST else []
    return [f"- config_name: {name}", *default, "  data_files:", "  - split: run", *paths]
