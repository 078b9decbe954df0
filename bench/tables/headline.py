"""headline.csv: how much is saved at no loss, or at one or two points of it: the sentence for an abstract.

On one half of the validation set the cheapest setting is chosen whose loss against the static model is at most 0, 1 or
2 points (`promised_0`, `_1`, `_2`), the constant answer among the settings; what it saves and loses is read off the
other half; the halves swap, and the mean counts. Where no setting qualifies the static model is used: nothing saved,
nothing lost. Beside them stands the setting that Learn then Test certifies (risk.csv). It is the choice of
transfer.csv, with what it means for a method as a whole.

Shapes: D resamples, K operating points, T promises, Q quantities, S seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.halting.sweep import PanelSweeps, Sweep
from bench.models.costs import example_macs, static_macs
from bench.statistics.areas import best_within, halves
from bench.store.csv_files import read_table
from bench.tables.columns import CURVE, ENDS, PANEL, boot_columns, interval_columns, static_run
from bench.tables.scores import MethodSeed, group_runs
from bench.tables.settings import Halved, Settings, Way

PROMISES = (0.0, 0.01, 0.02)
#: The tolerances of risk.csv whose certified choice stands beside the promises of 1 and 2 points.
CERTIFIED = {"certified_1": 0.01, "certified_2": 0.02}
DELTA = 0.05
QUANTITIES = ("layers_saved", "macs_saved", "loss")
#: The bootstrap repeats the choice, of which 1,000 repetitions are enough for an interval.
DRAWS = 1000
CHOICES = [f"promised_{100 * loss:.0f}" for loss in PROMISES]
HEADLINE = [*CURVE, "quantity", "tasks", "seeds"]
HEADLINE += [f"{name}{end}" for name in CHOICES for end in (*ENDS, "_tasks")]
HEADLINE += [f"{name}{end}" for name in CERTIFIED for end in ("", "_tasks")]


@dataclass(frozen=True)
class Savings:
    """What the runs of one panel save.

    Attributes:
        keys: suite, task, split, backbone.
        values: method -> seed -> [T, Q], mean of both directions.
        met: method -> [T], the share of its seeds and directions in which a setting qualified.
        draws: method -> [D, T, Q], mean over its seeds on resamples of the examples.
    """

    keys: dict[str, str]
    values: dict[str, dict[int, np.ndarray]]
    met: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]


class PanelSavings:
    """For headline.csv: what every method of a panel but static saves, found out while the panel is scored.

    The choice is among the settings that scores.csv weighs at resolution "exact", on the first of its resamples.

    Args:
        sweeps: all sweeps of the panel; their traces list the same examples in the same order.
        draws: D.
    """

    def __init__(self, sweeps: PanelSweeps, draws: int = DRAWS) -> None:
        self.runs, self.draws = group_runs(sweeps), draws
        self.static = beside_static(self.runs)
        self.keys = sweeps[0].named("suite", *PANEL)
        self.in_a = halves(sweeps[0].trace.index)
        self.values: dict[str, dict[int, np.ndarray]] = {}
        self.met: dict[str, list[np.ndarray]] = {}
        self.totals: dict[str, np.ndarray] = {}  # over the seeds
        self.seen: dict[MethodSeed, int] = {}
        self.weights: Halved | None = None

    def add(self, run: MethodSeed, weights: Halved, ways: list[Way]) -> None:
        """Take in a run under some weights, the first time those of 1; `also` of `panel_scores`."""
        if run not in self.static:
            return
        if weights is not self.weights:
            each = {id(static): static for static in self.static.values()}
            self.weights = weights
            self.full = {key: full_depth(static, weights, self.in_a) for key, static in each.items()}
        full, (method, seed) = self.full[id(self.static[run])], run
        start = self.seen.get(run)
        if start is None:
            value, fits = savings(self.runs[run], full, weights, ways)
            self.values.setdefault(method, {})[seed] = value[0]
            self.met.setdefault(method, []).append(fits[0])
            self.seen[run] = 0
        elif start < self.draws:
            value, _ = savings(self.runs[run], full, weights, ways)
            value = value[: self.draws - start]
            total = self.totals.setdefault(method, np.zeros((self.draws, *value.shape[1:])))
            total[start : start + len(value)] += value
            self.seen[run] += len(value)

    def found(self) -> Savings:
        """What was saved, once the panel is scored."""
        met = {method: np.mean(each, axis=0) for method, each in self.met.items()}
        draws = {method: total / len(self.values[method]) for method, total in self.totals.items()}
        return Savings(self.keys, self.values, met, draws)


def beside_static(runs: dict[MethodSeed, list[Sweep]]) -> dict[MethodSeed, list[Sweep]]:
    """For headline.csv: each run of another method -> the static model that it is compared with, if there is one."""
    beside = {run: runs.get(static_run(runs, run[1])) for run in runs if run[0] != "static"}
    return {run: static for run, static in beside.items() if static is not None}


def full_depth(static: list[Sweep], weights: Halved, in_a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What headline.csv saves against: the metric of static on halves A and B, under weights: [D, 1] each."""
    settings = Settings(static, "grid", "all")
    a, b = (settings.under(w, rows).y[:, 1:2] for w, rows in zip(weights, (in_a, ~in_a), strict=True))
    return a, b  # without the constant answer, the first


