"""What every loss law is made of: features of a schedule, columns made of them, and parameters."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from .._arrays import Float, Int

Values = Mapping[str, float]


class Parameter(NamedTuple):
    """A parameter in which a law is not linear.

    Parameters
    ----------
    name : str
        How reports call it.
    low, high : float
        Where it is searched for.
    starts : tuple of float
        Where searches start.
    fixed : float, optional
        Its value, where it is not fitted.
    is_shape : bool
        Whether features depend on it; if not, columns do.

    Examples
    --------
    >>> Parameter("kappa", low=0.02, high=4.0, starts=(0.3, 0.6)).fixed is None
    True
    """

    name: str
    low: float
    high: float
    starts: tuple[float, ...]
    fixed: float | None = None
    is_shape: bool = False


class Trace(NamedTuple):
    """What a law knows of a run, or of a schedule.

    Parameters
    ----------
    lr : ndarray of float64, shape (T,)
        Absolute learning rates.
    norms : ndarray of float64, shape (T,), or None
        Gradient norms.
    at : ndarray of int64, shape (n,)
        The 1-based steps to look at.

    Examples
    --------
    >>> import numpy as np
    >>> Trace(np.full(10, 1e-3), None, np.array([5, 10])).at.tolist()
    [5, 10]
    """

    lr: Float  # (T,)
    norms: Float | None  # (T,)
    at: Int  # (n,), 1-based steps, increasing


class Form(abc.ABC):
    """A loss law without its numbers: ``loss = columns @ coefficients``, coefficients >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from cvxbound.laws import Omega
    >>> trace = Trace(np.full(10, 1e-3), None, np.array([5, 10]))
    >>> Omega().columns(Omega().features(trace, {}), {}).shape
    (2, 3)
    """

    name: ClassVar[str]
    coefficients: ClassVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters beside the coefficients."""

    @abc.abstractmethod
    def features(self, trace: Trace, values: Values) -> Float:
        """Return the features, (m, n), from the shape parameters alone: the expensive part."""

    @abc.abstractmethod
    def columns(self, features: Float, values: Values) -> Float:
        """Return the columns of the coefficients, (n, k)."""

    def options(self) -> dict[str, Any]:
        """Return the arguments that make the form again, for files: its dataclass fields."""
        return {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters that are fitted."""
        return tuple(each for each in self.parameters if each.fixed is None)

    @property
    def size(self) -> int:
        """How many numbers are fitted."""
        return len(self.free) + len(self.coefficients)

    @property
    def needs_norms(self) -> bool:
        """Whether runs and schedules must come with gradient norms."""
        return False
