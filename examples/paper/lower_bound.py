"""How far `last` is above the exact worst case, which `tight` is wherever it was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 60
FAMILIES = ("linear", "cosine", "wsd", "inverse_sqrt", "constant")
# Exact worst cases at T = 60 from semidefinite programs solved with PEPit.
EXACT = {
    "linear": 0.12945,
    "cosine": 0.13207,
    "wsd": 0.14207,
    "inverse_sqrt": 0.15478,
    "constant": 0.17810,
}


def compute() -> dict[str, Any]:
    """Return the curves of both bounds at the rate that is best for `last`."""
    return {"steps": STEPS, "exact": EXACT} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    found = {}
    for name in FAMILIES:
        schedule = cb.schedules.by_name(name, STEPS)
        gamma = tuned(schedule, "last")["gamma"]
        found[name] = {"gamma": gamma, "curve": cb.curve(schedule, gamma, kind=kind).tolist()}
    return found


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the bounds at the last step beside the exact worst case."""
    rows = []
    for name in FAMILIES:
        last, tight = (numbers[kind][name]["curve"][-1] for kind in STYLES)
        exact = numbers["exact"][name]
        rows.append([name, *(f"{x:.5f}" for x in (last, tight, exact)), f"{last / tight:.2f}"])
    return markdown(["T = 60", "last", "tight", "PEPit", "last / tight"], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw three of the schedules, with the exact worst case at the last step."""
    figure, axes = panels(3)
    steps = np.arange(1, numbers["steps"] + 1)
    for ax, name in zip(axes, ("linear", "wsd", "constant"), strict=True):
        last, tight = (numbers[kind][name]["curve"] for kind in STYLES)
        ax.plot(steps, last, color=COLOURS[0], **STYLES["last"])
        ax.plot(steps, tight, color=COLOURS[1], **STYLES["tight"])
        ax.fill_between(steps, tight, last, color="grey", alpha=0.15)
        ax.plot(numbers["steps"], numbers["exact"][name], "k*", label="exact (PEPit)")
        ax.set(xlabel="step t", title=name, yscale="log", ylim=(0.1, 2))
        ax.set_yticks([0.1, 0.2, 0.5, 1, 2], [0.1, 0.2, 0.5, 1, 2])
        ax.minorticks_off()
    axes[0].set_ylabel("Omega_t")
    legend(axes[0])
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
