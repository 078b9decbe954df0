"""Figures, drawn from synthetic tables of plausible shape: what they say, and that they say it for partial runs too."""

import warnings
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from synthetic import KNOBS, TAUS, L, make_curves, make_matched, make_tables

from bench.errors import UserError
from bench.report import figures
from bench.report.figures.__main__ import main as redraw
from bench.report.figures.draw import Wanted, part_of
from bench.report.figures.figure2 import difference
from bench.report.figures.figure3 import figure3, usage
from bench.report.figures.looks import COLOURLESS, LABELS, looks
from bench.report.figures.multiples import multiples
from bench.report.figures.page import save
from bench.report.figures.setting import STYLE, WIDTHS, Setting, drawn_with
from bench.store.csv_files import read_table
from bench.tables.health import HEALTH

ROOT = Path(__file__).parents[1]
#: health.csv of a run whose exits were not probed.
NO_HEALTH = pd.DataFrame(columns=HEALTH)


def draw(run, name):
    """One figure of a run folder, not yet written; on BERT where every backbone has its own."""
    plot = figures.PLOTS[name]
    backbone = "bert" if plot.per_backbone else None
    with matplotlib.style.context(str(STYLE), after_reset=True):
        return plot.draw(*(part_of(read_table(run / f"{table}.csv"), backbone) for table in plot.tables))


