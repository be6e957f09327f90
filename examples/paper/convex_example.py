"""A real convex problem beside its bounds: the largest residual of a small linear system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, KINDS, STYLES, legend, main, markdown, panels, tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 400
ROWS = 20
DISTANCE = 5.0  # of the start from the solution
# The paper's rates: the mean step of the cosine is about half of its peak.
RATES = {"wsd": 0.02, "constant": 0.02, "cosine": 0.04, "linear": 0.04}


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix A and the solution x*: f(x) = max |A (x - x*)|, whose minimum is 0."""
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-1, 1, (ROWS, 2))
    solution = rng.standard_normal(2)
    return matrix, solution * (DISTANCE / np.hypot(*solution))


def descend(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run the subgradient method from 0; the values f(x_t), and the norms of the subgradients."""
    matrix, solution = problem()
    x = np.zeros(2)
    values, norms = [], []
    for step in eta:
        offset = x - solution
        residual = matrix[:, 0] * offset[0] + matrix[:, 1] * offset[1]  # alike on all machines
        worst = int(np.argmax(np.abs(residual)))
        gradient = np.sign(residual[worst]) * matrix[worst]
        values.append(abs(residual[worst]))
        norms.append(np.hypot(*gradient))
        x -= step * gradient
    return np.array(values), np.array(norms)


def compute() -> dict[str, Any]:
    """Run every schedule at the paper's rate and at the bound's, and bound it at each step."""
    largest = float(np.hypot(*problem()[0].T).max())
    runs = {}
    for name, rate in RATES.items():
        schedule = cb.schedules.by_name(name, STEPS)
        best = tuned(schedule, "last", G=largest, D=DISTANCE)["gamma"]
        two_digits = float(f"{best:.2g}")
        runs[name] = {"paper": _run(schedule, rate), "best": _run(schedule, two_digits)}
    return {"steps": STEPS, "distance": DISTANCE, "largest_norm": largest, "runs": runs}


def _run(schedule: cb.Schedule, rate: float) -> dict[str, Any]:
    values, norms = descend(rate * schedule.eta)
    bounds = {}
    for kind in KINDS:
        bounds[kind] = cb.curve(schedule, rate, G=norms, D=DISTANCE, kind=kind).tolist()
    return {"rate": rate, "loss": values.tolist()} | bounds


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the losses over the last twenty steps, and the bounds after the last."""
    rows = []
    for name, each in numbers["runs"].items():
        row = [name]
        for run in each.values():
            row += [f"{run['rate']:.2g}", f"{np.mean(run['loss'][-20:]):.1g}"]
            row += [f"{run[kind][-1]:.2f}" for kind in KINDS]
        rows.append(row)
    head = ["f - f*", "last", "tight"]
    return markdown(["schedule", "paper's LR", *head, "best LR for `last`", *head], rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw losses at the paper's rate, and at the bound's with the bounds above them."""
    figure, (left, right) = panels(2)
    shown = np.arange(0, numbers["steps"], 7)  # losses swing from step to step
    for colour, (name, each) in zip(COLOURS, numbers["runs"].items(), strict=False):
        left.plot(shown + 1, np.array(each["paper"]["loss"])[shown], color=colour, label=name)
        best = {key: np.array(value) for key, value in each["best"].items()}
        right.plot(shown + 1, best["loss"][shown], color=colour, linewidth=0.7)
        for kind, style in STYLES.items():
            right.plot(shown + 1, best[kind][shown], color=colour, **style)
    left.set(xlabel="step t", ylabel="f(x_t) - f*", ylim=(0, 0.1))
    right.set(xlabel="step t", ylabel="f(x_t) - f* (thin), bounds", yscale="log", ylim=(1e-3, 10))
    left.legend(fontsize="x-small", frameon=False)
    legend(right)
    return figure


if __name__ == "__main__":
    main(__file__, compute, table, draw)
