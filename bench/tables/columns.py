"""What several tables share: columns that name a row, columns of intervals, rows put together, a panel's seed."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.errors import UserError
from bench.statistics.intervals import percentile_interval, t_interval
from bench.statistics.metrics import evaluate_predictions

if TYPE_CHECKING:
    from bench.halting.sweep import Rows, Sweep

#: The methods that the paper draws and compares; the x-range of `auc_common` is the one that their curves share.
PAPER_METHODS = ("dact", "deebert", "pabee")
#: Where curves are averaged over seeds: every hundredth of the layers.
GRID = np.round(np.arange(1, 101) / 100, 2)
#: A bootstrap interval is left empty where more than this share of the draws have no value.
MISSING_DRAWS = 0.05

PANEL = ["task", "split", "backbone"]
CURVE = ["suite", *PANEL, "method"]
METHOD = [*CURVE, "metric"]
MODEL = [*CURVE, "variant", "seed"]
SETTING = [*CURVE, "variant", "knob", "knob_value"]
#: An estimate, its 95 % t-interval over seeds or tasks, and its 95 % bootstrap interval over examples.
T_ENDS = ("", "_low", "_high")
ENDS = (*T_ENDS, "_boot_low", "_boot_high")


def with_ends(*names: str, ends: Sequence[str] = T_ENDS) -> list[str]:
    """The columns of estimates with their intervals; see `T_ENDS` and `ENDS`."""
    return [f"{name}{end}" for name in names for end in ends]


def taus(variants: pd.Series) -> pd.Series:
    """The tau of each of DACT's variants that differ in tau alone; NaN for others."""
    return pd.to_numeric(variants.astype(str).str.extract(r"^tau=([-+.e\d]+)$", expand=False))


def at_exact(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table with the column `resolution` that are about the exact settings.

    Raises:
        UserError: the table is of an older version, which had no such column.
    """
    if "resolution" not in table:
        raise UserError("tables of an older version, without the column 'resolution': --collect writes new ones")
    return table[table["resolution"] == "exact"]


def interval_columns(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean and 95 % t-interval of values [S] as columns NAME, NAME_low, NAME_high."""
    return {column: float(value) for column, value in seed_columns(name, values).items()}


def seed_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and 95 % t-interval over seeds of values [S, R] as columns of R rows."""
    return dict(zip(with_ends(name), t_interval(values), strict=True))


def boot_columns(name: str, draws: np.ndarray) -> dict[str, float]:
    """95 % percentile interval of draws [D] as columns NAME_boot_low, NAME_boot_high."""
    found = draws[np.isfinite(draws)]
    enough = len(found) and len(found) >= (1 - MISSING_DRAWS) * len(draws)
    low, high = percentile_interval(found) if enough else (np.nan, np.nan)
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


def static_run(runs: Iterable[tuple[str, int]], seed: int) -> tuple[str, int]:
    """Method and seed of the static model that a run of a seed is compared with; no such run where none ran.

    Args:
        runs: method and seed of all runs of a panel.
        seed: of the run.
    """
    seeds: dict[str, list[int]] = {}
    for method, each in runs:
        seeds.setdefault(method, []).append(each)
    return "static", static_seed(seeds, seed) if "static" in seeds else seed


def groups_of(
    table: pd.DataFrame, columns: list[str], dropna: bool = True
) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """What tables of means go through: the rows that agree in some columns, with these; groups in order of appearance.

    Args:
        table: the rows.
        columns: in which those of a group agree.
        dropna: whether rows without a value in one of them are left out.
    """
    for values, rows in table.groupby(columns, sort=False, dropna=dropna):
        yield dict(zip(columns, values, strict=True)), rows


def concat_rows(parts: list[Rows], columns: list[str]) -> pd.DataFrame:
    """A table of many parts, as several tables are put together; with the given columns even where there is no part."""
    sizes = [max((len(v) for v in part.values() if isinstance(v, np.ndarray)), default=1) for part in parts]
    return pd.DataFrame({column: concat_column([part[column] for part in parts], sizes) for column in columns})


def concat_column(values: list, sizes: list[int]) -> pd.Series:
    """One column of `concat_rows`: scalars repeated; texts as categories, which take a byte or two a row."""
    if any(isinstance(value, np.ndarray) for value in values):
        return pd.Series(np.concatenate([np.broadcast_to(*pair) for pair in zip(values, sizes, strict=True)]))
    if any(isinstance(value, str) for value in values):
        return pd.Series(pd.Categorical(values).repeat(sizes))
    return pd.Series(np.repeat(np.array(values), sizes))


def examples_seed(sweep: Sweep) -> int:
    """One seed for all tables: of what is random about a panel's examples, for all methods, seeds and backbones."""
    return zlib.crc32(f"{sweep.keys['task']}/{sweep.keys['split']}".encode())


def task_metric(sweep: Sweep, predictions: np.ndarray) -> np.ndarray:
    """What several tables call the value: the task's main metric [K] of a sweep's predictions [K, n]."""
    return evaluate_predictions(sweep.task, sweep.trace.labels, predictions)[sweep.task.metric]
