"""Training logs: which learning rate and which loss a run had at each step.

Reads CSV, TSV, JSON and JSON lines with the standard library, and tables that are already in memory
(a dict of columns, a list of dicts, a pandas or polars frame) without importing their packages.

One rule splices a resumed run within a file and a run with its continuation across files: rows
count in the order in which they were written, and a row replaces every earlier row at its own step
or a later one.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import numpy as np

from ._messages import counted, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._arrays import Float, Int

_Columns = dict[str, Any]  # of sequences of one length

_FORMATS = "expected CSV, TSV, JSON or JSON lines"
_UNFINISHED = "is the file still being written?"

# float() takes them all the same, the complex ones without their imaginary part.
_NO_NUMBERS = {bool, bytes, bytearray, np.bool_, np.bytes_, np.complex64, np.complex128}


class _Names(NamedTuple):
    """How a column is recognised, and the argument that names it where it is not.

    Patterns are tried in turn, and a later one counts only where the earlier ones found nothing.
    They are matched with the last part of a column name ("train/lr": "lr") and with the last two.
    """

    what: str
    argument: str
    patterns: tuple[str, ...]


_STEP = _Names(
    "step",
    "step",
    (
        r"((global|train|training|optimizer)[_ ])?(step|iter|iteration)s?",
        r"_step",  # wandb's own count, of log calls
    ),
)
_LR = _Names(
    "learning rate",
    "lr",
    (
        r"((train|training)_)?(lr|learning[_ -]?rate)",
        r"lr-.+|(lr|learning_rate)[_ ]?(group)?[_ (]*\d+\)?",  # one parameter group of several
    ),
)
_LOSS = _Names(
    "loss",
    "loss",
    (
        r"(val|valid|validation|eval|test)[_/ ]loss",
        r"(lm[_ ])?loss",
        r"(train|training)[_ ]loss",  # last: to Hugging Face it is the mean over the run
    ),
)


@dataclass(frozen=True, eq=False)
class Log:
    """A log as it was written: one row a record, in the order of the records.

    Cells become numbers when their column is asked for, so that columns of text do no harm.

    Parameters
    ----------
    source : str
        The path, or ``"table"``: how errors call it.
    step : ndarray of int64, shape (rows,)
        The step of each row, as labelled. Records without a step are left out.
    cells : mapping of str to sequence
        The columns, each of length ``rows``.
    places : sequence of int, shape (rows,)
        Where each row came from: the line of a file, or the index of a record.
    unit : {"line", "row"}
        Which of the two.
    open_ended : bool, default False
        Whether the last row of a CSV file has no line end: a number may have been cut off there.

    Examples
    --------
    >>> log = read({"step": [10, 20], "lr": ["0.1", ""]})
    >>> log.names, log.step.tolist(), log.column("lr").tolist()
    (('step', 'lr'), [10, 20], [0.1, nan])
    """

    source: str
    step: Int
    cells: Mapping[str, Sequence[Any]]
    places: Sequence[int]
    unit: Literal["line", "row"]
    open_ended: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.cells)

    def column(self, name: str) -> Float:
        """One column as numbers, NaN where nothing was logged.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        ndarray of float64, shape (rows,)

        Raises
        ------
        TypeError
            An array of anything but real numbers.
        ValueError
            Unknown name, or a cell that is not a number: its line and text.
        """
        if name not in self.cells:
            raise did_you_mean(name, self.names, f"column of {self.source}")
        cells = self.cells[name]
        if isinstance(cells, np.ndarray):
            if cells.dtype.kind not in "fiu":
                raise TypeError(
                    f"{self.source}, column {name!r}: expected real numbers, got an array of "
                    f"{cells.dtype}"
                )
            return cells.astype(np.float64)
        try:
            return _numbers(cells)
        except (TypeError, ValueError, OverflowError):
            row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
            self.refuse(row, name, f"{_short(repr(cells[row]))} is not a number")

    def refuse(self, row: int, name: str, why: str) -> NoReturn:
        """Raise a ValueError about one cell: the file, the line, the column and what is wrong."""
        raise ValueError(f"{self.source}, {self.unit} {self.places[row]}, column {name!r}: {why}")


class Series(NamedTuple):
    """One quantity along training, spliced: strictly increasing steps, one value each.

    Parameters
    ----------
    step : ndarray of int64, shape (n,)
        1-based steps of the schedule, whatever the log calls its first step.
    value : ndarray of float64, shape (n,)
        The quantity there.
    first_step : int
        What the log calls step 1.
    sources : tuple of str
        The logs, in the order given.
    columns : tuple of str
        The column read from each of them.
    replaced : int
        How many rows with a value later ones replace.
    open_ended : tuple of str
        Those of the logs that are CSV files whose last row has no line end.

    Examples
    --------
    >>> resumed = {"step": [0, 1, 2, 1, 2], "lr": [0.4, 0.3, 0.2, 0.3, 0.1]}
    >>> series = learning_rates(resumed)
    >>> series.step.tolist(), series.value.tolist(), series.first_step, series.replaced
    ([1, 2, 3], [0.4, 0.3, 0.1], 0, 2)
    """

    step: Int
    value: Float
    first_step: int
    sources: tuple[str, ...]
    columns: tuple[str, ...]
    replaced: int = 0
    open_ended: tuple[str, ...] = ()


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
    if isinstance(source, Log):
        return source
    if isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        found = _read_file(name)
    else:
        name, found = "table", _Content(_columns(source))
    return _log(name, found, step)


def learning_rates(
    source: object,
    *more: object,
    step: str | None = None,
    lr: str | None = None,
    first_step: int | None = None,
) -> Series:
    """Read the learning rates that a run logged.

    Parameters
    ----------
    source, *more : path, table or Log
        The run and its continuations, in the order of training. A continuation replaces what came
        before it from its own first learning rate on.
    step, lr : str, optional
        Column names, where they are not found by themselves.
    first_step : int, optional
        What the log calls the first step; by default 0 if a row of step 0 has a learning rate, else
        1.

    Returns
    -------
    Series
        Absolute learning rates, at the steps that have one.

    Raises
    ------
    ValueError
        What `read` raises; a learning rate that is negative or not finite; no learning rate at all;
        a source whose steps only descend, or that the later ones replace altogether.

    Examples
    --------
    >>> before = {"step": [1, 2, 3, 4], "lr": [0.3, 0.3, 0.3, 0.3]}
    >>> after = {"step": [3, 4, 5], "lr": [0.2, 0.1, 0.0]}
    >>> learning_rates(before, after).value.tolist()
    [0.3, 0.3, 0.2, 0.1, 0.0]
    """
    logs = [read(each, step=step) for each in (source, *more)]
    return _learning_rates(logs, lr, first_step)[0]


def losses(
    source: object,
    *more: object,
    loss: str | None = None,
    step: str | None = None,
    lr: str | None = None,
    first_step: int | None = None,
) -> Series:
    """Read the losses that a run logged, at the steps of its schedule.

    Parameters
    ----------
    source, *more : path, table or Log
        As for `learning_rates`.
    loss, step, lr : str, optional
        Column names, where they are not found by themselves. The loss is a validation loss
        (val_loss, eval_loss, ...) if there is one, else loss, else train_loss.
    first_step : int, optional
        As for `learning_rates`.

    Returns
    -------
    Series
        Spliced as the learning rates are; what lies outside the steps 1..T of the schedule is left
        out.

    Raises
    ------
    ValueError
        As for `learning_rates`; no loss in a log.

    Examples
    --------
    >>> table = {"step": [0, 1, 2, 3], "lr": [None, 1, 1, 1], "val_loss": [9.5, None, 7.0, 6.5]}
    >>> found = losses(table)
    >>> found.step.tolist(), found.value.tolist(), found.columns
    ([2, 3], [7.0, 6.5], ('val_loss',))
    """
    logs = [read(each, step=step) for each in (source, *more)]
    rates, lr_rows = _learning_rates(logs, lr, first_step)
    columns = tuple(_find(log.names, _LOSS, loss, log.source) for log in logs)
    rows = _stated(logs, columns, _LOSS)
    # A resumed run replaces the losses after its first learning rate, even where it logged none.
    resumed = np.append(_later_minimum(lr_rows.label), np.iinfo(np.int64).max)
    resumed_at = resumed[np.searchsorted(lr_rows.order, rows.order, side="right")]
    position = rows.label - rates.first_step + 1
    kept = _survivors(rows.label) & (rows.label <= resumed_at)
    replaced = int(np.count_nonzero(~kept))
    kept &= (position >= 1) & (position <= rates.step[-1])
    return rates._replace(
        step=position[kept], value=rows.value[kept], columns=columns, replaced=replaced
    )


class _Rows(NamedTuple):
    """The rows of several logs in which a column says something, in the order of training."""

    label: Int
    value: Float
    order: Int  # which row it is, counted over all the logs


def _learning_rates(
    logs: Sequence[Log], lr: str | None, first_step: int | None
) -> tuple[Series, _Rows]:
    """Return the spliced learning rates, and the rows that they were spliced from."""
    columns = tuple(_find(log.names, _LR, lr, log.source) for log in logs)
    for log, name in zip(logs, columns, strict=True):
        _check_rates(log, name)
    rows = _stated(logs, columns, _LR)
    _check_order(logs, rows)
    kept = _survivors(rows.label)
    ends = np.cumsum([log.step.size for log in logs])
    left = np.bincount(np.searchsorted(ends, rows.order[kept], side="right"), minlength=len(logs))
    for log, count in zip(logs, left, strict=True):
        if not count:
            raise ValueError(
                f"{log.source}: nothing is left of it after the later logs; pass them in order"
            )
    label = rows.label[kept]
    if not isinstance(first_step, (int, np.integer, type(None))):
        raise TypeError(f"first_step must be an integer or None, got {first_step!r}")
    first = min(int(label[0]), 1) if first_step is None else int(first_step)
    if label[0] < first:
        raise ValueError(f"{logs[0].source}: step {label[0]} comes before first_step={first}")
    series = Series(
        label - first + 1,
        rows.value[kept],
        first,
        sources=tuple(log.source for log in logs),
        columns=columns,
        replaced=rows.label.size - label.size,
        open_ended=tuple(log.source for log in logs if log.open_ended),
    )
    return series, rows


def _check_order(logs: Sequence[Log], rows: _Rows) -> None:
    """Refuse a log written backwards, of which splicing would leave the last row alone."""
    ends = np.searchsorted(rows.order, np.cumsum([log.step.size for log in logs]))
    for log, label in zip(logs, np.split(rows.label, ends[:-1]), strict=True):
        change = np.diff(label)
        if change.size and change.max() <= 0 and change.min() < 0:
            raise ValueError(
                f"{log.source}: the steps only descend, from {label[0]} to {label[-1]}; sort the "
                "rows by step"
            )


def _check_rates(log: Log, name: str) -> None:
    """Refuse learning rates that are negative or not finite; a blank cell is no learning rate."""
    rates = log.column(name)
    for row in np.flatnonzero(~((rates >= 0) & (rates < np.inf))).tolist():
        if not _is_blank(cell := log.cells[name][row]):
            log.refuse(row, name, f"a learning rate must be finite and not negative, got {cell}")


def _stated(logs: Sequence[Log], columns: Sequence[str], names: _Names) -> _Rows:
    """Collect the rows with a number in the column chosen for each log."""
    parts = []
    start = 0
    for log, name in zip(logs, columns, strict=True):
        values = log.column(name)
        rows = np.flatnonzero(~np.isnan(values))
        if not rows.size:
            raise ValueError(
                f"{log.source}: column {name!r} is empty; name another one with {names.argument}="
            )
        parts.append((log.step[rows], values[rows], rows + start))
        start += log.step.size
    label, value, order = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Rows(label, value, order)


def _later_minimum(label: Int) -> Int:
    """Return the lowest step from each row to the end."""
    return np.minimum.accumulate(label[::-1])[::-1]


def _survivors(label: Int) -> NDArray[np.bool_]:
    """Tell which rows no later row replaces: those below every later step. Their steps increase."""
    kept = np.ones(label.size, dtype=np.bool_)
    kept[:-1] = label[:-1] < _later_minimum(label)[1:]
    return kept


def _find(names: Sequence[str], known: _Names, given: str | None, source: str) -> str:
    """Choose the column to read: the one given, else the one whose name is known."""
    if given is not None:
        if given not in names:
            raise did_you_mean(given, names, f"column of {source}")
        return given
    for pattern in known.patterns:
        found = [name for name in names if _matches(name, pattern)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"{source}: the {known.what} could be any of the columns {_listed(found)}; "
                f"choose one, as in {known.argument}={found[0]!r}"
            )
    raise ValueError(
        f"{source}: no column looks like the {known.what}; name it with {known.argument}= "
        f"(columns found: {_listed(names)})"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _matches(name: str, pattern: str) -> bool:
    metric = name.rpartition(" - ")[2].strip().lower()  # wandb writes "<run> - <metric>"
    parts = re.split(r"[/.]", metric)
    return any(re.fullmatch(pattern, end) for end in (parts[-1], "/".join(parts[-2:])))


class _Content(NamedTuple):
    """What a log holds, before its steps are looked at."""

    columns: _Columns
    lines: Sequence[int] | None = None  # the line of each row, where rows are lines
    open_ended: bool = False


def _log(source: str, content: _Content, step: str | None) -> Log:
    """Make a log of its columns: find and check the steps, leave out rows without one."""
    lines, columns = content.lines, content.columns
    columns = {key: cells for key, cells in columns.items() if not key.endswith(("__MIN", "__MAX"))}
    name = _find(tuple(columns), _STEP, step, source)
    places = range(len(columns[name])) if lines is None else lines
    whole = Log(source, np.empty(0, np.int64), columns, places, "row" if lines is None else "line")
    steps = whole.column(name)
    present = ~np.isnan(steps)
    if not present.any():
        raise ValueError(f"{source}: column {name!r} is empty; name another one with step=")
    # float64 holds integers up to 2**53; inf and what lies beyond fail the same comparison.
    with np.errstate(invalid="ignore"):
        good = (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
    if not good[present].all():
        row = int(np.flatnonzero(present & ~good)[0])
        got = _short(str(columns[name][row]))
        whole.refuse(row, name, f"a step must be a non-negative integer, got {got}")
    if not present.all():
        columns = {key: _chosen(cells, present) for key, cells in columns.items()}
        places = list(compress(places, present))
    label = steps[present].astype(np.int64)
    return Log(source, label, columns, places, whole.unit, content.open_ended)


def _chosen(cells: Sequence[Any], rows: NDArray[np.bool_]) -> Sequence[Any]:
    return cells[rows] if isinstance(cells, np.ndarray) else list(compress(cells, rows))


def _numbers(cells: Sequence[Any]) -> Float:
    if not _NO_NUMBERS.isdisjoint(map(type, cells)):
        raise TypeError("not all cells are real numbers")
    nan = float("nan")
    return np.array([nan if cell is None or cell == "" else float(cell) for cell in cells])


def _is_number(cell: Any) -> bool:
    try:
        _numbers([cell])
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _is_blank(cell: Any) -> bool:
    """Tell whether nothing was logged: a missing value of any kind, but not the text "nan"."""
    return cell is None or cell == "" or (isinstance(cell, float) and np.isnan(cell))


def _read_file(path: str) -> _Content:
    """Read the columns of a file."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        if error.filename is not None:
            raise
        # It was opened, but reading failed.
        raise OSError(error.errno, error.strerror or str(error), path) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 (byte {error.start}); {_FORMATS}") from None
    if "\0" in text:
        raise ValueError(f"{path}: a binary file; {_FORMATS}")
    if not text.strip():
        raise ValueError(f"{path}: the file is empty")
    if text.lstrip()[0] in "[{":
        return _parse_json(path, text)
    return _parse_csv(path, text)


