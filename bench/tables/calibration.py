"""calibration.csv: whether the exits are right as often as they are sure.

Every exit of a trained model, answering for all examples, and every operating point, each example answered at its exit;
as it is, and with a temperature per exit that is fitted on one half of the validation set and judged on the other.

Shapes: S seeds, R answers to all examples (layers, then operating points), n examples, L layers, C classes, K points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.halting.replay import replay
from bench.halting.sweep import Rows, Sweep
from bench.statistics import calibration
from bench.statistics.areas import halves
from bench.tables.columns import CURVE, T_ENDS, examples_seed, seed_columns

#: Redrawn labels for the ECE of a perfect exit.
NULL_DRAWS = 50
SCALINGS = ("none", "temperature")
MEASURES = ("ece", "squared_error", "brier", "nll", "overconfidence")
CALIBRATION = [*CURVE, "variant", "at", "layer", "knob", "knob_value", "scaling", "seeds", "n"]
CALIBRATION += [f"{name}{end}" for name in MEASURES for end in T_ENDS]
CALIBRATION += ["ece_null", "accuracy", "temperature", "status"]


def by_model(sweeps: Sequence[Sweep]) -> Iterator[list[Sweep]]:
    """What calibration.csv puts together: the sweeps of each method and variant, one per seed."""
    models: dict[tuple, list[Sweep]] = {}
    for one in sweeps:
        models.setdefault((one.keys["method"], one.keys["variant"]), []).append(one)
    yield from models.values()


def calibration_rows(sweeps: Sequence[Sweep]) -> Iterator[Rows]:
    """calibration.csv of one panel, every model (method and variant) with its seeds together.

    Args:
        sweeps: all sweeps of one panel; their traces list the same examples in the same order.
    """
    first = sweeps[0]
    uniform = np.random.default_rng(examples_seed(first)).random((NULL_DRAWS, len(first.trace.labels)))
    for group in by_model(sweeps):
        keys = {name: group[0].keys[name] for name in (*CURVE, "variant", "knob")}
        if first.task.regression:
            blank = dict.fromkeys([name for name in CALIBRATION if name not in keys], np.nan)
            words = {"at": "", "scaling": "", "status": "needs classes", "seeds": len(group), "n": len(uniform[0])}
            yield {**keys, **blank, **words}
            continue
        answers = [scaled_answers(one) for one in group]
        for scaling in SCALINGS:
            probabilities = [each[scaling] for each in answers]
            yield {**keys, **measured(group, probabilities, answers, scaling, uniform)}


def scaled_answers(one: Sweep) -> dict[str, np.ndarray]:
    """For calibration.csv: a trained model's answers [R, n, C], as they are ("none") and with a temperature per exit.

    Args:
        one: the model and its operating points.

    Returns:
        Those, "inverse": 1 / T of every exit, mean over both halves [R] (NaN at operating points), and "layers": the
        layers that R begins with.
    """
    trace = one.trace
    logits, layers, place = exit_logits(one)
    plain = np.ones(logits.shape[:2])
    in_a = halves(trace.index)
    fitted = plain.copy()
    for here, there in ((in_a, ~in_a), (~in_a, in_a)):
        if here.any():  # of very few examples one half may hold all
            fitted[:, there] = calibration.inverse_temperature(logits[:, here], trace.labels[here])[:, None]
    found = {"layers": layers + 1}
    for name in SCALINGS:
        each = calibration.tempered(logits, plain if name == "none" else fitted)
        at_exit = each[place, np.arange(place.shape[1])]  # [K, n, C]
        found[name] = np.concatenate([each[: len(layers)], at_exit])
    points = np.full(len(place), np.nan)
    found["inverse"] = np.concatenate([fitted[: len(layers)].mean(axis=1), points])
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


def measured(
    group: list[Sweep], probabilities: list[np.ndarray], answers: list[dict], scaling: str, uniform: np.ndarray
) -> Rows:
    """The columns of R rows of calibration.csv: every measure with its interval over seeds.

    Args:
        group: the sweeps of one model, one per seed.
        probabilities: of each seed [R, n, C].
        answers: of each seed, as from `scaled_answers`.
        scaling: "none" or "temperature".
        uniform: [D, n] for `null_ece`.
    """
    each = [judged(p, one.trace.labels, uniform) for p, one in zip(probabilities, group, strict=True)]
    columns: Rows = {}
    for name in MEASURES:
        columns |= seed_columns(name, np.stack([found[name] for found in each]))
    columns |= {name: np.mean([found[name] for found in each], axis=0) for name in ("ece_null", "accuracy")}
    layers, rows = answers[0]["layers"], len(columns["ece"])
    points = rows - len(layers)
    temperature = 1 / np.mean([found["inverse"] for found in answers], axis=0)
    return {
        **columns,
        "at": np.array(["layer"] * len(layers) + ["exit"] * points, dtype=object),
        "layer": np.concatenate([layers, np.full(points, np.nan)]),
        "knob_value": np.concatenate([np.full(len(layers), np.nan), group[0].knob_values]),
        "scaling": scaling,
        "seeds": len(group),
        "n": uniform.shape[1],
        "temperature": temperature if scaling == "temperature" else np.full(rows, np.nan),
        "status": "",
    }


def judged(probabilities: np.ndarray, labels: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure [R] of calibration.csv, of probabilities [R, n, C]."""
    confidence, right = sureness(probabilities, labels)
    bins = calibration.binned(confidence, right)
    return {
        "ece": calibration.ece(*bins),
        "squared_error": calibration.squared_error(*bins),
        "brier": calibration.brier_score(probabilities, labels),
        "nll": calibration.log_loss(probabilities, labels),
        "overconfidence": confidence.mean(axis=1) - right.mean(axis=1),
        "ece_null": calibration.null_ece(confidence, uniform),
        "accuracy": right.mean(axis=1),
    }


def sureness(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For calibration.csv: the confidence of answers [R, n, C], whether they are right; ties go to the lower class."""
    return probabilities.max(axis=2), probabilities.argmax(axis=2) == labels
