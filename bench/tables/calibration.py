"""calibration.csv: whether the exits are right as often as they are sure.

Every exit of a trained model, answering for all examples, and every operating point, each example answered at its exit;
as it is, and with a temperature per exit that is fitted on one half of the validation set and judged on the other.

Shapes: S seeds, E exits, R answers to all examples (layers, then operating points), n examples, L layers, C classes,
K points, B bins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from bench.halting.replay import replay
from bench.halting.sweep import PanelSweeps, Rows, Sweep
from bench.statistics import calibration
from bench.statistics.areas import halves
from bench.tables.columns import CURVE, examples_seed, seed_columns, with_ends

#: Redrawn labels for the ECE of a perfect exit.
NULL_DRAWS = 50
MEASURES = ("ece", "squared_error", "brier", "nll", "overconfidence")
CALIBRATION = [*CURVE, "variant", "at", "layer", "knob", "knob_value", "scaling", "seeds", "n"]
CALIBRATION += [*with_ends(*MEASURES), "ece_null", "accuracy", "temperature", "status"]


def by_model(sweeps: PanelSweeps) -> Iterator[list[Sweep]]:
    """What calibration.csv puts together: the sweeps of each method and variant, one per seed."""
    models: dict[tuple, list[Sweep]] = {}
    for one in sweeps:
        models.setdefault((one.keys["method"], one.keys["variant"]), []).append(one)
    yield from models.values()


def calibration_rows(sweeps: PanelSweeps) -> Iterator[Rows]:
    """calibration.csv of one panel, every model (method and variant) with its seeds together.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    first = sweeps[0]
    uniform = np.random.default_rng(examples_seed(first)).random((NULL_DRAWS, len(first.trace.labels)))
    known: dict[bytes, tuple] = {}
    for group in by_model(sweeps):
        keys = group[0].named(*CURVE, "variant", "knob")
        if first.task.regression:
            blank = dict.fromkeys([name for name in CALIBRATION if name not in keys], np.nan)
            words = {"at": "", "scaling": "", "status": "needs classes", "seeds": len(group), "n": len(uniform[0])}
            yield {**keys, **blank, **words}
            continue
        found = [judged_model(one, uniform, known) for one in group]
        for scaling in ("none", "temperature"):
            yield {**keys, **summary(group, found, scaling), "n": uniform.shape[1]}


def judged_model(one: Sweep, uniform: np.ndarray, known: dict[bytes, tuple]) -> dict:
    """For calibration.csv: every measure of a trained model's answers, as they are and with a temperature per exit.

    Args:
        one: the model and its operating points.
        uniform: [D, n] for `null_ece`.
        known: what was found about exits, by a hash of what they say: several methods may replay the same trace.

    Returns:
        "none", "temperature": measures [R]; "inverse": 1 / T of every exit, mean over both halves [R] (NaN at operating
        points); "layers": the layers that R begins with.
    """
    labels, in_a = one.trace.labels, halves(one.trace.index)
    logits, layers, place = exit_logits(one)
    said = hashlib.sha256(np.ascontiguousarray(logits)).digest()
    fitted, of_layers = known.get(said) or (fitted_halves(logits, labels, in_a), {})
    found: dict = {}
    for name, inverse in (("none", np.ones(logits.shape[:2])), ("temperature", np.where(in_a, *fitted[..., None]))):
        exits = judged(logits, inverse, labels)
        if name not in of_layers:
            of_layers[name] = measured(*(each[: len(layers)] for each in exits), uniform)
        # an operating point takes each example's answer from some exit
        points = [np.take_along_axis(each, place, axis=0) for each in exits]
        of_points = measured(*points, uniform)
        found[name] = {key: np.concatenate([each, of_points[key]]) for key, each in of_layers[name].items()}
        if name == "temperature":
            found["inverse"] = np.append(inverse[: len(layers)].mean(axis=1), np.full(len(place), np.nan))
    known[said] = fitted, of_layers
    return found | {"layers": layers + 1}


