"""GLUE's metrics: hand-worked values, degenerate cases, and two independent computations that must agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.errors import UserError
from bench.sources.tasks import TASKS
from bench.statistics.metrics import confusion, evaluate_predictions, pearson, spearman, values_from_confusion


def test_confusion_counts_every_knob_on_its_own():
    counts = confusion(np.array([0, 1, 2, 1]), np.array([[0, 1, 2, 2], [0, 0, 0, 0]]), 3)
    assert counts.tolist() == [[[1, 0, 0], [0, 1, 1], [0, 0, 1]], [[1, 0, 0], [2, 0, 0], [1, 0, 0]]]


def test_hand_worked_binary_values():
    # tn 1, fp 2, fn 1, tp 4
    values = values_from_confusion(np.array([[1, 2], [1, 4]]))
    assert values["accuracy"] == 5 / 8
    assert values["f1"] == pytest.approx(8 / 11)
    assert values["matthews"] == pytest.approx((4 * 1 - 2 * 1) / np.sqrt(6 * 5 * 3 * 2))


def test_f1_belongs_to_two_classes_only():
    assert list(values_from_confusion(np.eye(3))) == ["accuracy", "matthews"]


def test_leading_shape_of_the_counts_is_kept():
    assert {v.shape for v in values_from_confusion(np.ones((4, 5, 2, 2))).values()} == {(4, 5)}


def test_metrics_of_large_counts_are_exact():
    assert values_from_confusion(np.array([[10**6, 0], [0, 10**6]]))["matthews"] == 1


@pytest.mark.parametrize(("labels", "predictions"), [([0, 1, 1], [0, 0, 0]), ([0, 0, 0], [0, 1, 1])])
def test_undefined_classification_values_are_zero(labels, predictions):
    values = evaluate_predictions(TASKS["cola"], np.array(labels), np.array([predictions]))
    assert values["f1"] == 0
    assert values["matthews"] == 0


def test_constant_scores_correlate_with_nothing():
    labels, constant = np.array([1.0, 2.0, 4.0]), np.full((1, 3), 0.1, dtype=np.float32)
    for correlate in (pearson, spearman):
        assert correlate(labels, constant) == 0
        assert correlate(constant[0], labels[None]) == 0
        assert correlate(labels[:1], labels[None, :1]) == 0
        assert np.isnan(correlate(labels, np.array([[1.0, np.nan, 2.0]])))


def test_spearman_shares_ranks_among_ties_and_ignores_scale():
    order = np.array([[1.0, 10.0, 1000.0], [3.0, 2.0, 1.0]])
    assert spearman(np.array([1.0, 2.0, 3.0]), order) == pytest.approx([1, -1])
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([[1.0, 1.0, 2.0]])) == pytest.approx(np.sqrt(0.75))


@pytest.fixture(scope="module")
def glue_metrics():
    from bench.statistics import glue_metric as module

    return {task_id: module.GlueMetric(task_id) for task_id in TASKS}


def assert_agree(glue_metric, task, labels, predictions):
    ours = evaluate_predictions(task, labels, predictions)
    assert list(ours) == list(task.metrics)
    for knob, row in enumerate(predictions):
        theirs = glue_metric.compute(predictions=row, references=labels)
        assert list(theirs) == list(task.metrics)
        for name, value in theirs.items():
            assert value == pytest.approx(ours[name][knob], abs=1e-12), name


@pytest.mark.parametrize("task", [task for task in TASKS.values() if not task.regression], ids=lambda task: task.id)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_both_computations_agree_on_classes(glue_metrics, task, data):
    n = data.draw(st.integers(1, 12))
    ids = st.integers(0, task.num_labels - 1)
    labels = data.draw(arrays(np.int64, n, elements=ids))
    predictions = data.draw(arrays(np.int64, (2, n), elements=ids))
    assert_agree(glue_metrics[task.id], task, labels, predictions)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_both_computations_agree_on_scores(glue_metrics, data):
    n = data.draw(st.integers(1, 12))
    labels = data.draw(arrays(np.float32, n, elements=st.floats(0, 5, width=32)))
    predictions = data.draw(arrays(np.float32, (2, n), elements=st.floats(-100, 100, width=32)))
    assert_agree(glue_metrics["stsb"], TASKS["stsb"], labels, predictions)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_both_computations_agree_on_many_rows(glue_metrics, task):
    rng = np.random.default_rng(0)
    if task.regression:
        labels, predictions = rng.uniform(0, 5, 2000), rng.normal(2, 1, (3, 2000))
    else:
        labels, predictions = (rng.integers(0, task.num_labels, shape) for shape in (2000, (3, 2000)))
    assert_agree(glue_metrics[task.id], task, labels, predictions)


def test_glue_metric_leaves_no_file_behind(tmp_path, monkeypatch):
    from bench.statistics import glue_metric as module

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    module.GlueMetric("sst2").compute(predictions=[0, 1], references=[0, 1])
    assert list(tmp_path.iterdir()) == []


def test_glue_metric_of_an_unknown_task():
    from bench.statistics import glue_metric as module

    with pytest.raises(UserError, match=r"unknown task 'sst-2'.*did you mean 'sst2'"):
        module.GlueMetric("sst-2")
