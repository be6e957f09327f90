"""What can go wrong with a sweep that was planned well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray

__all__ = ["PlanMismatchError", "SweepError"]


class SweepError(RuntimeError):
    """Some blocks of a sweep failed; all others were computed.

    Parameters
    ----------
    message : str
        Which blocks failed, where in the grid they are, and why.
    failures : mapping of int to str, optional
        The error of each failed block.
    dataset : xarray.Dataset, optional
        The result, NaN where blocks failed.

    Examples
    --------
    >>> SweepError("1 of 8 blocks failed", {3: "ValueError: ..."}).failures
    {3: 'ValueError: ...'}
    """

    def __init__(
        self,
        message: str,
        failures: Mapping[int, str] | None = None,
        dataset: xarray.Dataset | None = None,
    ) -> None:
        super().__init__(message)
        self.failures = dict(failures or {})
        self.dataset = dataset


class PlanMismatchError(ValueError):
    """A store holds another plan, or was written by another version or in another format.

    Examples
    --------
    >>> issubclass(PlanMismatchError, ValueError)
    True
    """
