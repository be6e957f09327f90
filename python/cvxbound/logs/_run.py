"""The normal form of a training run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import LARGEST_STEP, check_range, real_array, whole_number
from .._messages import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._arrays import Float, Int
    from ..schedules import Schedule

_LEAST_TAIL = 3  # losses; fewer may be a spike that the log ends in


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A training run: the learning rate of every step, and losses at some.

    All arrays are copied and read-only.

    Parameters
    ----------
    name : str
        What to call it.
    lr : array_like of real numbers, shape (T,)
        The absolute learning rate of each step 1..T.
    step : array_like of int, shape (n,)
        The steps at which a loss was observed: within 1..T, strictly increasing.
    loss : array_like of real numbers, shape (n,)
        The losses there. Those of a run that diverged may end with ``inf``, which stands for any
        loss that is not finite.
    split : str, default "val"
        What the losses were measured on: ``"val"``, ``"train"``, or a name of your own.
    grad_norm : array_like of real numbers, shape (T,), optional
        The norm of the gradient at each step, positive.
    notes : sequence of str, optional
        What was done to the log that the run was read from.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        An argument that is not as above: its name, what came and at which index.

    Examples
    --------
    >>> run = Run("mine", lr=[0.1, 0.2, 0.2, 0.1], step=[2, 4], loss=[3.5, 3.0])
    >>> run
    <Run mine: 4 steps, peak LR 0.2, 2 val losses at steps 2..4: 3.5 to 3>
    >>> run.steps, run.schedule.eta.tolist(), run.until(3).loss.tolist()
    (4, [0.5, 1.0, 1.0, 1.0], [3.5])
    """

    name: str
    lr: Float
    step: Int
    loss: Float
    split: str = "val"
    grad_norm: Float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("name", "split"):
            text = getattr(self, what)
            if not isinstance(text, str):
                raise TypeError(f"{what} must be a string, got {text!r}")
            if not text.strip():
                raise ValueError(f"{what} must not be blank")
        lr = _vector(self.lr, "lr")
        check_range(lr, "lr", LARGEST_STEP)
        if not lr.any():
            raise ValueError("lr must be positive somewhere")
        step = _steps(self.step, lr.size)
        loss = _vector(self.loss, "loss")
        if loss.size != step.size:
            raise ValueError(
                f"step and loss must be of one length, got {counted(step.size, 'step')} and "
                f"{counted(loss.size, 'loss')}"
            )
        _check_loss(loss)
        norm = None if self.grad_norm is None else _norms(self.grad_norm, lr.size)
        if isinstance(self.notes, str) or not isinstance(self.notes, Iterable):
            raise TypeError(f"notes must be a sequence of strings, got {self.notes!r}")
        for name, value in {"lr": lr, "step": step, "loss": loss, "grad_norm": norm}.items():
            if value is not None:
                value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "notes", tuple(map(str, self.notes)))

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return self.lr.size

    @property
    def peak(self) -> float:
        """The largest learning rate."""
        return float(self.lr.max())

    @property
    def schedule(self) -> Schedule:
        """The learning rates over their peak, as `cvxbound.schedules.from_log` returns them.

        The last step is replaced by the one before it: a log may end with a rate of zero, where a
        bound is infinite, and the last iterate does not depend on the last step.
        """
        from ..schedules import Schedule

        eta = self.lr / self.peak
        eta[-1] = eta[-2:][0]
        return Schedule(
            eta, self.name, {"peak": self.peak, "last_step": "repeat"}, "last step repeated"
        )

    @cached_property
    def diverged(self) -> int | None:
        """The first step of a diverged tail, or None.

        That is where the losses stop being finite, or else the first of at least three losses, up
        to the last one, which are all far above the least loss: by a fifth of it, or a tenth of
        what was gained until then if that is more, beside four standard deviations of the noise.
        The least loss is that of the medians of five losses in a row.
        """
        finite = self.loss[np.isfinite(self.loss)]
        start = finite.size - _risen(finite)
        return int(self.step[start]) if start < self.step.size else None

    def until(self, step: int) -> Run:
        """Return the run up to a step.

        Parameters
        ----------
        step : int
            The last step to keep, 1..T.

        Returns
        -------
        Run
            Learning rates, losses and gradient norms of the steps up to `step`, with a note.

        Raises
        ------
        TypeError, ValueError
            `step` is no integer in 1..T, or comes before the first loss.

        Examples
        --------
        >>> run = Run("mine", lr=[0.1, 0.1, 0.1], step=[1, 2, 3], loss=[3, 2, float("inf")])
        >>> run.until(run.diverged - 1)
        <Run mine: 2 steps, peak LR 0.1, 2 val losses at steps 1..2: 3 to 2, 1 note>
        """
        last = whole_number(step, "step")
        if last > self.steps:
            raise ValueError(
                f"step must be at most {self.steps}, the last of {self.name!r}; got {last}"
            )
        kept = self.step <= last
        if not kept.any():
            raise ValueError(
                f"step must be at least {self.step[0]}, where {self.name!r} has its first loss; "
                f"got {last}"
            )
        return replace(
            self,
            lr=self.lr[:last],
            step=self.step[kept],
            loss=self.loss[kept],
            grad_norm=None if self.grad_norm is None else self.grad_norm[:last],
            notes=(*self.notes, f"cut after step {last}"),
        )

    def __repr__(self) -> str:
        losses = counted(self.loss.size, f"{self.split} loss")
        at = f"at steps {self.step[0]}..{self.step[-1]}: {self.loss[0]:.4g} to {self.loss[-1]:.4g}"
        if self.step.size == 1:
            at = f"at step {self.step[0]}: {self.loss[0]:.4g}"
        told = [counted(self.steps, "step"), f"peak LR {self.peak:.4g}", f"{losses} {at}"]
        if self.grad_norm is not None:
            told.append("gradient norms")
        if self.diverged is not None:
            told.append(f"diverged from step {self.diverged} on")
        if self.notes:
            told.append(counted(len(self.notes), "note"))
        return f"<Run {self.name}: {', '.join(told)}>"