def words(figure):
    """Every text of a figure, line breaks undone."""
    texts = [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " ".join(" ".join(texts).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One backbone with all six tasks."""
    return make_tables(tmp_path_factory.mktemp("run"), backbones=["bert"])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two backbones with two tasks and two seeds."""
    return make_tables(tmp_path_factory.mktemp("small"), tasks=["sst2", "mnli"], seeds=2)


def test_every_figure_in_three_formats_and_the_same_bytes_twice(tmp_path):
    run = make_tables(tmp_path, tasks=["sst2"], backbones=["roberta"])
    first = figures.draw_all(run, tmp_path / "a")
    assert redraw([str(run), str(tmp_path / "b")]) == 0
    second = [tmp_path / "b" / path.name for path in first]
    stems = [f"{name}-roberta" if plot.per_backbone else name for name, plot in figures.PLOTS.items()]
    assert [path.name for path in first] == [f"{stem}.{kind}" for stem in stems for kind in ("pdf", "svg", "png")]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
    svg = (tmp_path / "a" / "figure2.svg").read_text()
    assert "SST-2-like, generated" in svg and "Student-t" in svg  # text that can be searched
    assert b"/FontFile2" in (tmp_path / "a" / "figure2.pdf").read_bytes()  # TrueType, embedded


def test_the_reference_run_holds_every_table_that_is_drawn():
    tables = {table for plot in figures.PLOTS.values() if not plot.optional for table in plot.tables}
    assert tables <= {path.stem for path in (ROOT / "bench" / "references" / "embedded" / "tables").iterdir()}


def test_drawing_again_needs_a_run_folder(tmp_path, capsys):
    assert redraw([str(tmp_path), str(tmp_path / "figures")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"bench.report.figures: no points.csv in {tmp_path}: expected a run folder")


def test_points_say_what_they_are(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=["dact", "pabee"], seeds=1)
    save(draw(run, "figure2"), tmp_path / "figure2")
    svg = ElementTree.parse(tmp_path / "figure2.svg")
    titles = [e.text for e in svg.iter("{http://www.w3.org/2000/svg}title")][1:]  # the first one is the picture's
    points = read_table(run / "points.csv")
    assert len(titles) == len(points) == len(TAUS) + L
    x, y = points.loc[0, ["layer_fraction", "value"]]
    assert titles[0] == f"dact tau=5e-05, eps 0, seed 0: x {x:.3f}, accuracy {y:.4f}"


@pytest.mark.parametrize("name", figures.PLOTS)
def test_every_figure_says_its_data_its_seeds_its_interval_and_its_units(name, small):
    figure = draw(small, name)
    said = words(figure)
    assert "Data: suite embedded (generated, not GLUE)." in said and "2 seeds" in said
    assert "Student-t" in said or "no interval drawn" in said
    described = words(figure).lower()
    for ax in figure.findobj(Axes):
        if ax.axison and ax.get_xaxis().get_label_text() == "" and ax.get_subplotspec().is_last_row():
            assert "horizontal:" in described, "an axis without a label"


@pytest.mark.parametrize("name", figures.PLOTS)
def test_one_seed_says_so_and_draws_no_band(name, tmp_path):
    said = words(draw(make_tables(tmp_path, tasks=["sst2"], backbones=["bert"], seeds=1), name))
    assert "one seed" in said.lower() and "Student-t band" not in said and "Student-t interval" not in said


@pytest.mark.parametrize("name", figures.PLOTS)
def test_real_data_are_not_called_generated(name, tmp_path):
    figure = draw(make_tables(tmp_path, suite="paper", tasks=["mnli"], backbones=["bert"], seeds=2), name)
    if name in ("difficulty", "undecidable"):
        assert figure is None, "nobody knows how hard real examples are"
    else:
        said = words(figure)
        assert "generated" not in said and "MNLI-m" in said and "suite paper" in said


@pytest.mark.parametrize("name", figures.PLOTS)
def test_no_text_covers_another(name, run, monkeypatch):
    figure, drawn = draw(run, name), []
    figure.draw_without_rendering()
    monkeypatch.setattr(Text, "draw", lambda text, renderer: drawn.append(text))
    figure.draw_without_rendering()
    shown = [text for text in drawn if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent().padded(-2)) for text in shown]
    assert len(boxes) > 20
    assert not [(a, b) for (a, one), (b, two) in combinations(boxes, 2) if one.overlaps(two)]


def test_figure2_has_a_panel_per_task_in_the_papers_order(run):
    panels = [ax for ax in draw(run, "figure2").findobj(Axes) if ax.get_title()]
    titles = [ax.get_title().removesuffix("-like, generated") for ax in panels]
    assert titles == ["SST-2", "MRPC", "QNLI", "RTE", "QQP", "MNLI-m", "MNLI-mm"]
    labels = {title: ax.get_ylabel() for title, ax in zip(titles, panels, strict=True)}
    assert labels["MRPC"] == labels["QQP"] == "F1" and labels["SST-2"] == "accuracy"


def test_a_method_of_ones_own_is_drawn_beside_the_known_ones(small):
    points = read_table(small / "points.csv")
    points.loc[points["method"] == "pabee", "method"] = "mine"
    with matplotlib.style.context(str(STYLE), after_reset=True):
        said = words(multiples(points, read_table(small / "curves.csv"), read_table(small / "references.csv")))
    assert "mine" in said and "PABEE" not in said


@pytest.mark.parametrize(
    ("static", "pabee"),
    [((0.9, 0.7), (0.8, 0.6)), ((0.9,), (0.8, 0.8))],
    ids=["each seed has its own", "one for all seeds: seed_scope heads"],
)
def test_the_difference_to_static_is_paired_by_seed(static, pabee):
    rows = [("static", seed, np.nan, 1.0, y) for seed, y in enumerate(static)]
    rows += [(name, seed, x, x, y) for name in ("pabee", "deebert") for seed, y in enumerate(pabee) for x in (0.5, 1.0)]
    points = pd.DataFrame(rows, columns=["method", "seed", "knob_value", "layer_fraction", "value"])
    points = points.assign(suite="paper", task="rte", split="validation", backbone="bert", metric="accuracy")
    figure = difference(points.assign(variant=""))
    ax = figure.findobj(Axes)[0]
    assert [line.get_xdata().tolist() for line in ax.lines[:2]] == [[0.5, 1.0]] * 2
    assert np.concatenate([line.get_ydata() for line in ax.lines[:2]]) == pytest.approx([-0.1] * 4)
    assert "2 seeds" in words(figure)
    (low, high), *_ = ax.collections[0].get_segments()[0][:, 1].reshape(1, 2)
    assert high - low == pytest.approx(0)  # equal in both seeds: no spread


@pytest.mark.parametrize("methods", [["static"], list(KNOBS)])
def test_a_narrow_forest_has_room_for_its_fine_print(methods, tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=methods, seeds=3)
    with warnings.catch_warnings(), matplotlib.style.context(str(STYLE), after_reset=True):
        warnings.simplefilter("error")  # matplotlib says so where panels collapse
        figure = draw(run, "auc")
        figure.canvas.draw()
        key = figure.legends[0].get_window_extent()
    assert key.x0 >= 0 and key.x1 <= figure.bbox.x1
    assert all(ax.get_window_extent().height > 20 for ax in figure.axes)


@pytest.mark.parametrize("missing", [{"pabee"}, {"dact", "dact-exact"}, {"static", "distilbert", "truncated"}])
def test_a_missing_method_is_absent_and_the_rest_is_drawn(missing, tmp_path):
    methods = [m for m in KNOBS if m not in missing]
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=methods, seeds=2)
    drawn = {name for name in figures.PLOTS if draw(run, name) is not None}
    assert "figure3" in drawn
    assert ("bounds" in drawn) == ("dact" not in missing)
    assert ("difference" in drawn) == ("static" not in missing)
    said = words(draw(run, "figure2"))
    assert ("PABEE" in said) == ("pabee" not in missing) and ("static" in said) == ("static" not in missing)


def test_a_failed_tau_leaves_a_marked_hole(tmp_path):
    run = make_tables(tmp_path, tasks=["sst2", "rte"], backbones=["bert"], seeds=2)
    matched = read_table(run / "matched.csv")
    matched = matched[(matched["task"] != "rte") | (matched["at"] != "tau=0.05")]
    assert words(figure3(matched)).count("no setting") == 1


def test_a_method_with_one_point_has_dots_and_no_line(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=["dact"], seeds=2)
    read_table(run / "curves.csv").head(0).to_csv(run / "curves.csv", index=False)
    ax = draw(run, "figure2").findobj(Axes)[0]
    assert not any(len(line.get_xdata()) for line in ax.lines)
    assert len(ax.collections[0].get_offsets()) == 2 * len(TAUS)


def test_a_static_model_alone_has_areas_only(tmp_path):
    run = make_tables(tmp_path, suite="paper", tasks=["rte"], backbones=["bert"], methods=["static"])
    assert [name for name in figures.PLOTS if draw(run, name) is not None] == ["auc"]


def test_figure2_draws_the_exact_curve_and_falls_back_on_the_grid(small):
    curves = read_table(small / "curves.csv")
    deebert = curves[curves["method"] == "deebert"]
    exact = deebert.assign(resolution="exact", mean=0.123, dotted=0)
    points = read_table(small / "points.csv")
    drawn = [
        np.unique(line.get_ydata()[np.isfinite(line.get_ydata())])
        for ax in figures.PLOTS["figure2"].draw(points, pd.concat([curves, exact]), NO_HEALTH).findobj(Axes)[:1]
        for line in ax.lines
    ]
    assert sum(len(y) == 1 and y[0] == pytest.approx(0.123) for y in drawn) == 1  # DeeBERT, nothing dotted
    assert sum(len(y) > 5 for y in drawn) >= 3  # truncated depth, DACT and PABEE


def test_figure2_names_exits_that_see_less_than_is_there(small):
    points = read_table(small / "points.csv")
    rows = [("deebert", "bert", 2, 1, 1), ("deebert", "bert", 4, 1, 0), ("deebert", "roberta", 6, 0, 1)]
    rows += [("pabee", "bert", 3, 0, 0), ("pabee-frozen", "bert", 1, 1, 1)]
    health = pd.DataFrame(rows, columns=["method", "backbone", "layer", "named", "blind"])
    health = health.assign(task="rte", split="validation")
    said = words(figures.PLOTS["figure2"].draw(points, make_curves(points), health))
    assert "some with one answer for all: DeeBERT within layers 2–4 on 1 of 2 panels (health.csv)." in said
    said = words(figures.PLOTS["figure2"].draw(points, make_curves(points), health[health["layer"] != 4]))
    assert "DeeBERT at layer 2 on 1 of 2 panels" in said
    said = words(figures.PLOTS["figure2"].draw(points, make_curves(points), health.assign(named=0)))
    assert "probe" not in said


def test_figures_2_and_3_draw_ones_own_method_and_name_what_they_leave_out(small):
    names = {"dact": "aa", "dact-exact": "bb", "deebert": "cc", "truncated": "truncated", "static": "static"}
    names |= {"distilbert": "distilbert", "pabee": "pabee"}
    points = read_table(small / "points.csv").assign(method=lambda rows: rows["method"].map(names))
    exits = read_table(small / "exits.csv").assign(method=lambda rows: rows["method"].map(names))
    said = words(figures.PLOTS["figure2"].draw(points, make_curves(points), NO_HEALTH))
    assert all(name in said for name in ("aa", "bb", "cc", "PABEE")) and "Not drawn" not in said and "DACT" not in said
    said = words(figure3(make_matched(points[points["backbone"] == "bert"], exits)))
    assert ".5 of the layers" in said and "aa" in said and "DACT" not in said and "τ" not in said
    many = pd.concat([points[points["method"] == "pabee"].assign(method=f"m{i}") for i in range(6)] + [points])
    said = words(figures.PLOTS["figure2"].draw(many, make_curves(many), NO_HEALTH))
    assert "PABEE" in said and "Not drawn here: m1; m2; m3; m4; m5." in said  # aa, bb, cc, m0 and the paper's


def test_colours_are_those_that_are_free_and_the_same_in_every_figure_of_a_run():
    ran = ["dact", "deebert", "pabee", "static", "truncated", "mine", "other"]
    with drawn_with(Setting(frozenset(ran))):
        everywhere, alone = looks(ran), looks(["mine"])
    assert list(everywhere)[:2] == ["mine", "other"]
    assert alone["mine"] == everywhere["mine"]
    colours = [look.color for name, look in everywhere.items() if name not in COLOURLESS]
    assert len(set(colours)) == len(colours)
    usual = looks(LABELS)
    assert all(everywhere[name] == usual[name] for name in ("dact", "deebert", "pabee"))
    together = [(look.color, look.marker) for look in looks([*LABELS, *map("m{}".format, range(9))]).values()]
    assert len(set(together)) == len(together), "two methods that nobody can tell apart"


def test_the_forest_is_ordered_by_value_and_has_no_empty_rows_or_second_mean(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], seeds=2)
    areas = read_table(run / "auc.csv")
    figure = draw(run, "auc")
    common, budget = figure.findobj(Axes)  # one task: no column for the mean
    shown = [label.get_text() for label in budget.get_yticklabels()]
    best_first = areas[areas["task"] == "rte"].sort_values("auc_budget", ascending=False)["method"]
    assert shown == [LABELS[name] for name in best_first]
    assert "static" in shown and "static" not in [label.get_text() for label in common.get_yticklabels()]


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_for_a_paper_have_its_width_and_no_words_of_their_own(width, run, tmp_path):
    wanted = Wanted(panels=("sst2", "mnli-m"), backbone="bert", width=width, words=False)
    assert figures.draw_all(run, tmp_path, wanted)
    for name, plot in figures.PLOTS.items():
        with drawn_with(Setting(frozenset(), WIDTHS[width], words=False)):
            figure = plot.draw(*(part_of(read_table(run / f"{table}.csv"), "bert", wanted) for table in plot.tables))
        said = words(figure)
        assert figure.get_figwidth() == WIDTHS[width]
        assert "MRPC" not in said and "MNLI-mm" not in said
        assert name == "risk" or ("SST-2-like" in said and "MNLI-m-like" in said)  # that one is a mean over tasks
        assert "Data: suite" not in said and not said.startswith("BERT: ") and " BERT: " not in said


