"""The claims of the paper: effects and intervals worked by hand, verdicts by their rule, and what is printed."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.halting.sweep import Sweep
from bench.report.claims import cell, main, markdown
from bench.report.numbers import counted_units
from bench.sources.tasks import TASKS
from bench.statistics.intervals import rank_interval, t_interval
from bench.store.trace import Trace
from bench.tables import contrasts as effects
from bench.tables.claims import claims, number_and_letter
from bench.tables.contrasts import Compared
from bench.tables.effects import EFFECTS, effect_rows
from bench.tables.reproduction import (
    FAILS,
    HOLDS,
    NOT_RUN,
    OPEN,
    REPRODUCTION,
    equality,
    read_sources,
    reproduction_table,
    superiority,
)
from bench.tables.scores import QUANTITIES, Scores
from methods import discover
from methods.base import RuleSpec

NAN = math.nan
METHODS = discover()
L, N = 10, 10
#: The depth that every example leaves at, and the value there, for each setting (tau, S, p).
DACT = {0.01: (8, 0.8), 0.04: (4, 0.6), 0.16: (2, 0.5)}
DEEBERT = {0.2: (9, 0.9), 0.4: (6, 0.8), 0.8: (3, 0.6)}
PABEE = {1.0: (3, 0.7), 2.0: (9, 0.9)}


# --- effects by hand


def make_sweep(method, seed, settings, variant=None):
    """All settings of one trained model; everybody leaves at the same layer."""
    layers = np.array([np.full(N, depth) for depth, _ in settings.values()], dtype=np.int8)
    halting = np.tile(np.linspace(0.05, 0.95, L, dtype=np.float32), (N, 1)) if method.startswith("dact") else None
    trace = Trace(np.zeros((N, L, 2), np.float32), np.zeros(N, int), np.arange(N), np.ones(N, int), halting)
    knobs = np.zeros(1) if variant else np.array(list(settings))
    keys = {"method": method, "seed": seed, "variant": f"tau={variant['tau']}" if variant else ""}
    answers = np.zeros(layers.shape, np.int8)
    return Sweep(
        keys,
        TASKS["rte"],
        knobs,
        layers,
        answers,
        trace,
        L,
        0,
        None,
        np.zeros((N, L), np.int8),
        np.ones(len(layers)),
        1,
        100.0,
        METHODS["deebert"],
        RuleSpec(L, 2, variant or {}),
        {},
    )


def make_compared(runs, **quantities):
    """A panel of runs {(method, seed): {setting: (depth, value)}}; DACT's settings are models of their own."""
    sweeps, curves = {}, []
    for (method, seed), settings in runs.items():
        if method.startswith("dact"):
            each = [make_sweep(method, seed, {tau: at}, {"tau": tau}) for tau, at in settings.items()]
        else:
            each = [make_sweep(method, seed, settings)]
        sweeps[method, seed] = each
        points = sorted(settings.values())
        curves.append((np.array([depth / L for depth, _ in points]), np.array([value for _, value in points])))
    values = np.zeros((len(runs), len(QUANTITIES)))
    for name, by_run in quantities.items():
        values[:, QUANTITIES.index(name)] = [by_run[run] for run in runs]
    keys = {"suite": "tiny", "task": "rte", "split": "validation", "backbone": "bert", "metric": "accuracy"}
    nothing = np.zeros(len(runs))
    bought = np.zeros((len(runs), 3, 4))
    scores = Scores(keys, list(runs), values, {}, NAN, NAN, nothing, curves, {}, bought)
    return Compared(scores, sweeps)


@pytest.fixture
def two_seeds():
    methods = {"dact": DACT, "deebert": DEEBERT, "pabee": PABEE}
    return make_compared({(method, seed): rows for method, rows in methods.items() for seed in (0, 1)})


def test_quantities_are_paired_by_seed():
    areas = {("dact", 0): 0.7, ("dact", 1): 0.8, ("pabee", 1): 0.5, ("pabee", 2): 0.1}
    panel = make_compared(dict.fromkeys(areas, PABEE) | {("dact", 0): DACT, ("dact", 1): DACT}, auc_mixed_half=areas)
    assert list(effects.in_quantity(panel, "auc_mixed_half", "dact", "pabee")) == [(1, pytest.approx(0.3))]


