"""Schedulers of PyTorch: read without a step of them, and made of any schedule."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Float, positive_scalar
from ._common import LastStep, checked, imported, needed

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
        A new one: of a `LambdaLR`, its functions are called; any other is copied, without the
        parameters of its optimizer, and the copy is stepped.
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
        `scheduler` is not a scheduler.
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
    groups = len(scheduler.optimizer.param_groups)
    if isinstance(group, bool) or not 0 <= group < groups:
        raise ValueError(f"group must be from 0 to {groups - 1}, a group of the optimizer: {group}")
    if getattr(getattr(scheduler, "get_lr", None), "__qualname__", "") == "LambdaLR.get_lr":
        rates, scale = _factors(scheduler, steps, group)
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


def _factors(scheduler: Any, steps: int, group: int) -> tuple[Float, float]:
    """The factors of a `LambdaLR`, and the learning rate that they multiply."""
    base = float(scheduler.base_lrs[group])
    factor = scheduler.lr_lambdas[group]
    if isinstance(factor, Factor):
        return factor.table(steps), factor.scale * base
    return np.fromiter(map(factor, range(steps)), float, steps), base


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

    __slots__ = ("__dict__", "eta", "scale")

    def __init__(self, eta: Float, scale: float) -> None:
        self.eta = eta
        self.scale = scale

    def __call__(self, step: int) -> float:
        return float(self.eta[min(step, self.eta.size - 1)]) * self.scale

    def table(self, steps: int) -> Float:
        """So many steps, the last of which is held."""
        return self.eta[np.minimum(np.arange(steps), self.eta.size - 1)]


def to_torch(schedule: Schedule, optimizer: Any, lr: float | None = None) -> Any:
    """See `Schedule.to_torch`."""
    torch = needed("torch", "torch", "to_torch")
    bases = [float(each.get("initial_lr", each["lr"])) for each in optimizer.param_groups]
    if lr is None:
        scales = [1.0] * len(bases)
    else:
        lr = positive_scalar(lr, "lr")
        if not all(bases):
            raise ValueError("the optimizer has a learning rate of 0, which no factor makes lr")
        scales = [lr / base for base in bases]
    factors = [Factor(schedule.eta, scale) for scale in scales]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
