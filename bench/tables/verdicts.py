"""verdicts.csv: does choosing exits pay? Each method against truncated depth, and against its own exits at random."""

from __future__ import annotations

import pandas as pd

from bench.statistics.curves import TOLERANCE
from bench.tables.columns import METHOD, groups_of, interval_columns, with_ends

VERDICTS = [*METHOD, "against", "points", "seeds", *with_ends("difference"), "verdict"]
#: The references that a method must beat.
RIVALS = ("truncated", "random")


def verdict_table(references: pd.DataFrame) -> pd.DataFrame:
    """verdicts.csv from references.csv: whether a method beats each of `RIVALS`, on average over its points.

    The difference is the mean over the points of a run, then over seeds, with its 95 % t-interval over seeds.
    """
    rows = []
    rivals = references[references["reference"].isin(RIVALS)]
    for named, group in groups_of(rivals.rename(columns={"reference": "against"}), [*METHOD, "against"]):
        per_seed = group.groupby("seed")["difference"].mean()
        interval = interval_columns("difference", per_seed.to_numpy())
        counts = {"points": len(group), "seeds": len(per_seed)}
        rows.append({**named, **counts, **interval, "verdict": verdict(interval)})
    return pd.DataFrame(rows, columns=VERDICTS)


def verdict(interval: dict[str, float]) -> str:
    """In verdicts.csv: what the 95 % interval of a difference says, `beats` where all of it lies above 0."""
    if interval["difference"] <= TOLERANCE:
        return "does not beat"
    return "beats" if interval["difference_low"] > 0 else "not shown"
