"""The schedule that minimises the bound itself, and how close linear decay comes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = (10, 50, 100, 400, 1000)
DRAWN = 100


def compute() -> dict[str, Any]:
    """Return the best bound of each kind, that of linear decay over it, and one best schedule."""
    return {"horizons": HORIZONS, "drawn": DRAWN} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    best = np.array([cb.theory.optimal_bound(steps, kind=kind) for steps in HORIZONS])
    linear = np.array([tuned(cb.schedules.linear(steps), kind)["omega"] for steps in HORIZONS])
    eta = cb.theory.optimal_steps(DRAWN, kind=kind)
    return {
        "optimum": best.tolist(),
        "over": (linear / best).tolist(),
        "eta": (eta / eta[0]).tolist(),
    }


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the optimum, and linear decay over it."""
    rows = []
    for i, steps in enumerate(numbers["horizons"]):
        row = [str(steps)]
        for kind in STYLES:
            of = numbers[kind]
            row += [f"{of['optimum'][i] * steps**0.5:.4f}", f"{of['over'][i]:.4f}"]
        rows.append(row)
    head = ["optimum sqrt(T), last", "linear decay over it"]
    return markdown(["T", *head, "optimum sqrt(T), tight", head[1]], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the best schedules beside linear decay, and linear decay's bound over the best one."""
    figure, (left, right) = panels(2)
    steps = np.arange(1, numbers["drawn"] + 1)
    left.plot(
        steps, (numbers["drawn"] + 1 - steps) / numbers["drawn"], color="grey", label="linear"
    )
    for colour, (kind, style) in zip(COLOURS, STYLES.items(), strict=False):
        left.plot(steps, numbers[kind]["eta"], color=colour, label=f"best for {kind}", **style)
        excess = np.array(numbers[kind]["over"]) - 1
        right.plot(numbers["horizons"], excess, color=colour, **style)
    left.set(xlabel="step t", ylabel="eta_t / eta_1", ylim=(0, None))
    right.set(xlabel="horizon T", ylabel="linear decay over the best, less 1")
    right.set(xscale="log", yscale="log")
    left.legend(fontsize="x-small", frameon=False)
    legend(right)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
