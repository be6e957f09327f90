"""Extending a tuned run of WSD at its base learning rate: a longer cooldown, or a second stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUN = cb.schedules.wsd(4000, cooldown=0.2)
TIMES = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
STRATEGIES = ("cooldown", "factor")


def compute() -> dict[str, Any]:
    """Solve for the cooldown, and for the factor, at which the same rate stays the best."""
    return {"steps": len(RUN), "times": TIMES} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    gamma = tuned(RUN, kind)["gamma"]
    rows = [_extensions(int(times * len(RUN)), kind) for times in TIMES]
    return {"gamma": gamma, "rows": rows, "longest": _longest(gamma, kind)}


def _extensions(steps: int, kind: str) -> dict[str, Any]:
    cooled, staged = (
        cb.extend(RUN, steps, strategy=strategy, kind=kind, last_step="given")
        for strategy in STRATEGIES
    )
    return {
        "steps": steps,
        "cooldown": cooled.cooldown / steps if cooled.solved else None,
        "factor": staged.factors[0],
        "gains": {"cooldown": cooled.improvement, "factor": staged.improvement},
    }


def _longest(gamma: float, kind: str) -> int:
    """Return the last horizon at which linear decay, the longest cooldown, wants no lower rate."""
    low, high = len(RUN), 10 * len(RUN)
    while high - low > 1:
        middle = (low + high) // 2
        enough = tuned(cb.schedules.linear(middle), kind)["gamma"] >= gamma
        low, high = (middle, high) if enough else (low, middle)
    return low


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the solutions, and by how much they lower the bound."""
    rows = []
    for i, times in enumerate(numbers["times"]):
        row = [f"{times:g}"]
        for kind in STYLES:
            of = numbers[kind]["rows"][i]
            solutions = ["none" if of[each] is None else f"{of[each]:.3f}" for each in STRATEGIES]
            gains = [f"{of['gains'][each]:.1%}" for each in STRATEGIES]
            row += [solutions[0], gains[0], solutions[1], gains[1]]
        rows.append(row)
    head = [f"{each}, {kind}" for kind in STYLES for each in ("cooldown", "gain", "factor", "gain")]
    return markdown(["T / T0", *head], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the extensions to twice the horizon, the solutions, and the gains."""
    figure, (left, middle, right) = panels(3)
    steps = 2 * numbers["steps"]
    drawn = {"same recipe": cb.schedules.wsd(steps, cooldown=0.2)}
    for strategy in STRATEGIES:
        drawn[strategy] = cb.extend(RUN, steps, strategy=strategy, last_step="given").schedule
    for colour, (name, schedule) in zip(("grey", *COLOURS), drawn.items(), strict=False):
        left.plot(np.arange(1, steps + 1), schedule.eta, color=colour, label=name)
    for kind, style in STYLES.items():
        rows = numbers[kind]["rows"]
        for colour, strategy in zip(COLOURS, STRATEGIES, strict=False):
            found = [np.nan if row[strategy] is None else row[strategy] for row in rows]
            label = strategy if kind == "last" else None
            middle.plot(numbers["times"], found, color=colour, label=label, **style)
            gains = [100 * row["gains"][strategy] for row in rows]
            right.plot(numbers["times"], gains, color=colour, **style)
    left.set(xlabel="step t (T = 2 T0)", ylabel="eta_t", ylim=(0, None))
    middle.set(xlabel="T / T0", ylabel="fraction, factor", ylim=(0, 1))
    right.set(xlabel="T / T0", ylabel="bound below the same recipe [%]", ylim=(0, None))
    left.legend(fontsize="x-small", frameon=False)
    legend(middle)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
