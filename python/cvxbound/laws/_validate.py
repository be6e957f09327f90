"""Validation: how far laws are from the losses of runs that they were not fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._messages import counted, did_you_mean
from ..logs import Run
from ._errors import errors
from ._fit import FORMS, fit, make_form
from ._groups import Split, groups
from ._law import LossLaw
from ._observe import Key, as_runs, keys, observe

Row = dict[str, Any]

_OF_FITS = ("burn_in", "replicates", "rng")
_COLUMNS = {  # of tables, and how numbers are written
    "run": "",
    "group": "",
    "fitted": "d",
    "losses": "d",
    "r2": ".5f",
    "mae": ".4f",
    "rmse": ".4f",
    "worst": ".2%",
    "final": "+.4f",
    "coverage": ".0%",
}


@dataclass(frozen=True, eq=False, repr=False)
class Validation:
    """How far a law was from runs that were held out, made by `validate`.

    Parameters
    ----------
    law : str
        Which law, with its options.
    split : str
        How runs were held out.
    rows : list of dict
        One for every run, in every fit that it was held out of: those of `score`, with the
        ``group`` that was held out and ``fitted``, the number of runs that the law was fitted to.
    notes : tuple of str
        Which runs were not tested, and why.

    Examples
    --------
    >>> row = {"run": "a", "group": "a", "fitted": 2, "losses": 9, "r2": 0.9, "mae": 0.01}
    >>> row |= {"rmse": 0.02, "worst": 0.03, "final": -0.01, "coverage": 1.0}
    >>> Validation("bound", "run", [row])
    <Validation of bound by run: 1 row, MAE 0.0100, worst 3.00%>
    """

    law: str
    split: str
    rows: list[Row]
    notes: tuple[str, ...] = ()

    @property
    def overall(self) -> Row:
        """The figures of all rows: means, of absolute values for ``final``; ``worst`` of all.

        None where no row has a figure.
        """
        found: Row = {
            name: _mean(row[name] for row in self.rows)
            for name in ("r2", "mae", "rmse", "coverage")
        }
        found["losses"] = sum(row["losses"] for row in self.rows)
        found["worst"] = max(row["worst"] for row in self.rows)
        found["final"] = _mean(abs(row["final"]) for row in self.rows)
        return found

    def table(self) -> str:
        """Return the rows, and the overall figures below them, as plain text."""
        blank = {"run": "overall", "group": None, "fitted": None}
        cells = [list(_COLUMNS)]
        for row in (*self.rows, {**blank, **self.overall}):
            cells.append([_cell(row[name], how) for name, how in _COLUMNS.items()])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        signs = ["<" if not how else ">" for how in _COLUMNS.values()]
        return "\n".join(
            "  ".join(f"{x:{sign}{n}}" for x, sign, n in zip(line, signs, widths, strict=True))
            for line in cells
        )

    def __str__(self) -> str:
        title = f"{self.law}: predictions of runs held out by {self.split}"
        return "\n".join([title, "", self.table(), *(f"- {note}" for note in self.notes)])

    def __repr__(self) -> str:
        overall = self.overall
        return (
            f"<Validation of {self.law} by {self.split}: {counted(len(self.rows), 'row')}, "
            f"MAE {overall['mae']:.4f}, worst {overall['worst']:.2%}>"
        )


def validate(
    runs: object,
    *,
    split: Split = "run",
    law: str = "bound",
    after: int | None = None,
    interval: float = 0.9,
    **options: Any,
) -> Validation:
    """Fit a law to some of the runs and predict the others, in turn.

    Parameters
    ----------
    runs : list of Run
        Or anything that `cvxbound.logs.load` reads.
    split : {"run", "horizon", "family", "lr"}, callable or sequence, default "run"
        What is held out:

        - ``"run"``: each run, and the law is fitted to all others;
        - ``"horizon"``: for every number of steps but the largest, all longer runs, and the law is
          fitted to the others; numbers of steps within 5 % of the next one are one;
        - ``"family"``: each family of schedules, `cvxbound.laws.family`;
        - ``"lr"``: each peak learning rate; those within 1 % of the next one are one;
        - a function from a run to the label of its group, or the labels, one a run: each group.
    law : str, default "bound"
        As for `fit`.
    after : int, optional
        Held-out losses up to this step do not count; by default the burn-in of the fitted law.
    interval : float, default 0.9
        The probability of the intervals, whose coverage is counted.
    **options
        Of `fit`: ``burn_in``, ``replicates``, ``rng``, and those of the law.

    Returns
    -------
    Validation
        ``print`` it for a table; ``rows`` has the numbers.

    Raises
    ------
    ImportError
        SciPy is missing.
    TypeError, ValueError
        What `fit` raises; an unknown split, labels that are not one a run, runs of one group; no
        held-out loss that counts.

    Notes
    -----
    Runs that go on from one stable phase share its losses. Those that a held-out run shares with a
    fitted one, at one step and after the same learning rates, do not count as held out; a run
    without others has no row, but a note. There is one fit for each group; ``replicates=0`` makes
    it faster, without intervals.

    Examples
    --------
    >>> import numpy as np
    >>> import cvxbound as cb
    >>> def run(schedule):
    ...     lr, at = 1e-3 * schedule.eta, np.arange(100, schedule.eta.size + 1, 25)
    ...     form = cb.laws.Omega()
    ...     columns = form.columns(form.features(cb.laws.Trace(lr, None, at), {}), {})
    ...     return cb.logs.Run(schedule.name, lr, at, columns @ [2.5, 0.9, 60])
    >>> runs = [run(shape(steps, warmup=50)) for steps in (1000, 2000)
    ...         for shape in (cb.schedules.cosine, cb.schedules.linear)]
    >>> found = cb.laws.validate(runs, split="horizon", law="omega", replicates=0)
    >>> [(row["run"], row["group"], row["fitted"]) for row in found.rows]
    [('cosine', '> 1000 steps', 2), ('linear', '> 1000 steps', 2)]
    >>> found.overall["worst"] < 1e-9
    True
    """
    if law not in FORMS:
        raise did_you_mean(law, FORMS, "law")
    form = make_form(law, {key: each for key, each in options.items() if key not in _OF_FITS})
    how, turns = groups(observe(as_runs(runs), form).runs, split)
    rows: list[Row] = []
    untested: list[str] = []
    failed: list[str] = []
    for turn in turns:
        try:
            found = fit(turn.fitted, law=law, **options)
        except ValueError as error:
            failed.append(f"group {turn.label} was not tested: {error}")
            continue
        known = _known(turn.fitted)
        for run in turn.held:
            row = _row(found, run, known, after, interval)
            if row is None:
                untested.append(run.name)
            else:
                rows.append({"group": turn.label, "fitted": len(turn.fitted), **row})
    if not rows and failed:
        raise ValueError(failed[0])
    if not rows:
        raise ValueError(
            "no held-out run has a loss that counts: all come too early, or are those of fitted "
            "runs; give a smaller after=, or hold out other runs"
        )
    told = ", ".join([law, *(f"{key}={each}" for key, each in options.items())])
    return Validation(told, how, rows, (*map(_note, dict.fromkeys(untested)), *failed))


def score(
    law: LossLaw,
    runs: object,
    *,
    fitted: object = None,
    after: int | None = None,
    interval: float = 0.9,
) -> list[Row]:
    """Compare a law's predictions with the losses of runs.

    Parameters
    ----------
    law : LossLaw
        A fitted law.
    runs : Run, or a list of them
        Or anything that `cvxbound.logs.load` reads: runs that the law was not fitted to. Losses of
        a run that diverged count up to there.
    fitted : Run, or a list of them, optional
        Those that it was fitted to: losses that `runs` share with them, going on from one stable
        phase, do not count.
    after : int, optional
        Losses up to this step do not count; by default the law's burn-in.
    interval : float, default 0.9
        The probability of the intervals, whose coverage is counted.

    Returns
    -------
    list of dict
        One for each run with a loss that counts: ``run``; ``losses``, how many; ``r2``, ``mae``,
        ``rmse`` and ``worst``, as `errors` returns them; ``final``, the prediction less the loss at
        the last of them; ``coverage``, the share of losses within their intervals. None for what
        there is none of: ``r2`` of losses that do not vary, ``coverage`` without replicates.

    Raises
    ------
    TypeError, ValueError
        What `LossLaw.predict` raises.

    Examples
    --------
    >>> import cvxbound as cb
    >>> runs = cb.logs.load("examples/train/logs/*.csv")  # doctest: +SKIP
    >>> law = cb.fit(runs[:3])  # doctest: +SKIP
    >>> score(law, runs[3:], fitted=runs[:3])  # doctest: +SKIP
    """
    none = fitted is None or (isinstance(fitted, Sequence) and not fitted)
    known = frozenset() if none else _known(as_runs(fitted))
    rows = (_row(law, run, known, after, interval) for run in as_runs(runs))
    return [row for row in rows if row is not None]


def _known(runs: Iterable[Run]) -> frozenset[Key]:
    return frozenset(key for run in runs for key in keys(run))


def _row(
    law: LossLaw, run: Run, known: frozenset[Key], after: int | None, interval: float
) -> Row | None:
    """The figures of one run; None where none of its losses counts."""
    counts = run.step > (law.burn_in if after is None else after)
    counts &= np.array([key not in known for key in keys(run)])
    if run.diverged is not None:
        counts &= run.step < run.diverged
    if not counts.any():
        return None
    loss = run.loss[counts]
    _, *found = law.predict(run, at=run.step[counts], interval=interval)
    predicted, low, high = map(np.asarray, found)
    covered = float(np.mean((low <= loss) & (loss <= high)))
    return {
        "run": run.name,
        "losses": loss.size,
        **{name: _or_none(x) for name, x in errors(loss, predicted).items()},
        "final": float(predicted[-1] - loss[-1]),
        "coverage": covered if len(law.replicates) else None,
    }


def _note(name: str) -> str:
    return (
        f"{name} was not tested in a turn: its losses come too early, or are those of fitted runs"
    )


def _or_none(x: float) -> float | None:
    return None if np.isnan(x) else x


def _mean(values: Iterable[float | None]) -> float | None:
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if known else None


def _cell(value: Any, how: str) -> str:
    return "" if value is None else format(value, how)
