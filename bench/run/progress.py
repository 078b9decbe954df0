"""The progress display of a run: what is running, done and failed, and how long the rest will take."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection

from tqdm import tqdm

from bench.plan.cell import Cell
from bench.run.estimator import Estimator
from bench.run.state import State

#: Seconds between two lines where the output is no terminal.
LINE_EVERY = 30.0
#: Seconds between two updates of the line on a terminal.
UPDATE_EVERY = 0.5


class Progress:
    """One line on a terminal that is kept up to date; elsewhere one line every half minute.

    Args:
        pending: the cells to be run.
        finished: how many cells were done before.
        jobs: how many run at a time.
        estimator: knows the times of cells that were run before.
        state: where other processes read how far this one is; None: nowhere.
    """

    def __init__(
        self, pending: list[Cell], finished: int, jobs: int, estimator: Estimator, state: State | None = None
    ) -> None:
        self.jobs, self.estimator, self.state = jobs, estimator, state
        self.waiting = {cell.key: cell for cell in pending}
        self.running: dict[str, tuple[Cell, float]] = {}
        self.failed = 0
        self.total, self.done = len(pending) + finished, finished
        self.started = self.last_line = self.last_update = time.monotonic()
        self.bar = None
        if sys.stderr.isatty():
            style = "{n_fmt}/{total_fmt} cells, {elapsed}{postfix}"  # no bar: 80 columns are for what is running
            self.bar = tqdm(total=self.total, initial=finished, bar_format=style, dynamic_ncols=True)

    def reopen(self, cell: Cell) -> None:
        """Count a finished cell as waiting again: another cell needs its model."""
        self.waiting[cell.key] = cell
        self.done -= 1

    def start(self, cell: Cell) -> None:
        """Count a cell as running: a worker has it."""
        self.running[cell.key] = (self.waiting.pop(cell.key, cell), time.monotonic())

    def requeue(self, cell: Cell) -> None:
        """Count a running cell as waiting again: it has to be run once more."""
        self.running.pop(cell.key)
        self.waiting[cell.key] = cell

    def finish(self, cell: Cell, record: dict) -> None:
        """Count a cell as done, and learn from the time it took."""
        self.running.pop(cell.key, None)
        self.waiting.pop(cell.key, None)
        self.done += 1
        if record["status"] == "ok":
            self.estimator.learn(cell.spec, record["seconds"]["all"])
        elif record["status"] == "failed":
            self.failed += 1
            self.say(f"failed: {cell.label}: {record['reason']}")
        if self.bar is not None:
            self.bar.update()

    def seconds_left(self) -> float | None:
        """Predicted seconds until the last cell ends; None as long as nothing is known."""
        if any(self.estimator.predict(cell.spec) is None for cell in self.waiting.values()):
            return None
        return self.seconds_until({*self.waiting, *self.running})

    def seconds_until(self, keys: Collection[str]) -> float:
        """Predicted seconds until some cells have ended, if all jobs work on them; 0 as long as nothing is known."""
        # as if the work left were shared evenly: near the end fewer cells are left than could run
        now = time.monotonic()
        left = sum(self.estimator.predict(cell.spec) or 0.0 for key, cell in self.waiting.items() if key in keys)
        for key, (cell, started) in self.running.items():
            if key in keys:
                left += max((self.estimator.predict(cell.spec) or 0.0) - (now - started), 0.0)
        return left / max(self.jobs, 1)

    def refresh(self, elsewhere: int = 0) -> None:
        """Show the present state, at most twice a second: the time left is a sum over all cells that wait.

        Args:
            elsewhere: how many cells other runs are working on.
        """
        now = time.monotonic()
        if now - self.last_update < UPDATE_EVERY:
            return
        self.last_update = now
        self.tell(elsewhere)
        others = f"; {elsewhere} in another run" if elsewhere else ""
        if self.bar is not None:
            self.bar.set_postfix_str(self.short_state() + others)
        elif now - self.last_line >= LINE_EVERY:
            self.last_line = now
            done = f"{self.done}/{self.total} cells, {clock_time(now - self.started)} elapsed, {self.failed} failed"
            line = f"{done}, {self.remaining()}, running: {self.running_now()}{others}"
            print(line, file=sys.stderr, flush=True)

    def tell(self, elsewhere: int = 0, is_paused: bool = False) -> None:
        """Write the present state for other processes."""
        if self.state is None:
            return
        now = time.monotonic()
        cells = [{"cell": cell.label, "seconds": round(now - start, 1)} for cell, start in self.running.values()]
        self.state.write(
            at_once=is_paused,
            cells=self.total,
            done=self.done,
            failed=self.failed,
            elsewhere=elsewhere,
            running=cells,
            seconds_left=self.seconds_left(),
            paused=is_paused,
        )

    def pause(self) -> None:
        """Say that the run stands still, here and to other processes."""
        self.say(f"paused; it goes on with: kill -CONT {os.getpid()}, or fg")
        self.tell(is_paused=True)

    def go_on(self, seconds: float) -> None:
        """Say that the run goes on; the seconds that it was paused are taken out of all times."""
        self.say(f"goes on after a pause of {clock_time(seconds)}")
        self.started += seconds
        self.running = {key: (cell, start + seconds) for key, (cell, start) in self.running.items()}
        if self.bar is not None:
            self.bar.start_t += seconds

    def short_state(self) -> str:
        """The cell that has run longest, how many others run, and the time left: what 80 columns have room for."""
        now = time.monotonic()
        running = sorted(self.running.values(), key=lambda each: each[1])
        shown = [f"{cell.label} ({now - start:.0f} s)" for cell, start in running[:1]] or ["nothing runs"]
        if len(running) > 1:
            shown.append(f"+{len(running) - 1}")
        left = self.seconds_left()
        shown += [] if left is None else [f"{clock_time(left)} left"]
        return ", ".join([*shown, f"{self.failed} failed"] if self.failed else shown)

    def running_now(self) -> str:
        """The running cells and for how long each has run, in words."""
        now = time.monotonic()
        return "; ".join(f"{cell.label} ({now - start:.0f} s)" for cell, start in self.running.values()) or "nothing"

    def remaining(self) -> str:
        """The predicted time until the run ends, in words."""
        left = self.seconds_left()
        return "time left: not measured yet" if left is None else f"about {clock_time(left)} left"

    def say(self, line: str) -> None:
        """Print a line without disturbing the bar."""
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar, so that what is printed next has a line of its own, and what other processes read."""
        if self.state is not None:
            self.state.remove()
        if self.bar is not None:
            self.bar.close()


def clock_time(seconds: float) -> str:
    """Seconds in the progress display: h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
