"""A table as LaTeX for a paper: aligned columns, blocks of rows, in a size of type at which it fits a page 16 cm wide.

LaTeX needs the package `booktabs`. Widths are estimated, a little too wide, from those of Computer Modern's characters:
what fits by them is not overfull.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.report.numbers import EMPTY

WIDTH = 452.0  # points: 16 cm, less a little
HEIGHT = 450.0  # points that rows may take of a page; the caption has the rest
#: Characters that mean something to LaTeX, and how it is told that they are text.
SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
SPECIAL |= {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}"}
#: Lines of a wrapped cell end where a word does; \\raggedright would take the end of the row for the end of a line.
RAGGED = "\\rightskip 0pt plus 1fil\\relax "
#: What a cell holds: LaTeX, or what stands before and behind the place where the numbers of a column are aligned.
Cell = str | tuple[str, str]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head, as plain text.
        kind: "left", "right", "pair" (two parts, aligned where they meet) or "words" (wraps; has what others leave).
        group: what stands over its head and those of its neighbours of the same group; they stay together.
    """

    title: str
    kind: str = "pair"
    group: str = ""


@dataclass(frozen=True)
class Block:
    """Rows under a heading: `title` as plain text, and of every row its title as plain text and a cell per column."""

    title: str
    rows: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True)
class Table:
    """A table before it is typeset.

    Attributes:
        name: of its file and, behind `tab:`, of its label.
        caption: LaTeX.
        stub: the head over the titles of the rows, as plain text.
        columns: its columns besides the titles.
        blocks: its rows.
    """

    name: str
    caption: str
    stub: str
    columns: Sequence[Column]
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Size:
    """A size of type, in points as the em of its digits, its lines and the space beside columns are.

    Given in points and not by name, it is the same in papers set in 10, 11 or 12 points.
    """

    points: float
    em: float
    line: float
    space: float


#: The widths of characters in ems, of Computer Modern in 10 points; other characters have at most that of an O.
EMS = {
    0.28: "ijl.,:;'!|[]",
    0.34: "f- ",
    0.4: "Irst()",
    0.45: "cez",
    0.5: "0123456789ago",
    0.53: "Jkvxy",
    0.56: "bdhnpquS",
}
EMS |= {0.63: "LZ", 0.69: "EFP", 0.73: "BCTw", 0.84: "m", 0.92: "M", 1.03: "W", 1.23: "±"}
SIZES = (
    Size(9, 9.3, 11, 4),
    Size(8, 8.5, 9.5, 3),
    Size(7, 8, 8, 2),
)


def typeset(table: Table) -> str:
    """The LaTeX of a table: one float over both columns of a page, several where it is too wide or too long for one.

    The size of type is the largest that takes the fewest floats. Those after the first have its number.
    """
    layouts = [(size, floats_of(table, size)) for size in SIZES]
    size, floats = min(layouts, key=lambda layout: len(layout[1]))  # of equals the first, which is the largest
    texts = [float_text(part, size, first=place == 0) for place, part in enumerate(floats)]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(texts)


def floats_of(table: Table, size: Size) -> list[Table]:
    """A table as parts that each fit a page, in the order of reading."""
    return [part for narrow in narrowed(table, size) for part in shortened(narrow, size)]


def narrowed(table: Table, size: Size) -> list[Table]:
    """A table as the fewest parts of nearly as many columns that fit the width; a group stays in one where it can."""
    columns = range(len(table.columns))
    starts = [
        i for i in columns if not i or not (group := table.columns[i].group) or group != table.columns[i - 1].group
    ]
    for units in (np.split(np.arange(len(columns)), starts[1:]), [np.array([i]) for i in columns]):
        for count in range(1, len(units) + 1):
            runs = np.array_split(np.arange(len(units)), count)
            parts = [of_columns(table, np.concatenate([units[i] for i in run])) for run in runs]
            if all(sum(widths(part, size)) - size.space <= WIDTH for part in parts):
                return parts
    return parts


