"""A bar that shows how far a sweep is, while a person looks."""

from __future__ import annotations

import contextlib
import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sweeps._engine import Progress

__all__ = ["bar"]


@contextlib.contextmanager
def bar() -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a sweep on the standard error; nothing where that is no terminal.

    Yields
    ------
    callable
        Takes the latest `Progress` and shows it.

    Raises
    ------
    ImportError
        The standard error is a terminal and rich is missing: how to install it.

    Examples
    --------
    >>> with bar() as show:  # doctest: +SKIP
    ...     plan.run("wsd.zarr", progress=show)
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ModuleNotFoundError:
        raise ImportError(
            'a progress bar needs rich: pip install "cvxbound[cli]" (or leave progress=True out)'
        ) from None
    columns = BarColumn(bar_width=30), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda event: shown.update(
            task, completed=event.done, total=event.total, description=describe(event)
        )


def describe(event: Progress) -> str:
    """How far a sweep is, in words.

    Parameters
    ----------
    event : Progress
        What the engine tells after each block.

    Returns
    -------
    str
        Blocks, rate, time left and, if there are any, blocks that failed.

    Examples
    --------
    >>> from cvxbound.sweeps._engine import Progress
    >>> describe(Progress(done=3, total=12, failed=1, kernels=6000, seconds=2.0))
    '3/12 blocks, 3,000 kernels/s, 0:00:04 left, 1 FAILED'
    """
    parts = [f"{event.done:,}/{event.total:,} blocks"]
    if event.kernels and event.seconds:
        parts.append(f"{_rounded(event.rate)} kernels/s")
        parts.append(f"{_duration(event.eta)} left")
    if event.failed:
        parts.append(f"{event.failed:,} FAILED")
    return ", ".join(parts)


def _rounded(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}"