def test_heights_and_areas_over_the_range_of_both(two_seeds):
    # both cover .3 to .8; DeeBERT stands two thirds of the way from .8 to .9 there
    assert list(effects.at_high_x(two_seeds, "dact", "deebert")) == [(s, pytest.approx(-0.2 / 3)) for s in (0, 1)]
    own = (0.575 * 0.1 + 0.7 * 0.4) / 0.5
    other = (0.7 * 0.3 + (0.8 + 0.8 + 0.2 / 3) / 2 * 0.2) / 0.5
    found = list(effects.in_area(two_seeds, "dact", "deebert"))
    assert found == [(s, pytest.approx(own - other)) for s in (0, 1)]


def test_a_third_method_moves_no_claim(two_seeds):
    alone = make_compared({(m, seed): rows for m, rows in (("dact", DACT), ("deebert", DEEBERT)) for seed in (0, 1)})
    for effect in (effects.in_area, effects.at_high_x):
        assert list(effect(alone, "dact", "deebert")) == list(effect(two_seeds, "dact", "deebert"))


def test_nothing_is_said_about_saving_little_below_a_high_x():
    short = {0.01: (7, 0.8), 0.04: (4, 0.6)}
    panel = make_compared({("dact", 0): short, ("deebert", 0): DEEBERT})
    assert not list(effects.at_high_x(panel, "dact", "deebert"))


def test_a_narrow_range_gives_no_area():
    panel = make_compared({("dact", 0): {0.01: (3, 0.8)}, ("deebert", 0): DEEBERT})
    assert all(np.isnan(effect) for _, effect in effects.in_area(panel, "dact", "deebert"))


def test_spread_is_over_fixed_settings_inside_the_range():
    moved = {**DEEBERT, 0.4: (7, 0.8)}
    panel = make_compared({("dact", 0): DACT, ("dact", 1): DACT, ("deebert", 0): DEEBERT, ("deebert", 1): moved})
    # inside .3 to .8 DeeBERT has S = .4 (.6 and .7: a variance of .005) and S = .8 (none)
    ((seed, effect),) = effects.in_spread(panel, "dact", "deebert")
    assert np.isnan(seed) and effect == pytest.approx(np.sqrt(0.005 / 2))


def test_steepness_is_the_move_of_x_as_the_knob_doubles(two_seeds):
    # inside .3 to .8 DeeBERT moves from .6 to .3 over one doubling, DACT from .8 to .4 over two
    assert list(effects.in_steepness(two_seeds)) == [(s, pytest.approx(0.1)) for s in (0, 1)]


def test_pruning_counts_layers_after_the_last_one_used(two_seeds):
    assert [e for _, e in effects.in_pruning(two_seeds, against=False)] == [2, 6] * 2
    # the settings nearest to .8 and .4 are .9, which leaves 1 layer, and .3, which leaves 7
    assert [e for _, e in effects.in_pruning(two_seeds, against=True)] == [1, -1] * 2


def test_decided_shares_are_compared_at_equal_tau():
    panel = make_compared({("dact", 0): DACT, ("dact-original", 0): {0.04: (4, 0.6), 0.5: (2, 0.5)}})
    original = panel.sweeps["dact-original", 0][0]
    undecided = replace(original.trace, halting=np.full((N, L), 0.5, np.float32))
    panel.sweeps["dact-original", 0][0] = replace(original, trace=undecided)
    # of h_1 .. h_9 the first (.05) alone is outside .1 to .9
    assert list(effects.in_decided(panel)) == [(0, pytest.approx(1 / 9))]


def test_entropy_at_equal_cost(two_seeds, monkeypatch):
    def told(one, layers):
        return (1 - layers.mean(axis=1) / L) * (2 if one.keys["method"] == "dact" else 1)

    monkeypatch.setattr(effects, "exit_entropy", told)
    # at .8: .4 - .2, at .4: 1.2 - .6
    assert [e for _, e in effects.in_exit_entropy(two_seeds)] == pytest.approx([0.2, 0.6] * 2)


