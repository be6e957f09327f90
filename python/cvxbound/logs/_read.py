"""Reading a log, whatever its format."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from .._messages import counted
from ._content import FORMATS, Content, table_content
from ._csv import csv_content
from ._events import events_content, folder_content, is_event_file
from ._json import json_content
from ._log import Log, short
from ._names import STEP, find
from ._output import is_output, output_content
from ._parquet import parquet_content


def read(source: object, *, step: str | None = None) -> Log:
    """Read a log.

    Parameters
    ----------
    source : path, table or Log
        The path of a CSV or TSV file, JSON lines, JSON (the ``trainer_state.json`` of Hugging Face,
        a list of records, a dict of columns, or tables within a ``history``), parquet, an event
        file of TensorBoard or a folder of them, or the output of Megatron, told apart by their
        content. Or a table: a dict of columns, a list of dicts, or a frame with ``.columns`` and
        ``frame[name]``. A `Log` is returned as it is.
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
    ImportError
        A parquet file, without polars, the extra ``logs``.
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
    lines = content.lines
    columns = content.only(x for x in content.columns if not x.endswith(("__MIN", "__MAX"))).columns
    name = find(tuple(columns), STEP, step or content.step, source)
    places = range(len(columns[name])) if lines is None else lines
    whole = Log(
        source,
        np.empty(0, np.int64),
        columns,
        places,
        "row" if lines is None else "line",
        content.open_ended,
        content.name,
        content.notes,
    )
    steps = whole.numbers(name)
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
    label = np.where(present, steps, 0).astype(np.int64)
    if present.all():
        return replace(whole, step=label)
    left_out = counted(int(np.count_nonzero(~present)), "row")
    notes = (*whole.notes, f"{left_out} without a step left out")
    return replace(whole, step=label, notes=notes).only(np.flatnonzero(present))


def _file_content(path: str) -> Content:
    if Path(path).is_dir():
        return folder_content(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        if error.filename is not None:
            raise
        # It was opened, but reading failed.
        raise OSError(error.errno, error.strerror or str(error), path) from error
    if data.startswith(b"PAR1"):
        return parquet_content(path)
    if is_event_file(data):
        return events_content({path: data})
    if is_output(data):
        return output_content(data)
    return _text_content(path, data)


def _text_content(path: str, data: bytes) -> Content:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 (byte {error.start}); {FORMATS}") from None
    if "\0" in text:
        raise ValueError(f"{path}: a binary file; {FORMATS}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"{path}: the file is empty")
    if text.lstrip()[0] in "[{":
        return json_content(path, text)
    return csv_content(path, text)
