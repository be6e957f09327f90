"""What the scripts share: the paper's layout, both bounds side by side, tables and files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

import cvxbound as cb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

KINDS = ("last", "tight")

# Okabe and Ito's colours, darkest first; `last` is drawn thick, `tight` thin and dashed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES: dict[str, dict[str, Any]] = {
    "last": {"linewidth": 1.8},
    "tight": {"linewidth": 1.1, "linestyle": (0, (5, 1.5))},
}


def both(of: Callable[[str], Any]) -> dict[str, Any]:
    """Compute the same for each kind of bound."""
    return {kind: of(kind) for kind in KINDS}


def tuned(eta: ArrayLike, kind: str, **options: Any) -> dict[str, float]:
    """Return the best base learning rate and the bound there, as JSON takes them."""
    gamma, omega = cb.tune(eta, kind=kind, **options)
    return {"gamma": float(gamma), "omega": float(omega)}


def cooldown_steps(fraction: float, steps: int) -> int:
    """Return the length of a cooldown in the paper: cut off to a whole number out of T + 1 steps.

    From 1 step to all of them; a schedule of T + 1 steps has its peak once at least.
    """
    return min(max(int(fraction * (steps + 1)), 1), steps)


def power_law(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Fit y = A x^B by least squares on y itself: Gauss and Newton's method, from a fit of logs."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    exponent, log_factor = np.polyfit(np.log(x), np.log(y), 1)
    factor = float(np.exp(log_factor))
    for _ in range(20):
        powers = x**exponent
        slopes = np.column_stack([powers, factor * powers * np.log(x)])
        step = np.linalg.lstsq(slopes, y - factor * powers)[0]
        factor, exponent = factor + step[0], exponent + step[1]
    return float(factor), float(exponent)


def some_steps(steps: int, count: int = 400) -> NDArray[np.int64]:
    """Return steps to draw a long curve through, every second one in proportion."""
    even = np.linspace(1, steps, count // 2)
    growing = np.geomspace(1, steps, count // 2)
    return np.unique(np.rint(np.concatenate([even, growing])).astype(np.int64))


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with panels beside one another."""
    figure = Figure(figsize=(3.6 * count, 3.1), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for ax in axes:
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def legend(ax: Axes, **options: Any) -> None:
    """Add a small legend that says once which lines are which kind."""
    for kind in KINDS:
        ax.plot([], [], color="grey", label=kind, **STYLES[kind])
    ax.legend(fontsize="x-small", frameon=False, **options)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write(name: str, folder: Path, numbers: dict[str, Any], drawing: Figure) -> None:
    """Write NAME.json and NAME.png, small enough for a page of a dozen."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(numbers) + "\n")
    drawing.savefig(folder / f"{name}.png", dpi=88)


def options(description: str | None) -> argparse.ArgumentParser:
    """Return what every script takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--out", type=Path, default=Path(), help="folder of the figures; by default this one"
    )
    return parser


def main(
    script: str,
    compute: Callable[[], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
    draw: Callable[[dict[str, Any]], Figure],
) -> None:
    """Write the numbers and the figure of one script, and print its table."""
    folder = options(f"Write {Path(script).stem}.png and .json.").parse_args().out
    numbers = compute()
    write(Path(script).stem, folder, numbers, draw(numbers))
    print(table(numbers), end="")
