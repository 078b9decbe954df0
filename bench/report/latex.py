"""latex/*.tex: headline, areas, budgets, who beats whom and the paper's claims, as booktabs tables for a paper."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.report.figures.looks import name_of, title
from bench.report.figures.page import data_note
from bench.report.numbers import EMPTY, counted_units, decimals, interval, number, p_value, plain, spread, supported
from bench.store.files import write_text
from bench.tables.claims import number_and_letter
from bench.tables.columns import T_ENDS, at_exact

AREA_TITLES = {"auc_common": "common range", "auc_budget": "all budgets", "auc_budget_half": "budgets to .5"}
HEADLINE_TITLES = {
    "layers_saved": "layers saved",
    "macs_saved": "multiply-adds saved",
    "time_saved": "time saved",
    "loss": "loss delivered",
}
CHOICE_TITLES = {
    "promised_0": "promised: no loss",
    "promised_1": "promised: 1 point",
    "promised_2": "promised: 2 points",
    "certified_1": "certified: 1 point",
    "certified_2": "certified: 2 points",
}
HEAD = "% needs \\usepackage{booktabs}\n"
#: Characters that mean something to LaTeX, and how it is told that they are text.
SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
SMALL = "\\scriptsize\\setlength{\\tabcolsep}{2pt}%\n"


def write_latex(folder: Path, tables: dict[str, pd.DataFrame]) -> list[Path]:
    """Write headline-, auc-, budgets-, paired-, reproduction- and, of generated data, undecidable-BACKBONE.tex.

    Args:
        folder: where; made if absent.
        tables: headline, auc, budgets, paired, reproduction and undecidable, as `collect` returns them.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for backbone in tables["auc"]["backbone"].drop_duplicates():
        names = ("auc", "budgets", "paired", "reproduction")
        auc, budgets, paired, found = (t[t["backbone"] == backbone] for t in (tables[name] for name in names))
        auc = at_exact(auc)
        won = paired[paired["winner"] != ""]
        winners = {*zip(won["quantity"], won["task"], won["split"].fillna(""), won["winner"], strict=True)}
        texts = {"auc": auc_tex(auc, winners), "budgets": budget_tex(budgets, winners), "paired": paired_tex(paired)}
        if len(found):  # a run without DACT has no claims
            texts["reproduction"] = reproduction_tex(found)
        unanswerable = tables["undecidable"][tables["undecidable"]["backbone"] == backbone]
        if len(unanswerable):
            texts["undecidable"] = undecidable_tex(unanswerable)
        headline = tables["headline"]
        texts["headline"] = headline_tex(headline[(headline["backbone"] == backbone) & (headline["task"] == "mean")])
        for name, text in texts.items():
            paths.append(folder / f"{name}-{backbone}.tex")
            write_text(paths[-1], HEAD + text)
    return paths


def headline_tex(headline: pd.DataFrame) -> str:
    """What is saved at a promised loss: a block of rows per promise, a column per method.

    Args:
        headline: the rows of headline.csv that are means over the tasks of one backbone.
    """
    if not len(headline):
        return "% no static model to compare with\n"
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for choice, block in CHOICE_TITLES.items():
        for row in headline.to_dict("records"):
            ends = [row.get(f"{choice}{end}", float("nan")) for end in T_ENDS]
            cells.setdefault((block, HEADLINE_TITLES[row["quantity"]]), {})[name_of(row["method"])] = supported(*ends)
        for row in headline[headline["quantity"] == "loss"].to_dict("records"):
            tasks = f"{row[f'{choice}_tasks']:.0f} of {row['tasks']:.0f}"
            cells.setdefault((block, "tasks"), {})[name_of(row["method"])] = tasks
    caption = (
        "What is saved, in per cent of the static model at full depth, and the loss in points of the main metric: "
        f"mean over tasks, half-width of the 95 \\% Student-t interval over {spread(headline['seeds'])}. Promised: the "
        "cheapest setting that keeps to the loss on one half of the validation set, read off the other half. "
        "Certified: Learn then Test at $\\delta = .05$, accuracy, mean over 100 splits. Tasks: where a setting "
        f"qualified; elsewhere the static model is used, and counts as nothing saved. {escaped(data_note(headline))}"
    )
    frame = pd.DataFrame.from_dict(cells, orient="index")
    return typeset(frame, caption, f"tab:headline-{headline['backbone'].iloc[0]}")


