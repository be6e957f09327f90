"""Train all runs of the tutorial, one after the other, those that have no log yet.

python examples/train/runs.py
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cvxbound as cb

LOGS = Path(__file__).with_name("logs")
WARMUP = 100
LOW, GOOD, HIGH = 7.5e-4, 3e-3, 9e-3


class Run(NamedTuple):
    """A schedule with its peak learning rate."""

    schedule: cb.Schedule
    lr: float


def constant(steps: int) -> cb.Schedule:
    """The peak to the end."""
    return cb.schedules.constant(steps, warmup=WARMUP)


def cosine(steps: int) -> cb.Schedule:
    """Down to a tenth, as language models are often trained."""
    return cb.schedules.cosine(steps, final=0.1, warmup=WARMUP)


def wsd(steps: int, cooldown: float, shape: cb.schedules.Shape = "linear") -> cb.Schedule:
    """The peak, then a cooldown to zero."""
    return cb.schedules.wsd(steps, cooldown, shape, warmup=WARMUP)


RUNS = {
    "wsd-20-4000": Run(wsd(4000, 0.2), GOOD),
    "constant-4000": Run(constant(4000), GOOD),
    "cosine-4000": Run(cosine(4000), GOOD),
    "wsd-20-2000": Run(wsd(2000, 0.2), GOOD),
    "wsd-20-4000-low": Run(wsd(4000, 0.2), LOW),
    "wsd-20-4000-high": Run(wsd(4000, 0.2), HIGH),
    "wsd-20-6000": Run(wsd(6000, 0.2), GOOD),
    "wsd-50-4000": Run(wsd(4000, 0.5), GOOD),
    "wsd-20-sqrt-4000": Run(wsd(4000, 0.2, "1-sqrt"), GOOD),
    "cosine-2000": Run(cosine(2000), GOOD),
    "cosine-2000-high": Run(cosine(2000), HIGH),
    "wsd-10-4000": Run(wsd(4000, 0.1), GOOD),
}


def main() -> None:
    """Train what is missing: a log is there only when its run is complete."""
    from train import train  # so that the table can be read without PyTorch

    missing = [name for name in RUNS if not (LOGS / f"{name}.csv").exists()]
    print(f"{len(RUNS) - len(missing)} of {len(RUNS)} logs are in {LOGS}")
    for i, name in enumerate(missing, 1):
        print(f"{i}/{len(missing)} {name}: {RUNS[name].schedule}, peak {RUNS[name].lr:g}")
        train(RUNS[name].schedule, RUNS[name].lr, LOGS / f"{name}.csv")


if __name__ == "__main__":
    main()
