"""Every table that collecting writes: which columns it has, what it says, and how it is made. A new one is a line here.

The rows of most tables are made in the process that replays a panel, where its traces are (`FROM_TRACES`); the tables
themselves are made where those of all panels come together (`TABLES`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.halting.sweep import AGREES, KEYS, METRICS, PanelSweeps, Rows, Sweep, point_rows
from bench.tables.again import called_unpaired
from bench.tables.auc import AUC, auc_table
from bench.tables.bounds import BOUNDS, bound_rows
from bench.tables.budgets import BUDGET, budget_table
from bench.tables.calibration import CALIBRATION, calibration_rows
from bench.tables.columns import PANEL
from bench.tables.confidence import CONFIDENCE, confidence_rows
from bench.tables.curves import CURVES, exact_rows
from bench.tables.depth import DEPTH, depth_rows
from bench.tables.difficulty import BY_SEED, DIFFICULTY, DIFFICULTY_RANK, difficulty_rows, rank_rows, rank_table
from bench.tables.effects import EFFECTS
from bench.tables.exits import exit_rows
from bench.tables.failures import FAILURES, failure_table
from bench.tables.focus import FOCUS, focus_table
from bench.tables.headline import HEADLINE, Savings, headline_table
from bench.tables.health import HEALTH, health_rows
from bench.tables.knobs import KNOBS, knob_table
from bench.tables.layers import LAYERS, layer_rows
from bench.tables.matched import MATCHED, matched_rows
from bench.tables.oracle import ORACLE, oracle_rows
from bench.tables.overthinking import OVERTHINKING, overthinking_rows
from bench.tables.paired import PAIRED, paired_table
from bench.tables.plateau import PLATEAU, plateau_table
from bench.tables.ranks import RANKS, mean_rank_table
from bench.tables.references import REFERENCES, reference_rows
from bench.tables.reliability import RELIABILITY, reliability_rows
from bench.tables.reproduction import REPRODUCTION, reproduction_table, twice_of
from bench.tables.risk import RISK
from bench.tables.scores import SCORES, Scores, score_table
from bench.tables.shares import BY_SEED as SHARES_BY_SEED
from bench.tables.shares import SHARES, share_rows, share_table
from bench.tables.stability import STABILITY, stability_table
from bench.tables.transfer import CHOICES, TRANSFER, transfer_rows, transfer_table
from bench.tables.undecidable import BY_SEED as UNDECIDABLE_BY_SEED
from bench.tables.undecidable import UNDECIDED, undecidable_rows, undecidable_table
from bench.tables.verdicts import VERDICTS, verdict_table

POINTS = [*KEYS, "layer_fraction", "mac_fraction", "metric", "value", *METRICS, AGREES, "n", "accumulation"]
EXITS = [*KEYS, "layer", "exit_count", "used_count"]

#: Rows of a table from the traces of one panel.
OfPanel = Callable[[PanelSweeps], Iterator[Rows]]


@dataclass(frozen=True)
class PanelRows:
    """Rows that come from the traces of one panel.

    Attributes:
        columns: their columns.
        of: the rows, from all sweeps of a panel.
    """

    columns: list[str]
    of: OfPanel


def of_each(rows: Callable[[Sweep], Iterator[Rows]]) -> OfPanel:
    """How a table of the registry is made sweep by sweep: a panel's rows are those of its sweeps in turn."""
    return lambda sweeps: (part for sweep in sweeps for part in rows(sweep))


@dataclass(frozen=True)
class Material:
    """What the tables of a run folder are made from.

    Attributes:
        rows: the rows of all panels by name, curves instead of the many points that the exact ones are made of.
        scores: the scores of all panels, at all resolutions.
        savings: what the methods of all panels save.
        latency: latency.csv, which is there where times were measured.
        plateau: the folder of the run with twice the steps, where there is one.
        rivals: the methods to rank and to compare, truncated depth among them.
        focus: the method that focus.csv is about.
        others: the records of cells that have no rows.
        suite: name of the suite.
        methods: names of all known methods, in the order of the tables.
        again: again.csv, of a run that stands beside a published one; else without rows.
        own: the methods that were trained in this run.
        tables: the tables made so far, in the order of `TABLES`.
    """

    rows: dict[str, pd.DataFrame]
    scores: list[Scores]
    savings: list[Savings]
    latency: Path
    plateau: Path
    rivals: list[str]
    focus: str
    others: list[dict]
    suite: str
    methods: list[str]
    again: pd.DataFrame
    own: list[str]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def exact(self) -> list[Scores]:
        """The scores of all panels at the exact settings, which areas, pairs and ranks are judged by."""
        return [panel for panel in self.scores if panel.keys["resolution"] == "exact"]


