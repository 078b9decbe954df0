"""Calibration by hand and beside scikit-learn; the null, the debiased estimate and the temperature by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from test_references import make_sweep

from bench.statistics import calibration
from bench.tables.calibration import CALIBRATION, MEASURES, calibration_rows
from bench.tables.columns import concat_rows
from bench.tables.reliability import RELIABILITY, reliability_rows
from methods import discover

CONFIDENCE = np.array([[0.6, 0.9, 0.7, 0.8]])
RIGHT = np.array([[True, True, False, True]])


def test_two_bins_by_hand():
    """Bins {.6, .7} with one of two right, and {.8, .9} with both right."""
    count, sure, correct = calibration.binned(CONFIDENCE, RIGHT, bins=2)
    assert count.tolist() == [[2, 2]] and sure[0] == pytest.approx([1.3, 1.7]) and correct.tolist() == [[1, 2]]
    assert calibration.ece(count, sure, correct) == pytest.approx([(0.3 + 0.3) / 4])
    # (.5 - .65)^2 - .5 * .5 / 1, and (1 - .85)^2 - 0
    expected = (0.15**2 - 0.25 + 0.15**2) / 2
    assert calibration.squared_error(count, sure, correct) == pytest.approx([expected])  # below 0: the sign is kept


def test_ties_share_a_bin():
    tied = np.array([[0.5, 0.7, 0.7, 0.7, 0.7, 0.9]])
    assert calibration.equal_mass_bins(tied, 3).tolist() == [[0, 0, 0, 0, 0, 2]]  # the first .7 is in the first bin
    count, _, _ = calibration.binned(tied, np.ones((1, 6), bool), bins=3)
    assert count.tolist() == [[5, 0, 1]]
    assert calibration.equal_mass_bins(np.ones((1, 4)), 2).tolist() == [[0, 0, 0, 0]]


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 10**6))
def test_bins_hold_every_example_and_equal_confidences_together(n, values, seed):
    rng = np.random.default_rng(seed)
    confidence, right = rng.choice(np.linspace(0.5, 1, values), (2, n)), rng.random((2, n)) < 0.5
    count, sure, correct = calibration.binned(confidence, right)
    assert count.sum(axis=1).tolist() == [n, n] and (count > 0).sum(axis=1).max() <= values
    assert sure.sum(axis=1) == pytest.approx(confidence.sum(axis=1)) and (correct.sum(1) == right.sum(1)).all()


def test_one_example_has_no_squared_error():
    assert np.isnan(calibration.squared_error(*calibration.binned(np.array([[0.8]]), np.array([[True]]))))[0]


def test_the_null_is_what_a_perfect_exit_shows():
    """DEFINITIONS of the project: .074 at 277 examples and .041 at 872, for confidences spread over .5 .. 1."""
    rng, uniform = np.random.default_rng(0), np.random.default_rng(1)
    for n, about in ((277, 0.074), (872, 0.041)):
        confidence = rng.uniform(0.5, 1, (20, n))
        null = calibration.null_ece(confidence, uniform.random((100, n)))
        seen = [calibration.ece(*calibration.binned(confidence, rng.random((20, n)) < confidence)) for _ in range(100)]
        print(f"ECE of a perfect exit, n = {n}: null {null.mean():.4f}, seen {np.mean(seen):.4f}")
        assert null.mean() == pytest.approx(np.mean(seen), abs=0.003) and null.mean() == pytest.approx(about, abs=0.015)


def test_the_debiased_estimate_has_no_bias():
    rng, n = np.random.default_rng(0), 300
    confidence = np.tile(np.sort(rng.uniform(0.5, 0.9, n)), (4000, 1))
    perfect = calibration.binned(confidence, rng.random(confidence.shape) < confidence)
    off = calibration.binned(confidence, rng.random(confidence.shape) < confidence + 0.1)
    biased = (((perfect[2] - perfect[1]) / perfect[0]) ** 2).mean()
    assert abs(calibration.squared_error(*perfect).mean()) < 0.0003 < biased
    assert calibration.squared_error(*off).mean() == pytest.approx(0.01, abs=0.0005)


def brier_score(p, labels):
    return calibration.brier_scores(p, labels).mean(axis=1)


def log_loss(p, labels):
    return calibration.log_losses(p, labels).mean(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_proper_scores_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    p = rng.dirichlet(np.ones(classes), (3, 200))
    p[0, 0], labels = np.eye(classes)[0], rng.integers(0, classes, 200)
    labels[0] = 1  # as wrong as can be
    for row, brier, nll in zip(p, brier_score(p, labels), log_loss(p, labels), strict=True):
        assert nll == pytest.approx(metrics.log_loss(labels, row, labels=range(classes)), rel=1e-12)
        one_hot = metrics.brier_score_loss(labels, row, labels=range(classes), scale_by_half=False)
        assert brier == pytest.approx(one_hot, rel=1e-12)  # the sum over the classes
    if classes == 2:
        assert brier_score(p, labels)[1] == pytest.approx(2 * metrics.brier_score_loss(labels, p[1, :, 1]))


def test_brier_and_log_loss_by_hand():
    p = np.array([[[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]]])
    assert brier_score(p, np.array([0, 2])) == pytest.approx([(0.09 + 0.04 + 0.01 + 0.25 + 0.25 + 1) / 2])
    assert log_loss(p[:, :1], np.array([1])) == pytest.approx([-np.log(0.2)])


def test_the_temperature_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 3))
    p = calibration.tempered(logits[None], np.ones((1, 20000)))[0]
    labels = (rng.random((20000, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    found = calibration.inverse_temperature(np.stack([logits, 3 * logits, logits / 2]), labels)
    assert 1 / found == pytest.approx([1, 3, 0.5], rel=0.03)
    best = [log_loss(calibration.tempered(logits[None], np.full((1, 20000), b)), labels)[0] for b in found[:1]]
    for other in (0.95, 1.05):
        scaled = calibration.tempered(logits[None], np.full((1, 20000), other * found[0]))
        assert log_loss(scaled, labels)[0] > best[0]


def test_a_temperature_has_limits():
    logits, labels = np.array([[[0.0, 3.0]] * 4]), np.array([1, 1, 1, 1])  # always right: the surer the better
    found = calibration.inverse_temperature(logits, labels)
    assert (
        10 < found[0] <= calibration.COLDEST
        and log_loss(calibration.tempered(logits, found[:, None] * np.ones((1, 4))), labels)[0] < 1e-14
    )
    assert calibration.inverse_temperature(logits, 1 - labels) == pytest.approx([calibration.WARMEST], rel=1e-4)


# calibration.csv


def swept(task="sst2", n=60, seed=0, classes=2, name="fastbert", one_class=False):
    rng = np.random.default_rng(seed)
    labels = np.zeros(n, np.int64) if one_class else rng.integers(0, classes, n)
    logits = rng.normal(size=(n, 3, classes)).astype(np.float32)
    logits[np.arange(n), 2, labels] += 2
    by_layer = logits.argmax(axis=2).astype(np.int8)
    layers = [[1] * n, rng.integers(1, 4, n), [3] * n]
    sweep = make_sweep(name, layers, task, seed=seed, by_layer=by_layer, labels=labels)
    method = discover("equal")[name]
    return replace(sweep, method=method, trace=replace(sweep.trace, logits=logits))


def tables(sweeps):
    return (
        concat_rows(list(calibration_rows(sweeps)), CALIBRATION),
        concat_rows(list(reliability_rows(sweeps)), RELIABILITY),
    )


@pytest.mark.parametrize(("task", "classes"), [("sst2", 2), ("mnli", 3)])
def test_rows_of_layers_and_points(task, classes):
    one = swept(task, classes=classes)
    found, bins = tables([one, swept(task, classes=classes, seed=1)])
    plain = found[found["scaling"] == "none"]
    assert plain["at"].tolist() == ["layer"] * 3 + ["exit"] * 3 and (plain["seeds"] == 2).all()
    assert plain["layer"].tolist()[:3] == [1, 2, 3] and plain["temperature"].isna().all()
    only, _ = tables([one])
    alone = only[only["scaling"] == "none"].reset_index(drop=True)
    assert alone["ece_low"].isna().all()  # one seed has no interval
    for measure in MEASURES:  # everybody at layer 1, everybody at 3
        assert alone[measure][3] == alone[measure][0] and alone[measure][5] == alone[measure][2]
    p = np.exp(one.trace.logits[:, 2].astype(float))
    p /= p.sum(axis=1, keepdims=True)
    assert alone["nll"][2] == pytest.approx(metrics.log_loss(one.trace.labels, p, labels=range(classes)))
    confident = p.max(axis=1).mean() - (p.argmax(axis=1) == one.trace.labels).mean()
    assert alone["overconfidence"][2] == pytest.approx(confident)
    scaled = found[found["scaling"] == "temperature"]
    assert scaled["temperature"].notna().tolist() == [True] * 3 + [False] * 3
    assert bins["count"].sum() == 120


def test_answers_that_are_probabilities_are_taken_as_they_are():
    one = swept(name="dact")
    rng = np.random.default_rng(0)
    one = replace(one, trace=replace(one.trace, halting=rng.random((60, 3)).astype(np.float32)))
    found, _ = tables([one])
    p = 1 / (1 + np.exp(one.trace.logits[:, 0, 0] - one.trace.logits[:, 0, 1]).astype(float))  # a_1 = y_1
    expected = metrics.log_loss(one.trace.labels, np.stack([1 - p, p], axis=1))
    assert found["nll"][0] == pytest.approx(expected, rel=1e-5)


def test_one_class_and_one_example_are_no_reason_to_stop():
    for sweep in (swept(one_class=True), swept(n=1), swept(n=2)):
        found, _ = tables([sweep])
        assert len(found) == 12 and found["brier"].notna().all()


def test_regression_needs_classes():
    scores = np.random.default_rng(0).random((20, 3))
    found, bins = tables([make_sweep("pabee", [[1] * 20, [3] * 20], "stsb", by_layer=scores, labels=scores[:, 2])])
    assert found["status"].tolist() == ["needs classes"] and not len(bins)