def of_columns(table: Table, places: Sequence[int]) -> Table:
    """The part of a table that some of its columns are; rows without a value there are left out."""
    blocks = []
    for block in table.blocks:
        rows = [(title, [cells[i] for i in places]) for title, cells in block.rows]
        blocks.append(Block(block.title, [row for row in rows if any(map(filled, row[1]))]))
    columns = [table.columns[i] for i in places]
    return replace(table, columns=columns, blocks=[block for block in blocks if block.rows])


def shortened(table: Table, size: Size) -> list[Table]:
    """A table as the fewest parts that fit the height, about as high as one another."""
    full, wide = HEIGHT - 3 * size.line, widths(table, size)  # the head has three lines
    heights = [[row_height(row, table, wide, size) for row in block.rows] for block in table.blocks]
    heading = size.line + 6
    total = sum(heading + sum(rows) for rows in heights)
    fewest = len(paged(table.blocks, heights, heading, full))
    for room in np.linspace(total / fewest, full, 10):
        pages = paged(table.blocks, heights, heading, room)
        if len(pages) == fewest:
            break
    return [replace(table, blocks=blocks) for blocks in pages]


def paged(blocks: Sequence[Block], heights: list[list[float]], heading: float, full: float) -> list[list[Block]]:
    """Blocks on pages of a height, whole where they can be, else with their heading repeated."""
    pages: list[list[Block]] = [[]]
    room = full
    for block, rows in zip(blocks, map(np.array, heights), strict=True):
        start, needed = 0, heading + rows.sum()
        while start < len(rows):
            if start or (pages[-1] and needed > room + 1e-6):
                pages.append([])
                room = full
            fitting = max(1, int(np.searchsorted(rows[start:].cumsum(), room - heading + 1e-6, side="right")))
            pages[-1].append(Block(block.title, block.rows[start : start + fitting]))
            room -= heading + rows[start : start + fitting].sum()
            start += fitting
    return pages


def widths(table: Table, size: Size) -> list[float]:
    """How wide each column is in points, with the space beside it: that of the titles first; words wrap to fit."""
    titles = [table.stub, *(title for block in table.blocks for title, _ in block.rows)]
    natural = [max(width_of(escaped(text), size) for text in titles) + size.space]  # the first has space on one side
    for i, column in enumerate(table.columns):
        cells = [cells[i] for block in table.blocks for _, cells in block.rows]
        sides = [cell if isinstance(cell, tuple) else (cell, "") for cell in cells if filled(cell)]
        inside = sum(max((width_of(side, size) for side in part), default=0) for part in zip(*sides, strict=True))
        head = width_of(escaped(column.title), size)
        slack = 1.1 if column.kind == "words" else 1  # what just fits a line by this estimate may not
        natural.append(slack * max(inside, head) + 2 * size.space)
    wraps = [i for i, column in enumerate(table.columns, start=1) if column.kind == "words"]
    left, wanted = WIDTH + size.space - sum(natural), sum(natural[i] for i in wraps)
    if wraps and left < 0:
        share = max(0.3, (left + wanted) / wanted)  # narrower no word fits
        natural = [wide * share if i in wraps else wide for i, wide in enumerate(natural)]
    return natural


def row_height(row: tuple[str, Sequence[Cell]], table: Table, wide: list[float], size: Size) -> float:
    """How high a row is in points: as many lines as the longest of its wrapped cells takes."""
    lines = [1]
    for cell, column, width in zip(row[1], table.columns, wide[1:], strict=True):
        if column.kind == "words":
            lines.append(math.ceil(1.15 * width_of(cell, size) / (width - 2 * size.space)))  # lines end before the edge
    return max(lines) * size.line + (2 if len(lines) > 1 else 0)


def float_text(table: Table, size: Size, first: bool) -> str:
    """The LaTeX of one float; its caption says so where it is not the first of a table."""
    wide = widths(table, size)
    caption = f"\\caption{{{table.caption}}}\n\\label{{tab:{table.name}}}"
    continued = "\\addtocounter{table}{-1}%\n\\caption{Continued.}"
    body = "\\midrule\n".join(block_text(block, table) for block in table.blocks)
    return f"""\\begin{{table*}}[tbp]
\\centering
{caption if first else continued}
\\vspace{{1ex}}
\\fontsize{{{size.points:g}}}{{{size.line:g}}}\\selectfont\\setlength{{\\tabcolsep}}{{{size.space:g}pt}}%
\\begin{{tabular}}{{{formats(table, wide, size)}}}
\\toprule
{head(table)}\\midrule
{body}\\bottomrule
\\end{{tabular}}
\\end{{table*}}
"""


