"""Gradient norms that fall as a power of the step: which schedule is then the better one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, STYLES, both, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 400
SCHEDULES = {"cosine": cb.schedules.cosine(STEPS), "wsd 0.2": cb.schedules.wsd(STEPS, 0.2)}
EXPONENTS = (0.0, -0.5, -1.0)
# The paper takes the best of these, where the best of all has a closed form.
RATES = np.logspace(-8, 1, 20, base=2)


def _norms(exponent: float) -> np.ndarray:
    return np.arange(1.0, STEPS + 1) ** exponent


def compute() -> dict[str, Any]:
    """Tune both schedules for each law of the norms, in closed form and on the paper's grid."""
    norms = [_norms(exponent).tolist() for exponent in EXPONENTS]
    return {"steps": STEPS, "exponents": EXPONENTS, "norms": norms} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, schedule in SCHEDULES.items():
        rows = []
        for exponent in EXPONENTS:
            norms = _norms(exponent)
            best = tuned(schedule, kind, G=norms)
            sweep = cb.bound(schedule, RATES, G=norms, kind=kind)
            curve = cb.curve(schedule, best["gamma"], G=norms, kind=kind)
            rows.append(best | {"omega_of_grid": float(sweep.min()), "curve": curve.tolist()})
        found[name] = rows
    return found


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the tuned bounds, and that of WSD over that of the cosine."""
    rows = []
    for i, exponent in enumerate(numbers["exponents"]):
        row = [f"t^{exponent:g}" if exponent else "1"]
        for kind in STYLES:
            cosine, wsd = (numbers[kind][name][i]["omega"] for name in SCHEDULES)
            row += [f"{cosine:.5f}", f"{wsd:.5f}", f"{wsd / cosine:.3f}"]
        rows.append(row)
    head = ["G_t", "cosine, last", "WSD 0.2", "ratio", "cosine, tight", "WSD 0.2", "ratio"]
    return markdown(head, rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the norms, and the bounds at the best rate of each."""
    figure, (left, right) = panels(2)
    steps = np.arange(1, numbers["steps"] + 1)
    for i, exponent in enumerate(numbers["exponents"]):
        left.plot(steps, numbers["norms"][i], color="black", alpha=1 - 0.3 * i)
        left.annotate(f"a = {exponent:g}", (300, 1.1 * numbers["norms"][i][299]), fontsize=7)
        for colour, name in zip(COLOURS, SCHEDULES, strict=False):
            for kind, style in STYLES.items():
                label = name if i == 0 and kind == "last" else None
                curve = numbers[kind][name][i]["curve"]
                right.plot(steps, curve, color=colour, alpha=1 - 0.3 * i, label=label, **style)
    left.set(xlabel="step t", ylabel="G_t = t^a", yscale="log", ylim=(1e-3, 2))
    right.set(xlabel="step t", ylabel="Omega_t at gamma*", yscale="log", ylim=(1e-3, 2))
    legend(right, ncols=2)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
