"""Tables in long form, in which a column says what the loss of each row was measured on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._log import Lazy, Log, texts
from ._names import LOSS, SPLIT, find, look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._arrays import Int


class Apart(NamedTuple):
    """A log whose splits have columns of their own, and their names."""

    log: Log
    splits: tuple[str, ...] = ()


def split_apart(log: Log, loss: str | None) -> Apart:
    """Give each split of a table in long form a column of its own, in the order of the steps.

    Its rows may be all of one split and then all of another, which is no resumed run.
    """
    columns = look(log.names, SPLIT)
    if not columns:
        return Apart(log)
    name = find(log.names, LOSS, loss, log.source)
    splits = texts(log.cells[columns[0]])
    rows = [np.flatnonzero(splits.code == each) for each in range(len(splits.labels))]
    whole = log.cells
    apart = {
        split_column(label): _blank_elsewhere(whole[name], chosen)
        for label, chosen in zip(splits.labels, rows, strict=True)
    }
    cells = Lazy([*whole, *apart], lambda key: apart[key] if key in apart else whole[key])
    log = replace(log, cells=cells)
    if all((np.diff(log.step[chosen]) > 0).all() for chosen in rows):
        log = log.only(np.argsort(log.step, kind="stable"))
    return Apart(log, tuple(filter(None, splits.labels)))


def _blank_elsewhere(cells: Sequence[Any], rows: Int) -> Sequence[Any]:
    """Return a column with these rows only, and nothing said in the others."""
    if rows.size == len(cells):
        return cells
    kept: list[Any] = [None] * len(cells)
    for row in rows.tolist():
        kept[row] = cells[row]
    return kept


def split_column(label: str) -> str:
    return f"loss of split {label}"
