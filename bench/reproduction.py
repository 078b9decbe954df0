"""reproduction.csv: the claims of the DACT-BERT paper beside what a run found, each with a verdict that a rule decides.

`python -m bench.reproduction RESULTS ..` computes it again from the CSV files of run folders and prints it as markdown.
The rules, and why they are as they are: docs/statistics.md, "Does it reproduce?".
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bench import effects
from bench.effects import Tables
from bench.errors import UserError
from bench.metrics import spearman
from bench.rounding import plain
from bench.statistics import TOLERANCE, rank_interval, t_interval

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "cannot be told at this size"
NOT_RUN = "not run"
#: The tables that the claims are computed from.
SOURCES = ("points", "exits", "scores", "auc", "stability", "confidence")

CLAIM = ["claim", "topic", "text", "quantity"]
REPRODUCTION = [
    "suite",
    "backbone",
    *CLAIM,
    "value",
    "low",
    "high",
    "units",
    "unit_kind",
    "relevant",
    "verdict",
    "select",
]

RANGE = ("dact", "deebert", "pabee")  # they make the common range
# the smallest effects that matter: in the metric, as a rank correlation, in x, in layers, as a share, in nats
METRIC, RANK, COST, LAYER, SHARE, NATS = 0.02, 0.5, 0.02, 1.0, 0.1, 0.05


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper that a number decides.

    Attributes:
        id: number of the claim, and a letter where it takes several numbers.
        topic: what it is about.
        text: what it says.
        quantity: what is measured; the claim says that it is above 0, or, of equality, that it is 0.
        effects: the number per task and seed, from the tables.
        relevant: the smallest effect that matters; the margin of a claim of equality.
        methods: without these it has not been run.
        equal: whether it is a claim of equality.
        by_size: whether it is about the rank correlation of the effect with the rows of training, over tasks.
    """

    id: str
    topic: str
    text: str
    quantity: str
    effects: Callable[[Tables], pd.DataFrame]
    relevant: float
    methods: tuple[str, ...] = RANGE
    equal: bool = False
    by_size: bool = False


def claims() -> list[Claim]:
    """The claims, in the order of the table."""
    found = []
    for letter, rival, name in (("a", "deebert", "DeeBERT"), ("b", "pabee", "PABEE")):
        low = partial(effects.in_score, quantity="auc_budget_half", method="dact", rival=rival)
        high = partial(effects.at_high_x, method="dact", rival=rival)
        area = partial(effects.in_score, quantity="auc_common", method="dact", rival=rival)
        budget, pair = f"auc_budget_half, dact - {rival}", ("dact", rival)
        rank = f"rank correlation over tasks of training rows and ({budget})"
        found += [
            Claim(f"1{letter}", "few layers", f"better than {name} with at most half of the layers", budget, low, METRIC, pair),
            Claim(f"1{letter}'", "few layers", f"more so than {name} with more training data", rank, low, RANK, pair, by_size=True),
            Claim(
                f"2{letter}", "many layers", f"equal to {name} where little is saved", f"value at x_high of at least .75, dact - {rival}",
                high, METRIC, equal=True,
            ),
            Claim(f"3{letter}", "area", f"larger area than {name}", f"auc_common, dact - {rival}", area, METRIC),
        ]  # fmt: skip
    spread = partial(effects.in_spread, method="dact", rival="deebert")
    frozen = partial(effects.in_score, quantity="auc_budget_half", method="dact", rival="dact-frozen")
    prune, beside = (partial(effects.in_pruning, against=against) for against in (False, True))
    found += [
        Claim("4a", "stability", "x moves less between seeds than DeeBERT's", "x_sd, deebert - dact", spread, COST),
        Claim("4b", "stability", "x is less sensitive to the knob than DeeBERT's", "change of x as the knob doubles, deebert - dact", effects.in_steepness, COST),
        Claim("5a", "pruning", "the last layers can be pruned", "last layers no example uses, dact", prune, LAYER),
        Claim("5b", "pruning", "more of them than with DeeBERT at equal cost", "last layers no example uses, dact - deebert", beside, LAYER),
        Claim("6", "halting values", "Eq. 1 makes halting values more binary", "share of h outside .1 to .9, dact - dact-original", effects.in_decided, SHARE, ("dact", "dact-original")),
        Claim("7", "fine-tuning", "the advantage comes from fine-tuning the backbone", "auc_budget_half, dact - dact-frozen", frozen, METRIC, ("dact", "dact-frozen")),
        Claim("8", "confidence", "stops at lower confidence than DeeBERT", "entropy of the answer at exit at equal x, dact - deebert (nats)", effects.in_exit_entropy, NATS),
    ]  # fmt: skip
    return sorted(found, key=lambda claim: claim.id)


