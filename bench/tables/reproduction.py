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
from bench.store.csv_files import has_table, read_table
from bench.store.folder import PLATEAU_FOLDER
from bench.tables.claims import Claim, claims
from bench.tables.columns import groups_of

#: The three verdicts, and what stands in their place where a method of the claim is missing.
HOLDS, FAILS, OPEN = "holds here", "does not hold here", "cannot be told at this size"
NOT_RUN = "not run"
#: What `at_twice_the_steps` says besides another verdict.
SAME, NOT_CHECKED = "the same", "not checked"
#: From fewer tasks than this there is no spread over tasks to speak of: the units are the seeds.
TASKS = 3
#: A claim about examples that nobody can decide takes so many tasks that have some, and static models that are no surer
#: of them than this: else they have learnt coins by heart.
LEAST_TASKS, SUREST = 4, 0.65
#: The tables that the verdicts are decided from; the last two only where a run has them.
SOURCES = ("points", "effects", "undecidable", "health", "plateau")
OPTIONAL = ("health", "plateau")

REPRODUCTION = ["suite", "backbone", "claim", "text", "verdict", "why", "value", "low", "high", "units", "unit_kind"]
REPRODUCTION += [
    "value_mixed",
    "low_mixed",
    "high_mixed",
    "relevant",
    "quantity",
    "same_number_as",
    "checked",
    "at_twice_the_steps",
    "select",
]

Tables = dict[str, pd.DataFrame]


def reproduction_table(tables: Tables) -> pd.DataFrame:
    """reproduction.csv: every claim on every backbone; no rows where DACT, which the claims are about, did not run.

    Args:
        tables: those of `SOURCES`, by name, and "twice" of `twice_of`.
    """
    rows = []
    for named, points in groups_of(tables["points"], ["suite", "backbone"]):
        methods = set(points["method"])
        if "dact" not in methods:
            continue
        here = {
            name: of_backbone(tables[name], named["backbone"]) for name in (*SOURCES[1:], "twice") if name in tables
        }
        found = [row_of(claim, methods, here) for claim in claims()]
        for row, twin in zip(found, twins(here["effects"], [claim.id for claim in claims()]), strict=True):
            rows.append({**named, **row, "same_number_as": twin})
    return pd.DataFrame(rows, columns=REPRODUCTION)


def of_backbone(table: pd.DataFrame, backbone: str) -> pd.DataFrame:
    """The rows of reproduction.csv for one backbone."""
    return table[table["backbone"] == backbone]


def row_of(claim: Claim, methods: set[str], tables: Tables) -> dict[str, object]:
    """A row of reproduction.csv: what one backbone's run says about a claim, or how to run what it is about."""
    row = {"claim": claim.id, "text": claim.text, "quantity": claim.quantity, "relevant": claim.relevant}
    if not methods >= set(claim.methods):
        return {**row, "units": 0, "verdict": NOT_RUN, "why": "", "select": f"--methods {','.join(claim.methods)}"}
    effects = tables["effects"][tables["effects"]["claim"] == claim.id]
    row |= estimate(claim, effects)
    row |= decide(claim, row, effects, tables)
    return {**row, "checked": checked(tables), "at_twice_the_steps": at_twice(claim, row["verdict"], tables)}


def estimate(claim: Claim, effects: pd.DataFrame) -> dict[str, object]:
    """Effect and interval of a claim in reproduction.csv, by steps and (where it is about budgets) by mixtures.

    Args:
        claim: which.
        effects: its rows of effects.csv.
    """
    by_task = effects.groupby("task", sort=False)
    by_seed = effects.pivot(index="seed", columns="task", values="effect").dropna()
    seeds = by_task.ngroups < TASKS and len(by_seed) > 1 and not claim.by_size

    def interval(column: str) -> list[float]:
        if seeds:
            units = effects.pivot(index="seed", columns="task", values=column).dropna().mean(axis=1)
        else:
            units = by_task[column].mean()
        return [float(end) for end in t_interval(units.to_numpy(dtype=float))] if len(units) else [math.nan] * 3

    if claim.by_size:
        ends = with_size(by_task["effect"].mean(), by_task["train_rows"].max())
    else:
        ends = interval("effect")
    mixed = interval("effect_mixed") if claim.mixed else [math.nan] * 3
    names = ("value", "low", "high", "value_mixed", "low_mixed", "high_mixed")
    return {
        "units": len(by_seed) if seeds else by_task.ngroups,
        "unit_kind": "seeds" if seeds else "tasks",
        **dict(zip(names, [*ends, *mixed], strict=True)),
    }


