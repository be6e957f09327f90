"""Draw docs/accuracy.png: the error of the fast method against the tolerance it is given.

    python bench/accuracy.py docs/accuracy.png

The error is the largest, relative to walking each horizon by itself, over horizons and schedules; a
minute of computing.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import cvxbound as cb
from cvxbound import plot

STEPS = 20_000
TOLERANCES = 10.0 ** np.arange(-12.0, -1.9, 0.5)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")


def schedules(rng):
    """Ordinary ones, and some without anything smooth in them."""
    t = np.arange(1, STEPS + 1)
    return {
        "cosine": cb.schedules.cosine(STEPS, warmup=300),
        "wsd, 1-sqrt": cb.schedules.wsd(STEPS, cooldown=0.2, shape="1-sqrt"),
        "constant": cb.schedules.constant(STEPS),
        "warm restarts": np.sin(np.pi / 2 * (1 - ((t - 1) % 97) / 97)) ** 2 + 1e-9,
        "over 8 decades at random": 10.0 ** rng.uniform(-8, 0, STEPS),
        "over 600 decades at random": 10.0 ** rng.uniform(-300, 299, STEPS),
    }


def main(path):
    rng = np.random.default_rng(0)
    at = np.unique(np.r_[1:200, rng.integers(1, STEPS, 200), STEPS - 9 : STEPS + 1])
    drawing = Figure(figsize=(8.4, 3.8), layout="constrained")
    axes = drawing.subplots(1, 2, sharey=True)
    for ax, kind in zip(axes, ("last", "tight"), strict=True):
        for colour, (name, eta) in zip(COLOURS, schedules(rng).items(), strict=True):
            exact = cb.tune(eta, kind=kind, at=at, method="direct").omega
            finite = np.isfinite(exact)
            errors = []
            for rtol in TOLERANCES:
                omega = cb.tune(eta, kind=kind, at=at, method="fast", rtol=rtol).omega
                errors.append(np.max(np.abs(omega[finite] / exact[finite] - 1)))
            ax.loglog(TOLERANCES, errors, "o-", color=colour, markersize=3, label=name)
        ax.plot(TOLERANCES, TOLERANCES, "k:", linewidth=1)
        ax.set(title=kind, xlabel="rtol")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(f"largest relative error of Omega*, T = {STEPS}")
    axes[0].legend(fontsize="small", frameon=False)
    plot.save(drawing, path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/accuracy.png")
