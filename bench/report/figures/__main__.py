"""Draw every figure again from the tables of a run folder: `python -m bench.report.figures RESULTS FIGURES`.

For a paper: `--panels sst2,rte --backbone bert --width column --no-text`.
"""

import argparse
import sys
from pathlib import Path

from bench.errors import UserError, command
from bench.report.figures import draw_all
from bench.report.figures.draw import Wanted
from bench.report.figures.setting import WIDTHS
from bench.store.files import make_writable
from bench.store.folder import RunFolder


def main(arguments: list[str]) -> int:
    """Draw the figures again; the exit status is 2 where the arguments or the tables are wrong."""
    return command("bench.report.figures", lambda: redraw(parser().parse_args(arguments)))


def redraw(options: argparse.Namespace) -> int:
    """Draw again what the options want of RESULTS into FIGURES."""
    panels = tuple(filter(None, options.panels.split(","))) if options.panels is not None else None
    if panels == ():
        raise UserError("--panels: expected at least one name")
    published = RunFolder(options.results).shared().get("published", {})
    wanted = Wanted(panels, options.backbone, options.width, not options.no_text, published)
    make_writable(options.figures, "figures")
    print(f"{len(draw_all(options.results, options.figures, wanted))} figure files in {options.figures}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments of the command that draws figures again."""
    about = argparse.ArgumentParser(prog="python -m bench.report.figures", description=__doc__.splitlines()[0])
    about.add_argument("results", type=Path, metavar="RESULTS", help="run folder with the tables")
    about.add_argument("figures", type=Path, metavar="FIGURES", help="folder for the pictures")
    about.add_argument("--panels", metavar="NAMES", help="tasks to draw, such as sst2,mnli-m (default: all)")
    about.add_argument("--backbone", metavar="NAME", help="the one family to draw (default: all)")
    sizes = ", ".join(f"{name} = {2.54 * inches:g} cm" for name, inches in WIDTHS.items())
    about.add_argument("--width", metavar="WIDTH", help=f"{sizes} (default: what the panels need)")
    about.add_argument("--no-text", action="store_true", help="leave out headings and fine print: a paper has captions")
    return about


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
