"""One's own results beside published ones: a results folder whose run.json names another run, or a bundle, to read too.

Nothing is copied. The published cells are those of the tasks, backbones and seeds that one's own run has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError, cut, nearest
from bench.store.bundle import MANIFEST, Bundle
from bench.store.bundle_check import check_bundle
from bench.store.folder import RunFolder
from bench.store.trace import Trace

#: The bundles that come with the project, by name.
REFERENCES = Path(__file__).parents[1] / "references"


def references() -> list[str]:
    """Names of the published runs that come with the project."""
    return sorted(path.parent.name for path in REFERENCES.glob(f"*/{MANIFEST}"))


def find_published(text: str) -> tuple[str, RunFolder]:
    """What `--against` names: the name that stands in run.json (a path as a whole one), and the run to read.

    Args:
        text: a name of `references`, a bundle or a results folder.

    Raises:
        UserError: there is no such thing, or it is damaged, or holds no cells.
    """
    if text in references():
        return text, check_bundle(REFERENCES / text)
    path = Path(text)
    if not path.is_dir():
        expected = ", ".join(["a bundle", "a results folder", *references()])
        raise UserError(f"--against '{cut(text)}': expected one of {expected}{nearest(text, references())}")
    run = open_run(path.resolve())
    if not run.shared():
        raise UserError(f"--against '{cut(text)}': neither a bundle nor a results folder (no {MANIFEST}, no run.json)")
    if not run.recorded():
        raise UserError(f"--against '{cut(text)}': it has tables and no cells, which new tables are made from")
    return str(path.resolve()), run


def open_run(path: Path) -> RunFolder:
    """A run to read from: a results folder, with the published run that it stands beside, or a bundle.

    Raises:
        UserError: a bundle is damaged, or what is published is not what it was.
    """
    if (path / MANIFEST).is_file():
        return check_bundle(path)
    folder = RunFolder(path)
    return beside(folder) if "against" in folder.shared() else folder


def beside(folder: RunFolder) -> Beside:
    """A results folder with the published run that its run.json names.

    Raises:
        UserError: that one is gone or has changed since.
    """
    shared = folder.shared()
    name, published = find_published(shared["against"])
    if checksum(published) != shared["against_checksum"]:
        raise UserError(
            f"'{cut(folder.path)}' stands beside '{cut(name)}', which has changed since: name another folder with "
            "--results DIR for the new one"
        )
    return Beside(folder.path, published)


def checksum(run: RunFolder) -> str:
    """What tells a published run from every other: its cells with the checksums of their traces."""
    if isinstance(run, Bundle):
        return hashlib.sha256((run.path / MANIFEST).read_bytes()).hexdigest()
    paths = (run.record_path(key) for key in sorted(run.recorded()))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths if path.is_file())).hexdigest()


@dataclass(frozen=True)
class Beside(RunFolder):
    """A results folder, read together with a published run; what is written goes to the folder alone.

    Attributes:
        published: the other run.
    """

    published: RunFolder

    @property
    def own(self) -> RunFolder:
        """One's own results alone."""
        return RunFolder(self.path)

    def chosen(self) -> dict[str, dict]:
        """The published records of one's own tasks, backbones and seeds, and those that they start from, by key."""
        shared = self.shared()
        seeds = {seed for listed in shared["commands"].values() for seed in listed}
        backbones = {name.split()[0] for name in shared["checkpoints"]}
        records = {record["key"]: record for record in self.published.records()}
        found = {
            key: record
            for key, record in records.items()
            if record["spec"]["seed"] in seeds
            and record["spec"]["task"] in shared["data"]
            and record["spec"]["backbone"] in backbones
        }
        starts = {record["spec"]["start"] for record in found.values()}
        return found | {key: records[key] for key in starts if key in records}

    def records(self) -> list[dict]:
        """One's own records and the published ones, ordered by key; of a cell that both have, the published one."""
        records = {record["key"]: record for record in self.own.records()} | self.chosen()
        return self.counting(records[key] for key in sorted(records))

    def record(self, key: str) -> dict | None:
        """The record of a cell, the published one where there is one."""
        return self.published.record(key) or self.own.record(key)

    def recorded(self) -> set[str]:
        """The keys of all cells that have a record."""
        return self.own.recorded() | set(self.chosen())

    def again(self) -> list[tuple[dict, dict]]:
        """Cells that are published and were trained again here, to start from: the published record, one's own."""
        chosen = self.chosen()
        pairs = ((chosen.get(record["key"]), record) for record in self.own.records())
        return [(each, own) for each, own in pairs if each and each["status"] == own["status"] == "ok"]

    def environment(self, name: str) -> dict | None:
        """The description of an environment by its id."""
        return self.own.environment(name) or self.published.environment(name)

    def environments(self) -> list[dict]:
        """The descriptions of all environments, one's own first."""
        own = self.own.environments()
        return own + [about for about in self.published.environments() if about not in own]

    def has_traces(self, record: dict) -> bool:
        """Whether all traces of a finished cell are there and undamaged."""
        return self._home(record["key"]).has_traces(record)

    def damaged(self) -> list[Path]:
        """The files of one's own that have changed since they were written."""
        return self.own.damaged()

    def trace(self, key: str, split: str) -> Trace:
        """What a trained model said on a split."""
        return self._home(key).trace(key, split)

    def _home(self, key: str) -> RunFolder:
        """Where a cell is kept."""
        return self.own if self.published.record(key) is None else self.published