def test_effects_are_means_over_taus_by_seed(two_seeds, monkeypatch):
    monkeypatch.setattr(effects, "exit_entropy", lambda one, layers: layers.mean(axis=1))
    rows = pd.DataFrame(effect_rows(two_seeds))
    assert rows.columns.tolist() == EFFECTS
    pruned = rows[rows["claim"] == "5a"]
    assert pruned["effect"].tolist() == [4, 4] and pruned["seed"].tolist() == [0, 1]
    assert set(rows["claim"]) == {claim.id for claim in claims() if not claim.undecidable} - {"6", "7"}
    assert (rows["train_rows"] == 100).all()


def test_the_mismatched_split_has_no_effects(two_seeds):
    keys = {**two_seeds.scores.keys, "split": "validation_mismatched"}
    assert not list(effect_rows(replace(two_seeds, scores=replace(two_seeds.scores, keys=keys))))


def test_claims_are_sorted_by_number_then_letter():
    assert sorted(["10a", "1b", "6", "2", "1a"], key=number_and_letter) == ["1a", "1b", "2", "6", "10a"]
    assert [number_and_letter(claim.id) for claim in claims()] == sorted(number_and_letter(c.id) for c in claims())


# --- intervals and verdicts


def make_tables(tasks=("rte", "sst2"), seeds=2, methods=("dact", "deebert", "pabee"), gain=None, mixed=None, **more):
    """Points and effects of an invented run; every effect is a task's `gain`, .01 more for each seed."""
    points, found = [], []
    for number, task in enumerate(tasks):
        panel = {"suite": "tiny", "task": task, "split": "validation", "backbone": "bert"}
        points += [{**panel, "method": method} for method in methods]
        for claim in claims():
            for seed in range(seeds) if claim.id != "4a" else [NAN]:
                effect = (gain or {}).get(task, 0.0) + (0.01 * seed if claim.id != "4a" else 0)
                if set(claim.methods) <= set(methods):
                    # claims of one text length share a number, which is of no matter but for the last test of these
                    row = {**panel, "claim": claim.id, "seed": seed}
                    row["effect"] = effect + (0 if claim.id[0] in "13" else 1e-6 * len(claim.text))
                    row["effect_mixed"] = effect if mixed is None else mixed
                    found.append({**row, "train_rows": 100.0 * (number + 1), "both_constant": 0})
    coins = pd.DataFrame([{"backbone": "bert", "task": "mean", "method": "dact", "static_top": 0.6}])
    made = {"points": pd.DataFrame(points), "effects": pd.DataFrame(found, columns=EFFECTS), "undecidable": coins}
    return {**made, **more}


def rows_of(tables):
    table = reproduction_table(tables)
    assert table.columns.tolist() == REPRODUCTION
    return table.set_index("claim")


def test_a_run_without_dact_shows_no_claims():
    assert reproduction_table(make_tables(methods=("deebert", "pabee"))).empty


def test_both_areas_must_agree():
    gain = dict.fromkeys(("rte", "sst2"), 0.1)
    assert rows_of(make_tables(gain=gain)).loc["1a", "verdict"] == HOLDS
    row = rows_of(make_tables(gain=gain, mixed=0.0)).loc["1a"]
    assert row["verdict"] == OPEN and "disagree" in row["why"]


def test_where_both_buy_the_constant_nothing_can_be_told():
    tables = make_tables(gain=dict.fromkeys(("rte", "sst2"), 0.1))
    tables["effects"]["both_constant"] = 1
    row = rows_of(tables).loc["1b"]
    assert row["verdict"] == OPEN and "constant answer" in row["why"]


def test_a_blind_exit_leaves_a_claim_open_and_a_healthy_one_at_the_constant_does_not():
    gain = dict.fromkeys(("rte", "sst2"), 0.1)
    exit_ = {"backbone": "bert", "method": "deebert", "task": "rte", "layer": 2}
    healthy = pd.DataFrame([{**exit_, "named": 0, "blind": 1}])
    found = rows_of(make_tables(gain=gain, health=healthy))
    assert found.loc["1a", "verdict"] == HOLDS and found.loc["1a", "checked"].startswith("exit health checked")
    blind = pd.DataFrame([{**exit_, "named": 1, "blind": 1}])
    found = rows_of(make_tables(gain=gain, health=blind))
    assert found.loc["1a", "verdict"] == OPEN and "deebert on rte" in found.loc["1a", "why"]
    assert found.loc["1b", "verdict"] == HOLDS, "PABEE's exits are another matter"
    assert rows_of(make_tables(gain=gain)).loc["1a", "checked"] == "exit health not checked, plateau not checked"


