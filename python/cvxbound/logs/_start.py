"""The learning rates that a log does not say: before its first row, between rows and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._arrays import LARGEST_STEP, check_range, ratio_to_peak, real_array, step_count
from .._messages import counted
from .._segments import MOST_STEPS
from ._content import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._arrays import Float, Int
    from ._splice import Series

MOST_LOGGED = 2**31
_LEVEL = 0.01  # of a jump: what the rate may change from row to row beside it
_SMALLEST_JUMP = 0.01  # of the peak


def check_length(rates: Series) -> None:
    """Refuse steps that no optimizer took."""
    if rates.step[-1] > MOST_LOGGED:
        raise ValueError(
            f"{rates.sources[-1]}: {rates.step[-1]} steps; is the step column counting tokens or "
            "samples? pass step=, the column of the optimizer's steps"
        )


def usual_spacing(rates: Series) -> tuple[int, int]:
    """Return the median distance of two rows, and the largest."""
    gaps = np.diff(rates.step) if rates.step.size > 1 else np.ones(1, np.int64)
    return int(np.median(gaps)), int(gaps.max())


def between_rows(rates: Series) -> Float:
    """Return the learning rates from the first row to the last.

    Linear between rows, but across a jump: there the earlier one holds until the later row.
    """
    steps = np.arange(rates.step[0], rates.step[-1] + 1)
    found = np.interp(steps, rates.step, rates.value)
    for row in jumps(rates):
        first, last = rates.step[row : row + 2] - rates.step[0]
        found[first:last] = rates.value[row]
    return found


def jumps(rates: Series) -> Int:
    """Return the rows after which the rate jumps: it is level before that and after it.

    Rows that are close together, as the first few or the last one, say little of what is level;
    steps of one small size that recur are those of rounded text.
    """
    gap, change = np.diff(rates.step), np.abs(np.diff(rates.value))
    before, after = np.r_[np.inf, change[:-1]], np.r_[change[1:], np.inf]
    level = np.maximum(before, after) < _LEVEL * change
    wide = 2 * np.minimum(np.r_[0, gap[:-1]], np.r_[gap[1:], 0]) >= gap
    changed = change[change > 0]
    least = changed[changed <= 1.5 * changed.min(initial=np.inf)]
    size = np.maximum(
        _SMALLEST_JUMP * rates.value.max(), 1.5 * least.max() if least.size > 2 else 0
    )
    return np.flatnonzero(level & wide & (change > size) & (gap > 1))


def on_line(rates: Series, row: int, at: Int) -> Float:
    """Return the line through a row and the next one, not below zero."""
    step, value = rates.step[row:][:2], rates.value[row:][:2]
    slope = (value[1] - value[0]) / (step[1] - step[0])
    line: Float = np.maximum(value[0] + slope * (at - step[0]), 0.0)
    return line


def rows_note(rows: int, every: int, longest: int, interpolated: int, jumps: int) -> str:
    """Say how many rows the learning rates are from."""
    if not interpolated:
        return f"LR of {counted(rows, 'row')}, one every step"
    spacing = spacing_note(every)
    spacing += f", longest gap {longest}" * (longest > 2 * every)
    held = f", held across {counted(jumps, 'jump')} until the later row" if jumps else ""
    return f"LR interpolated linearly between {rows} rows ({spacing}){held}"


def spacing_note(every: int) -> str:
    """Say how far rows are apart."""
    return "one every step" if every == 1 else f"one every {every} steps"


def open_end_note(sources: Sequence[str]) -> str:
    """Say which files may have been cut off in the middle of a number."""
    files = " and of ".join(Path(source).name for source in sources)
    return f"the last row of {files} has no line end: {UNFINISHED}"


def before_the_log(
    rates: Series,
    peak: float,
    warmup: float | None,
    warmup_start: float | None,
    first_lr: float | None,
) -> Float:
    """Return the learning rates of the steps before the first one logged; see `from_log`."""
    first, rate = int(rates.step[0]), float(rates.value[0])
    if first_lr is not None:
        if warmup is not None or warmup_start is not None:
            raise ValueError("give first_lr= or warmup= (with warmup_start=), not both")
        return np.interp(np.arange(1, first), [1, first], [_first_rate(first_lr), rate])
    if warmup is None:
        if warmup_start is not None:
            raise ValueError("warmup_start= needs warmup=, the length of the warm-up")
        if first > 1:
            label = first + rates.first_step - 1
            raise ValueError(
                f"{rates.sources[0]}: the first learning rate is at step {label}; steps "
                f"{rates.first_step}..{label - 1} are unknown: give warmup= or first_lr=, or pass "
                "the earlier part of the run as the first log"
            )
        return np.empty(0)
    # A warm-up that ends before the log starts reaches the logged rate at the step after it, as in
    # the families; one that does not is on the line to the first row.
    in_steps = isinstance(warmup, (int, np.integer))  # may be more than a run cut short has
    length = step_count(warmup, MOST_STEPS if in_steps else int(rates.step[-1]), "warmup")
    top = min(length + 1, first)
    start, span = 0.0, top
    if warmup_start is not None:
        start, span = ratio_to_peak(warmup_start, "warmup_start") * peak, max(top - 1, 1)
    left = np.maximum(top - np.arange(1, first), 0) / span
    return rate * (1 - left) + start * left


def _first_rate(first_lr: object) -> float:
    rate = real_array(first_lr, "first_lr")  # type: ignore[arg-type]
    if rate.ndim:
        raise TypeError(f"first_lr must be a number, got {first_lr!r}")
    check_range(rate, "first_lr", LARGEST_STEP)
    return float(rate)
