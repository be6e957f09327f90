"""Reading a log, whatever its format."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ._content import FORMATS, Content, table_content
from ._csv import csv_content
from ._json import json_content
from ._log import Log, short
from ._names import STEP, find


def read(source: object, *, step: str | None = None) -> Log:
    """Read a log.

    Parameters
    ----------
    source : path, table or Log
        The path of a CSV or TSV file, JSON lines, or JSON (the ``trainer_state.json`` of Hugging
        Face, a list of records, a dict of columns), told apart by their content. Or a table: a dict
        of columns, a list of dicts, or a frame with ``.columns`` and ``frame[name]``. A `Log` is
        returned as it is.
    step : str, optional
        The column of the step; by default found by its name (step, global_step, iter, ...).

    Returns
    -------
    Log
        Columns that end in ``__MIN`` or ``__MAX`` (wandb exports) are dropped.

    Raises
    ------
    OSError
        The file cannot be opened or read.
    TypeError
        `source` is neither a path nor a table, or its steps are an array of anything but real
        numbers.
    ValueError
        The content cannot be understood; the message names the file and, where there is one, the
        line.

    Notes
    -----
    Time and memory are linear in the size of the log: a million rows take a few seconds.

    Examples
    --------
    >>> read([{"step": 1, "lr": 0.5}, {"step": 2, "loss": 3.0}]).column("loss").tolist()
    [nan, 3.0]
    """
    return source if isinstance(source, Log) else log_of(*content_of(source), step)


def content_of(source: object) -> tuple[str, Content]:
    """Read the columns of a file or table, and say how errors call it."""
    if not isinstance(source, (str, os.PathLike)):
        return "table", table_content(source)
    path = os.fsdecode(source)
    return path, _file_content(path)


def log_of(source: str, content: Content, step: str | None) -> Log:
    """Make a log of its columns: find and check the steps, leave out rows without one."""
    lines, columns = content.lines, content.columns
    columns = {key: cells for key, cells in columns.items() if not key.endswith(("__MIN", "__MAX"))}
    name = find(tuple(columns), STEP, step, source)
    places = range(len(columns[name])) if lines is None else lines
    whole = Log(
        source,
        np.empty(0, np.int64),
        columns,
        places,
        "row" if lines is None else "line",
        content.open_ended,
        content.name,
    )
    steps = whole.column(name)
    present = ~np.isnan(steps)
    if not present.any():
        raise ValueError(f"{source}: column {name!r} is empty; name another one with step=")
    # float64 holds integers up to 2**53; inf and what lies beyond fail the same comparison.
    with np.errstate(invalid="ignore"):
        good = (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
    if not good[present].all():
        row = int(np.flatnonzero(present & ~good)[0])
        got = short(str(columns[name][row]))
        whole.refuse(row, name, f"a step must be a non-negative integer, got {got}")
    if present.all():
        return replace(whole, step=steps.astype(np.int64))
    stepless = int(np.count_nonzero(~present))
    steps = np.where(present, steps, 0).astype(np.int64)
    return replace(whole, step=steps, stepless=stepless).only(np.flatnonzero(present))


def _file_content(path: str) -> Content:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        if error.filename is not None:
            raise
        # It was opened, but reading failed.
        raise OSError(error.errno, error.strerror or str(error), path) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 (byte {error.start}); {FORMATS}") from None
    if "\0" in text:
        raise ValueError(f"{path}: a binary file; {FORMATS}")
    if not text.strip():
        raise ValueError(f"{path}: the file is empty")
    if text.lstrip()[0] in "[{":
        return json_content(path, text)
    return csv_content(path, text)
