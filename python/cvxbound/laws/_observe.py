"""Runs as laws are fitted to them: which losses count, and how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import logs
from ..logs import Run
from ._form import Form, Trace

if TYPE_CHECKING:
    from .._arrays import Float, Int

Key = tuple[int, float, float]


class Observations(NamedTuple):
    """The losses of all runs in turn.

    A loss that several runs share, since they go on from one stable phase, counts once: each copy
    has its part of the weight.
    """

    runs: tuple[Run, ...]
    step: Int  # (n,)
    loss: Float  # (n,)
    weight: Float  # (n,)
    run: Int  # (n,): the index of the run

    @property
    def traces(self) -> list[Trace]:
        """What a law needs to know of the runs."""
        return [
            Trace(run.lr, run.grad_norm, self.step[self.run == index])
            for index, run in enumerate(self.runs)
        ]

    def after(self, burn_in: int) -> Observations:
        """Return those after so many steps."""
        kept = self.step > burn_in
        return Observations(
            self.runs, self.step[kept], self.loss[kept], self.weight[kept], self.run[kept]
        )


def as_runs(runs: object) -> tuple[Run, ...]:
    """Return runs, read from their logs where they are not `Run` objects already."""
    if isinstance(runs, Run):
        return (runs,)
    if isinstance(runs, Iterator):
        runs = list(runs)
    if isinstance(runs, Sequence) and not isinstance(runs, str):
        if not runs:
            raise ValueError("expected at least one run, got none")
        if all(isinstance(each, Run) for each in runs):
            return tuple(runs)
        if any(isinstance(each, Run) for each in runs):
            parts = [[each] if isinstance(each, Run) else logs.load([each]) for each in runs]
            return tuple(run for part in parts for run in part)
    return tuple(logs.load(runs))


def observe(runs: Iterable[Run], form: Form) -> Observations:
    """Check runs, and line up their losses.

    Raises
    ------
    ValueError
        A run that diverged, with losses that are not positive, of another split, or without the
        gradient norms that the form needs.
    """
    checked = tuple(runs)
    for run in checked:
        _check(run, form)
    splits = {run.split: run.name for run in reversed(checked)}
    if len(splits) > 1:
        told = ", ".join(f"{split} ({name})" for split, name in sorted(splits.items()))
        raise ValueError(
            f"losses of different splits do not follow one law: {told}; choose one, as in "
            "logs.load(..., split='val')"
        )
    sizes = [run.step.size for run in checked]
    step = np.concatenate([run.step for run in checked])
    loss = np.concatenate([run.loss for run in checked])
    return Observations(
        checked, step, loss, _shares(checked), np.repeat(np.arange(len(checked)), sizes)
    )


def _check(run: Run, form: Form) -> None:
    if run.diverged is not None:
        before = run.step[run.step < run.diverged]
        cut = f"; cut it with run.until({before[-1]})" if before.size else ""
        raise ValueError(
            f"run {run.name!r} diverged from step {run.diverged} on, which no loss law "
            f"describes{cut}, or leave it out"
        )
    if run.loss.min() <= 0:
        index = int(run.loss.argmin())
        raise ValueError(
            f"run {run.name!r}: losses must be positive, since relative errors count; got "
            f"{run.loss[index]:g} at step {run.step[index]}"
        )
    if form.needs_norms and run.grad_norm is None:
        raise ValueError(
            f"run {run.name!r} has no gradient norms, which norms='logged' needs; choose "
            "norms='constant', or give grad_norm= to logs.load"
        )


def _shares(runs: Sequence[Run]) -> Float:
    """One over the number of runs that have the same loss after the same learning rates."""
    found = [key for run in runs for key in keys(run)]
    counts = Counter(found)
    return np.array([1 / counts[key] for key in found])


def keys(run: Run) -> list[Key]:
    """Return what two losses share that are one: the step, the loss, and the steps before it."""
    totals = np.cumsum(run.lr)[run.step - 1]
    return [
        (int(step), float(loss), float(f"{total:.10g}"))
        for step, loss, total in zip(run.step, run.loss, totals, strict=True)
    ]


def warmup_of(run: Run) -> int:
    """Return how many steps the learning rate rises for at first."""
    falls = np.flatnonzero(np.diff(run.lr) <= 0)
    return int(falls[0]) if falls.size else 0


def describe(observations: Observations) -> list[dict[str, object]]:
    """Return what a law keeps of its runs."""
    return [
        {
            "name": run.name,
            "steps": run.steps,
            "peak": run.peak,
            "losses": int(np.count_nonzero(observations.run == index)),
        }
        for index, run in enumerate(observations.runs)
    ]