def _parse_csv(path: str, text: str) -> _Content:
    first_line = text.lstrip("\n").partition("\n")[0]
    delimiter = max(",\t;", key=first_line.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    lines: list[int] = []
    try:
        header = [name.strip() for name in next(filter(any, rows), [])]
        cells: list[list[str]] = [[] for _ in header]
        for row in filter(any, rows):  # blank lines and rows of commas say nothing
            if len(row) != len(header):
                place = f"{path}, line {rows.line_num}"
                hint = "" if any(map(any, rows)) else f"; {_UNFINISHED}"
                raise ValueError(
                    f"{place}: {counted(len(row), 'field')} where the header has "
                    f"{len(header)}{hint}"
                )
            lines.append(rows.line_num)
            for column, cell in zip(cells, row, strict=True):
                column.append(cell)
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from None
    if not lines:
        raise ValueError(f"{path}: no rows below the header (columns found: {_listed(header)})")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise ValueError(f"{path}: several columns are called {twice[0]!r}")
    # Many editors leave the last line end out, but a number that is cut off is a number too.
    open_ended = not text.rstrip(" \t").endswith("\n")
    return _Content(dict(zip(header, cells, strict=True)), lines, open_ended)


def _parse_json(path: str, text: str) -> _Content:
    """Read one JSON document, or one a line."""
    # NaN and Infinity stay text, as in a CSV file: nothing logged is not the same as NaN logged.
    decoder = json.JSONDecoder(parse_constant=str)
    try:
        document, end = decoder.raw_decode(text, len(text) - len(text.lstrip()))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: {_bad_json(error)}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {_bad_json(error)}") from None
    if text[end:].strip():
        return _parse_json_lines(path, text, decoder)
    try:
        return _Content(_columns(document))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _parse_json_lines(path: str, text: str, decoder: json.JSONDecoder) -> _Content:
    lines: list[int] = []

    def records() -> Iterator[dict[str, Any]]:
        for line, content in enumerate(io.StringIO(text), start=1):
            if not content.strip():
                continue
            try:
                record = decoder.decode(content)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}, line {line}: {_bad_json(error)}") from None
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {line}: expected an object, got {content[:40]!r}")
            lines.append(line)
            yield record

    return _Content(_transposed(records()), lines)


