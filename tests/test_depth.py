"""What layers are worth: shares and gaps by hand, depth.csv of hand-made traces, published numbers, and the figure."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_tables
from test_figures import draw, words
from test_references import BY_LAYER, CHOSEN, DEPTHS, everybody, make_sweep

from bench.statistics.depth import gain_shares, profile_gap
from bench.tables.columns import concat_rows
from bench.tables.depth import DEPTH, depth_rows
from bench.tables.published_depth import FINE_TUNED, FROZEN, JOINT, published, published_at

#: By hand from the published percentages, at layers 1, 2, 3, 4, 6, 8, 9 and 10 of 12.
PUBLISHED = {
    "sst2": (0.56, 0.67, 0.68, 0.69, 0.81, 0.90, 0.98, 0.99),
    "qnli": (0.20, 0.22, 0.50, 0.69, 0.78, 0.80, 0.80, 0.81),
    "qqp": (0, 0, 0.42, 0.64, 0.83, 0.88, 0.91, 0.92),
    "mnli": (0.17, 0.19, 0.34, 0.49, 0.76, 0.85, 0.91, 0.92),
    "rte": (0.16, 0.11, 0.02, 0.38, 0.77, 0.68, 0.56, 0.55),
    "mrpc": (0.01, 0.01, 0.01, 0.11, 0.27, 0.41, 0.72, 0.85),
}


#: The same of models trained with all exits, beside the frozen model's gain.
PUBLISHED_JOINT = {
    "sst2": (0.80, 0.81, 0.86, 0.90, 0.92, 0.95, 0.95, 0.95),
    "qnli": (0.27, 0.32, 0.81, 0.85, 0.90, 0.94, 0.94, 0.96),
    "qqp": (0.39, 0.70, 0.89, 0.92, 0.97, 0.98, 0.98, 0.99),
    "mnli": (0.53, 0.74, 0.83, 0.87, 0.94, 0.97, 0.97, 0.98),
    "rte": (0, 0.13, 0.21, 0.79, 0.77, 0.86, 0.84, 0.79),
    "mrpc": (0.01, 0.03, 0.07, 0.25, 0.41, 0.57, 0.62, 0.65),
}


def rows_of(*sweeps):
    return concat_rows(list(depth_rows(sweeps)), DEPTH)


def test_shares_by_hand():
    assert gain_shares(np.array([0.4, 0.6, 0.9]), 0.9, 0.5) == pytest.approx([0, 0.25, 1])  # below the constant: 0
    assert np.isnan(gain_shares(np.array([0.5, 0.51]), 0.51, 0.5)).all()  # a gain of .01 has no shares
    assert np.isnan(gain_shares(np.array([np.nan, np.nan]), np.nan, 0.5)).all()


def test_the_gap_of_two_profiles_by_hand():
    twelve, flat = np.arange(1, 13) / 12, np.ones(12)
    assert profile_gap(twelve, twelve, twelve, flat) == pytest.approx(np.mean([11, 10, 9, 8, 6, 3]) / 12)
    # six layers have no value at 1/12, and 3/12 and 9/12 lie between two of them
    assert profile_gap(twelve[1::2], twelve[1::2], twelve, flat) == pytest.approx(np.mean([10, 9, 8, 6, 3]) / 12)
    assert np.isnan(profile_gap(np.array([1.0]), np.array([1.0]), twelve, flat))


@pytest.mark.parametrize("task", PUBLISHED)
def test_published_scores_give_the_published_shares(task):
    split = "validation_matched" if task == "mnli" else "validation"
    x, shares = published(task, split, FROZEN)
    assert shares[[0, 1, 2, 3, 5, 7, 8, 9]] == pytest.approx(PUBLISHED[task], abs=0.011)
    assert x[[0, 2, 11]].tolist() == pytest.approx([1 / 12, 1 / 4, 1]) and shares[-1] == 1
    joint = published(task, split, JOINT)[1]
    assert joint[[0, 1, 2, 3, 5, 7, 8, 9]] == pytest.approx(PUBLISHED_JOINT[task], abs=0.011) and joint[-1] < 1


def test_published_values_stand_only_where_they_are_published():
    x = np.array([1, 3, 6, 9, 12]) / 12
    cut = published_at("rte", "validation", FINE_TUNED, x)
    assert np.isnan(cut[[0, 3]]).all() and cut[[1, 2, 4]].tolist() == [0.18, 0.8, 1]
    between = published_at("mnli", "validation_matched", FROZEN, np.array([1.5 / 12]))
    assert between == pytest.approx([published("mnli", "validation_matched", FROZEN)[1][:2].mean()])
    assert published("cola", "validation", FROZEN) is None
    assert np.isnan(published_at("mnli", "validation_mismatched", FROZEN, x)).all()


def test_rows_of_both_profiles_by_hand():
    # at layers 1, 2, 3 so many are right: 1/2, 2/3, 5/6; of a second seed 1/2, 1/2, 5/6; "1" is right for 2/3
    other = make_sweep("truncated", DEPTHS, seed=1, by_layer=BY_LAYER[:, [0, 0, 2]])
    cut = make_sweep("shallow", [everybody(2)])
    cut = replace(cut, keys={**cut.keys, "variant": "depth=0.7"})
    shallower = make_sweep("shallow", [everybody(1)])  # of another variant
    whole = make_sweep("static", [everybody(3)])
    table = rows_of(make_sweep("truncated", DEPTHS), other, cut, shallower, whole)
    assert table["profile"].tolist() == ["frozen"] * 3 + ["fine-tuned"] * 3
    assert table["layer"].tolist() == [1, 2, 3, 1, 2, 3] and table["seeds"].tolist() == [2, 2, 2, 1, 1, 1]
    assert table["layer_fraction"].tolist() == pytest.approx([1 / 3, 2 / 3, 1] * 2)
    assert table["value"].tolist() == pytest.approx([1 / 2, 7 / 12, 5 / 6, 1 / 2, 2 / 3, 5 / 6])
    assert table["constant"].tolist() == pytest.approx([4 / 6] * 6)
    assert table["share"].tolist() == pytest.approx([0, 0, 1, 0, 0, 1])
    real = dict(zip(*published("rte", "validation", FROZEN), strict=True))
    assert table["published"].tolist()[:3] == pytest.approx([real[4 / 12], real[8 / 12], 1])
    assert np.isnan(table["published"].tolist()[3:5]).all()  # nothing is published at a third of the layers
    assert table["value_low"].isna().tolist() == [False] * 3 + [True] * 3  # one seed has no interval


def test_what_joint_training_gives_is_a_share_of_what_the_static_model_gains():
    labels = np.array([0, 1, 1, 0, 1, 0])  # "1" is right for half; layers are right for 4, 5 and 6 of 6
    whole = make_sweep("static", [everybody(2)], labels=labels)  # 5 of 6
    table = rows_of(make_sweep("pabee", [CHOSEN], labels=labels), whole)
    assert table["profile"].tolist() == ["joint"] * 3 and table["layer"].tolist() == [1, 2, 3]
    assert table["value"].tolist() == pytest.approx([4 / 6, 5 / 6, 1])
    assert table["share"].tolist() == pytest.approx([1 / 2, 1, 3 / 2])
    real = dict(zip(*published("rte", "validation", JOINT), strict=True))
    assert table["published"].tolist() == pytest.approx([real[4 / 12], real[8 / 12], real[1]])


def test_a_share_between_the_constant_and_the_whole():
    labels = np.array([0, 1, 1, 0, 1, 0])  # "1" is right for half; layers are right for 4, 5 and 6 of 6
    table = rows_of(make_sweep("truncated", DEPTHS, labels=labels))
    assert table["value"].tolist() == pytest.approx([4 / 6, 5 / 6, 1])
    assert table["share"].tolist() == pytest.approx([1 / 3, 2 / 3, 1])


def test_nothing_to_show_is_no_row():
    assert len(rows_of(make_sweep("mine", DEPTHS))) == 0
    assert len(rows_of(make_sweep("shallow", [everybody(1)]))) == 0  # without the static model


def test_a_constant_correlates_with_nothing():
    scores = np.column_stack([np.arange(6)[::-1], np.arange(6), np.arange(6)]).astype(float)
    table = rows_of(make_sweep("truncated", DEPTHS, "stsb", by_layer=scores, labels=scores[:, 2]))
    assert table["constant"].tolist() == [0, 0, 0] and table["share"].tolist() == pytest.approx([0, 1, 1])
    assert table["published"].isna().all() and set(table["metric"]) == {"pearson"}


def test_the_figure_says_the_gap_and_what_is_published(tmp_path):
    run = make_tables(tmp_path, tasks=["sst2", "mnli"], backbones=["bert"], seeds=2)
    said = words(draw(run, "depth"))
    assert said.count("frozen: gap .") == 2 and "MNLI-mm" not in said
    assert "GLUE: frozen backbone" in said and "cut and fine-tuned" not in said
