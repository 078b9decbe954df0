"""What a terminal shows of a run: the running cell within 80 columns, and that tables and figures are made."""

import io
import time

import pytest

from bench.plan.cell import Cell
from bench.processes import call_all
from bench.run import progress as progress_module
from bench.run.progress import Progress


class Known:
    """An estimator that expects every cell to take a minute."""

    def predict(self, spec):
        """Sixty seconds."""
        return 60.0


def cell(seed):
    """A cell of DACT on RoBERTa, whose label is among the longest."""
    spec = {"backbone": "roberta", "task": "mnli", "method": "dact", "variant": "tau=0.0005", "seed": seed}
    return Cell(spec, None, None)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Yes."""
        return True


def test_the_running_cell_is_seen_at_80_columns(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress_module, "UPDATE_EVERY", 0)
    cells = [cell(seed) for seed in range(120)]
    shown = Progress(cells, 0, 2, Known())
    shown.start(cells[0])
    shown.start(cells[1])
    shown.failed = 3
    shown.refresh()
    line = stream.getvalue().rpartition("\r")[2][:80]  # a real terminal cuts it there
    assert "0/120 cells" in line and "roberta/mnli dact tau=0.0005 seed 0 (0 s), +1, 1:00:00 left" in line
    shown.close()


def test_nothing_runs_yet(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert Progress([cell(0)], 0, 1, Known()).short_state() == "nothing runs, 1:00 left"


def test_tables_and_figures_have_a_line_on_a_terminal_and_none_elsewhere(capsys, monkeypatch):
    assert call_all(time.sleep, [(0,)] * 3, "figures") == [None] * 3
    assert capsys.readouterr().err == ""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    assert call_all(abs, [(-1,), (2,)], "figures") == [1, 2]
    assert "figures: 0/2" in stream.getvalue()


def test_an_error_of_a_call_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        call_all(divmod, [(1, 1), (1, 0)], "numbers")