def reproduction_table(tables: Tables) -> pd.DataFrame:
    """reproduction.csv: every claim on every backbone.

    Args:
        tables: at least those of `SOURCES`, by name.
    """
    points = tables["points"]
    rows = []
    for claim in claims():
        for (suite, backbone), here in points.groupby(["suite", "backbone"], sort=False):
            keys = {"suite": suite, "backbone": backbone, "relevant": claim.relevant}
            keys |= {"claim": claim.id, "topic": claim.topic, "text": claim.text, "quantity": claim.quantity}
            if not set(claim.methods) <= set(here["method"]):
                rows.append({**keys, "units": 0, "verdict": NOT_RUN, "select": f"--methods {','.join(claim.methods)}"})
            else:
                one = {name: tables[name][tables[name]["backbone"] == backbone] for name in SOURCES}
                rows.append({**keys, **judge(claim, one)})
    return pd.DataFrame(rows, columns=REPRODUCTION)


def judge(claim: Claim, tables: Tables) -> dict[str, object]:
    """Estimate, interval and verdict of a claim on one backbone."""
    found = claim.effects(tables)
    by_task = found.groupby("task", sort=False)["effect"].mean()
    seeds = len(by_task) == 1 and len(found) > 1 and not claim.by_size
    units = found["effect"] if seeds else by_task
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


def markdown(tables: Sequence[pd.DataFrame]) -> str:
    """Claims as rows, a column for every suite and backbone.

    Args:
        tables: rows of reproduction.csv of one run folder each.
    """
    columns = [(table, backbone) for table in tables for backbone in table["backbone"].drop_duplicates()]
    heads = [f"{table['suite'].iloc[0]}, {backbone}" for table, backbone in columns]
    lines = [f"| claim | measured | {' | '.join(heads)} |", "| --- " * (len(heads) + 2) + "|"]
    for claim in claims():
        cells = [cell(next(t[(t["backbone"] == b) & (t["claim"] == claim.id)].itertuples())) for t, b in columns]
        lines.append(f"| {claim.id}: {claim.text} | {claim.quantity} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(row: tuple) -> str:
    """What one run found about one claim."""
    if row.verdict == NOT_RUN:
        return f"{NOT_RUN}: `{row.select}`"
    if math.isnan(row.value):
        return f"**{row.verdict}**: no value"
    return f"**{row.verdict}**: {plain(row.value, row.low, row.high)}, {row.units} {row.unit_kind}"


def read_sources(folder: Path) -> Tables:
    """The tables that the claims are computed from, as they were when they were written.

    Raises:
        UserError: one is not there.
    """
    tables = {}
    for name in SOURCES:
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise UserError(f"no {path.name} in '{folder}': expected a run folder whose tables are written (--collect)")
        tables[name] = pd.read_csv(path, float_precision="round_trip", dtype={"variant": str}).fillna({"variant": ""})
    return tables


def main(arguments: list[str]) -> int:
    """Print the table of one or more run folders; the exit status is 2 where a folder has no tables."""
    try:
        if not arguments:
            raise UserError("expected at least one folder: python -m bench.reproduction RESULTS ..")
        print(markdown([reproduction_table(read_sources(Path(folder))) for folder in arguments]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
