"""What a Dask worker does: run one cell in a warm process beside it, and send its files back."""

from __future__ import annotations

import multiprocessing.process
import platform
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import UserError
from bench.plan.cell import Cell
from bench.run.slot import CellRefused, Slot
from bench.run.work import Work
from bench.sources.tasks import task_of
from bench.store.code_hash import code_hash
from bench.store.files import remove, write_bytes
from bench.store.folder import RunFolder


@dataclass(frozen=True)
class Parcel:
    """The files of a cell, for the way back to a folder that its worker does not see.

    Attributes:
        traces: split -> the trace's bytes.
        model: the trained model, where other cells start from it.
        environment: what the cell ran on, as its file says it.
    """

    traces: dict[str, bytes]
    model: bytes | None
    environment: bytes

    @classmethod
    def pack(cls, key: str, folder: RunFolder, record: dict) -> Parcel:
        """Take a cell's files out of a worker's folder."""
        traces = {split: folder.trace_path(key, split) for split in record.get("traces", {})}
        model = folder.checkpoint_path(key) if record.get("model") else None
        parcel = cls(
            {split: path.read_bytes() for split, path in traces.items()},
            model.read_bytes() if model else None,
            folder.environment_path(record["environment"]).read_bytes(),
        )
        for path in (*traces.values(), folder.record_path(key), *filter(None, [model])):
            path.unlink()
        return parcel

    def unpack(self, cell: Cell, folder: RunFolder, record: dict) -> None:
        """Write a cell's files into the run folder, the record last; no name from the worker becomes a path."""
        for split in task_of(cell.spec).splits:
            if split in self.traces:
                write_bytes(folder.trace_path(cell.key, split), self.traces[split])
        if self.model is not None:
            write_bytes(folder.checkpoint_path(cell.key), self.model)
        if re.fullmatch("[0-9a-f]{16}", record["environment"]):
            write_bytes(folder.environment_path(record["environment"]), self.environment)
        folder.write_record({**record, "key": cell.key})


@dataclass(frozen=True)
class WarmSlot:
    """A slot in a Dask worker's process, and a folder for cells whose run folder the worker does not see."""

    slot: Slot
    scratch: Path


#: Slots of this process that no cell is in, by what runs cells in them; made when needed, and kept warm.
_idle: dict[str, list[WarmSlot]] = defaultdict(list)


def run_on_worker(
    function: str,
    cell: Cell,
    work: Work,
    keep_model: bool,
    timeout: float | None,
    proof: Path,
    model: bytes | None,
    code: str,
) -> tuple[dict, Parcel | None]:
    """What a Dask worker does for one cell.

    Args:
        function: what runs a cell, see `bench.run.slot.Slot`.
        cell: what to run.
        work: where.
        keep_model: whether other cells start from the trained model.
        timeout: seconds that it may take.
        proof: a file that is there where the run folder is shared.
        model: the model that the cell starts from, where it is not.
        code: hash of the code that asks.

    Returns:
        The record; and the cell's files, where the run folder is not shared.

    Raises:
        UserError: this worker runs another version of the program.
        CellRefused: neither the model nor the run folder is there.
        CellDied, CellHung: see `bench.run.slot.Slot.run`.
    """
    if code_hash() != code:
        raise UserError(f"the Dask worker on {platform.node()} runs another version of this program: install the same")
    # Dask marks its worker processes as having no children; ours end with it, see bench.processes
    multiprocessing.process.current_process()._config["daemon"] = False
    shared = proof.is_file()
    if shared and (record := work.folder.settled(cell.key, keep_model)):
        return record, None  # done meanwhile, by a run that lost sight of this task
    if work.save_models and not shared:
        raise UserError(f"--save-models: the Dask worker on {platform.node()} does not see the results folder")
    if cell.start and not shared and model is None:
        raise CellRefused(cell.label)
    free = take_slot(function)
    try:
        if shared:
            return free.slot.run(cell, work, keep_model, timeout), None
        folder = RunFolder(free.scratch)
        folder.create()
        if model is not None:
            write_bytes(folder.checkpoint_path(cell.start), model)
        record = free.slot.run(cell, replace(work, folder=folder), keep_model, timeout)
        if model is not None:
            remove(folder.checkpoint_path(cell.start))
        return record, Parcel.pack(cell.key, folder, record)
    finally:
        _idle[function].append(free)


def take_slot(function: str) -> WarmSlot:
    """A slot that no cell is in; its files go into Dask's own folder, which the next worker there clears."""
    try:
        return _idle[function].pop()
    except IndexError:
        from distributed import get_worker

        return WarmSlot(Slot(function), Path(tempfile.mkdtemp(dir=get_worker().local_directory)))