def table(runs: Run | Iterable[Run]) -> dict[str, NDArray[Any]]:
    """Return runs as one table, which `load` reads back.

    Parameters
    ----------
    runs : Run or iterable of Run
        Runs of different names.

    Returns
    -------
    dict of str to ndarray
        The columns ``run``, ``step``, ``lr``, ``loss``, ``split`` and ``grad_norm``: one row for
        every step of every run, NaN where there is no loss or no gradient norm. Nothing but the
        `Run.notes` is lost.

    Raises
    ------
    ValueError
        Two runs have one name.

    Examples
    --------
    >>> runs = [Run("a", [0.1, 0.2], [2], [3.0]), Run("b", [0.3], [1], [4.0])]
    >>> columns = table(runs)
    >>> columns["run"].tolist(), columns["step"].tolist(), columns["loss"].tolist()
    (['a', 'a', 'b'], [1, 2, 1], [nan, 3.0, 4.0])
    >>> import cvxbound as cb
    >>> cb.logs.load(columns)[1].lr.tolist()
    [0.3]
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two runs are called {twice!r}; rename one with dataclasses.replace(run, name=...)"
        )
    parts = [_rows(run) for run in runs]
    dtypes = {"run": object, "step": np.int64, "split": object}
    return {
        key: np.concatenate([np.empty(0, dtypes.get(key, float)), *(part[key] for part in parts)])
        for key in ("run", "step", "lr", "loss", "split", "grad_norm")
    }


def _rows(run: Run) -> dict[str, NDArray[Any]]:
    loss = np.full(run.steps, np.nan)
    loss[run.step - 1] = run.loss
    return {
        "run": _texts(run.name, run.steps),
        "step": np.arange(1, run.steps + 1),
        "lr": run.lr,
        "loss": loss,
        "split": _texts(run.split, run.steps),
        "grad_norm": np.full(run.steps, np.nan) if run.grad_norm is None else run.grad_norm,
    }


def _texts(text: str, count: int) -> NDArray[Any]:
    column = np.empty(count, object)
    column.fill(text)  # np.full would drop a NUL at the end
    return column


def _vector(x: ArrayLike, what: str) -> Float:
    values = np.array(real_array(x, what))
    if values.ndim != 1 or not values.size:
        raise ValueError(
            f"{what} must have one axis and at least one entry, got shape {values.shape}"
        )
    return values


def _steps(x: ArrayLike, last: int) -> Int:
    steps = np.array(x)
    if steps.dtype.kind not in "iu":
        raise TypeError(f"step must hold integers, got an array of {steps.dtype}")
    steps = _vector(steps, "step").astype(np.int64)
    good = (steps >= 1) & (steps <= last)
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise ValueError(
            f"step must lie in 1..{last}, the steps of lr; found {steps[at]} at index {at}"
        )
    if (np.diff(steps) <= 0).any():
        at = int(np.flatnonzero(np.diff(steps) <= 0)[0]) + 1
        raise ValueError(
            f"step must be strictly increasing; found {steps[at]} after {steps[at - 1]} at index "
            f"{at}"
        )
    return steps


def _check_loss(loss: Float) -> None:
    """Refuse losses that are not finite, but for a tail of inf."""
    finite = np.isfinite(loss)
    if not finite.any():
        raise ValueError("loss must be finite somewhere")
    tail = int(np.flatnonzero(finite)[-1]) + 1
    good = finite | ((np.arange(loss.size) >= tail) & (loss == np.inf))
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise ValueError(
            f"loss must be finite, or inf from some step to the end; found {loss[at]} at index {at}"
        )


def _norms(x: ArrayLike, count: int) -> Float:
    norm = _vector(x, "grad_norm")
    if norm.size != count:
        raise ValueError(f"grad_norm must have one entry a step, {count}; got {norm.size}")
    good = (norm > 0) & (norm < np.inf)
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise ValueError(f"grad_norm must be positive and finite; found {norm[at]} at index {at}")
    return norm


def _risen(loss: Float) -> int:
    """Count the losses at the end that are far above the least one and do not come down again."""
    if loss.size < _LEAST_TAIL:
        return 0
    width = min(5, loss.size // 2 * 2 - 1)
    median = np.median(np.lib.stride_tricks.sliding_window_view(loss, width), axis=1)
    least = median.min()
    # Half of the second differences, which no trend enters, are beyond 1.652 standard deviations.
    noise = np.median(np.abs(np.diff(loss, 2))) / 1.652
    limit = least + max(0.2 * abs(least), 0.1 * (median[0] - least)) + 4 * noise
    below = np.flatnonzero(loss <= limit)
    count = loss.size - (int(below[-1]) + 1 if below.size else 0)
    return count if count >= _LEAST_TAIL else 0
