"""From logs to runs in the normal form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from .._arrays import LARGEST_STEP, check_range, real_array
from .._messages import counted, did_you_mean
from ._log import Log
from ._names import (
    GRAD_NORM,
    LOSS,
    LR,
    TRAIN_LOSS,
    VAL_LOSS,
    Names,
    find,
    is_validation,
    listed,
    look,
)
from ._run import Run
from ._sources import logs_of_runs
from ._splice import (
    Rows,
    Series,
    check_first_step,
    check_order,
    check_rates,
    spliced_rates,
    stated,
    survivors,
)
from ._splits import split_apart, split_column
from ._start import (
    before_the_log,
    between_rows,
    check_length,
    jumps,
    on_line,
    open_end_note,
    rows_note,
    spacing_note,
    usual_spacing,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._arrays import Float

_LONG_GAP = 5  # times the usual distance of two rows
_LATE = 2  # of them before the first row


def load(
    sources: object,
    *,
    lr: str | ArrayLike | None = None,
    loss: str | None = None,
    step: str | None = None,
    run: str | None = None,
    split: str | None = None,
    grad_norm: str | None = None,
    first_step: int | None = None,
    warmup: float | None = None,
    skip_nan: bool = False,
) -> list[Run]:
    r"""Read training runs into the normal form.

    Parameters
    ----------
    sources : path, pattern, table, Log, or a list of them
        What `read` takes; a pattern such as ``"runs/*.csv"`` stands for the files that match it, in
        the order of their names. A tuple is one run in pieces, in the order of training: each
        replaces what came before it from its own first learning rate on. Pieces may also say
        different things: the learning rates in one file, the losses in another. A list of dicts of
        numbers is one table.
    lr : str or array_like, optional
        The column of the learning rate, where its name is not known; or the absolute learning rates
        of the steps 1..T of every run, instead of those logged. The steps of a `Schedule` are taken
        as they are: pass ``base_lr * schedule.eta``.
    loss, step, grad_norm : str, optional
        Columns, where their names are not known. Where there is a gradient norm, it is read.
    run : str, optional
        The column that says which run a row belongs to; by default ``run``, ``run_name`` or
        ``run_id`` if there is one. Each run gives a `Run`, as do the runs of a wandb export
        ("<run> - <metric>").
    split : str, optional
        Which losses to take: ``"val"``, ``"train"``, or what a column ``split`` says. By default
        validation losses where the run has two of them or more, else training losses. With `loss`,
        the name that the losses get.
    first_step : int, optional
        What logs call the first step; by default 0 if a row of step 0 has a learning rate, else 1.
    warmup : int or float, optional
        The length of the linear warm-up, for logs that start after it, as for
        `cvxbound.schedules.from_log`.
    skip_nan : bool, default False
        Whether to drop losses that are not finite although later ones are.

    Returns
    -------
    list of Run
        In the order of the sources, with names of their own: that of the run in the log, or that of
        the last file. What was changed or left out is in `Run.notes`.

    Raises
    ------
    OSError
        A file cannot be opened or read, or no file matches a pattern.
    TypeError
        A source is neither a path nor a table, or an argument is of the wrong type.
    ValueError
        What `read` raises; no learning rate or one only, a negative one, no loss, a loss that is
        not finite before others that are, steps that only descend, or a log that starts late and
        neither tells its warm-up nor is given `warmup`: the file, where it is, and what to do.

    Notes
    -----
    Every step has a learning rate. Between rows it is on the line that joins them. Before the first
    row it is a warm-up, if `warmup` is given. Otherwise the first row must be within twice the
    usual distance of rows from the start; the learning rate is then on the line through the first
    two rows if they rise, and not below zero, and else that of the first row. Losses after the last
    learning rate are kept within the usual distance of rows: the learning rate is on the line
    through the last two, and not below zero.

    Time and memory are linear in the size of the logs and in the number of steps.

    Examples
    --------
    >>> stable = {"step": [1, 2, 3, 4], "lr": [0.2] * 4, "val_loss": [9.0, 8.0, 7.5, 7.2]}
    >>> cooldown = {"step": [3, 4, 5], "lr": [0.2, 0.1, 0.05], "val_loss": [7.5, 7.0, 6.0]}
    >>> (run,) = load([(stable, cooldown)])
    >>> run.lr.tolist(), run.loss.tolist()
    ([0.2, 0.2, 0.2, 0.1, 0.05], [9.0, 8.0, 7.5, 7.0, 6.0])
    >>> print(*run.notes, sep="\n")
    in 2 pieces: table; table
    LR of 5 rows, one every step
    resumed at step 3: 2 learning rates and 2 losses replaced
    """
    check_first_step(first_step)
    options = _Options(lr, loss, split, grad_norm, first_step, warmup, skip_nan)
    runs = [_Assembly(logs, options).run() for logs in logs_of_runs(sources, step, run)]
    return _distinct(runs)


class _Options(NamedTuple):
    lr: str | ArrayLike | None
    loss: str | None
    split: str | None
    grad_norm: str | None
    first_step: int | None
    warmup: float | None
    skip_nan: bool


def _distinct(runs: list[Run]) -> list[Run]:
    """Number runs of the same name."""
    found: dict[str, Run] = {}
    for run in runs:
        name, count = run.name, 1
        while name in found:
            count += 1
            name = f"{run.name} ({count})"
        found[name] = run if count == 1 else replace(run, name=name)
    return list(found.values())


class _Assembly:
    """One run, from the logs of its pieces."""

    def __init__(self, logs: list[Log], options: _Options) -> None:
        prepared = [split_apart(log, options.loss) for log in logs]
        self.logs = [each.log for each in prepared]
        self.splits = list(dict.fromkeys(label for each in prepared for label in each.splits))
        self.options = options
        self.source = logs[-1].source
        # Where learning rates are logged, these three say so:
        self.rated = [False] * len(logs)  # which of the logs have some
        self.attempts: Rows | None = None  # all of them, those of a run that was resumed too
        self.first = 1 if options.first_step is None else int(options.first_step)
        self.notes: list[str] = []

    def run(self) -> Run:
        self._note_records()
        columns, split = self._loss_columns()
        losses = stated(self.logs, columns, nan=True)
        rates = self._rates() if isinstance(self.options.lr, (str, type(None))) else None
        if rates is None:
            check_order(self.logs, losses)
        if self.first != 1:
            self.notes.append(f"step 1 is what the log calls {self.first}")
        self._note_resumption(losses)
        losses = self._spliced(losses)
        if not losses.label.size:
            raise ValueError(
                f"{self.source}: no loss is left, as later learning rates replace them all; pass "
                "the pieces in the order of training"
            )
        end = int(losses.label[-1])
        lr = self._given_rates() if rates is None else self._every_step(rates, end)
        losses = self._finite(self._within(losses, lr.size), columns)
        if rates is not None and (silent := np.setdiff1d(rates.step, losses.label).size):
            self.notes.append(f"{silent} of the {rates.step.size} rows without a {split} loss")
        return Run(
            self.logs[-1].name or Path(self.source).stem,
            lr,
            losses.label,
            losses.value,
            split,
            self._norms(lr.size),
            tuple(self.notes),
        )

    def _spliced(self, rows: Rows) -> Rows:
        """Return the rows that no later one replaces, at the steps 1, 2, ..."""
        kept = _taken(rows, self._kept(rows))
        return kept._replace(label=kept.label - self.first + 1)

    def _kept(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell which rows later ones leave, be they at the same steps or of a resumed run.

        A log without learning rates belongs to no attempt: only its own kind replaces it.
        """
        ends = np.cumsum([log.step.size for log in self.logs])
        free = ~np.array(self.rated)[np.searchsorted(ends, rows.order, side="right")]
        return survivors(rows.label, self.attempts, np.where(free, ends[-1], rows.order))

    def _columns(self, known: Names, given: str | None) -> list[str | None]:
        """Choose a column of each log, None where it has none or nothing is in it."""
        found: list[str | None] = []
        for log in self.logs:
            lacking = given not in log.names if given is not None else not look(log.names, known)
            name = None if lacking else find(log.names, known, given, log.source)
            found.append(name if name is not None and log.said(name).any() else None)
        return found

    def _rates(self) -> Series:
        """Read the learning rates, and find out which step is the first."""
        given = self.options.lr
        assert given is None or isinstance(given, str)
        columns = self._columns(LR, given)
        check_rates(self.logs, columns)
        if not any(columns):
            self._refuse_column(LR, given, ", or pass lr= the learning rates of all steps")
        rates, self.attempts = spliced_rates(self.logs, columns, self.options.first_step)
        self.rated = [name is not None for name in columns]
        self.first = rates.first_step
        check_length(rates)
        if not rates.value.any():
            raise ValueError(f"{self.source}: no learning rate is positive")
        self._note_spacing(rates)
        if rates.open_ended:
            self.notes.append(open_end_note(rates.open_ended))
        return rates

    def _note_spacing(self, rates: Series) -> None:
        every, longest = usual_spacing(rates)
        interpolated = int(np.ptp(rates.step)) + 1 - rates.step.size
        held = jumps(rates).size
        self.notes.append(rows_note(rates.step.size, every, longest, interpolated, held))
        gaps = np.diff(rates.step)
        if longest > _LONG_GAP * every:
            start = rates.step[np.argmax(gaps)]
            others = int(np.count_nonzero(gaps > _LONG_GAP * every)) - 1
            self.notes.append(
                f"no LR logged for {longest} steps from step {start} on (usually "
                f"{spacing_note(every)})"
                + f", nor in {counted(others, 'other gap')}"
                * (others > 0)
            )

    def _refuse_column(self, known: Names, given: str | None, otherwise: str = "") -> NoReturn:
        """Say why no log has a column with anything in it."""
        log = self.logs[-1]
        name = given or next(iter(look(log.names, known)), None)
        if name is None:
            raise ValueError(
                f"{log.source}: no column looks like the {known.what}; name it with "
                f"{known.argument}={otherwise} (columns found: {listed(log.names)})"
            )
        if name not in log.names:
            raise did_you_mean(name, log.names, f"column of {log.source}")
        raise ValueError(
            f"{log.source}: column {name!r} is empty; name another one with "
            f"{known.argument}={otherwise}"
        )

    def _given_rates(self) -> Float:
        lr = np.array(real_array(np.asarray(self.options.lr), "lr"))
        if lr.ndim != 1 or not lr.size:
            raise ValueError(f"lr must have one learning rate a step, got shape {lr.shape}")
        check_range(lr, "lr", LARGEST_STEP)
        self.notes.append("LR given, not logged")
        return lr

    # --- losses -----------------------------------------------------------------------------------

    def _loss_columns(self) -> tuple[list[str | None], str]:
        """Choose the losses: the column of each log, and what they were measured on."""
        labels, given = self._splits(), self.options.split
        if given is not None:
            if given not in labels:
                raise did_you_mean(given, labels, "split")
            labels = [given]
        few = None
        for label in labels:
            columns = self._columns(*self._loss_names(label))
            count = stated(self.logs, columns, nan=True).label.size
            if count and few:
                self.notes.append(f"{label} losses, as there is one {few[1]} loss only")
            if count > 1 or (count and not is_validation(label)):
                return columns, label
            if count:
                few = columns, label
        if few is None:
            known, column = self._loss_names(labels[0])
            self._refuse_column(LOSS if len(labels) > 1 else known, column)
        return few

    def _splits(self) -> list[str]:
        """Return what losses may have been measured on, validation first."""
        if self.splits:
            return sorted(self.splits, key=lambda label: not is_validation(label))
        if self.options.loss is None:
            return ["val", "train"]
        named = "val" if is_validation(self.options.loss) else "train"
        return [self.options.split or named]

    def _loss_names(self, label: str) -> tuple[Names, str | None]:
        """Return how to find the losses of a split."""
        if label in self.splits:
            return LOSS, split_column(label)
        known = {"val": VAL_LOSS, "train": TRAIN_LOSS}.get(label, LOSS)
        return known, self.options.loss

    def _within(self, losses: Rows, last: int) -> Rows:
        """Leave out losses before the first step and after the last one."""
        early, late = losses.label < 1, losses.label > last
        if early.any():
            self.notes.append(f"{_losses(early)} before step 1 left out")
        if late.any():
            self.notes.append(
                f"{_losses(late)} after the last learning rate (step {last}) left out"
            )
        if (early | late).all():
            raise ValueError(
                f"{self.source}: no loss is within the steps that have a learning rate, "
                f"{self.first}..{last + self.first - 1}"
            )
        return _taken(losses, ~(early | late))

    def _finite(self, losses: Rows, columns: Sequence[str | None]) -> Rows:
        """Drop or refuse losses that are not finite; at the end they are inf."""
        finite = np.isfinite(losses.value)
        if finite.all():
            return losses
        if not finite.any():
            raise ValueError(f"{self.source}: no loss is finite (column {_last(columns)!r})")
        tail = int(np.flatnonzero(finite)[-1]) + 1
        between = ~finite
        between[tail:] = False
        if between.any() and not self.options.skip_nan:
            self._refuse_loss(losses, columns, int(np.flatnonzero(between)[0]), finite)
        if between.any():
            self.notes.append(f"{_losses(between)} not finite, dropped")
        if tail < finite.size:
            self.notes.append(
                f"the last {_losses(~finite[tail:])} not finite, from step {losses.label[tail]} "
                "on: the run diverged"
            )
        value = np.where(finite, losses.value, np.inf)
        return _taken(losses._replace(value=value), ~between)

    def _refuse_loss(
        self, losses: Rows, columns: Sequence[str | None], at: int, finite: NDArray[np.bool_]
    ) -> NoReturn:
        step, after = losses.label[[at, at + int(np.argmax(finite[at:]))]] + self.first - 1
        starts = np.cumsum([0, *(log.step.size for log in self.logs)])
        which = int(np.searchsorted(starts, losses.order[at], side="right")) - 1
        cut = f", and cut the run with .until({losses.label[at] - 1})" if at else ""
        self.logs[which].refuse(
            int(losses.order[at] - starts[which]),
            str(columns[which]),
            f"the loss is {losses.value[at]} at step {step}, and finite again at step {after}; "
            f"drop such rows with skip_nan=True{cut} if it diverged",
        )

    # --- learning rates of every step -------------------------------------------------------------

    def _every_step(self, rates: Series, end: int) -> Float:
        """Return the learning rates of the steps 1..T, of which the last has a loss at most."""
        start, last = int(rates.step[0]), int(rates.step[-1])
        if rates.step.size == 1 and max(start, end) > 1:
            raise ValueError(
                f"{self.source}: a learning rate is logged at step {start + rates.first_step - 1} "
                "only; pass lr= the learning rates of all steps"
            )
        every = usual_spacing(rates)[0]
        before = self._before(rates, every)
        after = np.empty(0)
        if 0 < end - last <= every:
            after = on_line(rates, -2, np.arange(last + 1, end + 1))
            self.notes.append(
                f"LR of the last {counted(after.size, 'step')} on the line through the last two "
                "rows"
            )
        return np.concatenate([before, between_rows(rates), after])

    def _before(self, rates: Series, every: int) -> Float:
        """Return the learning rates of the steps before the first row."""
        start, value, warmup = int(rates.step[0]), rates.value, self.options.warmup
        if start == 1:
            return np.empty(0)
        count = counted(start - 1, "step")
        if warmup is not None:
            self.notes.append(f"LR of the first {count} assumed: warmup={warmup}")
            return before_the_log(rates, float(value.max()), warmup, None, None)
        if start - 1 > _LATE * every:
            first = self.first
            raise ValueError(
                f"{self.logs[0].source}: the first learning rate is at step {start + first - 1}; "
                f"steps {first}..{start + first - 2} are unknown: give warmup=, or the earlier "
                "part of the run before it, as in load([(earlier, this)])"
            )
        if value[1] > value[0]:
            self.notes.append(f"LR of the first {count} on the line through the first two rows")
            return on_line(rates, 0, np.arange(1, start))
        self.notes.append(f"LR of the first {count} as in the first row")
        return np.full(start - 1, value[0])

    # --- the rest ---------------------------------------------------------------------------------

    def _norms(self, last: int) -> Float | None:
        """Return the gradient norm of each step, if there is one."""
        given = self.options.grad_norm
        found = {name for log in self.logs for name in look(log.names, GRAD_NORM)}
        if given is None and any(len(look(log.names, GRAD_NORM)) > 1 for log in self.logs):
            self.notes.append(
                f"no gradient norm, as it could be any of the columns {listed(sorted(found))}: "
                "choose one with grad_norm="
            )
            return None
        columns = self._columns(GRAD_NORM, given)
        if not any(columns):
            if given is not None:
                self._refuse_column(GRAD_NORM, given)
            return None
        rows = self._spliced(stated(self.logs, columns, nan=True))
        good = (rows.value > 0) & (rows.value < np.inf)
        if not good.all():
            bad = counted(int(np.count_nonzero(~good)), "gradient norm")
            self.notes.append(f"{bad} not positive and finite, dropped")
        rows = _taken(rows, good & (rows.label >= 1) & (rows.label <= last))
        if not rows.label.size:
            if given is not None:
                raise ValueError(f"{self.source}: no gradient norm is positive and finite")
            return None
        if rows.label.size < last:
            self.notes.append(
                f"gradient norm interpolated linearly between {counted(rows.label.size, 'row')}, "
                "and held before and after"
            )
        return np.interp(np.arange(1, last + 1), rows.label, rows.value)

    def _note_records(self) -> None:
        if len(self.logs) > 1:
            names = "; ".join(Path(log.source).name for log in self.logs)
            self.notes.append(f"in {len(self.logs)} pieces: {names}")
        for log in self.logs:
            self.notes += log.notes

    def _note_resumption(self, losses: Rows) -> None:
        """Say what later rows replace: rows at the same step, and those of an earlier attempt."""
        attempts = losses if self.attempts is None else self.attempts
        back = np.flatnonzero(np.diff(attempts.label) < 0)
        replaced = []
        for rows, what in ((self.attempts, "learning rate"), (losses, "loss")):
            if rows is None:
                continue
            gone = ~self._kept(rows)
            again = np.append(rows.label[1:] == rows.label[:-1], False) & gone
            self._note_duplicates(rows._replace(label=rows.label - self.first + 1), again, what)
            count = int(np.count_nonzero(gone & ~again))
            replaced += [counted(count, what)] * (count > 0)
        if replaced:
            at = sorted(set((attempts.label[back + 1] - self.first + 1).tolist()))
            steps = ", ".join(map(str, at[:3])) + ", ..." * (len(at) > 3)
            where = f"resumed at step {steps}" if at else "out of order"
            self.notes.append(f"{where}: {' and '.join(replaced)} replaced")

    def _note_duplicates(self, rows: Rows, again: Any, what: str) -> None:
        at = np.flatnonzero(again)
        before, after = rows.value[at], rows.value[at + 1]
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        if same.any():
            count = counted(int(np.count_nonzero(same)), what)
            self.notes.append(f"{count} logged twice with the same value")
        if not same.all():
            count = counted(int(np.count_nonzero(~same)), what)
            i = int(np.flatnonzero(~same)[0])
            self.notes.append(
                f"{count} logged again with another value, which counts (first at step "
                f"{rows.label[at[i]]}: {before[i]:.6g}, then {after[i]:.6g})"
            )


def _taken(rows: Rows, which: Any) -> Rows:
    return Rows(*(part[which] for part in rows))


def _losses(which: Any) -> str:
    return counted(int(np.count_nonzero(which)), "loss")


def _last(columns: Sequence[str | None]) -> str:
    return [name for name in columns if name is not None][-1]
