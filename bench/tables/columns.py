"""What several tables share: columns that name a row, columns of intervals, the static model to compare with."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from bench.statistics.intervals import t_interval
from bench.statistics.significance import percentile_interval

PANEL = ["task", "split", "backbone"]
GRID = np.round(np.arange(1, 101) / 100, 2)
#: A bootstrap interval is left empty where more than this share of the draws have no value.
MISSING_DRAWS = 0.05
KNOB_KEYS = ["suite", *PANEL, "method", "variant", "knob", "knob_value"]
METHOD = ["suite", *PANEL, "method", "metric"]
ENDS = ("", "_low", "_high", "_boot_low", "_boot_high")


def interval_columns(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % t-interval of values [S] as columns."""
    mean, low, high = t_interval(values)
    return {name: float(mean), f"{name}_low": float(low), f"{name}_high": float(high)}


def boot_columns(name: str, draws: np.ndarray) -> dict[str, float]:
    """95 % percentile interval of draws [D] as columns."""
    found = draws[np.isfinite(draws)]
    if len(found) < (1 - MISSING_DRAWS) * len(draws) or not len(found):
        return {f"{name}_boot_low": np.nan, f"{name}_boot_high": np.nan}
    low, high = percentile_interval(found)
    return {f"{name}_boot_low": float(low), f"{name}_boot_high": float(high)}


def static_seed(seeds: Mapping[str, Collection[int]], seed: int) -> int:
    """The seed of the static model that a run is compared with: its own, or the one that all seeds start from.

    There is one for all with seed_scope "heads". It shows where DACT or DeeBERT, which start from a static model, have
    seeds without one of their own.

    Args:
        seeds: the seeds of every method of a panel, static among them.
        seed: of the run.
    """
    own = set(seeds["static"])
    starting = {each for method in ("dact", "deebert") if method in seeds for each in seeds[method]}
    return next(iter(own)) if len(own) == 1 and starting - own else seed
