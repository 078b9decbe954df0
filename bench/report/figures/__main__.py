"""Draw every figure again from the tables of a run folder: `python -m bench.report.figures RESULTS FIGURES`."""

import sys
from pathlib import Path

from bench.errors import UserError, command
from bench.report.figures import draw_all
from bench.store.files import make_writable


def main(arguments: list[str]) -> int:
    """Draw; the exit status is 2 where the arguments or the tables are wrong."""
    return command("bench.report.figures", lambda: redraw(arguments))


def redraw(arguments: list[str]) -> int:
    """Draw every figure of RESULTS into FIGURES."""
    if len(arguments) != 2:
        raise UserError(f"expected two folders, RESULTS and FIGURES, got {len(arguments)} arguments")
    results, figures = map(Path, arguments)
    make_writable(figures, "figures")
    print(f"{len(draw_all(results, figures))} figure files in {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
