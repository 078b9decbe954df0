"""The claims of the paper: effects and intervals worked by hand, verdicts by their rule, and what is printed."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.claims import cell, counted_units, main, markdown
from bench.statistics.intervals import rank_interval, t_interval
from bench.tables import effects
from bench.tables.claims import claims, number_and_letter
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

NAN = math.nan
L = 4
#: Two models or thresholds of every method inside the range .2 to .8, one outside: setting, x, value, entropy at exit,
#: deepest layer used, and for DACT the share of decided halting values.
DACT = [(0.01, 0.75, 0.8, 0.30, 3, 0.5), (0.04, 0.25, 0.6, 0.50, 2, 0.7), (0.16, 0.1, 0.5, 0.60, 1, 0.9)]
DEEBERT = [(0.2, 0.8, 0.9, 0.10, 4, NAN), (0.4, 0.6, 0.8, 0.20, 4, NAN), (0.8, 0.2, 0.6, 0.40, 4, NAN)]
PABEE = [(1, 0.2, 0.7, NAN, 4, NAN), (2, 0.8, 0.9, NAN, 4, NAN)]


def make_tables(tasks=("rte", "sst2"), seeds=2, methods=("dact", "deebert", "pabee"), gain=None, low=0.2, high=0.8):
    """The tables that claims are computed from; `gain` (by task) is added to DACT's scores, .01 more for each seed."""
    points, exits, scores, confidence, auc, stability = [], [], [], [], [], []
    for number, task in enumerate(tasks):
        panel = {"suite": "tiny", "task": task, "split": "validation", "backbone": "bert", "metric": "accuracy"}
        auc += [{**panel, "method": method, "x_low": low, "x_high": high} for method in methods]
        stability += [
            {**panel, "method": m, "x_sd": sd} for m, sd in (("dact", 0.01), ("deebert", 0.04)) if m in methods
        ]
        for seed in range(seeds):
            for method in methods:
                rows = {"deebert": DEEBERT, "pabee": PABEE}.get(method, DACT)
                is_dact = rows is DACT
                score = 0.7 + ((gain or {}).get(task, 0.0) + 0.01 * seed) * (method == "dact")
                scores.append({**panel, "method": method, "seed": seed, "auc_budget_half": score, "auc_common": score})
                for setting, x, value, entropy, deepest, decided in rows:
                    named = {**panel, "method": method, "seed": seed, "knob_value": 0.0 if is_dact else setting}
                    named["variant"] = f"tau={setting:g}" if is_dact else ""
                    points.append({**named, "layer_fraction": x, "value": value})
                    exits += [
                        {**named, "layer": layer, "used_count": 9 * (layer <= deepest)} for layer in range(1, L + 1)
                    ]
                    sure = {"exit_entropy": entropy, "decided": decided - 0.2 * (method == "dact-original")}
                    confidence.append({**named, "layer_fraction": x, **sure, "train_rows": 100.0 * (number + 1)})
    found = {"points": points, "exits": exits, "scores": scores, "auc": auc, "stability": stability}
    return {name: pd.DataFrame(rows) for name, rows in (found | {"confidence": confidence}).items()}


def rows_of(tables):
    table = reproduction_table(tables)
    assert table.columns.tolist() == REPRODUCTION
    return table.set_index("claim")


# --- effects by hand


def test_scores_and_heights_are_paired_by_seed():
    found = effects.in_score(make_tables(gain={"rte": 0.1}), "auc_common", "dact", "pabee")
    assert found["effect"].tolist() == pytest.approx([0.1, 0.11, 0, 0.01])
    tables = make_tables(high=0.75)
    found = effects.at_high_x(tables, "dact", "deebert")
    assert found["effect"].tolist() == pytest.approx([0.8 - 0.875] * 4)  # three quarters of the way from .6 to .8
    assert effects.at_high_x(make_tables(high=0.74), "dact", "deebert").empty  # that is not high


def test_a_curve_that_does_not_reach_x_high_is_no_unit():
    assert effects.at_high_x(make_tables(high=0.8), "dact", "deebert").empty  # DACT ends at .75


