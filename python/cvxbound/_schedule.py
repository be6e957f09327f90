"""What a schedule is: its steps, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._arrays import LARGEST_STEP, Float, check_range, real_array
from ._messages import counted


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """A learning-rate schedule: read-only steps, with where they come from.

    Two schedules are equal when their steps are, whatever their names. NumPy functions take a
    schedule as the array of its steps.

    Parameters
    ----------
    eta : array_like of real numbers, shape (T,)
        The learning rate of each step, as a ratio to the peak; copied to float64.
    name : str, default "array"
        The family, or a name of your own.
    params : mapping, optional
        What the steps were made from; kept read-only.
    note : str, optional
        What the ``repr`` adds to the name and the number of steps.

    Raises
    ------
    TypeError
        `eta` does not hold real numbers.
    ValueError
        `eta` is not one-dimensional, is empty, or holds a negative or non-finite step (its index).

    Examples
    --------
    >>> Schedule([1.0, 1.0, 0.5], name="mine")
    <Schedule mine: 3 steps>
    >>> from cvxbound.schedules import wsd
    >>> wsd(1000, cooldown=0.3, shape="1-sqrt")
    <Schedule wsd: 1000 steps, cooldown=0.3, shape='1-sqrt'>
    """

    eta: Float
    name: str = "array"
    params: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        eta = _checked(self.eta, self.name) + 0.0  # a copy, and no -0.0: equal steps hash alike
        eta.flags.writeable = False
        object.__setattr__(self, "eta", eta)
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def to_torch(
        self, optimizer: Any, lr: float | Sequence[float] | None = None, done: int = 0
    ) -> Any:
        """Make a ``torch.optim.lr_scheduler.LambdaLR``; past the end, the last step is held.

        Step it once after each step of the optimizer. Its ``state_dict`` has no table in it: a run
        that is resumed follows the schedule that the scheduler was made of, also a longer one.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            Its learning rates are set to those of the next step at once; the rate at the peak is
            kept as each group's ``initial_lr``.
        lr : float or sequence of float, optional
            The learning rate at 1, the peak, of all groups or one for each; by default each group's
            own ``lr``. An optimizer that has had a scheduler needs it: that one may have left any.
        done : int, default 0
            Steps of the optimizer before the next one, where this scheduler takes the place of
            another in a run that is under way.

        Returns
        -------
        torch.optim.lr_scheduler.LambdaLR

        Raises
        ------
        TypeError
            `optimizer` is not one of PyTorch.
        ValueError
            `lr` is needed, or has another length than the groups; an argument is out of its range.

        Examples
        --------
        >>> import torch  # doctest: +SKIP
        >>> from cvxbound.schedules import wsd
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)  # doctest: +SKIP
        >>> scheduler = wsd(1000).to_torch(optimizer)  # doctest: +SKIP
        >>> longer = wsd(2000).to_torch(optimizer, 1e-3, done=500)  # doctest: +SKIP
        """
        from .interop._torch import to_torch

        return to_torch(self, optimizer, lr, done)

    def to_optax(self, lr: float | None = None) -> Callable[[Any], Any]:
        """Make an optax schedule, which works under ``jax.jit``; past the end, the last is held.

        Parameters
        ----------
        lr : float, optional
            The learning rate at 1, the peak; by default that of the run a schedule was read from,
            else 1.

        Returns
        -------
        callable
            From the number of steps done, rounded down, to the learning rate of the next.
        """
        from .interop._optax import to_optax

        return to_optax(self, lr)

    def to_config(self, tool: str, lr: float | None = None) -> str:
        """Write the settings with which another tool follows the schedule, as text to paste.

        Its comments say which steps differ, by one step at most: tools count differently.

        Parameters
        ----------
        tool : {"hf", "torchtitan", "megatron", "olmo", "maxtext"}
            Whose settings to write.
        lr : float, optional
            The learning rate at 1, the peak; by default that of an imported schedule. Without one
            the text has none, and settings that are learning rates and no ratios cannot be written.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            The tool cannot follow the schedule: why, and what is nearest.

        Examples
        --------
        >>> from cvxbound.schedules import wsd
        >>> print(wsd(1000, cooldown=0.2, shape="1-sqrt").to_config("hf", lr=1e-3))
        # Hugging Face TrainingArguments: wsd, 1000 steps, shape='1-sqrt'
        # The learning rate of every step is the same.
        learning_rate=0.001,
        lr_scheduler_type='warmup_stable_decay',
        lr_scheduler_kwargs={'num_decay_steps': 200, 'decay_type': '1-sqrt'},
        warmup_steps=0,
        max_steps=1000,
        <BLANKLINE>
        """
        from .interop._configs import to_config

        return to_config(self, tool, lr)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.eta, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return self.eta.size

    def __repr__(self) -> str:
        steps = counted(self.eta.size, "step")
        return f"<Schedule {self.name}: {', '.join(filter(None, (steps, self.note)))}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return np.array_equal(self.eta, other.eta)

    def __hash__(self) -> int:
        return hash(self.eta.tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and worker processes are sent schedules.
        return Schedule, (self.eta, self.name, dict(self.params), self.note)


def _checked(x: ArrayLike, what: str) -> Float:
    """Return `x` as float64 steps, shape (T,), T >= 1; errors call it `what` and name the index."""
    steps = real_array(x, what)
    if steps.ndim != 1:
        raise ValueError(f"{what} must have one axis, the steps; got shape {steps.shape}")
    if not steps.size:
        raise ValueError(f"{what} must have at least one step, got none")
    check_range(steps, what, LARGEST_STEP)
    return steps