def formats(table: Table, wide: list[float], size: Size) -> str:
    """The column format of a tabular."""
    kinds = {"left": "l", "right": "r", "pair": "r@{}l"}
    parts = [
        f"p{{{width - 2 * size.space:.0f}pt}}" if column.kind == "words" else kinds[column.kind]
        for column, width in zip(table.columns, wide[1:], strict=True)
    ]
    return "@{}l" + "".join(parts) + "@{}"


def head(table: Table) -> str:
    """The head of a table: a row with the groups of columns where there are some, and a row with their titles."""
    groups, rules, at = [], [], 2
    for column in table.columns:
        if not groups or not column.group or column.group != groups[-1][0]:
            groups.append([column.group, 0])
        groups[-1][1] += span(column)
    for name, count in groups:
        if name:
            rules.append(f"\\cmidrule(lr){{{at}-{at + count - 1}}}")
        at += count
    over = "".join(f" & \\multicolumn{{{count}}}{{c}}{{{escaped(name)}}}" for name, count in groups)
    titles = [cell_text(escaped(column.title), column) for column in table.columns]
    line = " & ".join([escaped(table.stub), *titles]) + " \\\\\n"
    return (f"{over.strip()} \\\\\n{''.join(rules)}\n" if rules else "") + line


def block_text(block: Block, table: Table) -> str:
    """The rows of a block under its heading."""
    count = 1 + sum(map(span, table.columns))
    wraps = any(column.kind == "words" for column in table.columns)
    heading = f"\\multicolumn{{{count}}}{{@{{}}l}}{{\\emph{{{escaped(block.title)}}}}} \\\\\n"
    lines = []
    for title, cells in block.rows:
        texts = [cell_text(cell, column) for cell, column in zip(cells, table.columns, strict=True)]
        lines.append(" & ".join([escaped(title), *texts]) + " \\\\")
    apart = "\n\\addlinespace[2pt]\n" if wraps else "\n"  # a little space tells rows of several lines from one another
    return heading + apart.join(lines) + "\n"


def cell_text(cell: Cell, column: Column) -> str:
    """A cell between its `&`; what has one part in a column of pairs is in the middle of both."""
    if isinstance(cell, tuple) and filled(cell):
        return " & ".join(cell)
    text = EMPTY if isinstance(cell, tuple) else cell
    if column.kind == "words":
        return f"{RAGGED}{text}"
    return f"\\multicolumn{{2}}{{c}}{{{text}}}" if column.kind == "pair" else text


def span(column: Column) -> int:
    """How many columns of the tabular a column takes."""
    return 2 if column.kind == "pair" else 1


def filled(cell: Cell) -> bool:
    """Whether a cell has a value."""
    return (cell[0] if isinstance(cell, tuple) else cell) not in ("", EMPTY)


def width_of(text: str, size: Size) -> float:
    """How wide LaTeX sets a text, in points, estimated from its characters."""
    text = text.replace("-", "−").replace("\\pm ", "±") if "$" in text else text
    shown = re.sub(r"\\[A-Za-z]+|[\\{}$]", "", re.sub(r"\\text[a-z]+{}", "W", text))
    return size.em * sum(map(em_of, shown)) * (1.1 if "bf" in text else 1)


def em_of(character: str) -> float:
    """The width of a character in ems; that of ± with the space around it."""
    return next((width for width, characters in EMS.items() if character in characters), 0.78)


def escaped(text: str) -> str:
    """A text from outside as LaTeX shows it."""
    return "".join(SPECIAL.get(character, character) for character in text)


def bold(text: str) -> str:
    """Numbers of a cell, in dollars, set in bold."""
    return re.sub(r"-?[\d.]+", r"\\mathbf{\g<0>}", text)
