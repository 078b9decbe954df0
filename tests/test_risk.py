"""Guarantees: p-values and paths by hand, procedures against draws whose risk is known, and what risk.csv says."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from test_references import make_sweep

from bench.statistics import risk
from bench.statistics.paths import ModelPath, threshold_path
from bench.store.folder import RunFolder
from bench.tables import risk_cache
from bench.tables.columns import concat_rows
from bench.tables.risk import RISK, risk_rows
from methods import discover

DRAWS = 2000
#: Scores of four examples at three exits and the last layer.
SCORES = np.array([[0.5, 0.4, 0.8, 0], [0.5, 0.9, 0.3, 0], [0.7, 0.1, 0.9, 0], [0.1, 0.1, 0.1, 0]])


def test_binomial_p_values_by_hand():
    assert risk.binomial_p(0, 3, 0.1) == pytest.approx(0.9**3)
    assert risk.binomial_p(1, 3, 0.1) == pytest.approx(0.9**3 + 3 * 0.1 * 0.9**2)
    assert risk.binomial_p(3, 3, 0.1) == pytest.approx(1)
    assert risk.binomial_p(7, 400, 0.02) == pytest.approx(stats.binom.cdf(7, 400, 0.02))


def test_rows_needed():
    assert [risk.rows_needed("ltt", t, 0.05) for t in (0.01, 0.02, 0.05)] == [299, 149, 59]
    assert [risk.rows_needed("crc", t, math.nan) for t in (0.01, 0.02, 0.05)] == [99, 49, 19]
    for procedure in ("ltt", "betting", "crc"):  # so many are enough if nothing is ever lost, and one fewer is not
        needed = risk.rows_needed(procedure, 0.05, 0.1)
        assert [vouches(procedure, rows) for rows in (needed - 1, needed)] == [False, True]


def vouches(procedure, rows):
    path, losses, tolerance, delta = ModelPath(1), np.zeros((2 * rows, 1)), np.array([0.05]), np.array([0.1])
    if procedure == "betting":
        rest = np.arange(2 * rows) >= rows
        return risk.choose_by_betting(path, losses, np.arange(rows), rest, tolerance, delta)[0] == 0
    return risk.choose(procedure, path, losses, (np.arange(2 * rows) < rows)[None], tolerance, delta)[0, 0] == 0


def test_a_path_by_hand():
    path = threshold_path(SCORES)
    assert path.rows[0] in (1, 2) and path.points == 6  # at .9, .8, .7, .5, .1 and full depth
    exits = np.tile([1, 2, 3, 4], (4, 1))
    everybody = np.ones((1, 4), dtype=bool)
    # .9: examples 1 and 2 leave at exits 2 and 3; .8: example 0 at 3; .7: 2 at 1; .5: 0 and 1 at 1; .1: 3 at 1
    assert path.totals(exits, everybody).tolist() == [[16, 13, 12, 10, 7, 4]]
    some = np.array([[True, False, False, True], [False, True, True, False]])
    assert path.totals(exits, some).tolist() == [[8, 8, 7, 7, 5, 2], [8, 5, 5, 3, 2, 2]]
    assert path.changed(some).tolist() == [
        [True, False, True, False, True, True],
        [True, True, False, True, True, False],
    ]
    assert path.along(exits, np.array([2, 0]), np.array([0, 2, 3, 5])).tolist() == [[4, 4], [3, 3], [1, 3], [1, 1]]
    losses = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    assert path.totals(losses, everybody).tolist() == [[0, 1, 2, 2, 0, 1]]
    assert path.worst_totals(losses, everybody).tolist() == [[0, 1, 2, 2, 2, 3]]


def test_a_path_is_what_thresholds_do():
    rng = np.random.default_rng(0)
    scores, table = rng.integers(0, 6, (50, 5)).astype(float), rng.random((50, 5))
    path = threshold_path(scores)
    best = np.maximum.accumulate(scores[:, :-1], axis=1)
    thresholds = np.unique(best)[::-1]
    assert path.points == len(thresholds) + 1
    for at, threshold in enumerate(thresholds, start=1):
        reached = scores >= threshold
        reached[:, -1] = True
        expected = table[np.arange(50), reached.argmax(axis=1)]
        assert path.totals(table, np.ones((1, 50), bool))[0, at] == pytest.approx(expected.sum())
        assert path.along(table, np.arange(50), np.array([at]))[0] == pytest.approx(expected)


def test_the_scan_stops_at_the_first_failure_and_keeps_the_last_success():
    passed = np.array([[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1]], dtype=bool)
    assert risk.last_passed(passed, passed).tolist() == [1, 3, risk.NONE]
    assert risk.last_passed(passed).tolist() == [3, 3, 3]  # what the naive choice does
    unchanged = np.array([[1, 0, 1, 1]], dtype=bool)  # nobody moves at point 1: it is not a threshold of these examples
    assert risk.last_passed(passed[:1] & unchanged, passed[:1]).tolist() == [0]


def test_capital_by_hand():
    """Two values, m = .6: bets sqrt(2 ln 20 / (2 * .25)), at most .75 / .4 = 1.875, then from the variance so far."""
    values = np.array([[0.5, 0.0]])
    first = min(math.sqrt(2 * math.log(20) / (2 * 0.25)), 1.875)
    after = 1 - first * (0.5 - 0.6)
    second = min(math.sqrt(2 * math.log(20) / (2 * 0.125)), 1.875)  # (.25 + 0) / 2
    assert risk.best_capital(values, np.array([0.6]), np.array([0.05]))[0, 0] == pytest.approx(
        after * (1 + second * 0.6)
    )


# Draws whose risk is known. Each case gives scores of n examples at one exit, losses [n, 2] there and at the last
# layer, and the true risk at a threshold.


def jump(rng, n, tolerance):
    """Harmless down to a threshold, at which the risk jumps to just above the tolerance."""
    group = rng.integers(0, 2, n)
    losses = np.zeros((n, 2))
    losses[:, 0] = (group == 0) & (rng.random(n) < 2 * tolerance * 1.02)
    return group.astype(float), losses, lambda t: 0.0 if t > 0 else tolerance * 1.02


def wave(rng, n, tolerance):
    """Risk rises above the tolerance, then falls below it again: the cheaper settings repair what full depth loses."""
    u = rng.random(n)
    costly = u > 0.6  # leave first: they lose twice the tolerance between them
    losses = np.zeros((n, 2))
    losses[costly, 0] = rng.random(costly.sum()) < 3 * tolerance / 0.4
    losses[~costly, 1] = rng.random((~costly).sum()) < 0.5 * tolerance / 0.6

    def true(t):
        early = max(0.0, 1 - max(t, 0.6)) * 3 * tolerance / 0.4
        return early + min(t, 0.6) * 0.5 * tolerance / 0.6

    return u, losses, true


def smooth(rng, n, tolerance):
    """Risk rises steadily to four times the tolerance."""
    u = rng.random(n)
    losses = np.zeros((n, 2))
    losses[:, 0] = rng.random(n) < 8 * tolerance * (1 - u)
    return u, losses, lambda t: 4 * tolerance * (1 - t) ** 2 if t > 0 else 4 * tolerance


def five(rng, n, tolerance):
    """A grid of five points, of which the third is just above the tolerance."""
    group = rng.integers(0, 5, n)
    losses = np.zeros((n, 2))
    rates = tolerance * np.array([1.0, 0.98, 0.34, 0.34, 0.34])  # 1.02 of the tolerance at the third point
    losses[:, 0] = rng.random(n) < 5 * rates[group]
    return group.astype(float), losses, lambda t: rates[np.arange(5) >= t].sum()


CASES = {"jump": jump, "wave": wave, "smooth": smooth, "five": five}
ROWS, TOLERANCE, DELTA = 300, 0.05, 0.1


def share_broken(procedure, case, draws=DRAWS, signed=False):
    """How often the chosen setting's true risk is above the tolerance, and the mean true risk."""
    rng = np.random.default_rng(7)
    broken, total = 0, 0.0
    tolerance, delta = np.array([TOLERANCE]), np.array([DELTA])
    for _ in range(draws):
        rows = 2 * ROWS if procedure == "betting" else ROWS
        scores, losses, true = CASES[case](rng, rows, TOLERANCE)
        path = threshold_path(np.stack([scores, np.zeros(rows)], axis=1))
        if procedure == "betting":
            rest = np.arange(rows) >= ROWS
            at = risk.choose_by_betting(path, losses, np.arange(ROWS), rest, tolerance, delta)[0]
        else:
            at = risk.choose(procedure, path, losses, np.ones((1, rows), bool), tolerance, delta)[0, 0]
        if at == risk.NONE:
            continue  # the static model: no risk
        threshold = np.sort(np.unique(scores))[::-1][at - 1] if at else math.inf
        value = true(threshold if threshold < math.inf else 1.0 if case in ("wave", "smooth") else math.inf)
        broken += value > TOLERANCE
        total += value
    return broken / draws, total / draws


