"""What a log holds before its steps are looked at, and tables that are already in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._log import Lazy
from ._names import LR, STEP, find, look

Columns = dict[str, Any]  # of sequences of one length

FORMATS = (
    "expected CSV, TSV, JSON, JSON lines, parquet, an event file of TensorBoard, or the output of "
    "Megatron"
)
UNFINISHED = "is the file still being written?"
CUT_OFF = f"the last line, which is cut off, left out: {UNFINISHED}"


class Content(NamedTuple):
    """The columns of a log."""

    columns: Mapping[str, Any]
    lines: Sequence[int] | None = None  # the line of each row, where rows are lines
    open_ended: bool = False
    name: str = ""  # what the log calls its run
    step: str | None = None  # the column of the step, where the format has one
    notes: tuple[str, ...] = ()  # what was left out

    def only(self, columns: Iterable[str]) -> Content:
        """Return the content of some of the columns."""
        return self._replace(columns=Lazy(columns, self.columns.__getitem__))


def table_content(table: object) -> Content:
    """Read a table in memory, or a JSON document."""
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):
        return Content(_even({str(name): table[name] for name in table.columns}))
    if isinstance(table, Mapping):
        return _mapping_content(table)
    if is_records(table):
        return Content(transposed(table))  # type: ignore[arg-type]  # which are mappings
    raise TypeError(
        "expected a path, a dict of columns, a list of dicts, a frame with .columns, or a trainer "
        f"state with log_history; got {type(table).__name__}"
    )


def _mapping_content(table: Mapping[Any, Any]) -> Content:
    name = table.get("name")
    name = name if isinstance(name, str) else ""
    history = table.get("log_history", table.get("history"))
    parts = history.items() if isinstance(history, Mapping) else ()
    if tables := {str(key): part for key, part in parts if _is_columns(part)}:
        return Content(_joined(tables), name=name)
    if isinstance(history, Mapping) or is_records(history):
        return table_content(history)._replace(name=name)
    if _is_columns(table):
        return Content(_even({str(name): cells for name, cells in table.items()}))
    return Content(transposed([table]))


def is_records(table: object) -> bool:
    """Tell whether a table is a list of records."""
    return isinstance(table, (list, tuple)) and all(isinstance(row, Mapping) for row in table)


def transposed(records: Iterable[Mapping[str, Any]]) -> Columns:
    """Turn records into columns, None where a record lacks one, without keeping the records."""
    columns: Columns = {}
    count = 0
    for record in records:
        for name, cell in record.items():
            column = columns.setdefault(str(name), [])
            column.extend([None] * (count - len(column)))
            column.append(cell)
        count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return columns


def _joined(tables: Mapping[str, Mapping[str, Any]]) -> Columns:
    """Put tables of one run below each other: {"train": {"iter", "lr"}, "val": {"iter", "loss"}}.

    Those with learning rates come first in the rows, as a later one would count as a resumed run.
    """
    parts = {key: _even(part) for key, part in tables.items()}
    steps = {key: find(tuple(x), STEP, None, f"history of {key!r}") for key, x in parts.items()}
    ordered = sorted(parts, key=lambda key: not look(tuple(parts[key]), LR))
    return transposed(
        {"step" if name == steps[key] else f"{key}/{name}": cell for name, cell in row.items()}
        for key in ordered
        for row in _records(parts[key])
    )


def _records(columns: Columns) -> Iterator[dict[str, Any]]:
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _is_columns(table: object) -> bool:
    return isinstance(table, Mapping) and all(map(_is_column, table.values()))


def _is_column(cells: object) -> bool:
    return hasattr(cells, "__len__") and not isinstance(cells, (str, bytes, Mapping))


def _even(table: Mapping[str, Any]) -> Columns:
    """Check that the columns are of one length, and make numeric arrays float64."""
    lengths = {name: len(cells) for name, cells in table.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of the table differ in length: {lengths}")
    return {name: _cells(column) for name, column in table.items()}


def _cells(column: Any) -> Any:
    """Turn real numbers into float64; leave other arrays as they are, and the rest as lists.

    A table may have columns of anything beside those that are asked for.
    """
    if not hasattr(column, "dtype"):
        return list(column)
    kind = getattr(column.dtype, "kind", None) or np.asarray(column).dtype.kind
    if kind in "OUT":  # objects and text
        return list(column)
    if kind not in "fiu":
        return np.asarray(column)
    try:
        return np.asarray(column, np.float64)
    except (TypeError, ValueError):  # values that are missing in a way of their own
        return list(column)
