"""`--against`: only one's own method is trained, and stands beside a published run of the same suite and seeds.

What is published is read from its files (`bench.store.beside`). Here a command is held against it: what must be equal,
which cells are left to train, and which methods the tables show.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError, cut
from bench.plan.cell import Cell
from bench.plan.grid import Grid
from bench.plan.methods import known_methods
from bench.store.beside import checksum, find_published
from bench.store.bundle import MANIFEST, Bundle
from bench.store.consistency import difference
from bench.store.folder import RunFolder
from methods import discover


@dataclass(frozen=True)
class Published:
    """A published run that a command's results stand beside.

    Attributes:
        name: as run.json has it: of a reference, or a whole path.
        run: its files.
    """

    name: str
    run: RunFolder

    @classmethod
    def of_command(cls, options: Namespace, folder: RunFolder) -> Published | None:
        """The published run of `--against`, or else the one that the results folder stands beside already.

        Raises:
            UserError: there is no such run; or the results folder is a bundle, into which nothing is written.
        """
        if (folder.path / MANIFEST).is_file():
            where = f"'{folder.path}' is a bundle"
            raise UserError(f"{where}: --against {folder.path} reads it, --results names another folder")
        name = options.against or folder.shared().get("against")
        return cls(*find_published(name)) if name and not options.export else None

    @property
    def source(self) -> str:
        """Where its numbers come from, for the fine print."""
        name = Path(self.name).name
        if not isinstance(self.run, Bundle):
            return f"results {name}"
        about = self.run.manifest()
        return f"bundle {name}, early-exit-bench {about['program']}, logits as {about['logits']}"

    def project_methods(self) -> list[str]:
        """The published methods that this version of the project knows, too."""
        return [name for name in discover() if name in self.run.shared()["methods"]]

    def beside(
        self, grid: Grid, cells: Sequence[Cell], shared: dict, files: dict[str, str]
    ) -> tuple[list[Cell], dict, dict[str, str | None], dict[str, str]]:
        """A command held against this run.

        Args:
            grid: what the command asks for.
            cells: of the grid.
            shared: as `Grid.shared` returns it.
            files: of the command's methods from outside the project.

        Returns:
            The cells to train; the content of run.json; the published methods that are shown, with the files of those
            from outside the project; where the numbers of methods come from that are published.

        Raises:
            UserError: something must be equal and is not, or is not published.
        """
        merged = self.shared(shared)
        self.check_covers(grid)
        methods = self.methods(grid, files)
        for line in self.left_out(methods):
            print(line, file=sys.stderr)
        todo = self.to_train(cells)
        again = len({cell.key for cell in todo} & self.keys())
        what = f"{len(cells) - len(todo)} cells are published, {len(todo) - again} are one's own"
        print(f"beside {self.source}: {what}, {again} published ones are trained again to start from")
        return todo, merged, methods, self.shown(methods, list(grid.methods))

    def keys(self) -> set[str]:
        """The cells that need no training, because they are published."""
        return {record["key"] for record in self.run.records() if record["status"] == "ok"}

    def to_train(self, cells: Sequence[Cell]) -> list[Cell]:
        """Of a plan, the cells that are not published, and the published ones that those start from.

        Trained models are not part of what is published, so a starting one is trained again.
        """
        published = self.keys()
        starts = {cell.start for cell in cells if cell.key not in published}
        return [cell for cell in cells if cell.key not in published or cell.key in starts]

    def shared(self, shared: dict) -> dict:
        """The content of run.json for a command's results beside this run, once it was found to fit.

        Args:
            shared: as `Grid.shared` returns it.

        Raises:
            UserError: what must be equal is not; the line names it.
        """
        theirs = self.run.shared()
        ours = {**shared, "recipes": {n: r for n, r in shared["recipes"].items() if n in theirs["recipes"]}}
        known = {**theirs, "recipes": {n: r for n, r in theirs["recipes"].items() if n in shared["recipes"]}}
        # a method's own suite file may have a name and recipes of its own; rows without labels are for who reads them
        free = ("suite", "title", "variants", "commands", "unlabelled")
        if different := difference(known, {name: ours[name] for name in ours if name not in free}):
            suites = f"suite '{cut(theirs['suite'], 40)}', here '{cut(shared['suite'], 40)}'"
            raise UserError(f"--against '{cut(self.name)}' ({suites}) was made {different}: nothing can be compared")
        backbones = {name.split()[0] for name in shared["checkpoints"]}
        merged = {**shared, "against": self.name, "against_checksum": checksum(self.run)}
        for name in ("checkpoints", "segments"):
            there = {key: value for key, value in theirs.get(name, {}).items() if key.split()[0] in backbones}
            merged[name] = {**there, **shared[name]}
        for name in ("recipes", "variants"):
            merged[name] = {**theirs[name], **shared[name]}
        there = theirs.get("unlabelled", {})
        merged["unlabelled"] = {
            task: there.get(task, own) if own == "none" else own for task, own in shared["unlabelled"].items()
        }
        return merged

    def check_covers(self, grid: Grid) -> None:
        """Refuse a command with a task, backbone or seed that is not published.

        Raises:
            UserError: the line names them.
        """
        specs = [record["spec"] for record in self.run.records() if record["status"] == "ok"]
        asked = {
            "task": [task.id for task in grid.tasks],
            "backbone": list(grid.backbones),
            "seed": list(grid.seeds),
        }
        for name, wanted in asked.items():
            there = list(dict.fromkeys(spec[name] for spec in specs))
            if missing := [str(value) for value in wanted if value not in there]:
                known = ", ".join(map(str, sorted(there)))
                plural = "s" if len(missing) > 1 else ""
                raise UserError(
                    f"--against '{cut(self.name)}' lacks the {name}{plural} {', '.join(missing)}: it has {known}"
                )

    def methods(self, grid: Grid, files: dict[str, str]) -> dict[str, str | None]:
        """The published methods that the tables show, by name, with the files of those from outside the project.

        Code of a published run is never run, unless its file is named with `--methods`.

        Args:
            grid: the command's.
            files: of the command's methods from outside the project.

        Raises:
            UserError: a method of the command has the name of another one that is published.
        """
        published = self.run.shared()["methods"]
        content = {r["spec"]["method"]: r["spec"].get("content", "") for r in self.run.records()}
        for name in files:
            if name in published and content.get(name) != grid.methods[name].content:
                raise UserError(
                    f"'{cut(files[name])}' defines a method '{name}', as the published run does: rename yours, "
                    f'such as name = "my-{name}"'
                )
        return {name: files.get(name) for name, file in published.items() if name in files or not file}

    def left_out(self, shown: dict[str, str | None]) -> list[str]:
        """What is said about published methods that cannot be shown, a line for each."""
        known = known_methods({})
        lines = []
        for name, file in self.run.shared()["methods"].items():
            if name not in shown:
                where = f": name its file with --methods ({self.run.path / file})"
                lines.append(f"published method '{name}' is from outside the project and not shown{where}")
            elif name not in known and not file:
                lines.append(f"published method '{name}' is not known to this version and not shown")
        return lines

    def shown(self, methods: dict[str, str | None], own: Sequence[str]) -> dict[str, str]:
        """The methods that are drawn from published traces -> where they come from.

        Args:
            methods: of the published run.
            own: of the command: one of the project's may replay published traces.
        """
        trained = {record["spec"]["method"] for record in self.run.records()}
        replayed = [
            name
            for name, method in discover().items()
            if (method.trained_by or name) in trained and (name in own or method.reference)
        ]
        return dict.fromkeys([*methods, *replayed], self.source)


def adopt(published: Published, folder: RunFolder) -> None:
    """Let an empty results folder stand beside a whole published run: its tables and figures, with nothing trained.

    Raises:
        UserError: the folder holds another run.
    """
    theirs = published.run.shared()
    if not folder.shared():
        folder.create()
        entry = {name: value for name, value in theirs.items() if name not in ("methods", "published")}
        entry |= {"against": published.name, "against_checksum": checksum(published.run)}
        methods = {name: None for name, file in theirs["methods"].items() if not file}
        folder.share(entry, methods, published.shown(methods, []))
    elif folder.shared().get("against_checksum") != checksum(published.run):
        raise UserError(f"results folder '{cut(folder.path)}' does not stand beside '{cut(published.name)}'")
