"""Six schedules of 400 steps, each at its best base learning rate, and off it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 400
SCHEDULES = {
    "linear": cb.schedules.linear(STEPS),
    "1-sqrt": cb.schedules.wsd(STEPS, cooldown=STEPS, shape="1-sqrt"),
    "cosine": cb.schedules.cosine(STEPS),
    "wsd 0.2": cb.schedules.wsd(STEPS, cooldown=0.2),
    "1/sqrt": cb.schedules.inverse_sqrt(STEPS),
    "constant": cb.schedules.constant(STEPS),
}
RATES = np.logspace(-8, 1, 50, base=2)


def compute() -> dict[str, Any]:
    """Tune each schedule; its curve at the best rate, its last bound at other rates."""
    shapes = {name: schedule.eta.tolist() for name, schedule in SCHEDULES.items()}
    return {"steps": STEPS, "rates": RATES.tolist(), "eta": shapes} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    found = {}
    for name, schedule in SCHEDULES.items():
        best = tuned(schedule, kind)
        found[name] = best | {
            "curve": cb.curve(schedule, best["gamma"], kind=kind).tolist(),
            "sweep": cb.bound(schedule, RATES, kind=kind).tolist(),
        }
    return found


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the best rates and bounds."""
    rows = []
    for name, last in numbers["last"].items():
        tight = numbers["tight"][name]
        values = [last["gamma"], tight["gamma"], last["omega"], tight["omega"]]
        rows.append([name, *(f"{x:.4f}" for x in values), f"{tight['omega'] / last['omega']:.3f}"])
    head = ["T = 400", "gamma*, last", "tight", "Omega*, last", "tight", "tight / last"]
    return markdown(head, rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the tuned schedules, their bounds, and the bounds against the base learning rate."""
    figure, (left, middle, right) = panels(3)
    steps = np.arange(1, numbers["steps"] + 1)
    for colour, (name, eta) in zip(COLOURS, numbers["eta"].items(), strict=False):
        for kind, style in STYLES.items():
            of = numbers[kind][name]
            if kind == "last":
                left.plot(steps, of["gamma"] * np.array(eta), color=colour, label=name, **style)
            middle.plot(steps, of["curve"], color=colour, **style)
            right.plot(numbers["rates"], of["sweep"], color=colour, **style)
            right.plot(of["gamma"], of["omega"], "o", color=colour, markersize=4)
    left.set(xlabel="step t", ylabel="gamma* eta_t", ylim=(0, 0.09))
    middle.set(xlabel="step t", ylabel="Omega_t at gamma*", ylim=(0, 0.32))
    right.set(xlabel="base learning rate gamma", ylabel="Omega_T", xscale="log", yscale="log")
    right.set_ylim(0.04, 1)
    left.legend(fontsize="x-small", frameon=False)
    legend(middle)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
