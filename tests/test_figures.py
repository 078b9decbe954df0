"""Figures, drawn from synthetic tables of plausible shape: what they say, and that they say it for partial runs too."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from bench import figures
from bench.errors import UserError
from bench.statistics import mean_curve

L, N = 12, 200
TASKS = ["sst2", "mrpc", "qnli", "rte", "qqp", "mnli"]
KNOBS = {
    "static": ("", [np.nan]),
    "distilbert": ("", [np.nan]),
    "dact": ("eps", [0.0]),
    "dact-exact": ("eps", [0.0]),
    "deebert": ("entropy", [round(0.05 * i, 2) for i in range(15)]),
    "pabee": ("patience", list(range(1, L + 1))),
    "truncated": ("layer", list(range(1, L + 1))),
}
TAUS = [5e-5, 5e-4, 5e-3, 5e-2, 5e-1]
KEYS = ["suite", "task", "split", "backbone", "method", "variant", "knob", "knob_value"]


def exit_layers(method, tau, value, hardness, rng):
    """The layer [N] at which each example leaves, given how hard it is."""
    if method in ("static", "distilbert"):
        return np.full(N, L if method == "static" else L // 2)
    if method == "truncated":
        return np.full(N, int(value))
    if method == "pabee":
        return np.minimum(np.maximum(value + 1, np.round(value + 6 * hardness)), L).astype(int)
    if method == "deebert":
        return np.clip(np.round(L * (1.25 - 1.6 * value) * hardness**0.6), 1, L).astype(int)
    mean = {5e-5: 11, 5e-4: 10.6, 5e-3: 7.5, 5e-2: 4.5, 5e-1: 2.2}[tau] + rng.normal(0, 0.4)
    return np.clip(np.round(mean + 3 * (hardness - 0.5)), 1, L).astype(int)


def make_tables(folder, *, suite="embedded", backbones=("bert", "roberta"), tasks=TASKS, methods=tuple(KNOBS), seeds=3):
    """Write points, exits, knobs and curves of an invented run."""
    points, exits = [], []
    for backbone in backbones:
        for i, task in enumerate(tasks):
            for split in ["validation_matched", "validation_mismatched"] if task == "mnli" else ["validation"]:
                for seed in range(seeds):
                    rng = np.random.default_rng([i, seed, len(backbone)])
                    hardness, top = np.sort(rng.random(N)), 0.86 + 0.1 * rng.random()
                    for method in methods:
                        knob, values = KNOBS[method]
                        for tau in TAUS if method.startswith("dact") else [None]:
                            for value in values:
                                key = [suite, task, split, backbone, method, "" if tau is None else f"tau={tau:g}"]
                                key = dict(zip(KEYS, [*key, knob, value], strict=True), seed=seed)
                                layers = exit_layers(method, tau, value, hardness, rng)
                                speed = {"pabee": 2.5, "deebert": 3, "truncated": 2}.get(method, 4)
                                y = 0.5 + (top - 0.5) * np.mean(1 - np.exp(-speed * layers / L)) + rng.normal(0, 0.004)
                                metric = "f1" if task in ("mrpc", "qqp") else "accuracy"
                                points.append(key | {"layer_fraction": layers.mean() / L, "metric": metric, "value": y})
                                for layer in range(1, L + 1):
                                    counts = {
                                        "exit_count": (layers == layer).sum(),
                                        "used_count": (layers >= layer).sum(),
                                    }
                                    exits.append(key | {"layer": layer} | counts)
    points = pd.DataFrame(points)
    knobs = points.groupby(KEYS, dropna=False, sort=False).agg(
        layer_fraction=("layer_fraction", "mean"), value=("value", "mean"), seeds=("seed", "count")
    )
    folder.mkdir(parents=True, exist_ok=True)
    points.to_csv(folder / "points.csv", index=False)
    pd.DataFrame(exits).to_csv(folder / "exits.csv", index=False)
    knobs.reset_index().to_csv(folder / "knobs.csv", index=False)
    make_curves(points).to_csv(folder / "curves.csv", index=False)
    return folder


def make_curves(points):
    grid, curves = np.linspace(0, 1, 101), []
    columns = ["suite", "task", "split", "backbone", "method"]
    for key, rows in points.groupby(columns):
        runs = [(r["layer_fraction"].to_numpy(), r["value"].to_numpy()) for _, r in rows.groupby("seed")]
        mean, low, high, seeds, dotted = mean_curve(grid, runs, widest=3 / L)
        table = pd.DataFrame({"x": grid, "mean": mean, "low": low, "high": high, "seeds": seeds, "dotted": dotted * 1})
        curves.append(table[table["seeds"] > 0].assign(**dict(zip(columns, key, strict=True)), resolution="grid"))
    return pd.concat(curves)


def tables(folder):
    return {name: figures._read(folder / f"{name}.csv") for name in ("points", "exits", "curves", "knobs")}


def words(figure):
    """Every text of a figure, line breaks undone."""
    texts = [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " ".join(" ".join(texts).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_tables(tmp_path_factory.mktemp("run"))


def test_every_figure_in_three_formats_and_the_same_bytes_twice(tmp_path):
    run = make_tables(tmp_path, tasks=["sst2"], backbones=["roberta"])
    first, second = figures.draw_all(run, tmp_path / "a"), figures.draw_all(run, tmp_path / "b")
    names = [f"{stem}.{e}" for stem in ("figure2", "figure3-roberta") for e in ("pdf", "svg", "png")]
    assert [path.name for path in first] == names
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
    svg = (tmp_path / "a" / "figure2.svg").read_text()
    assert "SST-2-like, generated" in svg and "95 % Student-t band over 3 seeds" in svg  # text that can be searched
    assert b"/FontFile2" in (tmp_path / "a" / "figure2.pdf").read_bytes()  # TrueType, embedded


def test_figure2_has_a_panel_per_task_in_the_papers_order(run):
    figure = figures.figure2(tables(run)["points"], tables(run)["curves"])
    panels = [ax for ax in figure.findobj(Axes) if ax.get_title()]
    titles = [ax.get_title().removesuffix("-like, generated") for ax in panels]
    assert titles == ["SST-2", "MRPC", "QNLI", "RTE", "QQP", "MNLI-m", "MNLI-mm"] * 2
    labels = {title: ax.get_ylabel() for title, ax in zip(titles, panels, strict=True)}
    assert labels["MRPC"] == labels["QQP"] == "F1" and labels["SST-2"] == "accuracy"


def test_one_seed_says_so_and_draws_no_band(tmp_path):
    run = make_tables(tmp_path, tasks=["sst2"], backbones=["bert"], seeds=1)
    said = words(figures.figure2(tables(run)["points"], tables(run)["curves"]))
    assert "one seed: no interval" in said and "Student" not in said
    assert "One seed: no interval" in words(figures.figure3(tables(run)["knobs"], tables(run)["exits"]))


def test_real_data_are_not_called_generated(tmp_path):
    run = make_tables(tmp_path, suite="paper", tasks=["mnli"], backbones=["roberta"], seeds=2)
    said = words(figures.figure2(tables(run)["points"], tables(run)["curves"]))
    assert "generated" not in said and "MNLI-m" in said and "suite paper" in said


@pytest.mark.parametrize("missing", [{"pabee"}, {"dact", "dact-exact"}, {"static", "distilbert", "truncated"}])
def test_a_missing_method_is_absent_and_the_rest_is_drawn(missing, tmp_path):
    methods = [m for m in KNOBS if m not in missing]
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=methods, seeds=2)
    drawn = {path.stem for path in figures.draw_all(run, tmp_path / "figures")}
    assert drawn == ({"figure2"} if "dact" in missing else {"figure2", "figure3-bert"})
    said = words(figures.figure2(tables(run)["points"], tables(run)["curves"]))
    assert ("PABEE" in said) == ("pabee" not in missing) and ("static" in said) == ("static" not in missing)


def test_a_failed_tau_leaves_a_marked_hole(tmp_path):
    run = make_tables(tmp_path, tasks=["sst2", "rte"], backbones=["bert"], seeds=2)
    knobs = tables(run)["knobs"]
    knobs = knobs[(knobs["task"] != "rte") | (knobs["variant"] != "tau=0.05")]
    assert words(figures.figure3(knobs, tables(run)["exits"])).count("no run") == 1


def test_a_method_with_one_point_has_dots_and_no_line(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=["dact"], seeds=2)
    tables(run)["curves"].head(0).to_csv(run / "curves.csv", index=False)
    figure = figures.figure2(tables(run)["points"], tables(run)["curves"])
    drawn = [len(line.get_xdata()) for line in figure.findobj(Axes)[0].lines]
    assert drawn == [2 * len(TAUS), 0, 0]


def test_nothing_to_draw_is_no_figure(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=["static"])
    assert figures.draw_all(run, tmp_path / "figures") == []


def test_a_folder_without_tables_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"no points\.csv in .*expected a run folder"):
        figures.draw_all(tmp_path, tmp_path)


def test_matched_points_are_the_nearest_in_mean_cost():
    rows = [("dact", "tau=0.005", 0, 0.50), ("dact", "tau=0.5", 0, 0.2)]
    rows += [("deebert", "", 0.1, 0.58), ("deebert", "", 0.2, 0.45), ("deebert", "", 0.6, 0.3)]
    rows += [("pabee", "", 1, 0.40), ("pabee", "", 2, 0.60), ("static", "", np.nan, 0.5)]
    matched = figures.matched_points(pd.DataFrame(rows, columns=["method", "variant", "knob_value", "layer_fraction"]))
    got = {(row.tau, row.method): row.knob_value for row in matched.itertuples()}
    assert got == {
        (0.005, "dact"): 0, (0.005, "deebert"): 0.2, (0.005, "pabee"): 1,  # .40 and .60 are equally near: the cheaper
        (0.5, "dact"): 0, (0.5, "deebert"): 0.6, (0.5, "pabee"): 1,
    }  # fmt: skip


def test_usage_is_counted_per_seed(run):
    exits = tables(run)["exits"]
    panel = exits[(exits["task"] == "sst2") & (exits["backbone"] == "bert")]
    used, n = figures.usage(panel, "truncated", "", 4)
    assert n.tolist() == [N] * 3
    assert (used == [N] * 4 + [0] * 8).all()
