"""Bounds that PyTorch differentiates: `bound`, `curve` and `terms` of tensors.

>>> import torch
>>> from cvxbound.torch import bound
>>> eta = torch.ones(4, requires_grad=True)
>>> bound(eta, gamma=0.3).backward()
>>> eta.grad
tensor([-0.0042,  0.0292,  0.1417, -0.1583])

Values and derivatives are the package's own, in double precision. They go through `torch.compile`,
`torch.export`, `torch.func.grad` and `torch.vmap`; docs/autodiff.md says what else to know.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _autodiff
from ._arrays import real_array
from ._messages import did_you_mean

try:
    import torch
except ModuleNotFoundError:
    raise ImportError('cvxbound.torch needs PyTorch: pip install "cvxbound[torch]"') from None
from torch import Tensor

from ._torch_operators import CurveOf, TermsOf

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ._names import Kind, LastStep

__all__ = ["Terms", "bound", "curve", "terms"]


class Terms(NamedTuple):
    """The two halves of a bound, ``distance / gamma + gamma * noise``, as tensors.

    Examples
    --------
    >>> import torch
    >>> from cvxbound.torch import Terms
    >>> Terms(torch.tensor(0.5), torch.tensor(2.0)).noise
    tensor(2.)
    """

    distance: Tensor
    noise: Tensor


def bound(
    eta: Tensor | ArrayLike,
    gamma: Tensor | ArrayLike = 1.0,
    *,
    G: Tensor | ArrayLike = 1.0,
    D: Tensor | ArrayLike = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
) -> Tensor:
    """Bound on the suboptimality after the last step of a schedule, as `cvxbound.bound`.

    Parameters
    ----------
    eta : Tensor or array_like (..., T)
        Learning-rate schedule. Where it is on a GPU the bound is computed there.
    gamma, G, D : Tensor or array_like, default 1
        Base learning rate, gradient norms and initial distance, as for `cvxbound.bound`; D may be a
        batch too. Scalars come along to the device of `eta`.
    kind, last_step
        As for `cvxbound.bound`.

    Returns
    -------
    Tensor of float64
        One value for each broadcast entry of the leading axes. Derivatives by `eta`, `gamma`, `G`
        and `D` are exact, and have the dtype of what they are taken by.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As for `cvxbound.bound`; ValueError in the backward pass for an infinite bound, which has no
        derivative, and RuntimeError for tensors on different devices.
    NotImplementedError
        For derivatives of derivatives.

    Examples
    --------
    >>> import torch
    >>> from cvxbound.torch import bound
    >>> gamma = torch.tensor(0.3, requires_grad=True)
    >>> omega = bound(torch.ones(4), gamma)
    >>> omega.backward()
    >>> round(omega.item(), 4), round(gamma.grad.item(), 4)
    (0.8417, 0.0278)
    """
    return _curve(eta, gamma, G, D, kind, last_step, None, every=False)


def curve(
    eta: Tensor | ArrayLike,
    gamma: Tensor | ArrayLike = 1.0,
    *,
    G: Tensor | ArrayLike = 1.0,
    D: Tensor | ArrayLike = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: Tensor | ArrayLike | Literal["all"] | None = None,
) -> Tensor:
    """Bound after every step of a schedule, or after chosen ones, as `cvxbound.curve`.

    Parameters
    ----------
    eta, gamma, G, D, kind, last_step
        As for `bound`.
    at : int, sequence or Tensor of int, or "all", optional
        Horizons, 1-based; a scalar drops the time axis. Default: 1, ..., T.

    Returns
    -------
    Tensor of float64 (..., T) or (..., len(at))
        Bounds along the last axis.

    Raises
    ------
    TypeError, ValueError, RuntimeError, NotImplementedError
        As for `bound`.

    Examples
    --------
    >>> import torch
    >>> from cvxbound.torch import curve
    >>> curve(torch.ones(4), at=[2, 4])
    tensor([1.2500, 1.5417], dtype=torch.float64)
    """
    return _curve(eta, gamma, G, D, kind, last_step, at, every=True)


def terms(
    eta: Tensor | ArrayLike,
    *,
    gamma: Tensor | ArrayLike | None = None,
    G: Tensor | ArrayLike = 1.0,
    D: Tensor | ArrayLike = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: Tensor | ArrayLike | Literal["all"] | None = None,
) -> Terms:
    """Split the bound as Omega = distance / gamma + gamma noise, as `cvxbound.terms`.

    Parameters
    ----------
    eta, G, D, kind, last_step
        As for `bound`.
    gamma : Tensor or array_like, optional
        Base learning rate at which a free last step is chosen, as for `cvxbound.terms`.
    at
        As for `curve`; by default the last step only, ``at="all"`` for every step.

    Returns
    -------
    Terms
        Two tensors of float64.

    Raises
    ------
    TypeError, ValueError, RuntimeError, NotImplementedError
        As for `bound`.

    Examples
    --------
    >>> import torch
    >>> from cvxbound.torch import terms
    >>> eta = torch.ones(4, requires_grad=True)
    >>> terms(eta).distance.backward()
    >>> eta.grad
    tensor([-0.0312, -0.0312, -0.0312, -0.0312])
    """
    _autodiff.check_choice(kind, last_step, D)
    arrays = _arrays(eta, gamma, G, D)
    horizons, is_one = _horizons(at, arrays.eta.shape[-1], every=False)
    distance, noise = _apply(TermsOf, arrays, horizons, kind, last_step)
    distance = distance * arrays.D**2
    return Terms(distance[..., 0], noise[..., 0]) if is_one else Terms(distance, noise)


def _curve(
    eta: Tensor | ArrayLike,
    gamma: Tensor | ArrayLike,
    G: Tensor | ArrayLike,
    D: Tensor | ArrayLike,
    kind: Kind,
    last_step: LastStep,
    at: Any,
    *,
    every: bool,
) -> Tensor:
    _autodiff.check_choice(kind, last_step, D)
    arrays = _arrays(eta, gamma, G, D)
    horizons, is_one = _horizons(at, arrays.eta.shape[-1], every=every)
    omega: Tensor = arrays.D * _apply(CurveOf, arrays, horizons, kind, last_step)
    return omega[..., 0] if is_one else omega


def _apply(
    function: type[CurveOf | TermsOf], arrays: _Arrays, horizons: Tensor | None, *choice: str
) -> Any:
    inputs = (arrays.eta, arrays.rate, arrays.G, horizons, *choice)
    wants_slopes = any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
    if torch.compiler.is_compiling() and not (wants_slopes and torch.is_grad_enabled()):
        return function.forward(*inputs)  # the compiler fails at functions without derivatives
    return function.apply(*inputs)


# --- from what users pass to tensors of one rank -------------------------------------------------


class _Arrays(NamedTuple):
    eta: Tensor  # (*batch, T)
    rate: Any  # gamma / D, (*batch,), or None
    G: Tensor  # (*batch, T) or (*batch, 1)
    D: Any  # with an axis for the horizons, or a float


def _arrays(eta: Any, gamma: Any, G: Any, D: Any) -> _Arrays:
    """Tensors of float64 with as many batch axes each, not yet broadcast."""
    eta = _tensor(eta, "eta")
    if eta.ndim == 0:
        raise ValueError("eta must have a time axis (..., T), got a scalar")
    G = _tensor(G, "G", eta)
    if not isinstance(D, (int, float)):
        D = _positive(_tensor(D, "D", eta))
    rate = None if gamma is None else _tensor(gamma, "gamma", eta) / D
    rank = max(eta.ndim - 1, 0 if rate is None else rate.ndim, G.ndim - 1)
    return _Arrays(
        eta=_padded(eta, rank + 1),
        rate=None if rate is None else _padded(rate, rank),
        G=_padded(G, rank + 1),
        D=D[..., None] if isinstance(D, Tensor) else D,
    )


def _padded(x: Tensor, rank: int) -> Tensor:
    return x.reshape((1,) * (rank - x.ndim) + x.shape)


def _tensor(x: Any, name: str, eta: Tensor | None = None) -> Tensor:
    """`x` as float64, where `eta` is; only scalars are moved there."""
    device = None if eta is None else eta.device
    if isinstance(x, (int, float)):
        return torch.tensor(x, dtype=torch.float64, device=device)
    if not isinstance(x, Tensor):
        return torch.tensor(real_array(x, name), device=device)
    if x.dtype.is_complex or x.dtype == torch.bool:
        raise TypeError(f"{name} must hold real numbers, got a tensor of {x.dtype}")
    if device is not None and x.device != device:
        if x.ndim:
            raise ValueError(
                f"the tensors lie on different devices: eta on {device}, {name} on {x.device}"
            )
        x = x.to(device)
    return x.to(torch.float64)


def _positive(D: Tensor) -> Tensor:
    """D, or a ValueError; where nothing is known of its numbers yet, NaN for wrong ones."""
    if not torch.compiler.is_compiling():
        with contextlib.suppress(RuntimeError):  # of vmap, for what is looked at
            if not (D > 0).all() or not D.isfinite().all():
                raise ValueError(f"D must be positive and finite, got {D.tolist()}")
    return torch.where(D > 0, D, torch.nan)


def _horizons(at: Any, steps: int, *, every: bool) -> tuple[Tensor | None, bool]:
    """The horizons, None for all, and whether they were one, whose axis is dropped."""
    if isinstance(at, str) and at != "all":
        raise did_you_mean(at, ("all",), "at")
    if isinstance(at, str) or (at is None and every):
        return None, False
    if at is None:
        return torch.full((1,), steps), True
    found = torch.as_tensor(at, device="cpu")
    if found.ndim > 1:
        raise ValueError(f"at must be a scalar or one-dimensional, got shape {tuple(found.shape)}")
    return found.reshape(-1), found.ndim == 0
