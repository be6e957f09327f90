"""Schedulers of PyTorch: read without a step of them, and made of any schedule."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Float, positive_array, whole_number
from ._common import LastStep, checked, group_number, imported, needed

if TYPE_CHECKING:
    from .._schedule import Schedule

_NEEDS_LOSSES = ("ReduceLROnPlateau", "GreedyLR")


def from_torch(
    scheduler: Any, steps: int, group: int = 0, *, last_step: LastStep = "repeat"
) -> Schedule:
    """Make the schedule of a scheduler of ``torch.optim.lr_scheduler``, which is left as it is.

    Parameters
    ----------
    scheduler : torch.optim.lr_scheduler.LRScheduler
        Of a `LambdaLR`, its functions are called, and callable objects are copied before. Any other
        must be a new one: it is copied, without the parameters of its optimizer, and the copy is
        stepped.
    steps : int
        Number of steps of the optimizer.
    group : int, default 0
        Which of the optimizer's groups of parameters.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.

    Returns
    -------
    Schedule
        Step t has the learning rate that the optimizer uses for its step t, over the largest one,
        which is ``params["peak"]``.

    Raises
    ------
    TypeError
        `scheduler` is not a scheduler, or `group` no integer.
    ValueError
        It follows losses, or has been stepped; an argument is out of its range.

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)  # doctest: +SKIP
    >>> scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, 400)  # doctest: +SKIP
    >>> from_torch(scheduler, 400)  # doctest: +SKIP
    <Schedule OneCycleLR: 400 steps, learning rates of OneCycleLR; last step repeated>
    """
    steps = checked(steps, last_step)
    name = type(scheduler).__name__
    if name in _NEEDS_LOSSES:
        raise ValueError(f"{name} follows losses, which come with the run: use from_log after it")
    done = _done(scheduler)
    if done is None or not hasattr(scheduler, "optimizer"):
        raise TypeError(f"scheduler must be one of torch.optim.lr_scheduler, got {scheduler!r}")
    group = group_number(group, scheduler.optimizer)
    if getattr(getattr(scheduler, "get_lr", None), "__qualname__", "") == "LambdaLR.get_lr":
        rates, scale = _factors(scheduler, steps, group), float(scheduler.base_lrs[group])
    elif done:
        raise ValueError(
            f"the {name} is at step {done}, from which the steps before cannot be told; make it "
            "anew, or use from_log"
        )
    else:
        rates, scale = _stepped(scheduler, steps, group), 1.0
    return imported(rates, name, name, last_step, scale=scale)


def _done(scheduler: Any) -> int | None:
    """How often a scheduler was stepped; None if it is none. Some hold only others."""
    if hasattr(scheduler, "last_epoch"):
        return int(scheduler.last_epoch)
    inner = [_done(each) for each in getattr(scheduler, "_schedulers", ())]
    return max((each for each in inner if each is not None), default=None)


def _factors(scheduler: Any, steps: int, group: int) -> Float:
    """The factors of a `LambdaLR`, which multiply its base learning rate."""
    factor = scheduler.lr_lambdas[group]
    if isinstance(factor, Factor):
        return factor.table(steps)
    # An object may count its calls; the one that a method belongs to may hold a whole model.
    if not inspect.isroutine(factor):
        factor = copy.deepcopy(factor)
    return np.fromiter(map(factor, range(steps)), float, steps)


def _stepped(scheduler: Any, steps: int, group: int) -> Float:
    """The learning rates before each step of a copy."""
    groups = [{**each, "params": []} for each in scheduler.optimizer.param_groups]
    optimizer = SimpleNamespace(
        param_groups=copy.deepcopy(groups), defaults=dict(scheduler.optimizer.defaults)
    )
    # What a scheduler looks at to warn that the optimizer has not been stepped before it.
    optimizer.step = SimpleNamespace(_wrapped_by_lr_sched=True)
    optimizer._opt_called = True
    twin = copy.deepcopy(scheduler, {id(scheduler.optimizer): optimizer})
    rates = np.empty(steps)
    for step in range(steps):
        rates[step] = float(optimizer.param_groups[group]["lr"])
        if step + 1 < steps:  # OneCycleLR refuses a step after its last
            twin.step()
    return rates


class Factor:
    """The factor that a `LambdaLR` multiplies its base learning rate by, from a table.

    The table stays out of ``__dict__``, which is what a `LambdaLR` saves and loads: a run that is
    resumed with another schedule, such as an extended one, follows that one.
    """

    __slots__ = ("__dict__", "eta")

    def __init__(self, eta: Float) -> None:
        self.eta = eta

    def __call__(self, step: int) -> float:
        return float(self.eta[min(step, self.eta.size - 1)])

    def table(self, steps: int) -> Float:
        """So many steps, the last of which is held."""
        return self.eta[np.minimum(np.arange(steps), self.eta.size - 1)]


def to_torch(
    schedule: Schedule, optimizer: Any, lr: float | Sequence[float] | None = None, done: int = 0
) -> Any:
    """See `Schedule.to_torch`."""
    torch = needed("torch", "torch", "to_torch")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be one of torch.optim, got {optimizer!r}")
    done = whole_number(done, "done", least=0)
    peaks = _own(schedule, optimizer) if lr is None else _given(lr, optimizer)
    # What a LambdaLR multiplies, whatever another scheduler has left there.
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["initial_lr"] = peak
    factors = [Factor(schedule.eta) for _ in peaks]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factors, last_epoch=done - 1)


def _given(lr: float | Sequence[float], optimizer: Any) -> list[float]:
    """The learning rate at the peak of each group, from that of all or one for each."""
    groups = len(optimizer.param_groups)
    rates = positive_array(lr, "lr")
    if rates.shape not in ((), (groups,)):
        raise ValueError(
            f"lr must be one number, or one for each group of the optimizer, which has {groups}; "
            f"got {lr!r}"
        )
    peaks: list[float] = np.broadcast_to(rates, groups).tolist()
    return peaks


def _own(schedule: Schedule, optimizer: Any) -> list[float]:
    """The learning rate of each group, as the optimizer was made with it."""
    for group in optimizer.param_groups:
        if "initial_lr" in group:
            known = schedule.params.get("peak")
            raise ValueError(
                f"lr is needed, the learning rate at the peak: the optimizer has had a scheduler "
                f"(its lr is {float(group['lr']):g}, its initial_lr {float(group['initial_lr']):g})"
                + (f"; the schedule was read from a run with a peak of {known:g}" if known else "")
            )
    return [float(group["lr"]) for group in optimizer.param_groups]