ALLOWED = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / DRAWS)


@pytest.mark.parametrize("case", CASES)
def test_learn_then_test_keeps_its_promise(case):
    share, _ = share_broken("ltt", case)
    print(f"ltt, {case}: broken in {share:.3f} of {DRAWS} draws, promised {DELTA}")
    assert share <= ALLOWED
    if case == "jump":  # the tight case: not so careful as to be of no use
        assert share >= DELTA / 5


@pytest.mark.parametrize("case", CASES)
def test_the_betting_bound_keeps_its_promise(case):
    share, _ = share_broken("betting", case)
    print(f"betting, {case}: broken in {share:.3f} of {DRAWS} draws, promised {DELTA}")
    assert share <= ALLOWED


def test_the_betting_bound_is_of_use():
    share, _ = share_broken("betting", "jump")
    assert share >= DELTA / 5


@pytest.mark.parametrize("case", ["jump", "smooth", "five"])
def test_the_naive_choice_breaks_what_it_promises(case):
    share, _ = share_broken("naive", case)
    print(f"naive, {case}: broken in {share:.3f} of {DRAWS} draws")
    assert share >= 0.3


@pytest.mark.parametrize("case", CASES)
def test_conformal_risk_control_keeps_the_mean(case):
    _, mean = share_broken("crc", case)
    print(f"crc, {case}: mean risk {mean:.4f}, tolerance {TOLERANCE}")
    assert mean <= TOLERANCE * 1.02


