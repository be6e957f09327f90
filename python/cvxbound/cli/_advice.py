"""What `transfer` and `extend` compute."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import _arrays, extension, transfer
from .._files import check_target, replacing
from ._inputs import Subject, UsageError, fits, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._names import Kind
    from ..extension import Extension, Strategy
    from ._options import ExtendOptions
    from ._reports import Problem, Tick

STRATEGIES: tuple[Strategy, ...] = ("cooldown", "factor", "stages")
FORMATS = (".csv", ".json")


@dataclass(frozen=True)
class Transfer:
    """The learning rates of some schedules, given that of another one."""

    problem: Problem
    source: Subject
    lr: float
    horizon_exponent: float | None
    targets: tuple[Subject, ...]
    rates: Mapping[str, tuple[float, ...]]  # by kind


@dataclass(frozen=True)
class Extending:
    """A run extended by the strategy asked for, and by the others where that is possible.

    `lr` is the learning rate of the plateau, which a log tells; else schedules are over their peak.
    """

    problem: Problem
    subject: Subject
    reference: Subject
    strategy: Strategy
    lr: float | None
    found: Mapping[str, Extension | None]

    @property
    def chosen(self) -> Extension:
        """The one asked for."""
        found = self.found[self.strategy]
        assert found is not None
        return found

    @property
    def kind(self) -> Kind:
        """The bound."""
        return self.problem.kinds[0]


def transferred(
    problem: Problem,
    source: Subject,
    lr: float | None,
    horizon_exponent: float | None,
    targets: Sequence[Subject],
    tick: Tick,
) -> Transfer:
    """Transfer a learning rate, by default the peak that the run of the source logged."""
    lr = source.peak if lr is None else lr
    if lr is None:
        raise UsageError("give --lr, the learning rate that was tuned for the first schedule")
    _arrays.positive_scalar(lr, "--lr")
    rates: dict[str, tuple[float, ...]] = {}
    for kind in problem.kinds:
        row = []
        for target in targets:
            try:
                with fits(target.label):
                    rate = transfer.transfer_lr(
                        lr,
                        source.schedule,
                        target.schedule,
                        kind=kind,
                        horizon_exponent=horizon_exponent,
                        last_step=problem.last_step,
                    )
            except ValueError as error:
                raise ValueError(f"{source.label} to {target.label}: {error}") from None
            tick(f"{target.label}: {kind}")
            row.append(float(rate))
        rates[kind] = tuple(row)
    return Transfer(problem, source, lr, horizon_exponent, tuple(targets), rates)


def extended(
    problem: Problem,
    subject: Subject,
    reference: Subject | None,
    steps: int,
    options: ExtendOptions,
    lr: float | None,
    tick: Tick,
) -> Extending:
    """Extend a run by the strategy asked for, and by the others for comparison."""
    lr = subject.peak if lr is None else _arrays.positive_scalar(lr, "--lr")
    planned = len(subject.schedule)
    if steps <= planned:
        raise ValueError(
            f"{subject.label}: --to must be more than its {planned} steps, got {steps}"
        )
    horizons = stages(options.stages)
    found: dict[str, Extension | None] = {}
    for strategy in STRATEGIES:
        chosen = strategy == options.strategy
        try:
            with fits(subject.label):
                found[strategy] = extension.extend(
                    subject.schedule,
                    steps,
                    strategy=strategy,
                    reference=None if reference is None else reference.schedule,
                    resume=options.resume,
                    cooldown=None if strategy == "cooldown" else options.cooldown,
                    shape=options.shape,
                    final=options.final,
                    stages=horizons,
                    lookahead=options.lookahead,
                    kind=problem.kinds[0],
                    last_step=problem.last_step,
                )
        except ValueError as error:
            if chosen:
                raise ValueError(f"{subject.label}: {as_options(str(error))}") from None
            found[strategy] = None  # there is no room for it
        tick(strategy)
    return Extending(problem, subject, reference or subject, options.strategy, lr, found)


def stages(text: str) -> int | list[int]:
    """How many stages, or their horizons separated by commas."""
    try:
        numbers = [whole_number(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--stages: {error}") from None
    return numbers if "," in text else numbers[0]


def as_options(text: str) -> str:
    """A message of `extend` with its arguments called as in a shell."""
    return re.sub(r"\b(cooldown|resume|strategy|kind|last_step)=(?=(.?))", _option, text)


def _option(found: re.Match[str]) -> str:
    return "--" + found[1].replace("_", "-") + (" " if found[2].strip(" ,;)") else "")


def check_out(path: Path) -> Path:
    """Where `write` would write, checked before anything is computed."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path}: a schedule is written as {' or '.join(FORMATS)}, which the name has to end in"
        )
    return check_target(path)


def write(report: Extending, path: Path) -> None:
    """Write the learning rate of every step, with the labels that a log has for them."""
    schedule = report.chosen.schedule
    first = report.subject.schedule.params.get("first_step", 1)
    top = report.subject.schedule.eta.max()
    rates = (schedule.eta / top * (1.0 if report.lr is None else report.lr)).tolist()
    labels = range(first, first + len(rates))
    target = check_out(path)
    with replacing(target, path) as part:
        if path.suffix.lower() == ".json":
            part.write_text(json.dumps({"step": list(labels), "lr": rates}) + "\n")
        else:
            rows = (f"{step},{rate!r}\n" for step, rate in zip(labels, rates, strict=True))
            with part.open("w") as file:
                file.write("step,lr\n")
                file.writelines(rows)
