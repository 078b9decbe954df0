"""Results while you wait: a seed that is complete is told of once, when it is worth it, and changes no byte."""

import shutil
import time
from types import SimpleNamespace

import pytest
from fake_cells import FUNCTION, make_grid
from test_end_to_end import COMMAND, run

from bench.report.outputs import collect_and_draw
from bench.report.refresh import Refresher
from bench.run import seeds as seeds_module
from bench.run.backends.local import LocalBackend
from bench.run.runner import run as run_cells
from bench.run.seeds import Seeds
from bench.run.todo import find_todo
from bench.run.work import Work
from bench.store.csv_files import read_table
from bench.store.folder import RunFolder


class Noted:
    """A refresh that notes what it is asked for, and that is busy as often as it is told."""

    def __init__(self, busy=0):
        self.asked, self.closed, self.seconds, self.busy = [], 0, 0.0, busy

    def start(self, unfinished):
        self.busy -= 1
        if self.busy < 0:
            self.asked.append(unfinished)
        return self.busy < 0

    def look(self):
        return ""

    def close(self):
        self.closed += 1


def seeds_of(cells, refresh, until=200.0):
    """`Seeds` of a plan whose next seed is so many seconds away."""
    progress = SimpleNamespace(seconds_until=lambda keys: until, say=None)
    return Seeds(SimpleNamespace(pending=cells), progress, refresh)


def test_a_run_tells_of_every_seed_but_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds_module, "SOON", -1.0)
    folder, cells, noted = RunFolder(tmp_path), make_grid(3), Noted()
    noted.seconds = -1.0
    folder.create()
    backend = LocalBackend(1, "cpu", None, FUNCTION)
    run_cells(find_todo(cells, folder), Work(folder, None, "cpu"), backend, refresh=noted)
    assert noted.asked == [{1, 2}, {2}]
    assert noted.closed == 1


def test_a_seed_is_complete_when_its_last_cell_is():
    noted, cells = Noted(), make_grid(2)
    seeds = seeds_of(cells, noted)
    for cell in cells[:2]:
        seeds.finish(cell)
        seeds.look()
    assert noted.asked == []
    seeds.finish(cells[2])
    seeds.look()
    seeds.look()
    assert noted.asked == [{1}], "once"


def test_one_that_is_under_way_is_waited_for():
    noted, cells = Noted(busy=2), make_grid(2)
    seeds = seeds_of(cells, noted)
    for cell in cells[:3]:
        seeds.finish(cell)
    for _ in range(4):
        seeds.look()
    assert noted.asked == [{1}]


@pytest.mark.parametrize(("until", "seconds", "asked"), [(119.0, 0.0, 0), (121.0, 0.0, 1), (121.0, 122.0, 0)])
def test_what_will_be_overtaken_at_once_is_not_begun(until, seconds, asked):
    noted, cells = Noted(), make_grid(2)
    noted.seconds, seeds = seconds, seeds_of(cells, noted, until)
    for cell in cells[:3]:
        seeds.finish(cell)
    seeds.look()
    assert len(noted.asked) == asked


def test_the_last_seed_is_left_to_the_end_of_the_run():
    noted, cells = Noted(), make_grid(1)
    seeds = seeds_of(cells, noted)
    for cell in cells:
        seeds.finish(cell)
    seeds.look()
    assert noted.asked == []


def outputs(folder):
    """Every table, figure and page of a folder by name."""
    parts = [*(folder / "results").glob("*.csv"), *(folder / "results" / "latex").iterdir()]
    parts += [folder / "results" / "report.html", *(folder / "figures").iterdir()]
    return {path.name: path.read_bytes() for path in parts}


def test_what_is_made_meanwhile_is_of_complete_seeds_and_leaves_no_trace(tiny_suite, tmp_path, capfd):
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "meanwhile"
    assert run(tiny_suite, undisturbed, *COMMAND, "--tasks", "rte", "--methods", "static,deebert") == 0
    shutil.copytree(undisturbed / "results", folder / "results", ignore=shutil.ignore_patterns("*.csv", "*.html"))
    refresher = Refresher(RunFolder(folder / "results"), folder / "figures", None)
    capfd.readouterr()
    assert refresher.look() == "" and refresher.start(frozenset({1})) and not refresher.start(frozenset({1}))
    while not (said := refresher.look()):
        time.sleep(0.1)
    assert said.endswith("report.html") and refresher.seconds > 0
    assert set(read_table(folder / "results" / "points.csv")["seed"]) == {0}
    assert "Seeds</dt><dd>0</dd>" in (folder / "results" / "report.html").read_text().replace("\n", "")
    assert not any(capfd.readouterr()), "it says nothing itself"
    early = outputs(folder)
    assert early.keys() == outputs(undisturbed).keys() and early != outputs(undisturbed)
    assert collect_and_draw(RunFolder(folder / "results"), folder / "figures") == 0
    assert outputs(folder) == outputs(undisturbed)


def test_one_that_is_not_needed_any_more_leaves_no_half_files(tmp_path):
    folder = RunFolder(tmp_path)
    folder.create()
    refresher = Refresher(folder, tmp_path / "figures", None)
    refresher.start(frozenset())
    refresher.close()
    assert refresher.look() == "tables and figures could not be made yet; the end of the run tells why"
    assert not list(tmp_path.rglob("*.tmp"))