def fitted_halves(logits: np.ndarray, labels: np.ndarray, in_a: np.ndarray) -> np.ndarray:
    """For calibration.csv: 1 / T of every exit on half A and on B, each fitted on the other half: [2, E]."""
    found = np.ones((2, len(logits)))
    for at, other in enumerate((~in_a, in_a)):
        if other.any():  # of very few examples one half may hold all
            found[at] = calibration.inverse_temperature(logits[:, other], labels[other])
    return found


def exit_logits(one: Sweep) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For calibration.csv: logits, or log probabilities, of every exit, and which one answers an example at a point.

    Returns:
        [L, n, C], where the exit of a ramp stands last; the layers of the others, from 0; and positions [K, n] in them.
    """
    rule = one.method.halting_rule(one.spec)
    result = replay(rule, one.trace)
    layers = np.flatnonzero(np.isfinite(result.answers).all(axis=(0, 2)))  # the layers that have an exit
    logits = result.answers[:, layers].swapaxes(0, 1)
    if rule.answers_probabilities:
        logits = np.log(np.clip(logits, calibration.SMALLEST, 1))
    if result.ramp is not None:
        logits = np.concatenate([logits, one.trace.ramp.astype(np.float64)[None]])
    return logits, layers, exit_places(one, result, layers)


def exit_places(one: Sweep, result: object, layers: np.ndarray) -> np.ndarray:
    """For calibration.csv: which exit answers each example at each point: [K, n] in `layers`, the ramp's after them."""
    place = np.searchsorted(layers, one.layers.astype(np.int64) - 1)
    if result.ramp is not None:
        knob = one.method.knob(one.spec)
        by_ramp = result.leaves_by_ramp(knob, knob.values, one.layers)
        place = np.where(by_ramp, len(layers), place)
    return place


def judged(logits: np.ndarray, inverse: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """For calibration.csv: each answer of every exit, of logits [E, n, C] times 1 / T [E, n]: four of [E, n].

    Returns:
        Its confidence, whether it is right, its Brier score and its log loss.
    """
    p = calibration.tempered(logits, inverse)
    return *sureness(p, labels), calibration.brier_scores(p, labels), calibration.log_losses(p, labels)


def sureness(p: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For calibration.csv: the confidence [R, n] of answers p [R, n, C], and whether they are right.

    Ties go to the lower class.
    """
    return p.max(axis=2), p.argmax(axis=2) == labels


def measured(
    confidence: np.ndarray, right: np.ndarray, brier: np.ndarray, nll: np.ndarray, uniform: np.ndarray
) -> dict[str, np.ndarray]:
    """Every measure [R] of calibration.csv, of what `judged` says of answers [R, n], and draws [D, n] for the null."""
    bins = calibration.binned(confidence, right)
    accuracy = right.mean(axis=1)
    return {
        "ece": calibration.ece(*bins),
        "squared_error": calibration.squared_error(*bins),
        "brier": brier.mean(axis=1),
        "nll": nll.mean(axis=1),
        "overconfidence": confidence.mean(axis=1) - accuracy,
        "ece_null": calibration.null_ece(confidence, uniform),
        "accuracy": accuracy,
    }


def summary(group: list[Sweep], found: list[dict], scaling: str) -> Rows:
    """The columns of R rows of calibration.csv: every measure with its interval over seeds.

    Args:
        group: the sweeps of one model, one per seed.
        found: of each seed, as from `judged_model`.
        scaling: "none" or "temperature".
    """
    each = [one[scaling] for one in found]
    columns: Rows = {}
    for name in MEASURES:
        columns |= seed_columns(name, np.stack([one[name] for one in each]))
    columns |= {name: np.mean([one[name] for one in each], axis=0) for name in ("ece_null", "accuracy")}
    layers, rows = found[0]["layers"], len(columns["ece"])
    points = rows - len(layers)
    temperature = 1 / np.mean([one["inverse"] for one in found], axis=0)
    return {
        **columns,
        "at": np.array(["layer"] * len(layers) + ["exit"] * points, dtype=object),
        "layer": np.concatenate([layers, np.full(points, np.nan)]),
        "knob_value": np.concatenate([np.full(len(layers), np.nan), group[0].knob_values]),
        "scaling": scaling,
        "seeds": len(group),
        "temperature": temperature if scaling == "temperature" else np.full(rows, np.nan),
        "status": "",
    }