@dataclass(frozen=True)
class Table:
    """One CSV file of a run folder.

    Attributes:
        name: of the file, without `.csv`.
        columns: its columns.
        says: what one learns from it, in a sentence or two.
        compute: the table, from the material; None: it is the rows that all panels have under its name.
        of: these rows, from all sweeps of a panel, where traces are all that it takes.
        shown: whether the report shows it; the others are linked.
    """

    name: str
    columns: list[str]
    says: str
    compute: Callable[[Material], pd.DataFrame] | None = None
    of: OfPanel | None = None
    shown: bool = False

    def make(self, material: Material) -> pd.DataFrame:
        """The table, as it is written."""
        return self.compute(material) if self.compute else material.rows[self.name]


#: Those that the report shows in the order of its reader, then the others.
ALL = (
    Table(
        "headline",
        HEADLINE,
        "What is saved at a promised loss of at most 0, 1 or 2 points against the static model: the knob is chosen on "
        "one half of the validation set and read off the other. Beside it what Learn then Test certifies.",
        lambda m: headline_table(m.savings, m.rows["risk"], m.latency),
        shown=True,
    ),
    Table(
        "auc",
        AUC,
        "Areas under the curves, with 95 % Student-t intervals over seeds; task “mean” is the mean over tasks.",
        lambda m: auc_table(m.scores),
        shown=True,
    ),
    Table(
        "budgets",
        BUDGET,
        "What a quarter, half, three quarters and all of the layers buy.",
        lambda m: budget_table(m.exact),
        shown=True,
    ),
    Table(
        "paired",
        PAIRED,
        "Differences between methods, paired by seed and by example.",
        lambda m: called_unpaired(paired_table(m.exact, m.rivals), m.again, m.own),
        shown=True,
    ),
    Table(
        "focus",
        FOCUS,
        "One method minus each other one, paired by seed and by example.",
        lambda m: focus_table(m.tables["paired"], m.focus),
        shown=True,
    ),
    Table(
        "verdicts",
        VERDICTS,
        "Does choosing exits pay? Each method minus truncated depth, and minus its own exits dealt at random.",
        lambda m: verdict_table(m.rows["references"]),
        shown=True,
    ),
    Table(
        "ranks",
        RANKS,
        "Mean rank of every method over the tasks.",
        lambda m: mean_rank_table(m.exact, m.rivals),
        shown=True,
    ),
    Table(
        "transfer",
        TRANSFER,
        "What a knob chosen on one half of the validation set promises, and what it gives on the other.",
        lambda m: transfer_table(m.rows["transfer"]),
        shown=True,
    ),
    Table(
        "stability",
        STABILITY,
        "How far the cost moves between seeds at a fixed knob.",
        lambda m: stability_table(m.rows["points"], m.exact),
        shown=True,
    ),
    Table(
        "oracle",
        ORACLE,
        "Of what choosing exits could gain over truncated depth, the share that a method gets.",
        of=oracle_rows,
        shown=True,
    ),
    Table(
        "undecidable",
        UNDECIDED,
        "Layers spent on what nobody can answer: mean exit layer of hard examples that can be decided minus that of "
        "examples that cannot, at the costs of DACT's models.",
        lambda m: undecidable_table(m.rows["undecidable"]),
        shown=True,
    ),
    Table(
        "difficulty_rank",
        DIFFICULTY_RANK,
        "Do harder examples exit later? Rank correlation of exit layer and known difficulty.",
        lambda m: rank_table(m.rows["difficulty_rank"]),
        shown=True,
    ),
    Table(
        "knobs",
        KNOBS,
        "Cost and value of every setting of every knob, mean over seeds.",
        lambda m: knob_table(m.rows["points"]),
        shown=True,
    ),
    Table("risk", RISK, "Settings with a bounded risk, and what the naive choice breaks."),
    Table(
        "calibration",
        CALIBRATION,
        "Are exits right as often as they are sure? By layer and at exit.",
        of=calibration_rows,
    ),
    Table("reliability", RELIABILITY, "Accuracy by confidence, at half of the layers.", of=reliability_rows),
    Table("overthinking", OVERTHINKING, "Answers that were right before the last layer.", of=overthinking_rows),
    Table("depth", DEPTH, "What each layer is worth, beside BERT-base on GLUE.", of=depth_rows),
    Table("points", POINTS, "Cost and metrics of every operating point.", of=lambda sweeps: map(point_rows, sweeps)),
    Table("exits", EXITS, "How many examples exit at each layer and use it.", of=lambda sweeps: map(exit_rows, sweeps)),
    Table("matched", MATCHED, "How many examples use each layer at equal cost.", of=matched_rows),
    Table("curves", CURVES, "The mean curve of every method, with its band."),
    Table("scores", SCORES, "Areas and budget values of every run.", lambda m: score_table(m.scores)),
    Table("difficulty", DIFFICULTY, "Mean exit layer by known difficulty.", of=of_each(difficulty_rows)),
    Table("layers", LAYERS, "What halting rules see, layer by layer, of three examples.", of=layer_rows),
    Table("bounds", BOUNDS, "DACT's halting bound: the paper's, exact, with slack.", of=of_each(bound_rows)),
    Table("confidence", CONFIDENCE, "How sure answers and halting values are at exit.", of=of_each(confidence_rows)),
    Table("references", REFERENCES, "Truncated depth, random exits, oracle and constant.", of=reference_rows),
    Table(
        "health",
        HEALTH,
        "Can every exit see? Each exit beside a closed-form probe on the very states that it reads.",
        of=health_rows,
        shown=True,
    ),
    Table(
        "plateau",
        PLATEAU,
        "Would a method gain from twice the steps? Mean over tasks with its 90 % Student-t interval "
        "(run_all.py --check-plateau).",
        lambda m: plateau_table(m.exact, m.rows["points"], m.plateau),
        shown=True,
    ),
    Table("effects", EFFECTS, "What each claim is about, as one number per task and seed."),
    Table(
        "reproduction",
        REPRODUCTION,
        "The claims of the DACT-BERT paper beside this run: mean effect with its 95 % Student-t interval over tasks "
        "(over seeds where there is one task). A claim says that its effect is above 0; claims 2, that it is less than "
        "the relevant one either way. The verdict follows by a rule fixed beforehand.",
        lambda m: reproduction_table(m.tables | twice_of(m.plateau)),
    ),
    Table(
        "shares",
        SHARES,
        "The verdicts on claims 1a, 1b and 9 with undecidable examples counted 0, 1 and 2 times.",
        lambda m: share_table(m.rows["shares"], m.tables),
    ),
    Table(
        "failures",
        FAILURES,
        "Cells without rows in the other tables, each with its reason.",
        lambda m: failure_table(m.others, m.suite, m.methods),
    ),
)
#: By name.
TABLES = {table.name: table for table in ALL}
#: Rows that are made where the traces of a panel are; of the first five those of single seeds or points, which what is
#: written comes from.
FROM_TRACES = {
    "exact": PanelRows([*PANEL, "method", "variant", "seed", "layer_fraction", "value"], of_each(exact_rows)),
    "difficulty_rank": PanelRows(BY_SEED, of_each(rank_rows)),
    "transfer": PanelRows(CHOICES, transfer_rows),
    "undecidable": PanelRows(UNDECIDABLE_BY_SEED, undecidable_rows),
    "shares": PanelRows(SHARES_BY_SEED, share_rows),
    **{table.name: PanelRows(table.columns, table.of) for table in ALL if table.of},
}
