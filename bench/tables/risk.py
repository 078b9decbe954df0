"""risk.csv: the cheapest setting whose risk is bounded, what it costs in layers, and what the naive choice breaks.

For each trained model, on 100 seeded splits of the validation set: half of the examples choose
(`bench.statistics.risk`), the others say what the choice gives. Three risks:

- `quality`: share of examples that the static model gets right and the early answer wrong; bounds the drop in accuracy;
- `drop`: the drop in accuracy itself, gains counted against losses;
- `disagreement`: share of answers that are not those of the model's own full depth.

Shapes: n examples, E places to leave, P points of a path, S splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.halting.replay import replay
from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.models.costs import example_macs, static_macs
from bench.statistics.paths import ModelPath, Path, threshold_path
from bench.statistics.risk import (
    NONE,
    ROUNDING,
    blocks,
    calibration_splits,
    choose,
    choose_by_betting,
    rows_needed,
    shared,
)
from bench.tables.columns import MODEL, examples_seed, static_run
from bench.tables.scores import group_runs

SPLITS = 100
TOLERANCES = (0.01, 0.02, 0.05)
DELTAS = (0.05, 0.1)
#: The procedures of each risk: conformal risk control and the binomial test need losses of 0 and 1.
PROCEDURES = {"quality": ("naive", "ltt", "crc"), "drop": ("naive", "betting"), "disagreement": ("naive", "ltt", "crc")}
RISK = ["cell", *MODEL, "knob", "models", "risk", "metric", "procedure"]
RISK += ["tolerance", "delta", "splits", "calibration_rows", "rows_needed", "certified", "layer_fraction"]
RISK += ["mac_fraction", "delivered", "accuracy_drop", "broken", "price_layers", "status"]
#: Numbers that a path may hold at once while the splits are summed.
BLOCK = 2**21
NUMBERS = ("certified", "layer_fraction", "mac_fraction", "delivered", "accuracy_drop", "broken", "price_layers")


@dataclass(frozen=True)
class Candidates:
    """What can be chosen from: the thresholds of one model, or several models at their one setting.

    Attributes:
        keys: the columns that name it.
        path: from deep to cheap.
        tables: of the path: `layers` (of the panel's L), `macs`, `right`, and one per risk that can be had.
        full_macs: [n] multiply-adds of the static model.
        num_layers: L of the panel.
    """

    keys: dict[str, object]
    path: Path
    tables: dict[str, np.ndarray]
    full_macs: np.ndarray
    num_layers: int


def risk_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """risk.csv of one panel, model by model.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    first = sweeps[0]
    order = calibration_splits(len(first.trace.labels), SPLITS, examples_seed(first))
    runs = group_runs(sweeps)
    for (method, seed), run in runs.items():
        if method == "static" or (len(run) == 1 and len(run[0].knob_values) == 1):
            continue  # nothing to choose from
        if first.task.regression:
            yield {**empty_row(run[0]), "variant": "", "status": "needs classes"}
            continue
        static = runs.get(static_run(runs, seed), [None])[0]
        right = None if static is None else static.predictions[0] == static.trace.labels
        for candidates in candidates_of(run, right):
            yield from model_rows(candidates, order)


def candidates_of(run: list[Sweep], static: np.ndarray | None) -> Iterator[Candidates]:
    """What risk.csv chooses from: each model of a run with its thresholds or, without knob, models from deep to cheap.

    Args:
        run: the sweeps of one method and seed.
        static: bool [n], what the static model gets right; None without one.
    """
    swept = [one for one in run if len(one.knob_values) > 1]
    for one in swept:
        result = replay(one.method.halting_rule(one.spec), one.trace)
        scores, predictions, depth = result.places()
        layers = np.broadcast_to(depth, predictions.shape)
        disagrees = (predictions != predictions[:, -1:]).astype(np.float64)
        tables = {**tables_of(one, predictions, layers, static), "disagreement": disagrees}
        yield Candidates(
            empty_row(one), threshold_path(scores), tables, static_macs(one.macs, one.trace.length), one.panel_layers
        )
    if not swept and len(run) > 1:
        deep_first = sorted(run, key=lambda one: -one.layers[0].mean())  # of all examples alike: no split is favoured
        parts = [tables_of(one, one.predictions.T, one.layers.T, static) for one in deep_first]
        tables = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
        keys = {**empty_row(run[0]), "cell": "", "variant": "", "models": len(run)}
        yield Candidates(
            keys, ModelPath(len(run)), tables, static_macs(run[0].macs, run[0].trace.length), run[0].panel_layers
        )


def tables_of(
    one: Sweep, predictions: np.ndarray, layers: np.ndarray, static: np.ndarray | None
) -> dict[str, np.ndarray]:
    """For risk.csv: the tables [n, E] of what is answered at E places that take `layers` [n, E]."""
    right = predictions == one.trace.labels[:, None]
    macs = example_macs(one.macs, layers.T, one.trace.length).T
    tables = {"layers": layers / one.panel_layers, "macs": macs, "right": right}
    if static is not None:
        tables |= {"quality": static[:, None] & ~right, "drop": static[:, None].astype(np.int8) - right}
    return {name: table.astype(np.float64) for name, table in tables.items()}


def empty_row(one: Sweep) -> dict[str, object]:
    """The columns of one model in risk.csv, no number yet."""
    blank = {name: np.nan for name in RISK if name not in one.keys}
    words = {"risk": "", "metric": "accuracy", "procedure": "", "status": "", "models": 1}
    return {**one.keys, **blank, **words}


def model_rows(candidates: Candidates, order: np.ndarray) -> Iterator[Rows]:
    """Rows of risk.csv: every risk, procedure, tolerance and delta for one set of candidates.

    Args:
        candidates: what can be chosen from.
        order: [S, n], as from `calibration_splits`.
    """
    rows = order.shape[1] // 2
    for risk, procedures in PROCEDURES.items():
        keys = {**candidates.keys, "risk": risk}
        if risk not in candidates.tables:
            if risk != "disagreement":  # of models at one setting each none has a full depth of its own
                yield {**keys, "status": "needs the static model of this seed"}
            continue
        asked = [
            (procedure, tolerance, delta)
            for procedure in procedures
            for tolerance in TOLERANCES
            for delta in (DELTAS if procedure in ("ltt", "betting") else (np.nan,))
        ]
        chosen = chosen_points(candidates, risk, order, asked)
        found = outcomes(candidates, risk, order, chosen, [tolerance for _, tolerance, _ in asked])
        naive = {tolerance: at for at, (procedure, tolerance, _) in enumerate(asked) if procedure == "naive"}
        for at, (procedure, tolerance, delta) in enumerate(asked):
            setting = {"procedure": procedure, "tolerance": tolerance, "delta": delta, "splits": len(order)}
            needed = rows_needed(procedure, tolerance, shared(candidates.path, delta))
            setting |= {"calibration_rows": rows, "rows_needed": needed}
            numbers = {name: values[at] for name, values in found.items()}
            price = numbers["layer_fraction"] - found["layer_fraction"][naive[tolerance]]
            numbers["price_layers"] = price * candidates.num_layers
            status = status_of(procedure, rows, needed, numbers["certified"])
            if status == "cannot at this size":
                numbers = dict.fromkeys(NUMBERS, np.nan)
            yield {**keys, **setting, **numbers, "status": status}


def status_of(procedure: str, rows: int, needed: int, certified: float) -> str:
    """What there is to say about a row of risk.csv: whether anything could be certified, and was."""
    if certified > 0:
        return ""
    return "cannot at this size" if rows < needed else "none kept to it" if procedure == "naive" else "none certified"


def chosen_points(
    candidates: Candidates, risk: str, order: np.ndarray, asked: list[tuple[str, float, float]]
) -> np.ndarray:
    """For risk.csv: the point that each of A procedures (tolerance, delta) chooses in each split: int [A, S]."""
    path, losses, (splits, n) = candidates.path, candidates.tables[risk], order.shape
    rows = n // 2
    chosen = np.full((len(asked), splits), NONE)
    if not rows:
        return chosen
    for procedure in PROCEDURES[risk]:
        which = [at for at, (name, *_) in enumerate(asked) if name == procedure]
        tolerances, deltas = (np.array([asked[at][part] for at in which]) for part in (1, 2))
        if procedure == "betting":
            for split, row in enumerate(order):
                rest = ~members(row[None, :rows], n)[0]
                chosen[which, split] = choose_by_betting(path, losses, row[:rows], rest, tolerances, deltas)
        else:
            for some in blocks(splits, path.size, BLOCK):
                calibration = members(order[some, :rows], n)
                chosen[which, some] = choose(procedure, path, losses, calibration, tolerances, deltas)
    return chosen


def members(examples: np.ndarray, n: int) -> np.ndarray:
    """For the splits of risk.csv: sets of examples [S, c], given by position, as bool [S, n]."""
    found = np.zeros((len(examples), n), dtype=bool)
    np.put_along_axis(found, examples, True, axis=1)
    return found


def outcomes(
    candidates: Candidates, risk: str, order: np.ndarray, chosen: np.ndarray, tolerances: list[float]
) -> dict[str, np.ndarray]:
    """What the choices in risk.csv give, each a mean [A] over the splits.

    Args:
        candidates: what was chosen from.
        risk: by which risk.
        order: [S, n].
        chosen: [A, S], as from `chosen_points`.
        tolerances: [A].
    """
    path, tables, (splits, n) = candidates.path, candidates.tables, order.shape
    own_depth = risk == "disagreement"  # what stands in where no point can be vouched for
    point = np.where(chosen == NONE, 0, chosen)
    falls_back = (chosen == NONE) & (not own_depth)  # on the static model: all layers, no loss
    sums = {name: np.zeros(chosen.shape) for name in ("layers", "macs", risk, "drop") if name in tables}
    for some in blocks(splits, path.size, BLOCK):
        rest = ~members(order[some, : n // 2], n)
        for name, found in sums.items():
            found[:, some] = np.take_along_axis(path.totals(tables[name], rest).T, point[:, some], axis=0)
    count = n - n // 2
    share = {name: found / count for name, found in sums.items()}
    full = ~members(order[:, : n // 2], n) @ candidates.full_macs
    whole = path.totals(tables[risk], np.ones((1, n), dtype=bool))[0] / n
    over = (whole[point] > np.array(tolerances)[:, None] + ROUNDING) & ~falls_back
    drop = share.get("drop", np.full(chosen.shape, np.nan))
    return {
        "certified": (chosen != NONE).mean(axis=1),
        "layer_fraction": np.where(falls_back, 1.0, share["layers"]).mean(axis=1),
        "mac_fraction": np.where(falls_back, 1.0, sums["macs"] / full).mean(axis=1),
        "delivered": np.where(falls_back, 0.0, share[risk]).mean(axis=1),
        "accuracy_drop": np.where(falls_back, 0.0, drop).mean(axis=1),
        "broken": over.mean(axis=1),
    }
