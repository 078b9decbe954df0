"""focus.csv: one method minus each other one, the way round that its author reads it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.errors import UserError, nearest
from bench.tables.paired import FAMILY, P_VALUES, TEST

FOCUS = [*FAMILY, "quantity", "focus", "rival", "value", "value_rival", "units", "unit_kind", *TEST]
FOCUS += ["detectable", "seeds_needed", *P_VALUES]


def focused(named: str | None, methods: Sequence[str], outside: Sequence[str]) -> str:
    """The method that focus.csv is about: the one named, else the first from outside the project, else DACT.

    Args:
        named: `--focus`.
        methods: those that the run reports.
        outside: of these the ones from outside the project.

    Raises:
        UserError: the named one is not among them.
    """
    if named is not None and named not in methods:
        raise UserError(
            f"--focus: no method '{named}' in this run: expected {', '.join(methods)}{nearest(named, methods)}"
        )
    return named or next(iter(outside), "dact" if "dact" in methods else methods[0])


def focus_table(paired: pd.DataFrame, focus: str) -> pd.DataFrame:
    """focus.csv: the pairs of one method, turned so that every difference is that method minus the other.

    Args:
        paired: paired.csv; its corrected p-values stay those of all pairs.
        focus: the method.
    """
    ahead = paired[paired["method_a"] == focus].rename(
        columns={"method_a": "focus", "method_b": "rival", "value_a": "value", "value_b": "value_rival"}
    )
    behind = paired[paired["method_b"] == focus].rename(
        columns={"method_b": "focus", "method_a": "rival", "value_b": "value", "value_a": "value_rival"}
    )
    turned = {"difference": "difference"}
    for kind in ("", "_boot"):
        turned |= {f"difference{kind}_low": f"difference{kind}_high", f"difference{kind}_high": f"difference{kind}_low"}
    behind = behind.assign(**{column: -behind[other] for column, other in turned.items()})
    return pd.concat([ahead, behind]).sort_index(kind="stable").reset_index(drop=True).reindex(columns=FOCUS)
