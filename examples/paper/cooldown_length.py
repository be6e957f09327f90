"""How the best base learning rate and the bound depend on the length of the cooldown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, cooldown_steps, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 400
# The paper's ten fractions: from one step of cooldown to all of them.
LENGTHS = [cooldown_steps(c, STEPS) for c in np.linspace(1 / STEPS, STEPS / (STEPS + 1), 10)]
FRACTIONS = [length / STEPS for length in LENGTHS]
SHAPES = ("linear", "1-sqrt")
RATES = (0.02, 0.04, 0.05, 0.07)


def compute() -> dict[str, Any]:
    """Tune WSD at every cooldown, and evaluate it at a few fixed rates."""
    head = {"steps": STEPS, "cooldown_steps": LENGTHS, "fraction": FRACTIONS, "rates": RATES}
    return head | both(_of)


def _of(kind: str) -> dict[str, Any]:
    found = {}
    for shape in SHAPES:
        runs = [cb.schedules.wsd(STEPS, length, shape) for length in LENGTHS]
        best = [tuned(run, kind) for run in runs]
        found[shape] = {
            "gamma": [each["gamma"] for each in best],
            "omega": [each["omega"] for each in best],
            "at_rates": [[float(cb.bound(run, r, kind=kind)) for run in runs] for r in RATES],
        }
    return found


def table(numbers: dict[str, Any]) -> str:
    """Tabulate some of the cooldowns, each kind's bound over that of linear decay."""
    rows = []
    for i in (0, 1, 2, 3, 5, 7, 9):
        row = [f"{numbers['fraction'][i]:.2f}"]
        for kind in STYLES:
            of = numbers[kind]["linear"]
            row += [f"{of['gamma'][i]:.4f}", f"{of['omega'][i]:.4f}"]
            row.append(f"{of['omega'][i] / of['omega'][-1]:.3f}")
        rows.append(row)
    head = ["cooldown", "gamma*, last", "Omega*", "over linear", "gamma*, tight", "Omega*"]
    return markdown([*head, "over linear"], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw gamma* and Omega* over the fraction, and Omega at fixed rates."""
    figure, (left, middle, right) = panels(3)
    x = numbers["fraction"]
    for kind, style in STYLES.items():
        for colour, shape in zip(COLOURS, SHAPES, strict=False):
            of = numbers[kind][shape]
            label = shape if kind == "last" else None
            left.plot(x, of["gamma"], color=colour, label=label, **style)
            middle.plot(x, of["omega"], color=colour, **style)
        fixed = zip(
            COLOURS[2:], numbers["rates"], numbers[kind]["linear"]["at_rates"], strict=False
        )
        for colour, rate, values in fixed:
            label = f"gamma = {rate}" if kind == "last" else None
            right.plot(x, values, color=colour, label=label, **style)
    left.set(xlabel="cooldown fraction", ylabel="gamma*")
    middle.set(xlabel="cooldown fraction", ylabel="Omega*_T", ylim=(0, None))
    right.set(xlabel="cooldown fraction (linear)", ylabel="Omega_T", ylim=(0, None))
    legend(left)
    right.legend(fontsize="x-small", frameon=False)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
