"""reproduction.csv: the claims of the DACT-BERT paper beside what a run found, each with a verdict that a rule decides.

`python -m bench.report.claims RESULTS ..` computes it again from the CSV files of run folders and prints it as
Markdown. The rules, and why they are as they are: docs/statistics.md, "Does it reproduce?".
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from bench.statistics.curves import TOLERANCE
from bench.statistics.intervals import rank_interval, t_interval
from bench.statistics.metrics import spearman
from bench.store.csv_files import read_table
from bench.tables.claims import Claim, claims
from bench.tables.effects import Tables, counted

#: The three verdicts, and what stands in their place where a method of the claim is missing.
HOLDS, FAILS, OPEN = "holds here", "does not hold here", "cannot be told at this size"
NOT_RUN = "not run"
#: From fewer tasks than this there is no spread over tasks to speak of: the units are the seeds.
TASKS = 3
#: The tables that the claims are computed from.
SOURCES = ("points", "exits", "scores", "auc", "stability", "confidence")

REPRODUCTION = ["suite", "backbone", "claim", "text", "verdict", "value", "low", "high", "units", "unit_kind"]
REPRODUCTION += ["relevant", "quantity", "select"]


def reproduction_table(tables: Tables) -> pd.DataFrame:
    """reproduction.csv: every claim on every backbone.

    Args:
        tables: at least those of `SOURCES`, by name.
    """
    rows = []
    for (suite, backbone), points in tables["points"].groupby(["suite", "backbone"], sort=False):
        here = {name: counted(tables[name][tables[name]["backbone"] == backbone]) for name in SOURCES}
        methods = set(points["method"])
        for claim in claims():
            row = {"suite": suite, "backbone": backbone, "relevant": claim.relevant}
            row |= {"claim": claim.id, "text": claim.text, "quantity": claim.quantity}
            if methods >= set(claim.methods):
                row |= decide(claim, here)
            else:
                row |= {"units": 0, "verdict": NOT_RUN, "select": f"--methods {','.join(claim.methods)}"}
            rows.append(row)
    return pd.DataFrame(rows, columns=REPRODUCTION)


def decide(claim: Claim, tables: Tables) -> dict[str, object]:
    """Estimate, interval and verdict of a claim on one backbone.

    Args:
        claim: which.
        tables: those of `SOURCES`, their rows of one backbone and of the tasks that count.
    """
    found = claim.effects(tables)
    by_task = found.groupby("task", sort=False)["effect"].mean()
    by_seed = found.pivot(index="seed", columns="task", values="effect").dropna().mean(axis=1)
    seeds = len(by_task) < TASKS and len(by_seed) > 1 and not claim.by_size
    units = by_seed if seeds else by_task
    value = low = high = math.nan
    if claim.by_size:
        value, low, high = with_size(by_task, tables["confidence"])
    elif len(units):
        value, low, high = (float(number) for number in t_interval(units.to_numpy(dtype=float)))
    row = {"value": value, "low": low, "high": high, "units": len(units), "unit_kind": "seeds" if seeds else "tasks"}
    return {**row, "verdict": (equality if claim.equal else superiority)(low, high, claim.relevant)}


def with_size(by_task: pd.Series, confidence: pd.DataFrame) -> tuple[float, float, float]:
    """Rank correlation of an effect per task with the task's rows of training, and its interval."""
    rows = confidence.groupby("task")["train_rows"].max().reindex(by_task.index)
    if len(by_task) < 2 or rows.isna().any():
        return math.nan, math.nan, math.nan
    rho = float(spearman(rows.to_numpy(), by_task.to_numpy(dtype=float)[None])[0])
    return rho, *rank_interval(rho, len(by_task))


def superiority(low: float, high: float, relevant: float) -> str:
    """The verdict on a claim that an effect is above 0, from the interval of the effect."""
    if low > TOLERANCE:
        return HOLDS
    return FAILS if high < relevant - TOLERANCE else OPEN


def equality(low: float, high: float, margin: float) -> str:
    """The verdict on a claim that a difference is less than a margin either way, from its interval."""
    if low > -margin and high < margin:
        return HOLDS
    return FAILS if low > margin or high < -margin else OPEN


def read_sources(folder: Path) -> Tables:
    """The tables that the claims are computed from, as they were when they were written.

    Raises:
        UserError: one is not there.
    """
    return {name: read_table(folder / f"{name}.csv") for name in SOURCES}
