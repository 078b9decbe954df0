"""matched.csv against cases worked by hand."""

from dataclasses import replace

import numpy as np
from test_references import make_sweep

from bench.halting.candidates import Candidates
from bench.tables.columns import concat_rows
from bench.tables.matched import MATCHED, matched_rows


def named(sweep, variant="", knob=(0.0,)):
    """A sweep of six examples and three layers under another name of its variant, with these knob values."""
    return replace(sweep, keys={**sweep.keys, "variant": variant}, knob_values=np.array(knob))


def settings_of(*sweeps):
    """Cost, method and seed -> the knob that matched.csv chose."""
    rows = concat_rows(list(matched_rows(sweeps)), MATCHED)
    chosen = rows.drop_duplicates(["at", "method", "seed"])
    return {(row.at, row.method, row.seed): row.knob_value for row in chosen.itertuples()}


def test_the_setting_nearest_in_cost_is_chosen_seed_by_seed_within_a_layer():
    dact = [
        named(make_sweep("dact", [[1, 1, 1, 2, 2, 2]], seed=0), "tau=0.5"),  # half of the layers
        named(make_sweep("dact", [[3] * 6], seed=0), "tau=0.005"),  # all of them
        named(make_sweep("dact", [[1] * 6], seed=1), "tau=0.5"),  # a third, in another seed
    ]
    rival = [[1] * 6, [2] * 6, [1, 1, 1, 1, 2, 3]]  # at 1/3, 2/3 and 1/2 of the layers
    rivals = [named(make_sweep("deebert", rival, seed=seed), knob=(0.6, 0.3, 0.4)) for seed in (0, 1)]
    static = named(make_sweep("static", [[3] * 6]), knob=(np.nan,))
    assert settings_of(*dact, *rivals, static) == {
        ("tau=0.5", "dact", 0): 0.0, ("tau=0.005", "dact", 0): 0.0, ("tau=0.5", "dact", 1): 0.0,
        ("tau=0.5", "deebert", 0): 0.4, ("tau=0.5", "deebert", 1): 0.6,
        ("tau=0.005", "deebert", 0): 0.3,  # exactly one layer away
    }  # fmt: skip
    far = named(make_sweep("deebert", [[1] * 6]), knob=(0.6,))
    assert ("tau=0.005", "deebert", 0) not in settings_of(*dact, far)


def test_settings_are_exact_and_used_layers_are_counted():
    dact = named(make_sweep("dact", [[1, 1, 1, 1, 2, 3]]), "tau=0.5")
    rival = named(make_sweep("deebert", [[3] * 6]), knob=(0.1,))
    exact = Candidates(np.array([0.2, 0.33]), np.array([[3] * 6, [1, 1, 1, 1, 1, 3]]), rival.predictions[[0, 0]])
    rows = concat_rows(list(matched_rows([dact, replace(rival, candidates={"all": exact})])), MATCHED)
    found = rows[rows["method"] == "deebert"]
    assert found["knob_value"].tolist() == [0.33] * 3  # not the grid's
    assert found["used_count"].tolist() == [6, 1, 1] and found["n"].tolist() == [6] * 3


def test_without_dact_costs_are_shares_of_the_layers():
    one = named(make_sweep("pabee", [[1] * 6, [1, 2, 1, 2, 1, 2], [3] * 6]), knob=(1, 2, 3))
    assert settings_of(one) == {("x=0.25", "pabee", 0): 1, ("x=0.5", "pabee", 0): 2, ("x=0.75", "pabee", 0): 2}
