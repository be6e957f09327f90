"""One rule splices a resumed run within a file and a run with its continuation across files.

Rows count in the order in which they were written, and a row replaces every earlier row at its own
step or a later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._names import LOSS, LR, Names, find
from ._read import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .._arrays import Float, Int
    from ._log import Log


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


def _learning_rates(
    logs: Sequence[Log], lr: str | None, first_step: int | None
) -> tuple[Series, Rows]:
    columns = [find(log.names, LR, lr, log.source) for log in logs]
    check_rates(logs, columns)
    _check_stated(logs, columns, LR)
    return spliced_rates(logs, columns, first_step)


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
    columns = tuple(find(log.names, LOSS, loss, log.source) for log in logs)
    _check_stated(logs, columns, LOSS)
    rows = stated(logs, columns)
    position = rows.label - rates.first_step + 1
    kept = survivors(rows.label, lr_rows, rows.order)
    replaced = int(np.count_nonzero(~kept))
    kept &= (position >= 1) & (position <= rates.step[-1])
    return rates._replace(
        step=position[kept], value=rows.value[kept], columns=columns, replaced=replaced
    )


class Rows(NamedTuple):
    """The rows of several logs in which a column says something, in the order of training."""

    label: Int
    value: Float
    order: Int  # which row it is, counted over all the logs


def spliced_rates(
    logs: Sequence[Log], columns: Sequence[str | None], first_step: int | None
) -> tuple[Series, Rows]:
    """Return the spliced learning rates, and the rows that they were spliced from.

    A log without a column of learning rates has other things to say.
    """
    rows = stated(logs, columns)
    check_order(logs, rows)
    kept = survivors(rows.label)
    ends = np.cumsum([log.step.size for log in logs])
    left = np.bincount(np.searchsorted(ends, rows.order[kept], side="right"), minlength=len(logs))
    for log, name, count in zip(logs, columns, left, strict=True):
        if name is not None and not count:
            raise ValueError(
                f"{log.source}: nothing is left of it after the later logs; pass them in order"
            )
    label = rows.label[kept]
    first = first_label(label, first_step, logs[0].source)
    series = Series(
        label - first + 1,
        rows.value[kept],
        first,
        sources=tuple(log.source for log in logs),
        columns=tuple(filter(None, columns)),
        replaced=rows.label.size - label.size,
        open_ended=tuple(log.source for log in logs if log.open_ended),
    )
    return series, rows


def check_first_step(first_step: object) -> None:
    """Refuse anything but an integer or None."""
    if isinstance(first_step, bool) or not isinstance(first_step, (int, np.integer, type(None))):
        raise TypeError(f"first_step must be an integer or None, got {first_step!r}")


def first_label(label: Int, first_step: int | None, source: str) -> int:
    """Return what logs call the first step: 0 if the first row says so, else 1."""
    check_first_step(first_step)
    first = min(int(label[0]), 1) if first_step is None else int(first_step)
    if label[0] < first:
        raise ValueError(f"{source}: step {label[0]} comes before first_step={first}")
    return first


def survivors(
    label: Int, resumed: Rows | None = None, order: Int | None = None
) -> NDArray[np.bool_]:
    """Tell which rows no later row replaces: those below every later step. Their steps increase.

    A resumed run replaces what was logged after its first learning rate, even where it logged
    nothing itself: `resumed` are the rows of learning rates, and `order` is that of these rows.
    """
    kept = np.ones(label.size, dtype=np.bool_)
    kept[:-1] = label[:-1] < _later_minimum(label)[1:]
    if resumed is not None and order is not None:
        least = np.append(_later_minimum(resumed.label), np.iinfo(np.int64).max)
        kept &= label <= least[np.searchsorted(resumed.order, order, side="right")]
    return kept


def stated(logs: Sequence[Log], columns: Sequence[str | None], *, nan: bool = False) -> Rows:
    """Collect the rows with a number in the column chosen for each log, if one was.

    A cell with the text "nan" counts where `nan` is true.
    """
    parts = [(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))]
    start = 0
    for log, name in zip(logs, columns, strict=True):
        if name is not None:
            values = log.numbers(name)
            rows = np.flatnonzero(log.said(name) if nan else ~np.isnan(values))
            parts.append((log.step[rows], values[rows], rows + start))
        start += log.step.size
    label, value, order = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Rows(label, value, order)


def _check_stated(logs: Sequence[Log], columns: Sequence[str], names: Names) -> None:
    for log, name in zip(logs, columns, strict=True):
        if np.isnan(log.numbers(name)).all():
            raise ValueError(
                f"{log.source}: column {name!r} is empty; name another one with {names.argument}="
            )


def check_rates(logs: Sequence[Log], columns: Sequence[str | None]) -> None:
    """Refuse learning rates that are negative or not finite; a blank cell is no learning rate."""
    for log, name in zip(logs, columns, strict=True):
        if name is None:
            continue
        rates = log.numbers(name)
        bad = np.flatnonzero(log.said(name) & ~((rates >= 0) & (rates < np.inf)))
        if bad.size:
            got = log.cells[name][bad[0]]
            why = f"a learning rate must be finite and not negative, got {got}"
            log.refuse(int(bad[0]), name, why)


def _later_minimum(label: Int) -> Int:
    """Return the lowest step from each row to the end."""
    return np.minimum.accumulate(label[::-1])[::-1]


def check_order(logs: Sequence[Log], rows: Rows) -> None:
    """Refuse a log written backwards, of which splicing would leave the last row alone."""
    ends = np.searchsorted(rows.order, np.cumsum([log.step.size for log in logs]))
    for log, label in zip(logs, np.split(rows.label, ends[:-1]), strict=True):
        change = np.diff(label)
        if change.size and change.max() <= 0 and change.min() < 0:
            raise ValueError(
                f"{log.source}: the steps only descend, from {label[0]} to {label[-1]}; sort the "
                "rows by step"
            )