def with_size(by_task: pd.Series, train_rows: pd.Series) -> list[float]:
    """For a claim in reproduction.csv: rank correlation of an effect per task with its training rows; its interval."""
    if len(by_task) < 2 or train_rows.isna().any():
        return [math.nan] * 3
    rho = float(spearman(train_rows.to_numpy(), by_task.to_numpy(dtype=float)[None])[0])
    return [rho, *rank_interval(rho, len(by_task))]


def decide(claim: Claim, row: dict, effects: pd.DataFrame, tables: Tables) -> dict[str, str]:
    """The verdict of reproduction.csv on a claim, and why where it is not the interval alone that decides."""
    rule = equality if claim.equal else superiority
    verdict = rule(row["low"], row["high"], claim.relevant)
    why = ""
    if len(effects) and effects["both_constant"].all():
        why = "both methods buy the constant answer, so the difference is 0"
    elif claim.undecidable and (missing := not_undecidable(row, tables)):
        why = missing
    elif claim.layers_read and (blind := blind_exits(claim.methods, tables)):
        why = f"exits that answer the constant where a probe sees more: {blind}"
    elif claim.mixed and rule(row["low_mixed"], row["high_mixed"], claim.relevant) != verdict:
        why = "the area by steps and the area by mixtures disagree"
    return {"verdict": OPEN if why else verdict, "why": why}


def not_undecidable(row: dict, tables: Tables) -> str:
    """Why reproduction.csv gives no verdict on examples that nobody can decide; empty where nothing is against it."""
    if row["unit_kind"] != "tasks" or row["units"] < LEAST_TASKS:
        return f"it takes {LEAST_TASKS} tasks with examples that nobody can decide, and models to compare on them"
    found = tables["undecidable"]
    top = float(found.loc[(found["method"] == "dact") & (found["task"] == "mean"), "static_top"].iloc[0])
    if top > SUREST:
        return f"static models are sure of what nobody can know (mean top probability {top:.2f}): learnt by heart"
    return ""


def blind_exits(methods: tuple[str, ...], tables: Tables) -> str:
    """What stands against a claim's verdict: exits at the constant answer though a probe there does better."""
    if "health" not in tables:
        return ""
    health = tables["health"]
    found = health[health["method"].isin(methods) & (health["named"] == 1) & (health["blind"] == 1)]
    by_method = found.groupby("method", sort=False)["task"].unique()
    return "; ".join(f"{method} on {', '.join(tasks)}" for method, tasks in by_method.items())


def checked(tables: Tables) -> str:
    """Which of the two checks of a run a claim's verdict could look at."""
    said = {"health": "exit health", "plateau": "plateau"}
    return ", ".join(f"{what} {'' if len(tables.get(name, ())) else 'not '}checked" for name, what in said.items())


def at_twice(claim: Claim, verdict: str, tables: Tables) -> str:
    """Whether a claim's verdict is the same where all methods train for twice the steps: else which it is."""
    found = tables["twice"][tables["twice"]["claim"] == claim.id]["verdict"] if "twice" in tables else []
    if not len(found) or found.iloc[0] == NOT_RUN:
        return NOT_CHECKED
    return SAME if found.iloc[0] == verdict else str(found.iloc[0])


def twice_of(folder: Path) -> Tables:
    """The verdicts of reproduction.csv with twice the steps, as the table "twice"; nothing without such a run."""
    path = folder / "reproduction.csv"
    return {"twice": read_table(path)} if path.is_file() else {}


def twins(effects: pd.DataFrame, ids: list[str]) -> list[str]:
    """For each claim the first other one whose numbers are all the same: one fact, counted once."""
    numbers = {
        claim: frozenset(rows[["task", "seed", "effect"]].round(12).itertuples(index=False, name=None))
        for claim, rows in effects.groupby("claim", sort=False)
    }
    by_size = {claim.id for claim in claims() if claim.by_size}  # a correlation of the same numbers is another one
    own = [claim for claim in ids if claim in numbers and claim not in by_size]
    first = {claim: next(other for other in own if numbers[other] == numbers[claim]) for claim in own}
    return [first[claim] if first.get(claim, claim) != claim else "" for claim in ids]


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
    """The tables that reproduction.csv is decided from, as they were when they were written.

    Raises:
        UserError: one is not there that every run has.
    """
    paths = {name: folder / f"{name}.csv" for name in SOURCES}
    found = {name: read_table(path) for name, path in paths.items() if name not in OPTIONAL or has_table(path)}
    return found | twice_of(folder / PLATEAU_FOLDER)
