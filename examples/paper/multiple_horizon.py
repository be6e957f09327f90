"""How the best base learning rate falls with the horizon, for cosine and WSD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import (
    COLOURS,
    STYLES,
    both,
    cooldown_steps,
    legend,
    main,
    markdown,
    panels,
    power_law,
    some_steps,
    tuned,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = (200, 300, 400, 500, 600)
MORE_HORIZONS = (200, 1000, 10_000, 100_000, 1_000_000)
FAMILIES = {
    "cosine": cb.schedules.cosine,
    "wsd 0.2": lambda steps: cb.schedules.wsd(steps, cooldown_steps(0.2, steps)),
}
RUNS = (22_000, 33_000, 44_000)
RATES = {"cosine": 0.005, "wsd 0.2": 0.0025}


def compute() -> dict[str, Any]:
    """Tune both families at several horizons, and fit gamma* = A T^B to the short ones."""
    at = {str(steps): some_steps(steps).tolist() for steps in RUNS}
    return {"horizons": HORIZONS, "more_horizons": MORE_HORIZONS, "at": at} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, make in FAMILIES.items():
        gammas = [tuned(make(steps), kind)["gamma"] for steps in HORIZONS]
        factor, exponent = power_law(HORIZONS, gammas)
        found[name] = {
            "gamma": gammas,
            "fit": {"A": factor, "B": exponent},
            "more_gammas": [tuned(make(steps), kind)["gamma"] for steps in MORE_HORIZONS],
            "curves": {str(steps): _curve(name, steps, kind) for steps in RUNS},
        }
    cosine, wsd = (np.array(found[name]["more_gammas"]) for name in FAMILIES)
    found["ratio"] = (cosine / wsd).tolist()
    return found


def _curve(name: str, steps: int, kind: str) -> list[float]:
    values = cb.curve(FAMILIES[name](steps), RATES[name], kind=kind, at=some_steps(steps))
    curve: list[float] = values.tolist()
    return curve


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the fits, and how far apart the two families are."""
    rows = []
    for name in FAMILIES:
        fits = [numbers[kind][name]["fit"] for kind in STYLES]
        rows.append([f"gamma*, {name}", *(f"{fit['A']:.2f} T^{fit['B']:.3f}" for fit in fits)])
    for i, steps in enumerate(numbers["more_horizons"]):
        ratios = [f"{numbers[kind]['ratio'][i]:.3f}" for kind in STYLES]
        rows.append([f"cosine / wsd, T = {steps:,}", *ratios])
    return markdown(["", *STYLES], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw gamma* over the horizon with its fit, and whole runs at one base learning rate."""
    figure, (left, right) = panels(2)
    x = np.geomspace(150, 750, 50)
    for colour, name in zip(COLOURS, FAMILIES, strict=False):
        for kind, style in STYLES.items():
            of = numbers[kind][name]
            factor, exponent = of["fit"]["A"], of["fit"]["B"]
            left.plot(x, factor * x**exponent, color=colour, **style)
            label = f"{name}: {factor:.2f} T^{exponent:.3f}" if kind == "last" else None
            left.plot(numbers["horizons"], of["gamma"], "o", color=colour, ms=4, label=label)
            for steps, curve in of["curves"].items():
                right.plot(numbers["at"][steps], curve, color=colour, **style)
    left.set(xlabel="horizon T", ylabel="gamma*", xscale="log", yscale="log")
    left.set_xticks(numbers["horizons"], numbers["horizons"])
    left.set_yticks([0.02, 0.04, 0.08], [0.02, 0.04, 0.08])
    left.minorticks_off()
    right.set(xlabel="step t", ylabel="Omega_t", ylim=(0, 0.1))
    legend(left)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
