"""Tables over seeds and tasks: comparisons, ranks, stability, transfer, and what traces show, worked by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.halting.sweep import Sweep, point_rows
from bench.sources.examples import NOISY, UNDECIDABLE
from bench.sources.tasks import TASKS
from bench.store.trace import Trace
from bench.tables import bounds, confidence, difficulty, layers, paired, transfer
from bench.tables.auc import auc_table
from bench.tables.budgets import budget_table
from bench.tables.collect import concatenated
from bench.tables.columns import concat_rows
from bench.tables.curves import curve_table
from bench.tables.exits import exit_rows
from bench.tables.ranks import mean_rank_table
from bench.tables.scores import AREAS, QUANTITIES, Scores, group_means, score_table
from bench.tables.stability import stability_table
from methods import discover
from methods.base import RuleSpec
from methods.dact import SLACK

METHODS = ("one", "two", "three")
#: What the four examples of `small_sweep` are answered at each of three layers.
BY_LAYER = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 1], [1, 0, 1]], dtype=np.int8)


def make_scores(task, values, split="validation", spread=0.0, draws=400):
    """A panel where method m has `values[m]`, one per seed, for every quantity; draws scatter by `spread`."""
    runs = [(method, seed) for method, row in values.items() for seed in range(len(row))]
    flat = np.array([value for row in values.values() for value in row], dtype=float)
    table = np.repeat(flat[:, None], len(QUANTITIES), axis=1)
    noise = spread * np.random.default_rng(0).normal(size=(draws, len(runs), 1))
    keys = {"suite": "tiny", "task": task, "split": split, "backbone": "bert", "metric": "accuracy"}
    means, gaps, bought = group_means(runs, table + noise), np.full(len(runs), 0.1), np.zeros((len(runs), 3, 4))
    models = dict.fromkeys(values, 1)
    return Scores({**keys, "resolution": "exact"}, runs, table, means, 0.2, 0.8, gaps, [], models, bought)


def test_within_a_task_the_units_are_seeds():
    panel = make_scores("rte", {"one": [0.80, 0.82, 0.84], "two": [0.79, 0.80, 0.81]}, spread=0.001)
    table = paired.paired_table([panel], METHODS)
    assert len(table) == len(QUANTITIES) and table.columns.tolist() == paired.PAIRED
    row = table.iloc[0]
    assert (row["method_a"], row["method_b"], row["units"], row["unit_kind"]) == ("one", "two", 3, "seeds")
    assert row["difference"] == pytest.approx(0.02)  # .01, .02, .03: s = .01
    half = stats.t.ppf(0.975, 2) * 0.01 / np.sqrt(3)
    assert row["difference_high"] - row["difference"] == pytest.approx(half)
    assert row["p_t"] == row["p_t_holm"] == pytest.approx(0.0742, abs=1e-4)
    assert row["p_boot"] == pytest.approx(2 / 401) and 0.018 < row["difference_boot_low"] < 0.02
    assert row["best"] == "one" and row["winner"] == ""  # the bootstrap alone is not enough


def test_across_tasks_the_units_are_task_means_and_mnli_counts_once():
    panels = [
        make_scores("rte", {"one": [0.8, 0.9], "two": [0.75, 0.85]}),
        make_scores("sst2", {"one": [0.9, 0.9], "two": [0.88, 0.82]}),
        make_scores("mnli", {"one": [0.7, 0.7], "two": [0.69, 0.65]}, "validation_matched"),
        make_scores("mnli", {"one": [0.1, 0.1], "two": [0.9, 0.9]}, "validation_mismatched"),
    ]
    table = paired.paired_table(panels, METHODS)
    row = table[table["task"] == "mean"].iloc[0]
    differences = np.array([0.05, 0.05, 0.03])
    assert (row["units"], row["unit_kind"]) == (3, "tasks")
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["p_t"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_a_method_missing_on_one_task_has_no_mean_over_tasks():
    panels = [make_scores("rte", {"one": [0.8], "two": [0.7]}), make_scores("sst2", {"one": [0.8]})]
    assert not (paired.paired_table(panels, METHODS)["task"] == "mean").any()


def test_the_winner_must_win_both_ways_after_holm():
    values = {"one": [0.90, 0.91, 0.92], "two": [0.80, 0.81, 0.82001], "three": [0.70, 0.71, 0.72]}
    clear = paired.paired_table([make_scores("rte", values, spread=0.001)], METHODS)
    first = clear[clear["quantity"] == "auc_common"]
    assert first["best"].tolist() == ["one", "", ""] and first["winner"].tolist() == ["one", "", ""]
    assert (first["p_t_holm"] >= first["p_t"]).all() and (first["p_boot_holm"] >= first["p_boot"]).all()
    noisy = paired.paired_table([make_scores("rte", values, spread=0.5)], METHODS)
    assert (noisy["winner"] == "").all() and (noisy["best"] == "one").any()


def test_only_seeds_that_both_methods_have_are_paired():
    row = paired.paired_table([make_scores("rte", {"one": [0.8, 0.9, 0.1], "two": [0.7, 0.7]})], METHODS).iloc[0]
    assert row["units"] == 2 and row["value_a"] == pytest.approx(0.85)


def test_a_quantity_that_a_seed_lacks_is_not_compared():
    panel = make_scores("rte", {"one": [0.8, np.nan], "two": [0.7, 0.7]})
    assert paired.paired_table([panel], METHODS).empty


def test_auc_and_budgets_summarise_the_scores():
    panels = [make_scores("rte", {"one": [0.8, 0.9]}, spread=0.01), make_scores("sst2", {"one": [0.6, 0.8]})]
    auc, budgets, scores = auc_table(panels), budget_table(panels), score_table(panels)
    assert auc["task"].tolist() == ["rte", "sst2", "mean"] and len(budgets) == 12 and len(scores) == 4
    half = stats.t.ppf(0.975, 1) * np.std([0.7, 0.85], ddof=1) / np.sqrt(2)
    mean = auc.iloc[2]
    for area in AREAS:
        assert mean[area] == pytest.approx(0.775)  # seeds .70 and .85
        assert mean[f"{area}_high"] == pytest.approx(0.775 + half)
    assert auc.iloc[0]["auc_common_boot_low"] < 0.85 < auc.iloc[0]["auc_common_boot_high"]
    assert auc.iloc[1]["auc_common_boot_low"] == pytest.approx(0.7)
    assert budgets["budget"].tolist() == [0.25, 0.5, 0.75, 1.0] * 3
    assert budgets["value"].tolist() == pytest.approx([0.85] * 4 + [0.7] * 4 + [0.775] * 4)


def test_a_bootstrap_interval_needs_most_draws():
    panel = make_scores("rte", {"one": [0.8, 0.9]})
    panel.mean_draws("one")[:10] = np.nan  # of 400
    assert np.isfinite(auc_table([panel])["auc_common_boot_low"]).all()
    panel.mean_draws("one")[:30] = np.nan
    assert auc_table([panel])["auc_common_boot_low"].isna().all()


def test_mean_ranks_share_ties_and_leave_out_incomplete_methods():
    panels = [
        make_scores("rte", {"one": [0.8, 0.8], "two": [0.8, 0.8], "three": [0.7, 0.7], "four": [0.9, np.nan]}),
        make_scores("sst2", {"one": [0.5, 0.7], "two": [0.7, 0.7], "three": [0.9, 0.9], "four": [0.9, 0.9]}),
    ]
    table = mean_rank_table(panels, [*METHODS, "four"])
    ranks = table[table["quantity"] == "auc_budget"].set_index("method")["mean_rank"].to_dict()
    assert ranks == {"one": 2.25, "two": 1.75, "three": 2.0}
    assert (table["tasks"] == 2).all() and (table["methods"] == 3).all()


def test_stability_counts_only_knobs_inside_the_range():
    rows = [(p, seed, x) for p, xs in ((1, (0.1, 0.2)), (2, (0.4, 0.6)), (3, (0.5, 0.5))) for seed, x in enumerate(xs)]
    points = pd.DataFrame(rows, columns=["knob_value", "seed", "layer_fraction"])
    points = points.assign(suite="tiny", task="rte", split="validation", backbone="bert", method="one", variant="")
    points = points.assign(knob="patience", value=0.8)
    (row,) = stability_table(points, [make_scores("rte", {"one": [0.8, 0.8]})]).to_dict("records")
    assert row["knobs"] == 2 and row["seeds"] == 2 and row["value_sd"] == 0
    assert row["x_sd"] == pytest.approx(np.sqrt(0.02 / 2)) and row["x_sd_max"] == pytest.approx(np.sqrt(0.02))


# --- knob transfer


def test_transfer_by_budget_takes_the_best_setting_that_fits():
    x, y = np.array([0, 0.2, 0.5, 0.7]), np.array([0.5, 0.6, 0.8, 0.9])
    x_other, y_other = np.array([0, 0.3, 0.45, 0.8]), np.array([0.4, 0.5, 0.7, 0.95])
    cost, value = transfer.budget_rows({}, transfer.Side((x, x_other), (y, y_other)))
    assert cost["promised"].tolist() == [0.2, 0.5, 0.7] and cost["delivered"].tolist() == [0.3, 0.45, 0.8]
    assert value["promised"].tolist() == [0.6, 0.8, 0.9] and value["delivered"].tolist() == [0.5, 0.7, 0.95]
    assert cost["kept"].tolist() == [0, 1, 0] and cost["constant"].tolist() == [0, 0, 0]


def test_transfer_by_drop_takes_the_cheapest_setting_that_fits():
    x, drop = np.array([0, 0.2, 0.4, 0.6, 0.4]), np.array([0.3, 0.06, 0.02, 0.0, 0.015])
    cost, dropped = transfer.drop_rows({}, transfer.Side((x, x + 0.1), (0.9 - drop, 0.9 - drop)), (0.9, 0.91))
    assert cost["promised"].tolist() == [0.6, 0.4, 0.4]
    np.testing.assert_allclose(dropped["promised"], [0.0, 0.015, 0.015], atol=1e-12)
    assert cost["delivered"].tolist() == [0.7, 0.5, 0.5]
    np.testing.assert_allclose(dropped["delivered"], [0.01, 0.025, 0.025])
    assert dropped["kept"].tolist() == [1, 0, 1]


def test_the_constant_answer_is_everybodys_choice():
    side = transfer.Side((np.array([0, 0.2, 0.6]),) * 2, (np.array([0.7, 0.6, 0.9]),) * 2)
    cost, value = transfer.budget_rows({}, side)
    assert cost["promised"].tolist() == [0, 0, 0.6] and value["promised"].tolist() == [0.7, 0.7, 0.9]
    assert cost["constant"].tolist() == [1, 1, 0]


def test_transfer_table_averages_directions_then_seeds():
    keys = dict.fromkeys(["suite", "task", "split", "backbone", "method", "metric"], "m")
    keys |= {"target": "budget", "target_value": 0.5, "quantity": "value"}
    rows = [(0, 0.8, 0.7, 1), (0, 0.9, 0.9, 0), (1, 0.8, 0.8, 1), (1, np.nan, np.nan, np.nan)]
    choices = pd.DataFrame(
        [{**keys, "seed": s, "promised": p, "delivered": d, "kept": k, "constant": k} for s, p, d, k in rows]
    )
    (row,) = transfer.transfer_table(choices).to_dict("records")
    assert row["promised"] == pytest.approx((0.85 + 0.8) / 2) and row["delivered"] == pytest.approx(0.8)
    assert row["gap"] == pytest.approx(-0.025) and row["kept"] == pytest.approx(0.75)
    assert (row["seeds"], row["chosen"]) == (2, 3)


# --- what traces show


@pytest.fixture
def small_sweep():
    """Four examples, three layers, two knob values: the second sends everybody to layer 2."""
    logits = np.log(np.array([0.5, 0.5, 0.9, 0.1])).reshape(1, 2, 2).repeat(4, axis=0)
    logits = np.concatenate([logits, logits[:, -1:]], axis=1).astype(np.float32)  # [4, 3, 2]
    halting = np.full((4, 3), 0.5, dtype=np.float32)
    trace = Trace(logits, np.array([0, 1, 1, 0]), np.arange(10, 14), np.full(4, 5), halting, np.array([1, 1, 2, 2]))
    keys = {"cell": "c", "suite": "tiny", "task": "rte", "split": "validation", "backbone": "bert", "method": "dact"}
    keys |= {"variant": "tau=0.5", "seed": 0, "knob": "eps"}
    layers = np.array([[1, 1, 3, 2], [2, 2, 2, 2]], dtype=np.int8)
    predictions = np.array([[0, 0, 1, 1], [0, 1, 1, 0]], dtype=np.int8)
    counted, asked = (np.ones(2), 1, 4.0), (discover("equal")["dact"], RuleSpec(3, 2), {})
    points = (np.array([0.0, 1.0]), layers, predictions)
    return Sweep(keys, TASKS["rte"], *points, trace, 3, 1, None, BY_LAYER, *counted, *asked)


def test_exits_by_layer(small_sweep):
    table = concat_rows([exit_rows(small_sweep)], ["knob_value", "layer", "exit_count", "used_count"])
    assert table.to_numpy().tolist() == [
        [0, 1, 2, 4], [0, 2, 1, 2], [0, 3, 1, 1],
        [1, 1, 0, 4], [1, 2, 4, 4], [1, 3, 0, 0],
    ]  # fmt: skip


def test_agreement_with_full_depth_stands_beside_the_metrics(small_sweep):
    # full depth answers 0, 1, 1, 1: both settings differ from it in one answer
    assert point_rows(small_sweep)["agrees_with_full_depth"].tolist() == [0.75, 0.75]
    regression = replace(small_sweep, task=TASKS["stsb"])
    assert np.isnan(point_rows(regression)["agrees_with_full_depth"])


def test_models_that_differ_in_tau_are_one_curve(small_sweep):
    parts = []
    for row, variant in enumerate(("tau=0.5", "tau=0.05")):
        one = {"layers": small_sweep.layers[[row]], "predictions": small_sweep.predictions[[row]]}
        keys = {**small_sweep.keys, "variant": variant}
        one = replace(small_sweep, keys=keys, knob_values=np.zeros(1), mac_fraction=np.ones(1), **one)
        parts.append(point_rows(one))
    points = concat_rows(parts, [*parts[0]])
    assert points["variant"].tolist() == ["tau=0.5", "tau=0.05"] and points["layer_fraction"].tolist() == [
        7 / 12,
        2 / 3,
    ]
    curve = curve_table(points, points.iloc[:0])
    assert curve["x"].tolist() == np.round(np.arange(59, 67) / 100, 2).tolist() and set(curve["variant"]) == {""}
    assert (curve["dotted"] == 1).all(), "between two trained models there is nothing"


@pytest.mark.parametrize(("apart", "dotted"), [(0.25, False), (0.3, True)])
def test_a_swept_curve_is_dotted_across_more_than_a_quarter_of_the_axis(apart, dotted):
    keys = {"suite": "s", "task": "rte", "split": "v", "backbone": "bert", "method": "m", "variant": "", "seed": 0}
    points = pd.DataFrame([{**keys, "knob_value": x, "layer_fraction": x, "value": x} for x in (0.2, 0.2 + apart)])
    curve = curve_table(points, points.iloc[:0])
    assert curve["dotted"].iloc[1:-1].tolist() == [dotted] * (len(curve) - 2)


def test_tables_of_panels_keep_their_texts_as_categories():
    parts = [[{"task": "rte", "value": np.array([1.0, 2.0])}], [{"task": "mrpc", "value": np.array([3.0])}]]
    tables = [{"points": concat_rows(part, ["task", "value"])} for part in parts]
    task, value = (concatenated([table["points"][name] for table in tables]) for name in ("task", "value"))
    assert task.tolist() == ["rte", "rte", "mrpc"] and task.cat.categories.tolist() == ["mrpc", "rte"]
    assert value.tolist() == [1, 2, 3]


def test_exits_against_difficulty(small_sweep):
    easy, hard = difficulty.difficulty_rows(small_sweep)
    assert (easy["difficulty"], easy["n"], hard["difficulty"]) == (1, 2, 2)
    assert easy["mean_exit_layer"].tolist() == [1, 2] and hard["mean_exit_layer"].tolist() == [2.5, 2]
    assert easy["value"].tolist() == [0.5, 1] and hard["value"].tolist() == [0.5, 1]


def test_rank_correlation_needs_exits_that_differ(small_sweep):
    (rows,) = difficulty.rank_rows(small_sweep)
    # ranks of layers 1.5, 1.5, 4, 3 against 1.5, 1.5, 3.5, 3.5
    assert rows["spearman"][0] == pytest.approx(stats.spearmanr([1, 1, 3, 2], [1, 1, 2, 2]).statistic)
    assert np.isnan(rows["spearman"][1])
    table = difficulty.rank_table(concat_rows([rows], difficulty.BY_SEED))
    assert len(table) == 1 and table["seeds"].tolist() == [1] and table["spearman_low"].isna().all()


def test_examples_without_steps_are_left_out_of_difficulty(small_sweep):
    codes = np.array([1, NOISY, 2, UNDECIDABLE])
    sweep = replace(small_sweep, trace=replace(small_sweep.trace, difficulty=codes))
    easy, hard = difficulty.difficulty_rows(sweep)
    assert (easy["difficulty"], easy["n"], hard["difficulty"], hard["n"]) == (1, 1, 2, 1)
    (rows,) = difficulty.rank_rows(sweep)
    assert rows["spearman"][0] == pytest.approx(1)  # of the first and third example, which leave at layers 1 and 3


def test_three_examples_by_mean_exit(small_sweep):
    names, mean = layers.chosen_examples([small_sweep])
    assert mean.tolist() == [1.5, 1.5, 2.5, 2.0]
    assert names == {"earliest": 0, "median": 1, "latest": 2}
    rows = concat_rows(list(layers.layer_rows([small_sweep])), layers.LAYERS)
    assert len(rows) == 3 * 2 * 3 and set(rows["index"]) == {10, 11, 12}
    p = rows[(rows["quantity"] == "p") & (rows["example"] == "latest")]
    assert p["value"].tolist() == [0.5, 0.25, 0.125] and p["layer"].tolist() == [1, 2, 3]


def test_entropy_by_layer_of_a_trace_without_halting_values(small_sweep):
    trace = Trace(**{**vars(small_sweep.trace), "halting": None})
    source = replace(small_sweep, trace=trace)
    (values,) = layers.layer_quantities(source, 0).values()
    assert values == pytest.approx([np.log(2), stats.entropy([0.9, 0.1]), stats.entropy([0.9, 0.1])])


def test_bounds_halt_no_later_the_looser_they_are(small_sweep):
    table = concat_rows(list(bounds.bound_rows(small_sweep)), bounds.BOUNDS)
    assert table["bound"].tolist() == ["paper"] + ["exact"] * len(SLACK)
    assert table["eps"].tolist() == [0, *SLACK]
    assert (np.diff(table["layer_fraction"]) <= 0).all()
    assert (table.loc[table["eps"] == 0, "changed"] == 0).all() and (table["n"] == 4).all()


def confidence_of(sweep, **changes):
    source = replace(sweep, **changes)
    return concat_rows(list(confidence.confidence_rows(source)), confidence.CONFIDENCE)


def test_confidence_at_exit(small_sweep):
    # y is (.5, .5), (.9, .1), (.9, .1) and h = .5: a_2 = (.7, .3), a_3 = .25 (.9, .1) + .75 (.7, .3)
    table = confidence_of(small_sweep, train_rows=90.0)
    one, two, three = np.log(2), stats.entropy([0.7, 0.3]), stats.entropy([0.75, 0.25])
    assert table["exit_entropy"].tolist() == pytest.approx([(2 * one + three + two) / 4, two])
    assert table["layer_fraction"].tolist() == pytest.approx([7 / 12, 2 / 3])
    assert table[["decided", "train_rows", "n"]].to_numpy().tolist() == [[0, 90, 4]] * 2


def test_confidence_of_logits_and_of_other_methods(small_sweep):
    deebert = confidence_of(small_sweep, keys={**small_sweep.keys, "method": "deebert"})
    sure = stats.entropy([0.9, 0.1])
    assert deebert["exit_entropy"].tolist() == pytest.approx([(2 * np.log(2) + 2 * sure) / 4, sure])
    assert deebert["decided"].isna().all()
    assert confidence_of(small_sweep, keys={**small_sweep.keys, "method": "pabee"}).empty


def test_halting_values_count_as_decided_below_the_last_layer(small_sweep):
    halting = np.array([[0.05, 0.5, 0.05], [0.95, 0.5, 0.5], [0.1, 0.9, 0.0], [0.5, 0.5, 1.0]], dtype=np.float64)
    trace = Trace(**{**vars(small_sweep.trace), "halting": halting})
    assert confidence_of(small_sweep, trace=trace)["decided"].tolist() == [0.25, 0.25]
