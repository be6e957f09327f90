"""CSV and TSV files."""

from __future__ import annotations

import csv
import io

from .._messages import counted
from ._content import CUT_OFF, Content
from ._names import listed


def csv_content(path: str, text: str) -> Content:
    """Read a table with a header, its fields apart by the commonest of comma, tab, semicolon."""
    first_line = text.lstrip("\n").partition("\n")[0]
    delimiter = max(",\t;", key=first_line.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    # Many editors leave the last line end out, but a number that is cut off is a number too.
    open_ended = not text.rstrip(" \t").endswith("\n")
    lines: list[int] = []
    notes: list[str] = []
    try:
        header = [name.strip() for name in next(filter(any, rows), [])]
        cells: list[list[str]] = [[] for _ in header]
        for row in filter(any, rows):  # blank lines and rows of commas say nothing
            if len(row) != len(header):
                place, fields = f"{path}, line {rows.line_num}", counted(len(row), "field")
                if open_ended and len(row) < len(header) and not any(map(any, rows)):
                    notes.append(CUT_OFF)
                    break
                raise ValueError(f"{place}: {fields} where the header has {len(header)}")
            lines.append(rows.line_num)
            for column, cell in zip(cells, row, strict=True):
                column.append(cell)
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from None
    if not lines:
        raise ValueError(f"{path}: no rows below the header (columns found: {listed(header)})")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise ValueError(f"{path}: several columns are called {twice[0]!r}")
    if open_ended and not notes and _is_cut_off(cells[-1]):
        notes.append(CUT_OFF)
        lines.pop()
        for column in cells:
            column.pop()
    return Content(dict(zip(header, cells, strict=True)), lines, open_ended, notes=tuple(notes))


def _is_cut_off(column: list[str]) -> bool:
    """Whether the last cell is none of the numbers above it, as "2.5e" is not."""
    return len(column) > 1 and _is_number(column[-2]) and not _is_number(column[-1] or "0")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
