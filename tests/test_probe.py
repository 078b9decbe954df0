"""The closed-form probe: what it can and cannot read, and leave-one-out against leaving one out."""

import numpy as np

from bench.statistics import probe as module
from bench.statistics.probe import probe


def clouds(rng, n, distance, width=20):
    labels = rng.integers(2, size=n)
    states = rng.normal(size=(n, width)) + distance * labels[:, None] * np.eye(width)[0]
    return states, labels


def test_it_reads_what_is_there_on_any_scale():
    rng = np.random.default_rng(0)
    states, labels = clouds(rng, 400, 4)
    others, truth = clouds(rng, 400, 4)
    assert (probe(states, labels, 2, others) == truth).mean() > 0.95
    # a thousandth of a difference around a mean of .05: what an exit is blind to
    assert (probe(0.001 * states + 0.05, labels, 2, 0.001 * others + 0.05) == truth).mean() > 0.95


def test_it_reads_nothing_where_nothing_is():
    rng = np.random.default_rng(1)
    states, labels = clouds(rng, 400, 0)
    others, truth = clouds(rng, 2000, 0)
    assert abs((probe(states, labels, 2, others) == truth).mean() - 0.5) < 0.05
    constant = probe(np.full((9, 3), 0.1), np.array([1] * 6 + [0] * 3), 2, np.full((4, 3), 0.1))
    assert constant.tolist() == [1, 1, 1, 1], "the commonest label"


def test_more_features_than_rows():
    rng = np.random.default_rng(2)
    states, labels = clouds(rng, 60, 5, width=200)
    others, truth = clouds(rng, 300, 5, width=200)
    assert (probe(states, labels, 2, others) == truth).mean() > 0.6


def test_three_classes():
    rng = np.random.default_rng(3)
    labels, truth = rng.integers(3, size=300), rng.integers(3, size=300)
    states, others = (5 * np.eye(3)[each] + rng.normal(size=(300, 3)) for each in (labels, truth))
    assert (probe(states, labels, 3, others) == truth).mean() > 0.95


def test_leave_one_out_is_what_leaving_one_out_gives(monkeypatch):
    """With one penalty on offer, the probe of all rows but one answers that one as the shortcut does."""
    rng = np.random.default_rng(4)
    x, labels = clouds(rng, 30, 2, width=4)
    penalty = 0.1 * len(x)
    y = np.eye(2)[labels]
    design = np.column_stack([np.ones(30), (x - x.mean(axis=0)) / x.std(axis=0)])
    ridge = penalty * np.diag([0, 1, 1, 1, 1])
    hat = design @ np.linalg.solve(design.T @ design + ridge, design.T)
    shortcut = y - (y - hat @ y) / (1 - np.diag(hat))[:, None]
    for row in range(30):
        keep = np.arange(30) != row
        solved = np.linalg.solve(design[keep].T @ design[keep] + ridge, design[keep].T @ y[keep])
        np.testing.assert_allclose(design[row] @ solved, shortcut[row], atol=1e-9)
    monkeypatch.setattr(module, "PENALTIES", np.array([0.1]))
    assert (probe(x, labels, 2, x) == (hat @ y).argmax(axis=1)).all()
