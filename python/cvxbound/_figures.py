"""What all figures share: colours, labels, and matplotlib itself, loaded when one is drawn."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from .bounds import tune

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._arrays import Float
    from ._results import Tuned

# Okabe and Ito's colours, which people who do not see red or green tell apart, darkest first.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1.5, 1)))
_WIDTHS = {"last": 2.0, "tight": 1.1, "average": 0.7}  # where a figure has several kinds


def line_styles(labels: Sequence[str], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """The style of each line: a colour and dashes for its label, a width for its kind.

    Dashes let one line be seen under another.
    """
    of_label = dict(zip(dict.fromkeys(labels), _styles(), strict=False))
    several = len(set(kinds)) > 1
    return [
        of_label[label] | ({"linewidth": _WIDTHS.get(kind, 1.6)} if several else {})
        for label, kind in zip(labels, kinds, strict=True)
    ]


def _styles() -> Iterator[dict[str, Any]]:
    for i in itertools.count():
        dashes = _DASHES[i % len(_DASHES)]
        yield {"color": _COLOURS[i % len(_COLOURS)], "linestyle": dashes, "linewidth": 1.6}


def short(label: str, most: int = 64) -> str:
    """A label that leaves room for the figure: its two ends."""
    half = (most - 3) // 2
    text = label if len(label) <= most else f"{label[:half]}...{label[-half:]}"
    return f" {text}" if text.startswith("_") else text  # matplotlib hides what starts with _


def finite(values: Float) -> Float:
    """Infinities as gaps, which matplotlib leaves out."""
    return np.where(np.isfinite(values), values, np.nan)


def tidy(axes: Axes) -> None:
    """A light grid, and nothing above."""
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.spines["top"].set_visible(False)


def legend(figure: Figure, columns: int = 1) -> None:
    """The legend above the panels, its labels taken as they are."""
    box = figure.legend(loc="outside upper left", fontsize="small", frameon=False, ncols=columns)
    for text in box.get_texts():
        text.set_parse_math(False)  # a file may have dollars in its name


def best(eta: Float, label: str, **problem: Any) -> Tuned:
    """Tune what is to be drawn; ValueError where no base learning rate is of use."""
    found = tune(eta, **problem)
    if not 0 < found.gamma < np.inf or not np.isfinite(found.omega):
        raise ValueError(
            f"{label}: no base learning rate gives a finite bound at the last step; give one, "
            "or repeat the step before it (last_step='repeat')"
        )
    return found


def figure_class() -> type[Figure]:
    """Matplotlib's figure, not attached to pyplot; ImportError that says how to install it."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ImportError('figures need matplotlib: pip install "cvxbound[plot]"') from None
    return Figure