def savings(
    run: list[Sweep], full: tuple[np.ndarray, np.ndarray], weights: Halved, ways: list[Way]
) -> tuple[np.ndarray, np.ndarray]:
    """What a run saves and loses at each promise of headline.csv, under weights of the examples.

    Args:
        run: the sweeps of one method and seed.
        full: what its static model reaches on both halves (`full_depth`).
        weights: of the examples of both halves.
        ways: the run's exact settings, chosen on half A and on half B.

    Returns:
        [D, T, Q], and the share of the two directions in which a setting qualified [D, T].
    """
    in_a = halves(run[0].trace.index)
    size = (len(full[0]), len(PROMISES))
    values, met = np.zeros((*size, len(QUANTITIES))), np.zeros(size)
    others = ((weights[1], ~in_a), (weights[0], in_a))
    for half, (here, there), of_static, other in zip("ab", ways, (full, full[::-1]), others, strict=True):
        drop, drop_other = (value - side.y for value, side in zip(of_static, (here, there), strict=True))
        # the least cost among those that keep the promise
        chosen, fits = best_within(drop, -here.x, np.array(PROMISES))
        macs = used_macs(run, half, *other)
        for at, delivered in enumerate((1 - there.x, 1 - macs, drop_other)):
            values[..., at] += np.where(fits, np.take_along_axis(delivered, chosen, axis=1), 0) / 2
        met += fits / 2
    return values, met