def test_several_models_share_delta():
    """Five models, each with a risk just above the tolerance: any of them chosen is a broken promise."""
    rng, broken = np.random.default_rng(1), 0
    for _ in range(DRAWS):
        losses = (rng.random((ROWS, 5)) < TOLERANCE * 1.02).astype(float)
        at = risk.choose("ltt", ModelPath(5), losses, np.ones((1, ROWS), bool), [TOLERANCE], [DELTA])[0, 0]
        broken += at != risk.NONE
    print(f"five models: broken in {broken / DRAWS:.3f} of {DRAWS} draws, promised {DELTA}")
    assert DELTA / 5 <= broken / DRAWS <= ALLOWED


# risk.csv


def panel(n=800, task="sst2", seed=0, wrong_early=0.3):
    """A static model that is always right, a BERxiT model whose confident answers are right, and two of DACT's."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    by_layer = np.tile(labels[:, None], (1, 3)).astype(np.int8)
    hard = rng.random(n) < wrong_early
    by_layer[hard, 0] = 1 - labels[hard]
    logits = np.zeros((n, 3, 2), np.float32)
    sure = np.where(hard, rng.uniform(0.1, 0.5, n), rng.uniform(0.4, 3, n))
    logits[np.arange(n)[:, None], np.arange(3), by_layer] = np.stack([sure, np.full(n, 4.0), np.full(n, 5.0)], axis=1)
    method = discover("equal")["fastbert"]
    static = make_sweep("static", [[3] * n], task, by_layer=by_layer, labels=labels)
    swept = make_sweep("fastbert", [[1] * n, [3] * n], task, by_layer=by_layer, labels=labels)
    swept = replace(swept, method=method, trace=replace(swept.trace, logits=logits))
    models = [make_sweep("dact", [[layer] * n], task, by_layer=by_layer, labels=labels) for layer in (1, 2)]
    models = [replace(one, keys={**one.keys, "variant": f"tau={t}"}) for one, t in zip(models, (1, 0.1), strict=True)]
    return [static, swept, *models]


def table(sweeps):
    return concat_rows(list(risk_rows(sweeps)), RISK).astype(
        {"risk": str, "procedure": str, "method": str, "status": str}
    )


def test_risk_rows():
    found = table(panel())
    assert set(found["method"]) == {"fastbert", "dact"} and (found["metric"] == "accuracy").all()
    kinds = found.groupby("method")["risk"].unique().map(set)
    assert kinds["fastbert"] == {"quality", "drop", "disagreement"} and kinds["dact"] == {"quality", "drop"}
    assert found.loc[found["method"] == "dact", "models"].unique().tolist() == [2]
    ltt = found.query("method == 'fastbert' and risk == 'quality' and procedure == 'ltt' and delta == .05")
    assert (ltt["calibration_rows"] == 400).all() and ltt["rows_needed"].tolist() == [299, 149, 59]
    assert (ltt["broken"] <= 0.3).all() and (ltt["price_layers"] > 0).all() and (ltt["certified"] == 1).all()
    naive = found.query("method == 'fastbert' and risk == 'quality' and procedure == 'naive'")
    assert (naive["price_layers"] == 0).all() and naive["broken"].mean() > ltt["broken"].mean()
    # DACT: the model that leaves at layer 2 never errs, that at layer 1 in three of ten
    dact = found.query("method == 'dact' and risk == 'quality' and procedure == 'ltt' and tolerance == .05")
    assert dact["layer_fraction"].tolist() == pytest.approx([2 / 3, 2 / 3]) and (dact["delivered"] == 0).all()
    assert dact["rows_needed"].tolist() == [72, 59]  # half of delta each


def test_what_cannot_be_certified_says_so():
    small = table(panel(n=100))
    rows = small.query("risk == 'quality' and procedure == 'ltt'")
    assert (rows.query("tolerance < .05")["status"] == "cannot at this size").all()
    assert rows.query("tolerance < .05")[["layer_fraction", "broken", "certified"]].isna().all(axis=None)
    bad = table([one for one in panel(wrong_early=0.9) if one.keys["method"] != "dact"])
    early = bad.query("risk == 'quality' and procedure == 'ltt' and tolerance == .01")
    assert (early["layer_fraction"] > 0.4).all()
    tiny = table(panel(n=1))
    assert len(tiny) and (tiny.query("procedure in ['ltt', 'betting', 'crc']")["status"] == "cannot at this size").all()


def test_nothing_certified_falls_back_on_full_depth():
    sweeps = panel()
    labels = sweeps[0].trace.labels
    wrong = np.tile((1 - labels)[:, None], (1, 3)).astype(np.int8)
    wrong[:, 2] = sweeps[1].by_layer[:, 2]
    models = [make_sweep("dact", [[1] * 800], "sst2", by_layer=wrong, labels=labels) for _ in range(2)]
    models = [replace(one, keys={**one.keys, "variant": f"tau={at}"}) for at, one in enumerate(models)]
    found = table([sweeps[0], *models]).query("risk == 'quality' and procedure == 'ltt'")
    assert (found["status"] == "none certified").all() and (found["layer_fraction"] == 1).all()
    assert (found["delivered"] == 0).all() and (found["broken"] == 0).all() and (found["certified"] == 0).all()


def test_without_classes_or_a_static_model_the_row_says_so():
    without = table(panel()[1:])
    assert (without.query("risk != 'disagreement'")["status"] == "needs the static model of this seed").all()
    assert (without.query("risk == 'disagreement'")["status"] == "").any()
    scores = np.random.default_rng(0).random((20, 3))
    regression = make_sweep("pabee", [[1] * 20, [3] * 20], "stsb", by_layer=scores, labels=scores[:, 2])
    assert table([regression])["status"].tolist() == ["needs classes"]


def test_risks_are_computed_once(tmp_path, monkeypatch):
    sweeps, calls = panel(n=40), []
    monkeypatch.setattr(risk_cache, "risk_rows", lambda given: calls.append(1) or risk_rows(given))
    folder = RunFolder(tmp_path)

    def rows(digest):
        records = [{"key": "c", "traces": {"validation": digest}}]
        return list(risk_cache.cached_risk(folder, records, "validation", sweeps))

    first = concat_rows(rows("one"), RISK)
    again = concat_rows(rows("one"), RISK)
    assert len(calls) == 1 and again.to_csv() == first.to_csv() == concat_rows(list(risk_rows(sweeps)), RISK).to_csv()
    rows("another trace")
    assert len(calls) == 2
    next((tmp_path / "risk").iterdir()).write_text("{ damaged")
    rows("another trace")
    assert len(calls) == 3