def test_what_did_not_run_cannot_be_drawn(small, tmp_path, capsys):
    for option, line in {
        "--panels=sst2,mnli-x": "unknown panel 'mnli-x': expected one of mnli, mnli-m, mnli-mm, sst2; did you mean",
        "--panels=,": "--panels: expected at least one name",
        "--backbone=bart": "unknown backbone 'bart': expected one of bert, roberta; did you mean 'bert'?",
        "--width=page": "unknown width 'page': expected one of column, text",
    }.items():
        assert redraw([str(small), str(tmp_path), option]) == 2
        assert capsys.readouterr().err.startswith(f"bench.report.figures: {line}")
    assert not list(tmp_path.iterdir())


def test_more_panels_than_a_column_holds_are_left_out(run, tmp_path):
    written = figures.draw_all(run, tmp_path, Wanted(width="column"))
    assert "figure2.pdf" in {path.name for path in written} and "auc-bert.pdf" not in {path.name for path in written}


def test_a_folder_without_tables_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"no points\.csv in .*expected a run folder"):
        figures.draw_all(tmp_path, tmp_path)


def test_usage_is_a_share_of_the_examples_of_each_seed():
    rows = pd.DataFrame({"seed": [0, 0, 1, 1], "layer": [1, 2, 1, 2], "used_count": [4, 1, 8, 8], "n": [4, 4, 8, 8]})
    assert usage(rows).tolist() == [[1, 0.25], [1, 1]]


def test_a_family_of_any_name_is_drawn_by_it(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["my-MiniLM_6"], seeds=1)
    said = words(
        figures.PLOTS["figure2"].draw(read_table(run / "points.csv"), read_table(run / "curves.csv"), NO_HEALTH)
    )
    assert "my-MiniLM_6 (static)" in said and "distilled" in said and "Distilmy" not in said


def test_the_key_of_one_method_and_task_is_within_the_figure(tmp_path):
    run = make_tables(tmp_path, tasks=["rte"], backbones=["bert"], methods=["static", "pabee"], seeds=2)
    with drawn_with(Setting()):
        for name in ("methods", "figure3"):
            figure = draw(run, name)
            figure.canvas.draw()
            key = figure.legends[0].get_window_extent()
            assert key.x0 >= 0 and key.x1 <= figure.bbox.x1, name
            assert all(ax.get_window_extent().height > 40 for ax in figure.axes), name