def used_macs(run: list[Sweep], half: str, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For headline.csv: multiply-adds of each setting over those of static, among some examples: [D, 1 + K].

    Args:
        run: the sweeps of one method and seed.
        half: the one whose settings are on offer; the constant answer, which costs nothing, comes first.
        weights: float32 [D, rows].
        rows: bool [n], the examples that count.
    """
    weights = weights.astype(np.float64)
    parts = [np.zeros((len(weights), 1))]
    for one in run:
        lengths = one.trace.length[rows]
        full = weights @ static_macs(one.macs, lengths)
        full[full == 0] = np.nan  # no example has weight
        used = example_macs(one.macs, one.exact(half).layers[:, rows], lengths)
        parts.append(weights @ used.T / full[:, None])
    return np.concatenate(parts, axis=1)


def headline_table(found: Sequence[Savings], risk: pd.DataFrame, latency: Path) -> pd.DataFrame:
    """headline.csv: every panel and method, then the means over the tasks of a backbone.

    Args:
        found: of all panels.
        risk: risk.csv.
        latency: latency.csv, where it was measured.
    """
    certified = certified_choices(risk)
    times = measured_times(latency)
    rows = []
    for keys, panels in groups(found):
        for method in dict.fromkeys(method for panel in panels for method in panel.values):
            here = [panel for panel in panels if method in panel.values]
            names = {**keys, "method": method, "tasks": len(here), "seeds": seeds_of(here, method)}
            rows += [{**names, **row} for row in method_rows(here, method, certified, times)]
    return pd.DataFrame(rows, columns=HEADLINE)


def groups(found: Sequence[Savings]) -> Iterator[tuple[dict, list[Savings]]]:
    """What headline.csv has rows of: each panel, then a backbone's panels together, MNLI once, by its matched split."""
    for panel in found:
        yield panel.keys, [panel]
    together: dict[tuple[str, str], list[Savings]] = {}
    for panel in found:
        if panel.keys["split"] != "validation_mismatched":
            together.setdefault((panel.keys["suite"], panel.keys["backbone"]), []).append(panel)
    for (suite, backbone), panels in together.items():
        yield {"suite": suite, "task": "mean", "split": "", "backbone": backbone}, panels


def seeds_of(panels: Sequence[Savings], method: str) -> int:
    """For headline.csv: how many seeds a method has on any of the tasks."""
    return len({seed for panel in panels for seed in panel.values[method]})


def method_rows(panels: Sequence[Savings], method: str, certified: dict, times: dict) -> Iterator[dict]:
    """The rows of headline.csv for one method over some tasks: one per quantity."""
    seeds = sorted({seed for panel in panels for seed in panel.values[method]})
    values = np.stack(  # [S, T, Q]; a seed that a task lacks is missing from its mean
        [np.mean([p.values[method][seed] for p in panels if seed in p.values[method]], axis=0) for seed in seeds]
    )
    draws = np.mean([panel.draws[method] for panel in panels], axis=0)  # [D, T, Q]
    met = (np.array([panel.met[method] for panel in panels]) > 0).sum(axis=0)
    for at, quantity in enumerate(QUANTITIES):
        row: dict[str, object] = {"quantity": quantity}
        for t, choice in enumerate(CHOICES):
            row |= interval_columns(choice, values[:, t, at]) | boot_columns(choice, draws[:, t, at])
            row[f"{choice}_tasks"] = met[t]
        for choice, tolerance in CERTIFIED.items():
            each = [certified.get((*panel.keys.values(), method, tolerance), {}) for panel in panels]
            row[choice] = np.mean([one.get(quantity, np.nan) for one in each])
            row[f"{choice}_tasks"] = sum(one.get("certified", 0) > 0 for one in each)
        yield row
    if all((*panel.keys.values(), method) in times for panel in panels):
        yield {"quantity": "time_saved", **time_columns(panels, method, seeds, times)}


def time_columns(panels: Sequence[Savings], method: str, seeds: Sequence[int], times: dict) -> dict[str, float]:
    """In headline.csv: time saved (`measured_times`) at the layers that each promise uses, over seeds."""
    columns: dict[str, float] = {}
    for t, choice in enumerate(CHOICES):
        saved = []
        for seed in seeds:
            here = [panel for panel in panels if seed in panel.values[method]]
            used = [1 - panel.values[method][seed][t, 0] for panel in here]
            known = [times[(*panel.keys.values(), method)] for panel in here]
            found = [np.interp(x, *curve, left=np.nan, right=np.nan) for x, curve in zip(used, known, strict=True)]
            saved.append(1 - np.mean(found))
        columns |= interval_columns(choice, np.array(saved))
    return columns


def measured_times(latency: Path) -> dict[tuple, tuple[np.ndarray, np.ndarray]]:
    """For headline.csv: layers used, rising, and measured time over that of full depth, by panel and method.

    Full depth costs all of the time. Nothing is extrapolated below the least layers that were measured.
    """
    if not latency.is_file():
        return {}
    table = read_table(latency)
    table = table[(table["device"] == "cpu") & (table["batch_size"] == table["batch_size"].min())]
    found = {}
    for keys, rows in table.groupby(["suite", *PANEL, "method"]):
        means = rows.groupby("layer_fraction")["time_fraction"].mean()
        means = means[means.index < 1]
        found[keys] = (np.append(means.index, 1.0), np.append(means.to_numpy(), 1.0))
    return found


def certified_choices(risk: pd.DataFrame) -> dict[tuple, dict[str, float]]:
    """For headline.csv: panel, method and tolerance -> quantities of the certified choice, mean over seeds.

    Of methods with several models a seed that each have a knob there is none: a choice among models that were each
    certified is not certified. Where nothing can be certified the static model is used, which saves nothing.
    """
    wanted = (risk["risk"] == "quality") & (risk["procedure"] == "ltt") & (risk["delta"] == DELTA)
    rows = risk[wanted & (risk["variant"].fillna("") == "")]
    rows = rows.assign(
        layers_saved=(1 - rows["layer_fraction"]).where(rows["certified"].notna(), 0.0),
        macs_saved=(1 - rows["mac_fraction"]).where(rows["certified"].notna(), 0.0),
        loss=rows["accuracy_drop"].fillna(0.0),
        certified=rows["certified"].fillna(0.0),
    )
    keys = ["suite", *PANEL, "method", "tolerance"]
    means = rows.groupby(keys, observed=True, sort=False)[[*QUANTITIES, "certified"]].mean()
    return means.to_dict("index")