def _bad_json(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg}); {_UNFINISHED}"
    if isinstance(error, RecursionError):
        return "not a log (JSON that is nested too deeply)"
    return "not a log (a number of too many digits)"  # Python's limit for an int


def _columns(table: object) -> _Columns:
    """Read the columns of a table in memory, or of a JSON document."""
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):
        return _even({str(name): table[name] for name in table.columns})
    if isinstance(table, Mapping):
        if "log_history" in table:
            return _columns(table["log_history"])
        if all(_is_column(cells) for cells in table.values()):
            return _even({str(name): cells for name, cells in table.items()})
        return _transposed([table])
    if isinstance(table, (list, tuple)) and all(isinstance(row, Mapping) for row in table):
        return _transposed(table)
    raise TypeError(
        "expected a path, a dict of columns, a list of dicts, a frame with .columns, or a trainer "
        f"state with log_history; got {type(table).__name__}"
    )


def _transposed(records: Iterable[Mapping[str, Any]]) -> _Columns:
    """Turn records into columns, None where a record lacks one, without keeping the records."""
    columns: _Columns = {}
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


def _is_column(cells: object) -> bool:
    return hasattr(cells, "__len__") and not isinstance(cells, (str, bytes, Mapping))


def _even(table: Mapping[str, Any]) -> _Columns:
    """Check that the columns are of one length, and make numeric arrays float64."""
    lengths = {name: len(cells) for name, cells in table.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of the table differ in length: {lengths}")
    return {name: _cells(column) for name, column in table.items()}


def _cells(column: Any) -> Any:
    """Turn real numbers into float64; leave other arrays as they are, and the rest to `_numbers`.

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
