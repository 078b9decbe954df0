"""What each claim of the paper is about, as one number per task and seed, computed from the tables of a run folder.

Every function takes the tables by name, with the rows that count only (`counted`), and gives a frame with the columns
of `UNIT`: `effect` is signed so that the claim says that it lies above 0 (or, for a claim of equality, at 0). Tasks and
seeds without a value have no row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.statistics.curves import interpolate, nearest_in_x

Tables = dict[str, pd.DataFrame]

TASK = ["backbone", "task"]
UNIT = [*TASK, "seed", "effect"]
POINT = [*TASK, "method", "variant", "seed", "knob_value"]
#: "Saving little computation": a common range that ends below this share of the layers says nothing about it.
HIGH = 0.75


def in_score(tables: Tables, quantity: str, method: str, rival: str) -> pd.DataFrame:
    """A column of scores.csv: method minus rival, by seed."""
    scores = tables["scores"].set_index([*TASK, "seed", "method"])[quantity]
    return difference(scores.to_dict(), method, rival)


def at_high_x(tables: Tables, method: str, rival: str) -> pd.DataFrame:
    """Height of the curves at the upper end of the common range: method minus rival, by seed; where that is `HIGH`."""
    points = within(tables, tables["points"])
    points = points[(points["x_high"] >= HIGH) & points["method"].isin([method, rival])]
    runs = points.groupby([*TASK, "seed", "method"])
    heights = {
        keys: interpolate(run["x_high"].to_numpy()[:1], run["layer_fraction"].to_numpy(), run["value"].to_numpy())[0]
        for keys, run in runs
    }
    return difference(heights, method, rival)


def in_spread(tables: Tables, method: str, rival: str) -> pd.DataFrame:
    """Standard deviation of x over seeds at a fixed knob (stability.csv): rival minus method; one row a task."""
    spreads = tables["stability"].assign(seed=-1).set_index([*TASK, "seed", "method"])["x_sd"]
    return difference(spreads.to_dict(), rival, method)


def in_steepness(tables: Tables) -> pd.DataFrame:
    """How far x moves when the knob doubles, DeeBERT's threshold minus DACT's tau, by seed.

    Over the settings whose x lies inside the common range, at least two: the sum of the moves between neighbours,
    divided by log2 of the largest setting over the smallest. A ratio has no unit, so that S and tau can be compared.
    """
    points = inside(within(tables, tables["points"]))
    points = points[points["method"].isin(["dact", "deebert"])]
    tau = points["variant"].str.extract(r"^tau=([-+.e\d]+)$")[0].astype(float)
    points = points.assign(setting=tau.where(points["method"] == "dact", points["knob_value"]))
    points = points[points["setting"] > 0].sort_values("setting", kind="stable")
    slopes = {}
    for keys, run in points.groupby([*TASK, "seed", "method"]):
        if len(run) > 1:
            doublings = np.log2(run["setting"].iloc[-1] / run["setting"].iloc[0])
            slopes[keys] = run["layer_fraction"].diff().abs().sum() / doublings
    return difference(slopes, "deebert", "dact")


def in_pruning(tables: Tables, against: bool) -> pd.DataFrame:
    """Trailing layers that no example uses with DACT, per model inside the common range, mean over taus, by seed.

    Args:
        tables: the tables.
        against: whether to subtract the same of DeeBERT at the threshold nearest in x, of the same seed.
    """
    exits = tables["exits"]
    exits = exits[exits["method"].isin(["dact", "deebert"])]
    used = exits[exits["used_count"] > 0].groupby(POINT)["layer"].max()
    prunable = (exits.groupby(POINT)["layer"].max() - used).rename("prunable").reset_index()
    points = within(tables, tables["points"]).merge(prunable, on=POINT)
    rows = []
    for keys, run in points.groupby([*TASK, "seed"]):
        dact, deebert = (run[run["method"] == name] for name in ("dact", "deebert"))
        dact = inside(dact)
        if len(dact) and len(deebert):
            rival = 0.0
            if against:
                nearest = nearest_in_x(dact["layer_fraction"].to_numpy(), deebert["layer_fraction"].to_numpy())
                rival = deebert["prunable"].to_numpy()[nearest]
            rows.append((*keys, (dact["prunable"] - rival).mean()))
    return pd.DataFrame(rows, columns=UNIT)


def in_decided(tables: Tables) -> pd.DataFrame:
    """Share of decided halting values, Eq. 1 minus the original penalty at the same tau, mean over taus, by seed."""
    keys = [*TASK, "seed", "variant"]
    wide = tables["confidence"].dropna(subset="decided").pivot(index=keys, columns="method", values="decided")
    effects = (wide["dact"] - wide["dact-original"]).dropna().groupby([*TASK, "seed"]).mean()
    return effects.rename("effect").reset_index()


def in_exit_entropy(tables: Tables) -> pd.DataFrame:
    """Entropy of the answers at exit, DACT minus DeeBERT of the same seed at equal x, mean over taus, by seed.

    DACT's models whose x lies inside the common range; DeeBERT's entropy is interpolated between its thresholds.
    """
    table = within(tables, tables["confidence"])
    rows = []
    for keys, run in table.groupby([*TASK, "seed"]):
        dact, deebert = (run[run["method"] == name] for name in ("dact", "deebert"))
        dact = inside(dact)
        if len(dact) and len(deebert):
            curve = (deebert[name].to_numpy() for name in ("layer_fraction", "exit_entropy"))
            beside = interpolate(dact["layer_fraction"].to_numpy(), *curve)
            rows.append((*keys, (dact["exit_entropy"] - beside).mean()))
    return pd.DataFrame(rows, columns=UNIT)


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of tasks, without means over them; MNLI counts once, by its matched split."""
    return table[(table["task"] != "mean") & (table["split"] != "validation_mismatched")]


def within(tables: Tables, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the ends of their panel's common range beside them, x_low and x_high."""
    ranges = tables["auc"][[*TASK, "x_low", "x_high"]].drop_duplicates()
    return rows.merge(ranges, on=TASK)


def inside(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows that `within` gave, the ones whose cost lies inside the range; none where there is no range."""
    return rows[rows["layer_fraction"].between(rows["x_low"], rows["x_high"])]


def difference(values: dict[tuple, float], method: str, rival: str) -> pd.DataFrame:
    """Method minus rival, from values by backbone, task, seed and method; where both have one."""
    found = {
        keys[:3]: value - values.get((*keys[:3], rival), np.nan) for keys, value in values.items() if keys[3] == method
    }
    return pd.DataFrame([(*keys, effect) for keys, effect in found.items() if np.isfinite(effect)], columns=UNIT)