def auc_tex(auc: pd.DataFrame, winners: set[tuple]) -> str:
    """Areas of one backbone: a block of rows per area, a row per task, a column per method.

    Args:
        auc: rows of auc.csv.
        winners: quantity, task, split and method of every proven winner; they are set in bold.
    """
    long = [auc.assign(quantity=area, block=block, **shown(auc, area)) for area, block in AREA_TITLES.items()]
    return crossed(pd.concat(long), winners, "Areas under efficiency-performance curves", "auc")


def budget_tex(budgets: pd.DataFrame, winners: set[tuple]) -> str:
    """Metric at fixed shares of the layers; blocks, rows, columns and `winners` as in `auc_tex`."""
    percent = (100 * budgets["budget"]).map("{:.0f}".format)
    long = budgets.assign(quantity="value_" + percent, block=percent + " % of layers", **shown(budgets, "value"))
    long = long.sort_values("budget", kind="stable")
    return crossed(long, winners, "Metric at fixed shares of the layers", "budgets")


def shown(table: pd.DataFrame, quantity: str) -> dict[str, pd.Series]:
    """A quantity of a table and the ends of its t-interval, under the names that `crossed` prints."""
    return {f"shown{end}": table[f"{quantity}{end}"] for end in T_ENDS}


def crossed(table: pd.DataFrame, winners: set[tuple], heading: str, label: str) -> str:
    """A LaTeX table of the columns of `shown`: rows by block and task in order of appearance, columns by method."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in table.itertuples():
        won = (row.quantity, row.task, "" if row.task == "mean" else row.split, row.method) in winners
        text = bold(supported(row.shown, row.shown_low, row.shown_high), won)
        cells.setdefault((row.block, row_title(row)), {})[name_of(row.method)] = text
    frame = pd.DataFrame.from_dict(cells, orient="index")
    caption = (
        f"{heading} in points: mean and half-width of the 95 \\% Student-t interval over {spread(table['seeds'])}, "
        "conditional on this validation set. Bold: ahead of the runner-up by the t-test over seeds and by the "
        f"bootstrap over examples, after Holm. {escaped(data_note(table))}"
    )
    return typeset(frame, caption, f"tab:{label}-{table['backbone'].iloc[0]}")


def paired_tex(paired: pd.DataFrame) -> str:
    """The best method against the runner-up, per area and task; bold where it is proven."""
    cells = {}
    for area, block in AREA_TITLES.items():
        for row in paired[(paired["quantity"] == area) & (paired["best"] != "")].itertuples():
            cells[block, row_title(row)] = best_cells(row)
    if not cells:
        return "% nothing to compare\n"
    caption = (
        "The best method and the runner-up, in points: difference with the half-width of the 95 \\% Student-t "
        "interval over seeds (mean over tasks: over tasks), 95 \\% percentile bootstrap over examples with the trained "
        "models as they are, difference that the t-test detects four times in five, p-values of both after Holm. "
        f"Bold: both below .05. {escaped(data_note(paired))}"
    )
    frame = pd.DataFrame.from_dict(cells, orient="index")
    return typeset(frame, caption, f"tab:paired-{paired['backbone'].iloc[0]}")


def best_cells(row: tuple) -> dict[str, str]:
    """One row of the LaTeX table of pairs, with the difference taken as best minus runner-up."""
    sign, second = (1, row.method_b) if row.best == row.method_a else (-1, row.method_a)
    low, high = sorted((sign * row.difference_low, sign * row.difference_high))
    boot_low, boot_high = sorted((sign * row.difference_boot_low, sign * row.difference_boot_high))
    digits = decimals(low, high)
    return {
        "best": bold(escaped(name_of(row.best)), row.winner != ""),
        "runner-up": escaped(name_of(second)),
        "difference": supported(sign * row.difference, low, high),
        "over examples": interval(boot_low, boot_high, max(digits, 1)),
        "detectable": number(row.detectable, digits),
        "p (seeds)": p_value(row.p_t_holm),
        "p (examples)": p_value(row.p_boot_holm),
    }


def reproduction_tex(found: pd.DataFrame) -> str:
    """The claims of the paper beside what the run found, a block of rows per claim.

    Args:
        found: rows of reproduction.csv of one backbone.
    """
    cells = {}
    for row in found.itertuples():
        value = plain(row.value, row.low, row.high)
        counted = counted_units(row) if row.units else EMPTY
        measured = {"effect": value if value == EMPTY else f"${value}$", "units": counted, "verdict": row.verdict}
        number, letter = number_and_letter(row.claim)
        cells[str(number), f"{letter} {row.text}".strip()] = measured
    caption = (
        "The claims of the DACT-BERT paper beside this run: mean effect over the units with its 95 \\% Student-t "
        "interval. A claim says that its effect is above 0; those of equality (2), that it is 0. Verdicts follow from "
        f"the interval and the smallest effect that matters, by a rule fixed beforehand. {escaped(data_note(found))}"
    )
    return typeset(pd.DataFrame.from_dict(cells, orient="index"), caption, f"tab:claims-{found['backbone'].iloc[0]}")


def undecidable_tex(table: pd.DataFrame) -> str:
    """Layers saved on undecidable examples against hard ones: a row per task and their mean, a column per method.

    Args:
        table: rows of undecidable.csv of one backbone.
    """
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in table.itertuples():
        value = plain(row.difference, row.difference_low, row.difference_high)
        place = cells.setdefault(("layers", row_title(row)), {})
        place[name_of(row.method)] = value if value == EMPTY else f"${value}$"
    caption = (
        "Layers spent on what nobody can answer: mean exit layer of the hard half of the decidable examples minus that "
        "of the undecidable ones, at the costs of DACT's models between .25 and .75 of the layers, with the 95 \\% "
        f"Student-t interval over seeds (mean over tasks: over tasks). {escaped(data_note(table))}"
    )
    return typeset(
        pd.DataFrame.from_dict(cells, orient="index"), caption, f"tab:undecidable-{table['backbone'].iloc[0]}"
    )


def row_title(row: tuple) -> str:
    """The task of a row of a LaTeX table; the caption says that data are generated."""
    return "mean over tasks" if row.task == "mean" else title(row._asdict()).removesuffix(", generated")


def typeset(frame: pd.DataFrame, caption: str, label: str) -> str:
    """A floating LaTeX table over both columns of a page, by pandas' Styler."""
    frame.index = pd.MultiIndex.from_tuples(frame.index)
    style = frame.fillna(EMPTY).style.format_index(escape="latex").format_index(axis=1, escape="latex")
    text = style.to_latex(
        hrules=True,
        caption=caption,
        label=label,
        position="tbp",
        position_float="centering",
        environment="table*",
        column_format="ll" + "r" * len(frame.columns),
        multirow_align="naive",
        clines="skip-last;index",
    )
    text = text.replace("\\cline{1-2}\n\\bottomrule", "\\bottomrule").replace("\\cline{1-2}", "\\midrule")
    return text.replace("\\begin{tabular}", SMALL + "\\begin{tabular}")


def escaped(text: str) -> str:
    """A text from outside as LaTeX shows it."""
    return "".join(SPECIAL.get(character, character) for character in text)


def bold(text: str, wanted: bool) -> str:
    """Bold text or numbers in LaTeX."""
    return f"\\textbf{{\\boldmath {text}}}" if wanted and text != EMPTY else text
