"""Which runs are held out together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._messages import counted, did_you_mean
from ..logs import Run

SPLITS = ("run", "horizon", "family", "lr")

_SAME_HORIZON = 1.05  # logs of one horizon may end a few rows apart
_SAME_RATE = 1.01  # sparse logs may miss a peak
_FLAT = 1e-6  # relative: how exactly a learning rate that stays is logged
_SHORT = 0.01  # of a run, in which a learning rate at its peak is no constant part

Split = str | Callable[[Run], Hashable] | Sequence[Hashable]


class Group(NamedTuple):
    """Runs that are held out of one fit."""

    label: str
    held: list[Run]
    fitted: list[Run]


def family(run: Run) -> str:
    """Return the family of a run's schedule, told from its learning rates.

    Parameters
    ----------
    run : Run

    Returns
    -------
    {"constant", "cooldown", "decay", "other"}
        What the learning rate does once it is at its peak: it stays there; it stays for a hundredth
        of the run or more, and falls then, at once or slowly; it falls right away; or it rises
        again. Cosine and linear decays are one family, and so are all shapes of cooldowns: give
        labels of your own to tell them apart.

    Examples
    --------
    >>> import cvxbound as cb
    >>> [family(cb.logs.Run("a", schedule.eta, [1], [3.0])) for schedule in (
    ...     cb.schedules.constant(100), cb.schedules.wsd(100, 0.2), cb.schedules.cosine(100))]
    ['constant', 'cooldown', 'decay']
    """
    at_peak = run.lr >= (1 - _FLAT) * run.peak
    after = run.lr[int(at_peak.argmax()) :]
    if (np.diff(after) > _FLAT * run.peak).any():
        return "other"
    stays = int(np.count_nonzero(at_peak))
    if stays == after.size:
        return "constant"
    return "cooldown" if stays >= max(_SHORT * run.steps, 2) else "decay"


def groups(runs: Sequence[Run], split: Split) -> tuple[str, list[Group]]:
    """Return how runs are split, in a word, and the groups to hold out in turn.

    Raises
    ------
    TypeError, ValueError
        An unknown split; labels that are not one a run; runs of one group.
    """
    if isinstance(split, str):
        how, labels = split, _named(runs, split)
    elif callable(split):
        how, labels = getattr(split, "__name__", "labels"), [split(run) for run in runs]
    else:
        how, labels = "labels", _given(split, len(runs))
    distinct = list(dict.fromkeys(labels))
    if len(distinct) < 2:
        few = counted(len(runs), "run")
        got = f"got {few}" if len(runs) < 2 else f"all {few} are of one group, {distinct[0]}"
        raise ValueError(
            f"split={how!r} holds out one group of runs and fits the others, in turn; {got}: "
            "give runs that differ, or another split"
        )
    if how == "horizon":
        return how, _longer(runs, labels)
    return how, [
        Group(
            runs[label].name if how == "run" else str(label),
            [run for run, own in zip(runs, labels, strict=True) if own == label],
            [run for run, own in zip(runs, labels, strict=True) if own != label],
        )
        for label in distinct
    ]


def _named(runs: Sequence[Run], split: str) -> list[Any]:
    """The labels of a split that has a name."""
    if split == "run":
        return list(range(len(runs)))
    if split == "horizon":
        return _levels([run.steps for run in runs], _SAME_HORIZON)
    if split == "lr":
        return [f"{rate:g}" for rate in _levels([run.peak for run in runs], _SAME_RATE)]
    if split == "family":
        return [family(run) for run in runs]
    raise did_you_mean(split, SPLITS, "split")


def _given(labels: Iterable[Hashable], count: int) -> list[Any]:
    """Labels that the caller gives."""
    try:
        given = list(labels)
    except TypeError:
        raise TypeError(
            f"split must be one of {', '.join(SPLITS)}, a function of a run, or a label for each "
            f"run; got {labels!r}"
        ) from None
    if len(given) != count:
        raise ValueError(
            f"split must have one label a run: got {counted(len(given), 'label')} for "
            f"{counted(count, 'run')}"
        )
    return given


def _levels(values: Sequence[float], ratio: float) -> list[float]:
    """Return the largest of the values that each is one with, as neighbours within a ratio are."""
    distinct = sorted(set(values), reverse=True)
    level = {distinct[0]: distinct[0]}
    for above, below in itertools.pairwise(distinct):
        level[below] = level[above] if above <= ratio * below else below
    return [level[value] for value in values]


def _longer(runs: Sequence[Run], horizons: Sequence[int]) -> list[Group]:
    """Hold out the longer runs, for every horizon but the largest."""
    return [
        Group(
            f"> {cut} steps",
            [run for run, own in zip(runs, horizons, strict=True) if own > cut],
            [run for run, own in zip(runs, horizons, strict=True) if own <= cut],
        )
        for cut in sorted(set(horizons))[:-1]
    ]