def test_a_number_that_two_claims_share_is_said_to_be_one():
    found = rows_of(make_tables())
    assert found.loc["1b", "same_number_as"] == "1a" and found.loc["1a", "same_number_as"] == ""
    assert found.loc["1c", "same_number_as"] == "", "a correlation of the same numbers is another one"


def test_units_are_task_means_or_the_seeds_of_few_tasks():
    gain = {"rte": 0.1, "sst2": 0.2, "qnli": 0.6}
    found = rows_of(make_tables(tasks=tuple(gain), gain=gain)).loc["3a"]
    mean, low, high = t_interval(np.array([0.105, 0.205, 0.605]))
    assert found[["value", "low", "high"]].tolist() == pytest.approx([mean, low, high])
    assert found[["units", "unit_kind", "verdict"]].tolist() == [3, "tasks", OPEN]
    for tasks, seeds in ((("rte",), [0.1, 0.11]), (("rte", "sst2"), [0.15, 0.16])):
        found = rows_of(make_tables(tasks=tasks, gain=gain)).loc["3a"]
        mean, low, high = t_interval(np.array(seeds))
        assert found[["value", "low", "high"]].tolist() == pytest.approx([mean, low, high])
        assert found[["units", "unit_kind", "verdict"]].tolist() == [2, "seeds", HOLDS]


def test_of_two_tasks_a_seed_that_lacks_one_is_no_unit():
    tables = make_tables(seeds=3, gain={"rte": 0.1, "sst2": 0.2})
    rows = tables["effects"]
    tables["effects"] = rows[(rows["task"] != "rte") | (rows["seed"] != 0)]
    row = rows_of(tables).loc["3a"]
    assert row["units"] == 2 and row["value"] == pytest.approx((0.16 + 0.17) / 2)


def test_a_spread_over_seeds_leaves_two_tasks_as_units():
    assert rows_of(make_tables()).loc["4a", ["units", "unit_kind"]].tolist() == [2, "tasks"]


def test_one_unit_decides_nothing():
    found = rows_of(make_tables(tasks=("rte",), seeds=1))
    assert found.loc["3a", "value"] == 0 and np.isnan(found.loc["3a", "low"])
    assert set(found["verdict"]) == {OPEN, NOT_RUN}


@pytest.mark.parametrize(
    ("low", "high", "larger", "equal"),
    [
        (0.001, 0.5, HOLDS, OPEN),
        (0.03, 0.5, HOLDS, FAILS),
        (-0.01, 0.019, FAILS, HOLDS),
        (-0.01, 0.021, OPEN, OPEN),
        (-0.5, -0.021, FAILS, FAILS),
        (-0.5, -0.019, FAILS, OPEN),
        (0.0, 0.0, FAILS, HOLDS),
        (NAN, NAN, OPEN, OPEN),
    ],
)
def test_verdicts(low, high, larger, equal):
    assert superiority(low, high, 0.02) == larger
    assert equality(low, high, 0.02) == equal


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.5))
def test_a_larger_effect_never_makes_a_claim_worse(low, width, more, relevant):
    order = [FAILS, OPEN, HOLDS]
    before, after = superiority(low, low + width, relevant), superiority(low + more, low + width + more, relevant)
    assert order.index(after) >= order.index(before)


def test_the_advantage_grows_with_the_data():
    tasks = ("rte", "mrpc", "sst2", "qnli", "qqp")  # train_rows rise in this order
    gain = {task: 0.02 * (i + 1) for i, task in enumerate(tasks)}
    row = rows_of(make_tables(tasks=tasks, gain=gain)).loc["1c"]
    assert row[["units", "unit_kind", "verdict"]].tolist() == [5, "tasks", HOLDS] and row["value"] == pytest.approx(1)
    row = rows_of(make_tables(tasks=tasks[:3], gain=gain)).loc["1c"]
    assert row["verdict"] == OPEN and row["value"] == pytest.approx(1)


