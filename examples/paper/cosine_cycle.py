"""What a cosine costs whose cycle is longer than the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 400
CYCLES = (1, 1.5, 2, 4, 5)
FINAL = 0.1


def _schedule(cycle: float) -> cb.Schedule:
    """Cut a cosine of int(cycle (T + 1)) steps, the last of them at FINAL, after T."""
    whole = cb.schedules.cosine(int(cycle * (STEPS + 1)) - 1, final=FINAL)
    return cb.schedules.from_array(whole.eta[:STEPS], name=f"cosine, cycle {cycle}")


def compute() -> dict[str, Any]:
    """Tune every cycle; its curve at the rate that is best for a cycle of one run."""
    shapes = [_schedule(cycle).eta.tolist() for cycle in CYCLES]
    return {"steps": STEPS, "cycles": CYCLES, "final": FINAL, "eta": shapes} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    runs = [_schedule(cycle) for cycle in CYCLES]
    best = [tuned(run, kind) for run in runs]
    rate = best[0]["gamma"]
    return {
        "gamma": [each["gamma"] for each in best],
        "omega": [each["omega"] for each in best],
        "curve": [cb.curve(run, rate, kind=kind).tolist() for run in runs],
    }


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the tuned bounds, absolute and over that of one cycle."""
    rows = []
    for i, cycle in enumerate(numbers["cycles"]):
        row = [f"{cycle}"]
        for kind in STYLES:
            omega = numbers[kind]["omega"]
            row += [f"{omega[i]:.4f}", f"{omega[i] / omega[0]:.3f}"]
        rows.append(row)
    return markdown(["cycle / T", "Omega*, last", "over 1", "Omega*, tight", "over 1"], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the schedules, their bounds at one rate, and the tuned bounds."""
    figure, (left, middle, right) = panels(3)
    steps = np.arange(1, numbers["steps"] + 1)
    for i, (colour, cycle) in enumerate(zip(COLOURS, numbers["cycles"], strict=False)):
        left.plot(steps, numbers["eta"][i], color=colour, label=f"cycle {cycle}")
        for kind, style in STYLES.items():
            middle.plot(steps, numbers[kind]["curve"][i], color=colour, **style)
    for kind, style in STYLES.items():
        omega = numbers[kind]["omega"]
        right.plot(numbers["cycles"], omega, marker="o", markersize=3, color="black", **style)
    left.set(xlabel="step t", ylabel="eta_t", ylim=(0, None))
    middle.set(xlabel="step t", ylabel="Omega_t", ylim=(0, 0.35))
    right.set(xlabel="cycle / T", ylabel="Omega*_T", ylim=(0, None))
    left.legend(fontsize="x-small", frameon=False)
    legend(middle)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