def test_stability_is_what_dact_moves_less():
    found = effects.in_spread(make_tables(), "dact", "deebert")
    assert found["effect"].tolist() == pytest.approx([0.03, 0.03])  # one row a task: no seeds


def test_steepness_is_the_move_of_x_as_the_knob_doubles():
    # DeeBERT: .8 -> .6 -> .2 over two doublings; DACT: .75 -> .25 over two, its third model is outside the range
    assert effects.in_steepness(make_tables())["effect"].tolist() == pytest.approx([0.05] * 4)
    assert effects.in_steepness(make_tables(low=0.3)).empty  # one DACT model is left


def test_pruning_counts_layers_after_the_last_one_used():
    assert effects.in_pruning(make_tables(), against=False)["effect"].tolist() == [1.5] * 4  # 1 and 2 of 4 layers
    tables = make_tables()
    deep = (tables["exits"]["method"] == "deebert") & (tables["exits"]["knob_value"] == 0.8)
    tables["exits"].loc[deep & (tables["exits"]["layer"] == 4), "used_count"] = 0
    # the threshold nearest to x = .25 now leaves one layer unused, the one nearest to .75 none
    assert effects.in_pruning(tables, against=True)["effect"].tolist() == [1.0] * 4


def test_a_seed_that_one_method_lacks_is_no_unit():
    tables = make_tables(tasks=("rte",))
    for name, rows in tables.items():
        if "seed" in rows:
            tables[name] = rows[(rows["method"] != "deebert") | (rows["seed"] == 1)]
    assert rows_of(tables).loc[["1a", "2a", "4b", "5b", "8"], "units"].tolist() == [1, 0, 1, 1, 1]


def test_decided_shares_are_compared_at_equal_tau():
    tables = make_tables(methods=("dact", "dact-original", "deebert", "pabee"))
    assert effects.in_decided(tables)["effect"].tolist() == pytest.approx([0.2] * 4)


def test_entropy_at_equal_cost():
    # DeeBERT at x = .75: .125, at .25: .375; DACT .3 and .5
    assert effects.in_exit_entropy(make_tables())["effect"].tolist() == pytest.approx([0.15] * 4)


def test_mnli_counts_once():
    tables = make_tables(tasks=("mnli",))
    for name, table in tables.items():
        other = table.assign(split="validation_mismatched")
        mean = table.assign(task="mean", split=np.nan)
        tables[name] = pd.concat([table.assign(split="validation_matched"), other, mean], ignore_index=True)
    assert rows_of(tables).loc[["3a", "8"], "units"].tolist() == [2, 2]  # seeds


# --- intervals and verdicts


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
    scores = tables["scores"]
    tables["scores"] = scores[(scores["task"] != "rte") | (scores["seed"] != 0)]
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


def test_no_common_range_leaves_claims_open():
    found = rows_of(make_tables(low=NAN, high=NAN))
    assert found.loc[["2a", "4b", "5a", "5b", "8"], "verdict"].tolist() == [OPEN] * 5
    assert found.loc["8", "units"] == 0 and np.isnan(found.loc["8", "value"])


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


def test_the_readme_shows_what_its_command_prints():
    root = Path(__file__).parents[1]
    text = (root / "README.md").read_text()
    command, table = re.search(
        r"<!-- python -m bench.report.claims (.*?) -->\n(.*?)\n<!-- end -->", text, re.S
    ).groups()
    folders = [root / folder for folder in command.split()]
    if not all((folder / "confidence.csv").is_file() for folder in folders):
        pytest.skip("a reference run was collected before claims were; --collect writes what they need")
    assert table == markdown([reproduction_table(read_sources(folder)) for folder in folders])


def test_claims_are_sorted_by_number_then_letter():
    assert sorted(["10a", "1b", "6", "2", "1a"], key=number_and_letter) == ["1a", "1b", "2", "6", "10a"]
    assert [number_and_letter(claim.id) for claim in claims()] == sorted(number_and_letter(c.id) for c in claims())