def test_rank_intervals():
    # z = .5493, standard error sqrt(1.125 / 7) = .4009
    assert rank_interval(0.5, 10) == pytest.approx(
        np.tanh(0.549306 + np.array([-1, 1]) * 1.959964 * 0.400892), abs=1e-5
    )
    assert np.isnan(rank_interval(0.9, 3)).all() and np.isnan(rank_interval(NAN, 9)).all()
    low, high = rank_interval(1.0, 6)
    assert 0 < low < high < 1 and rank_interval(-1.0, 6) == pytest.approx((-high, -low))


def test_rank_intervals_cover_the_correlation_of_six_tasks():
    rng = np.random.default_rng(0)
    for rho in (0.0, 0.6):
        x = rng.normal(size=(4000, 6))
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
        ranks = [values.argsort(axis=1).argsort(axis=1) for values in (x, y)]
        found = 1 - 6 * ((ranks[0] - ranks[1]) ** 2).sum(axis=1) / (6 * 35)
        ends = np.array([rank_interval(value, 6) for value in found])
        truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's correlation of two normal variables
        assert 0.93 < ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() < 0.99


# --- the table


def test_what_was_not_run_says_how_to_run_it():
    found = rows_of(make_tables())
    assert found.loc[["6", "7"], "verdict"].tolist() == [NOT_RUN] * 2
    assert found.loc["6", "select"] == "--methods dact,dact-original" and found.loc["6", "units"] == 0
    assert found.loc["7", "select"] == "--methods dact,dact-frozen"
    assert found.loc[found["verdict"] != NOT_RUN, "select"].isna().all()
    everything = rows_of(make_tables(methods=("dact", "deebert", "pabee", "dact-frozen", "dact-original")))
    assert NOT_RUN not in set(everything["verdict"])


def test_without_effects_a_claim_stays_open():
    tables = make_tables()
    tables["effects"] = tables["effects"][tables["effects"]["claim"] != "2a"]
    row = rows_of(tables).loc["2a"]
    assert row["verdict"] == OPEN and row["units"] == 0 and np.isnan(row["value"])


def test_every_claim_and_its_margin_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "statistics.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    documented = {id.strip(): float(row[-1].split()[0]) for row in rows for id in row[0].split(":")[0].split(",")
                  if len(row) == 3 and id.strip()[:1].isdigit()}  # fmt: skip
    assert documented == {claim.id: claim.relevant for claim in claims()}


def test_printed_from_the_files_of_two_folders(tmp_path, capsys):
    for name, gain in (("a", 0.1), ("b", -0.1)):
        (tmp_path / name).mkdir()
        for table, rows in make_tables(gain=dict.fromkeys(("rte", "sst2"), gain)).items():
            rows.to_csv(tmp_path / name / f"{table}.csv", index=False)
    assert main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| claim | measured | tiny, bert | tiny, bert |" and len(lines) == 2 + len(claims())
    area = next(line for line in lines if line.startswith("| 3a:"))
    assert f"**{HOLDS}**: 0.105 [0.041, 0.169], 2 seeds" in area and f"**{FAILS}**: -0.095 [" in area
    assert next(line for line in lines if line.startswith("| 7:")).count("not run: `--methods dact,dact-frozen`") == 2
    assert main([str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == markdown([reproduction_table(read_sources(tmp_path / "a"))]) + "\n"


def test_one_unit_is_one_task():
    row = next(reproduction_table(make_tables(tasks=("rte",), seeds=1)).itertuples())
    assert counted_units(row) == "1 task" and cell(row) == f"**{OPEN}**: 0.000, 1 task"


def test_a_folder_without_tables_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2 and "no points.csv in" in capsys.readouterr().err
    assert main([]) == 2 and "expected at least one folder" in capsys.readouterr().err


def test_the_documented_table_is_what_its_command_prints():
    root = Path(__file__).parents[1]
    text = (root / "docs" / "reproduction.md").read_text()
    command, table = re.search(
        r"<!-- python -m bench.report.claims (.*?) -->\n(.*?)\n<!-- end -->", text, re.S
    ).groups()
    assert table == markdown([reproduction_table(read_sources(root / folder)) for folder in command.split()])
