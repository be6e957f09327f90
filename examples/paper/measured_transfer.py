"""The best learning rate of real runs over the cooldown, beside what the bound says.

The runs are those that Schaipp et al. published with the paper: 124M-parameter models, 50 000
steps, WSD with a linear cooldown, one folder of logs with an index.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cvxbound as cb
from _paper import COLOURS, KINDS, STYLES, legend, markdown, options, panels, tuned, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 50_000
WARMUP = 300
LONGEST = 0.994  # what the warm-up leaves of the run
GRID = np.geomspace(1e-4, 1e-2, 100)  # on which the paper looks for the best rate


def losses(folder: Path) -> dict[float, list[tuple[float, float]]]:
    """Read (learning rate, final loss) for each cooldown, the mean of runs that were repeated."""
    found: dict[float, dict[float, list[float]]] = {}
    for run in json.loads((folder / "index.json").read_text()):
        linear = run["scheduler"] == "wsd" and run["decay_type"] in ("linear", None)
        if linear and run["steps"] == STEPS and run["cooldown"]:
            of_rate = found.setdefault(run["cooldown"], {})
            of_rate.setdefault(run["base_lr"], []).append(run["final_val_loss"])
    return {
        cooldown: [(rate, float(np.mean(values))) for rate, values in sorted(of_rate.items())]
        for cooldown, of_rate in sorted(found.items())
    }


def fit(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Fit loss = A / gamma + B gamma + C, in which the least squares make A and B positive here."""
    gamma, loss = np.array(pairs).T
    unit = 1e-3  # keeps the three columns at one scale
    columns = np.column_stack([unit / gamma, gamma / unit, np.ones_like(gamma)])
    a, b, c = np.linalg.lstsq(columns, loss)[0]
    if min(a, b) <= 0:
        raise ValueError(f"the losses have no minimum over the learning rates {sorted(set(gamma))}")
    return float(a * unit), float(b / unit), float(c)


def compute(folder: Path) -> dict[str, Any]:
    """Return ln gamma(0.994) - ln gamma(c): measured, on the paper's grid, and in theory."""
    runs = losses(folder)
    fits = {cooldown: fit(pairs) for cooldown, pairs in runs.items()}
    best = {c: float(np.sqrt(a / b)) for c, (a, b, _) in fits.items()}
    on_grid = {c: float(GRID[np.argmin(a / GRID + b * GRID)]) for c, (a, b, _) in fits.items()}
    theory = {kind: {c: tuned(_schedule(c), kind)["gamma"] for c in runs} for kind in KINDS}
    return {
        "cooldowns": list(runs),
        "losses": list(runs.values()),
        "fits": list(fits.values()),
        "best": list(best.values()),
        "measured": _logs(best),
        "on_grid": _logs(on_grid),
        "theory": {kind: _logs(gammas) for kind, gammas in theory.items()},
    }


def _schedule(cooldown: float) -> cb.Schedule:
    return cb.schedules.wsd(STEPS, cooldown, warmup=WARMUP)


def _logs(gammas: dict[float, float]) -> list[float]:
    return [float(np.log(gammas[LONGEST] / gamma)) for gamma in gammas.values()]


def table(numbers: dict[str, Any]) -> str:
    """Tabulate the logarithms."""
    rows = []
    for i, cooldown in enumerate(numbers["cooldowns"]):
        columns = [numbers["measured"], numbers["on_grid"], *numbers["theory"].values()]
        logs = [f"{column[i]:.3f}" for column in columns]
        rows.append([f"{cooldown:g}", f"{numbers['best'][i]:.2e}", *logs])
    head = ["cooldown", "best LR", "ln ratio", "on the paper's grid", "last", "tight"]
    return markdown(head, rows)


def draw(numbers: dict[str, Any]) -> Figure:
    """Draw the losses with their fits, and the logarithms."""
    figure, (left, right) = panels(2)
    x = np.geomspace(3e-4, 4e-3, 100)
    rows = zip(numbers["cooldowns"], numbers["losses"], numbers["fits"], strict=True)
    for colour, (cooldown, pairs, (a, b, c)) in zip(COLOURS, rows, strict=True):
        gamma, loss = np.array(pairs).T
        left.plot(gamma, loss, "o", color=colour, markersize=4)
        left.plot(x, a / x + b * x + c, color=colour, linewidth=1, label=f"cooldown {cooldown:g}")
    for kind, style in STYLES.items():
        right.plot(numbers["cooldowns"], numbers["theory"][kind], color=COLOURS[0], **style)
    right.plot(numbers["cooldowns"], numbers["measured"], "o", color=COLOURS[1], label="measured")
    left.set(xlabel="base learning rate", ylabel="final validation loss", xscale="log")
    left.set(ylim=(2.94, 3.03), xlim=(3e-4, 4e-3))
    left.set_xticks([5e-4, 1e-3, 2e-3, 3e-3], ["5e-4", "1e-3", "2e-3", "3e-3"])
    left.minorticks_off()
    right.set(xlabel="cooldown fraction c", ylabel="ln gamma*(0.994) - ln gamma*(c)")
    left.legend(fontsize="x-small", frameon=False)
    legend(right)
    return figure


def main() -> None:
    """Write the numbers and the figure, and print the table."""
    parser = options("Write measured_transfer.png and .json.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the logs")
    given = parser.parse_args()
    numbers = compute(given.data)
    write("measured_transfer", given.out, numbers, draw(numbers))
    print(table(numbers), end="")


if __name__ == "__main__":
    main()
