"""How to move a tuned base learning rate from one cooldown to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, cooldown_steps, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = (400, 1600, 6400, 25_600, 102_400)
FRACTIONS = tuple(i / 20 for i in range(21))
SHAPES = ("linear", "1-sqrt")


def compute() -> dict[str, Any]:
    """Return ln gamma*(1) - ln gamma*(c) over the fraction, for each horizon and shape."""
    return {"horizons": HORIZONS, "fractions": FRACTIONS} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        shape: [_logs(shape, steps, kind) for steps in HORIZONS] for shape in SHAPES
    }
    whole = [
        [tuned(cb.schedules.wsd(steps, steps, shape), kind)["gamma"] for steps in HORIZONS]
        for shape in SHAPES
    ]
    found["1-sqrt over linear"] = (np.array(whole[1]) / np.array(whole[0])).tolist()
    return found


def _logs(shape: str, steps: int, kind: str) -> list[float]:
    lengths = [cooldown_steps(c, steps) for c in FRACTIONS]
    gammas = [tuned(cb.schedules.wsd(steps, each, shape), kind)["gamma"] for each in lengths]
    logs: list[float] = (np.log(gammas[-1]) - np.log(gammas)).tolist()
    return logs


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the logarithms at the shortest and the longest horizon."""
    shown = [numbers["fractions"].index(c) for c in (0.0, 0.2, 0.4, 0.6, 0.8)]
    rows = []
    for shape in SHAPES:
        for kind in STYLES:
            for i in (0, -1):
                logs = numbers[kind][shape][i]
                row = [shape, kind, str(numbers["horizons"][i])]
                rows.append(row + [f"{logs[j]:.3f}" for j in shown])
    return markdown(["shape", "bound", "T", "c = 0", "0.2", "0.4", "0.6", "0.8"], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the logarithms of the ratio, one panel a shape."""
    figure, axes = panels(2)
    for ax, shape in zip(axes, SHAPES, strict=True):
        for i, (colour, steps) in enumerate(zip(COLOURS, numbers["horizons"], strict=False)):
            for kind, style in STYLES.items():
                label = f"T = {steps}" if kind == "last" else None
                logs = numbers[kind][shape][i]
                ax.plot(numbers["fractions"], logs, color=colour, label=label, **style)
        ax.set(xlabel="cooldown fraction c", ylim=(-0.05, 1.8), title=shape)
    axes[0].set_ylabel("ln gamma*(1) - ln gamma*(c)")
    legend(axes[0])
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
