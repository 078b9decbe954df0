"""shares.csv: would the verdicts be others if more, or none, of the examples were undecidable?

A rule that waits to be sure never leaves early on a coin, so that the share of undecidable examples bears on what is
found. Counting them 0, 1 and 2 times at validation shows how much, without training anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.halting.sweep import PanelSweeps, Rows
from bench.sources.examples import UNDECIDABLE
from bench.tables.claims import claims
from bench.tables.columns import groups_of
from bench.tables.contrasts import Compared
from bench.tables.effects import EFFECTS, effect_rows
from bench.tables.reproduction import REPRODUCTION, SOURCES, Tables, of_backbone, row_of

#: How often an undecidable example counts.
TIMES = (0, 1, 2)
#: The claims that are about what budgets buy, and about undecidable examples themselves.
CLAIMS = ("1a", "1b", "9a", "9b")
NOT_SHARED = ("same_number_as", "at_twice_the_steps")
BY_SEED = ["times", *EFFECTS]
SHARES = ["suite", "backbone", "times", *(name for name in REPRODUCTION[2:] if name not in NOT_SHARED)]


def share_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """The effects of `CLAIMS` in one panel, with undecidable examples counted `TIMES` times."""
    difficulty = sweeps[0].trace.difficulty
    if difficulty is None or not (difficulty == UNDECIDABLE).any():
        return
    methods = {method for claim in claims() if claim.id in CLAIMS for method in claim.methods}
    wanted = [one for one in sweeps if one.keys["method"] in methods]
    for times in TIMES if wanted else ():
        panel = Compared.under(wanted, np.where(difficulty == UNDECIDABLE, times, 1).astype(np.float32))
        yield from ({"times": times, **row} for row in effect_rows(panel, CLAIMS))


def share_table(effects: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """shares.csv: the verdicts of `CLAIMS` on every backbone at each of `TIMES`.

    Args:
        effects: the rows of `share_rows`.
        tables: what verdicts are decided from besides effects, see `bench.tables.reproduction.SOURCES`.
    """
    rows = []
    chosen = [claim for claim in claims() if claim.id in CLAIMS]
    for named, group in groups_of(effects, ["suite", "backbone", "times"]):
        here = {name: of_backbone(tables[name], named["backbone"]) for name in SOURCES if name in tables} | {
            "effects": group
        }
        methods = set(here["points"]["method"])
        rows += [{**named, **row_of(claim, methods, here)} for claim in chosen]
    return pd.DataFrame(rows, columns=SHARES)
