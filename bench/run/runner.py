"""Running what is left of a plan, from start to end: failures are recorded, finished work is never repeated."""

from __future__ import annotations

from bench.run.backends import Backend
from bench.run.estimator import Estimator
from bench.run.pause import Pauses
from bench.run.progress import Progress
from bench.run.scheduler import Scheduler
from bench.run.seeds import Refresh, Seeds
from bench.run.state import State
from bench.run.todo import Todo, clear_unfinished
from bench.run.work import Work
from bench.store.locks import Locks


def run(
    todo: Todo,
    work: Work,
    backend: Backend,
    fail_fast: bool = False,
    force: bool = False,
    refresh: Refresh | None = None,
) -> int:
    """Run what is left of a plan, beside other runs on the same folder.

    Args:
        todo: from `find_todo`.
        work: where and on what.
        backend: what runs the cells.
        fail_fast: stop at the first failure.
        force: as `find_todo` was told.
        refresh: makes what people read whenever a seed is complete; None: nobody does before the end.

    Returns:
        How many cells of the plan have failed.
    """
    locks = Locks(work.folder)
    clear_unfinished(todo, work, locks, force)
    estimator = Estimator()
    for record in work.folder.records():
        if record["status"] == "ok":
            estimator.learn(record["spec"], record["seconds"]["all"])
    progress = Progress(todo.pending, len(todo.finished), backend.capacity(), estimator, State(work.folder))
    seeds = Seeds(todo, progress, refresh) if refresh else None
    pauses = Pauses(backend, progress, refresh)
    scheduler = Scheduler(todo, work, backend, locks, progress, fail_fast, seeds, pauses)
    try:
        with pauses:
            scheduler.run()
    finally:
        if refresh:
            refresh.close()
        backend.close()
        locks.drop_all()
        progress.close()
    work.folder.refresh()
    return progress.failed
