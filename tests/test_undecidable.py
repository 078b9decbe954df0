"""Layers spent on what nobody can answer: groups, matching, claim 9 and the shares, worked by hand."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_references import make_sweep
from test_reproduction import make_tables, rows_of

from bench.report.figures.page import save
from bench.report.figures.setting import Setting, drawn_with
from bench.report.figures.undecidable import undecidable as draw
from bench.report.latex import undecidable_tex
from bench.report.typeset import typeset
from bench.tables import contrasts
from bench.tables.columns import concat_rows
from bench.tables.contrasts import Compared
from bench.tables.reproduction import FAILS, HOLDS, OPEN
from bench.tables.shares import BY_SEED as SHARES_BY_SEED
from bench.tables.shares import SHARES, share_rows, share_table
from bench.tables.undecidable import (
    BY_SEED,
    UNDECIDED,
    Groups,
    inside,
    layers_near,
    undecidable_rows,
    undecidable_table,
)

#: Two easy examples, two hard ones, one with a flipped label, one that nobody can decide.
DIFFICULTY = np.array([1, 2, 3, 4, -2, -1])
L = 12
#: Effects of four tasks whose mean is .005 (with the seeds'), within .2 either way.
NOTHING = {"rte": -0.1, "sst2": 0.1, "qnli": -0.1, "mrpc": 0.1}


def sweep(method, layers, seed=0, variant="", task="rte", difficulty=DIFFICULTY):
    """All settings of one trained model: which layer each of the six examples leaves at."""
    by_layer = np.zeros((6, L), np.int8)
    one = make_sweep(method, layers, task, by_layer=by_layer, labels=np.zeros(6, int))
    keys = {**one.keys, "method": method, "seed": seed, "variant": variant, "task": task}
    logits = np.zeros((6, L, 2), np.float32)
    logits[-1, -1] = [np.log(3), 0]  # three to one on what nobody can know
    trace = replace(one.trace, difficulty=difficulty, logits=logits)
    return replace(one, keys=keys, trace=trace, panel_layers=L)


#: DACT leaves hard examples at 8 on average and the undecidable one at 4; at 6 of 12 layers on average.
DACT = [[3, 5, 7, 9, 8, 4]]
#: DeeBERT's settings cost 35/6, 6.5 and 12 layers; at the first it leaves hard ones at 6, the undecidable one at 10.
DEEBERT = [[3, 5, 5, 7, 5, 10], [4, 5, 6, 8, 6, 10], [12] * 6]


def test_hard_are_at_most_half_of_the_decidable():
    groups = Groups.of(DIFFICULTY)
    assert groups.hard.tolist() == [False, False, True, True, False, False]
    assert groups.undecidable.tolist() == [False] * 5 + [True]
    assert Groups.of(np.array([1, 1, 1, 2, -1])).hard.tolist() == [False, False, False, True, False]
    assert Groups.of(np.array([1, 2, 2, 2, -1])).hard.tolist() == [False, True, True, True, False], (
        "too many at the top"
    )
    for without in (None, np.array([1, 2, 3]), np.array([-1, -2, -1])):
        assert Groups.of(without) is None


def test_costs_inside_and_the_nearest_setting():
    dact, deebert = sweep("dact", DACT), sweep("deebert", DEEBERT)
    assert inside([dact]) == [pytest.approx(0.5)]
    assert inside([sweep("dact", [[2] * 6]), sweep("dact", [[3] * 6]), sweep("dact", [[10] * 6])]) == [0.25]
    assert layers_near([deebert], 0.5).tolist() == DEEBERT[0]
    assert layers_near([deebert], 6.25 / 12).tolist() == DEEBERT[1]
    assert layers_near([deebert], 7 / 12).tolist() == DEEBERT[1], "half a layer away"
    assert layers_near([deebert], 7.1 / 12) is None
    # counted twice, the undecidable example makes the first setting cost 45/7
    twice = np.array([1, 1, 1, 1, 1, 2.0])
    assert layers_near([deebert], 45 / 7 / 12, twice).tolist() == DEEBERT[0]


def test_the_rows_of_a_panel():
    runs = [sweep("static", [[L] * 6]), sweep("dact", DACT, 0, "tau=0.1"), sweep("dact", [[2] * 6], 0, "tau=1")]
    runs += [sweep("deebert", DEEBERT), sweep("pabee", [[1] * 6, [11] * 5 + [12]])]
    table = concat_rows(list(undecidable_rows(runs)), BY_SEED).set_index("method")
    assert table.loc["dact", ["matched", "costs", "hard", "undecidable", "difference"]].tolist() == [1, 1, 8, 4, 4]
    assert table.loc["deebert", ["hard", "undecidable", "difference"]].tolist() == [6, 10, -4]
    assert table.loc["deebert", "layer_fraction"] == pytest.approx(35 / 72)
    assert table.loc["pabee", "matched"] == 0 and np.isnan(table.loc["pabee", "difference"])
    assert "static" not in table.index and table["static_top"].tolist() == pytest.approx([0.75] * 3)
    assert (table["hard_rows"] == 2).all() and (table["undecidable_rows"] == 1).all()
    known = [replace(one, trace=replace(one.trace, difficulty=None)) for one in runs]
    assert not list(undecidable_rows(known))
    alone = concat_rows(list(undecidable_rows([sweep("deebert", DEEBERT)])), BY_SEED)
    assert alone["costs"].tolist() == [3] and alone["matched"].tolist() == [1], "a quarter, half and three quarters"


def test_means_over_seeds_and_tasks():
    rows = []
    for task, values in {"rte": (1.0, 3.0), "sst2": (4.0, 4.0), "mnli": (0.0, np.nan)}.items():
        for seed, value in enumerate(values):
            split = "validation_matched" if task == "mnli" else "validation"
            keys = {"suite": "s", "task": task, "split": split, "backbone": "bert", "method": "dact", "seed": seed}
            row = dict.fromkeys(BY_SEED, 1.0) | keys | {"difference": value}
            rows.append(row)
            if task == "mnli":
                rows.append({**row, "split": "validation_mismatched"})
    table = undecidable_table(pd.DataFrame(rows))
    assert table.columns.tolist() == UNDECIDED
    found = table.set_index(["task", "split"])
    rte = found.loc[("rte", "validation")]
    assert (rte["difference"], rte["units"], rte["unit_kind"]) == (2, 2, "seeds")
    assert rte["difference_high"] == pytest.approx(2 + 12.7062 * np.sqrt(2) / np.sqrt(2), rel=1e-4)
    assert found.loc[("mnli", "validation_matched"), "units"] == 1
    mean = table[table["task"] == "mean"].iloc[0]
    assert (mean["difference"], mean["units"], mean["unit_kind"]) == (2, 3, "tasks")
    with drawn_with(Setting(frozenset({"dact"}))):
        assert draw(table) is not None and draw(table.assign(difference=np.nan)) is None
    text = typeset(undecidable_tex({"undecidable": table}))
    assert "{mean} \\\\" in text and "& $2.00$ & ${}\\pm 4.97$ \\\\" in text


def test_claim_9_by_hand():
    runs = [sweep("dact", DACT, 0, "tau=0.1"), sweep("dact", [[9] * 6], 0, "tau=0.01"), sweep("deebert", DEEBERT)]
    panel = Compared.under(runs, np.ones(6, np.float32))
    # at tau .01 DACT costs .75, and DeeBERT has nothing within half a layer
    assert list(contrasts.in_giving_up(panel, against=False)) == [(0, 4.0)]
    assert list(contrasts.in_giving_up(panel, against=True)) == [(0, 8.0)]


def test_the_verdict_takes_four_tasks_and_coins_that_were_not_learnt():
    four = ("rte", "sst2", "qnli", "mrpc")
    gain = dict.fromkeys(four, 2.0)
    assert rows_of(make_tables(tasks=four, gain=gain)).loc[["9a", "9b"], "verdict"].tolist() == [HOLDS] * 2
    assert rows_of(make_tables(tasks=four, gain=NOTHING)).loc["9a", "verdict"] == FAILS
    row = rows_of(make_tables(tasks=four[:3], gain=gain)).loc["9a"]
    assert row["verdict"] == OPEN and row["why"].startswith("it takes 4 tasks")
    tables = make_tables(tasks=four, gain=gain)
    row = rows_of(tables | {"undecidable": tables["undecidable"].assign(static_top=0.66)}).loc["9b"]
    assert row["verdict"] == OPEN and "top probability 0.66" in row["why"]
    edge = rows_of(tables | {"undecidable": tables["undecidable"].assign(static_top=0.65)}).loc["9b"]
    assert edge["verdict"] == HOLDS


def test_counting_the_undecidable_otherwise():
    runs = [sweep("dact", DACT, 0, "tau=0.1"), sweep("deebert", DEEBERT), sweep("pabee", DEEBERT)]
    rows = concat_rows(list(share_rows(runs)), SHARES_BY_SEED)
    assert set(rows["claim"]) == {"1a", "1b", "9a", "9b"}
    by_times = rows[rows["claim"] == "9b"].set_index("times")["effect"]
    # without it DACT costs 6.4 layers and DeeBERT's settings 5, 5.8 and 12; counted twice 40/7 against 45/7, 7 and 12
    assert by_times.to_dict() == {1: 8.0}
    assert not list(share_rows([replace(one, trace=replace(one.trace, difficulty=None)) for one in runs]))


def test_the_table_of_shares_has_a_verdict_for_each():
    gains, parts = {0: NOTHING, 1: dict.fromkeys(NOTHING, 0.1), 2: dict.fromkeys(NOTHING, 2.0)}, []
    for times, gain in gains.items():
        parts.append(make_tables(tasks=tuple(gain), gain=gain)["effects"].assign(times=times))
    table = share_table(pd.concat(parts), make_tables(tasks=tuple(NOTHING)))
    assert table.columns.tolist() == SHARES and len(table) == 12
    found = table.set_index(["times", "claim"])["verdict"]
    assert [found[times, "1a"] for times in gains] == [OPEN, HOLDS, HOLDS]
    assert [found[times, "9a"] for times in gains] == [FAILS, HOLDS, HOLDS]


def test_one_method_on_one_task_is_a_figure_with_room_for_its_panel(tmp_path):
    row = {**dict.fromkeys(UNDECIDED, 0.5), "suite": "embedded", "task": "sst2", "split": "validation"}
    table = pd.DataFrame([row | {"backbone": "bert", "method": "deebert", "units": 1}])
    with drawn_with(Setting(frozenset({"deebert"}))):
        figure = draw(table)
        with warnings.catch_warnings(action="error"):  # the library says so where it finds no room
            save(figure, tmp_path / "figure")
        assert figure.axes[0].get_window_extent().height > 0.2 * figure.dpi
