"""The cooldown removes the logarithm from the bound of the constant schedule."""

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
    some_steps,
    tuned,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = (500, 1000, 2000, 4000, 8000, 1_000_000)
SPLIT = 4000


def _wsd(steps: int) -> cb.Schedule:
    return cb.schedules.wsd(steps, cooldown_steps(0.2, steps))


def compute() -> dict[str, Any]:
    """Tune WSD and constant at every horizon; the theorem on WSD; the two terms of one run."""
    theorem = [
        cb.theory.wsd_bound(steps, steps + 1 - cooldown_steps(0.2, steps)) for steps in HORIZONS
    ]
    head = {"horizons": HORIZONS, "theorem": theorem, "split": SPLIT}
    return head | {"at": some_steps(SPLIT).tolist()} | both(_of)


def _of(kind: str) -> dict[str, Any]:
    wsd = [tuned(_wsd(steps), kind)["omega"] for steps in HORIZONS]
    constant = [tuned(cb.schedules.constant(steps), kind)["omega"] for steps in HORIZONS]
    gamma = tuned(_wsd(SPLIT), kind)["gamma"]
    distance, noise = cb.terms(_wsd(SPLIT), gamma=gamma, kind=kind, at=some_steps(SPLIT))
    return {
        "wsd": wsd,
        "constant": constant,
        "distance": (np.asarray(distance) / gamma).tolist(),
        "noise": (np.asarray(noise) * gamma).tolist(),
    }


def table(numbers: dict[str, Any]) -> str:
    """Tabulate Omega* sqrt(T)."""
    rows = []
    for i, steps in enumerate(numbers["horizons"]):
        root = steps**0.5
        row = [f"{steps}"]
        for kind in STYLES:
            of = numbers[kind]
            row += [f"{of['wsd'][i] * root:.3f}", f"{of['constant'][i] * root:.3f}"]
        rows.append([*row, f"{numbers['theorem'][i] / numbers['last']['wsd'][i]:.3f}"])
    head = ["T", "WSD 0.2, last", "constant", "WSD 0.2, tight", "constant", "theorem / last"]
    return markdown(head, rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw Omega* sqrt(T) over the horizon, and the two terms of one run over its steps."""
    figure, (left, right) = panels(2)
    root = np.sqrt(numbers["horizons"])
    for kind, style in STYLES.items():
        of = numbers[kind]
        for colour, name in zip(COLOURS, ("wsd", "constant"), strict=False):
            label = name if kind == "last" else None
            left.plot(numbers["horizons"], of[name] * root, color=colour, label=label, **style)
        for colour, term in zip(COLOURS[2:], ("distance", "noise"), strict=False):
            label = term if kind == "last" else None
            right.plot(numbers["at"], of[term], color=colour, label=label, **style)
    left.plot(numbers["horizons"], numbers["theorem"] * root, "k:", label="theorem")
    left.set(xlabel="horizon T", ylabel="Omega*_T sqrt(T)", xscale="log", ylim=(0, None))
    right.set(xlabel="step t", ylabel="terms of Omega_t at gamma*", ylim=(0, 0.1))
    legend(left)
    right.legend(fontsize="x-small", frameon=False)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
