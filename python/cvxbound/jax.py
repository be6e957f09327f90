"""Bounds that JAX differentiates: `bound`, `curve` and `terms` of its arrays.

>>> import jax
>>> from cvxbound.jax import bound
>>> with jax.enable_x64(True):
...     jax.grad(bound)(jax.numpy.ones(4), 0.3).round(4)
Array([-0.0042,  0.0292,  0.1417, -0.1583], dtype=float64)

Values and derivatives are the package's own, in double precision, which JAX has to be told to use
(``jax_enable_x64``). They go through `jax.jit`, `jax.grad` and `jax.vmap`, as calls of the package
by XLA or, where it was not built for that, by Python; docs/autodiff.md says what else there is to
know.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from . import _autodiff
from ._arrays import broadcast_batch, positive_array
from ._autodiff import Calls, Choice, Wrt

try:
    import jax
except ModuleNotFoundError:
    raise ImportError('cvxbound.jax needs JAX: pip install "cvxbound[jax]"') from None
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    from jax.typing import ArrayLike

    from ._names import Kind, LastStep

__all__ = ["Terms", "bound", "curve", "terms"]


class Terms(NamedTuple):
    """The two halves of a bound, ``distance / gamma + gamma * noise``, as arrays of JAX.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from cvxbound.jax import Terms
    >>> float(Terms(jnp.array(0.5), jnp.array(2.0)).noise)
    2.0
    """

    distance: Array
    noise: Array


def bound(
    eta: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    G: ArrayLike = 1.0,
    D: ArrayLike = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
) -> Array:
    """Bound on the suboptimality after the last step of a schedule, as `cvxbound.bound`.

    Parameters
    ----------
    eta : array_like (..., T)
        Learning-rate schedule.
    gamma, G, D : array_like, default 1
        Base learning rate, gradient norms and initial distance, as for `cvxbound.bound`; D may be a
        batch too.
    kind, last_step
        As for `cvxbound.bound`; under `jax.jit` they are static.

    Returns
    -------
    jax.Array of float64
        One value for each broadcast entry of the leading axes. Derivatives by `eta`, `gamma`, `G`
        and `D` are exact, and have the dtype of what they are taken by.

    Raises
    ------
    RuntimeError
        Where JAX is not told to use double precision.
    TypeError, ValueError
        As for `cvxbound.bound`. What is wrong with the numbers themselves, and an infinite bound
        that is differentiated, is known only when they are computed with: JAX makes an error of it,
        `jax.errors.JaxRuntimeError` or ValueError, which quotes the message.
    NotImplementedError
        For derivatives of derivatives.

    Examples
    --------
    >>> import jax
    >>> from cvxbound.jax import bound
    >>> with jax.enable_x64(True):
    ...     omega, slope = jax.value_and_grad(bound, argnums=1)(jax.numpy.ones(4), 0.3)
    >>> round(float(omega), 4), round(float(slope), 4)
    (0.8417, 0.0278)
    """
    return _curve(eta, gamma, G, D, kind, last_step, None, every=False)


def curve(
    eta: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    G: ArrayLike = 1.0,
    D: ArrayLike = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: Any | Literal["all"] | None = None,
) -> Array:
    """Bound after every step of a schedule, or after chosen ones, as `cvxbound.curve`.

    Parameters
    ----------
    eta, gamma, G, D, kind, last_step
        As for `bound`.
    at : int, sequence of int or "all", optional
        Horizons, 1-based, known before tracing; a scalar drops the time axis. Default: 1, ..., T.

    Returns
    -------
    jax.Array of float64 (..., T) or (..., len(at))
        Bounds along the last axis.

    Raises
    ------
    RuntimeError, TypeError, ValueError, NotImplementedError
        As for `bound`.

    Examples
    --------
    >>> import jax
    >>> from cvxbound.jax import curve
    >>> with jax.enable_x64(True):
    ...     curve(jax.numpy.ones(4), at=[2, 4]).round(4)
    Array([1.25  , 1.5417], dtype=float64)
    """
    return _curve(eta, gamma, G, D, kind, last_step, at, every=True)


def terms(
    eta: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    G: ArrayLike = 1.0,
    D: ArrayLike = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: Any | Literal["all"] | None = None,
) -> Terms:
    """Split the bound as Omega = distance / gamma + gamma noise, as `cvxbound.terms`.

    Parameters
    ----------
    eta, G, D, kind, last_step
        As for `bound`.
    gamma : array_like, optional
        Base learning rate at which a free last step is chosen, as for `cvxbound.terms`.
    at
        As for `curve`; by default the last step only, ``at="all"`` for every step.

    Returns
    -------
    Terms
        Two arrays of float64.

    Raises
    ------
    RuntimeError, TypeError, ValueError, NotImplementedError
        As for `bound`.

    Examples
    --------
    >>> import jax
    >>> from cvxbound.jax import terms
    >>> with jax.enable_x64(True):
    ...     jax.grad(lambda eta: terms(eta).distance)(jax.numpy.ones(4))
    Array([-0.03125, -0.03125, -0.03125, -0.03125], dtype=float64)
    """
    arrays = _arrays(eta, gamma, G, D, kind, last_step)
    choice, is_one = _choice(kind, last_step, at, arrays.eta.shape[-1], every=False)
    distance, noise = _terms_of(arrays.eta, arrays.rate, arrays.G, choice)
    distance = distance * arrays.D**2
    return Terms(distance[..., 0], noise[..., 0]) if is_one else Terms(distance, noise)


def _curve(
    eta: ArrayLike,
    gamma: ArrayLike,
    G: ArrayLike,
    D: ArrayLike,
    kind: Kind,
    last_step: LastStep,
    at: Any,
    *,
    every: bool,
) -> Array:
    arrays = _arrays(eta, gamma, G, D, kind, last_step)
    choice, is_one = _choice(kind, last_step, at, arrays.eta.shape[-1], every=every)
    omega: Array = arrays.D * _curve_of(arrays.eta, arrays.rate, arrays.G, choice)
    return omega[..., 0] if is_one else omega


# --- from what users pass to arrays of one rank --------------------------------------------------


class _Arrays(NamedTuple):
    eta: Array  # (*batch, T)
    rate: Any  # gamma / D, (*batch,), or None
    G: Array  # (*batch, T) or (*batch, 1)
    D: Array  # with an axis for the horizons where it is a batch


def _arrays(eta: Any, gamma: Any, G: Any, D: Any, kind: str, last_step: str) -> _Arrays:
    """Arrays of float64 with as many batch axes each, not yet broadcast."""
    _autodiff.check_choice(kind, last_step, D)
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise RuntimeError(
            "cvxbound.jax computes in double precision, which JAX leaves out by default: call "
            "jax.config.update('jax_enable_x64', True) first, or use it within "
            "jax.enable_x64(True)"
        )
    eta, G, D = _double(eta, "eta"), _double(G, "G"), _positive(_double(D, "D"))
    if eta.ndim == 0:
        raise ValueError("eta must have a time axis (..., T), got a scalar")
    rate = None if gamma is None else _double(gamma, "gamma") / D
    rank = max(eta.ndim - 1, 0 if rate is None else rate.ndim, G.ndim - 1)
    arrays = _Arrays(
        eta=_padded(eta, rank + 1),
        rate=None if rate is None else _padded(rate, rank),
        G=_padded(G, rank + 1),
        D=D[..., None] if D.ndim else D,
    )
    if arrays.G.shape[-1] not in (1, eta.shape[-1]):
        raise ValueError(
            f"eta (..., T) and G (..., T) differ in the time axis: eta has {eta.shape[-1]} steps, "
            f"G has {G.shape[-1]}; pass a scalar G or one norm a step"
        )
    return arrays


def _positive(D: Array) -> Array:
    """D, or a ValueError; where nothing is known of its numbers yet, NaN for wrong ones."""
    if not isinstance(D, jax.core.Tracer):
        positive_array(np.asarray(D), "D")
    return jnp.where(D > 0, D, jnp.nan)


def _padded(x: Array, rank: int) -> Array:
    return x.reshape((1,) * (rank - x.ndim) + x.shape)


def _double(x: Any, name: str) -> Array:
    array = jnp.asarray(x if isinstance(x, Array) else np.asarray(x))
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer)):
        raise TypeError(f"{name} must hold real numbers, got an array of {array.dtype}")
    return array.astype(np.float64)


def _choice(
    kind: Kind, last_step: LastStep, at: Any, steps: int, *, every: bool
) -> tuple[Choice, bool]:
    """What is static, and whether it asks for one horizon, whose axis is dropped."""
    horizons, keeps_axis = _autodiff.horizons(at, steps, every)
    return Choice(kind, last_step, horizons), not keeps_axis


# --- values and slopes, which XLA computes by the package or asks Python for ---------------------


_OF_XLA = ("curve", "terms", "slope")  # the others are too rare to have functions of C++


def _register() -> bool:
    """Give XLA the functions that the package was built with; without them it calls Python."""
    try:
        from . import _jax_ffi
    except ImportError:
        return False
    try:
        for name in _OF_XLA:
            jax.ffi.register_ffi_target(f"cvxbound_{name}", getattr(_jax_ffi, name), platform="cpu")
    except Exception as error:  # of XLA, which has no type of its own for it
        warnings.warn(
            "cvxbound was built for another jaxlib: JAX calls it by Python, which is slower, until "
            f"it is built again ({error})",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    return True


_is_registered = _register()


def _call(name: str, result: Any, *arrays: Any, choice: Choice, **static: Any) -> Any:
    """Call a function of `_autodiff`; under `vmap` arrays get an axis more, of length 1 or not."""
    function = functools.partial(getattr(_autodiff, name), choice=choice, **static)

    def by_python(*arrays: Any) -> Any:
        def on_host(*arguments: Any) -> Any:
            # JAX would wait for itself if it were asked for anything in here.
            return function(*map(np.asarray, arguments))

        return jax.pure_callback(on_host, result, *arrays, vmap_method="expand_dims")

    def by_xla(*arrays: Any) -> Any:
        call: Any = jax.ffi.ffi_call(f"cvxbound_{name}", result, vmap_method="expand_dims")
        which = {"kind": choice.kind, "last_step": choice.last_step}
        return call(*arrays, **which, horizons=np.array(choice.at or (), np.int64), **static)

    if not (_is_registered and name in _OF_XLA):
        return by_python(*arrays)
    return jax.lax.platform_dependent(*arrays, cpu=by_xla, default=by_python)


def _result(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, np.float64)  # type: ignore[no-untyped-call]


def _values(eta: Array, rate: Any, G: Array, choice: Choice) -> Any:
    """The form of values, (*batch, horizons)."""
    shapes = {"eta": eta.shape[:-1], "gamma / D": () if rate is None else rate.shape}
    batch = broadcast_batch(**shapes, G=G.shape[:-1])
    return _result(*batch, eta.shape[-1] if choice.at is None else len(choice.at))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _curve_of(eta: Array, rate: Array, G: Array, choice: Choice) -> Array:
    omega: Array = _call("curve", _values(eta, rate, G, choice), eta, rate, G, choice=choice)
    return omega


def _curve_forward(eta: Array, rate: Array, G: Array, choice: Choice) -> Any:
    return _curve_of(eta, rate, G, choice), (eta, rate, G)


def _curve_backward(choice: Choice, saved: Any, weights: Array) -> Any:
    wrts: tuple[Wrt, ...] = ("eta", "gamma", "G")
    slopes = (_curve_slope(weights, *saved, choice, wrt) for wrt in wrts)
    return tuple(map(_summed, slopes, saved))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _terms_of(eta: Array, rate: Array | None, G: Array, choice: Choice) -> tuple[Array, Array]:
    shape = _values(eta, rate, G, choice)
    rates = () if rate is None else (rate,)
    distance, noise = _call("terms", (shape, shape), eta, G, *rates, choice=choice)
    return distance, noise


def _terms_forward(eta: Array, rate: Array | None, G: Array, choice: Choice) -> Any:
    return _terms_of(eta, rate, G, choice), (eta, rate, G)


def _terms_backward(choice: Choice, saved: Any, weights: tuple[Array, Array]) -> Any:
    wrts: tuple[Wrt, ...] = ("eta", "gamma", "G")
    return tuple(
        None if x is None else _summed(_terms_slope(*weights, *saved, choice, wrt), x)
        for x, wrt in zip(saved, wrts, strict=True)
    )


_curve_of.defvjp(_curve_forward, _curve_backward)
_terms_of.defvjp(_terms_forward, _terms_backward)


def _summed(x: Array, like: Array) -> Array:
    """Add up what was broadcast from the shape of `like`."""
    repeated = [i for i, (n, m) in enumerate(zip(x.shape, like.shape, strict=True)) if n != m]
    return x.sum(axis=repeated, keepdims=True)


# --- derivatives of weighted sums of values, which have none themselves --------------------------


def _slope(
    weights: Array, eta: Array, rate: Array, G: Array, *, choice: Choice, by_norm: bool
) -> Any:
    batch = broadcast_batch(
        weights=weights.shape[:-1], eta=eta.shape[:-1], rate=rate.shape, G=G.shape[:-1]
    )
    result = _result(*batch, eta.shape[-1])
    return _call("slope", result, weights, eta, rate, G, choice=choice, by_norm=by_norm)


def _terms(eta: Array, G: Array, rate: Array | None = None, *, choice: Choice) -> Any:
    return _terms_of(eta, rate, G, choice)


def _free_slope(
    of_distance: Array,
    of_noise: Array,
    eta: Array,
    G: Array,
    rate: Array | None,
    *,
    choice: Choice,
    wrt: Wrt,
) -> Any:
    result = _result(*of_noise.shape[:-1], *(() if wrt == "gamma" else (eta.shape[-1],)))
    rates = () if rate is None else (rate,)
    arrays = (of_distance, of_noise, eta, G, *rates)
    return _call("free_slope", result, *arrays, choice=choice, wrt=wrt)


_CALLS = Calls(jnp, _terms, _slope, _free_slope)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _curve_slope(
    weights: Array, eta: Array, rate: Array, G: Array, choice: Choice, wrt: Wrt
) -> Any:
    return _autodiff.curve_slope(weights, eta, rate, G, choice, wrt, _CALLS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _terms_slope(
    of_distance: Array,
    of_noise: Array,
    eta: Array,
    rate: Array | None,
    G: Array,
    choice: Choice,
    wrt: Wrt,
) -> Any:
    return _autodiff.terms_slope(of_distance, of_noise, eta, rate, G, choice, wrt, _CALLS)


def _slope_backward(*arguments: Any) -> Any:
    raise NotImplementedError(_autodiff.NO_SECOND)


_curve_slope.defvjp(lambda *inputs: (_curve_slope(*inputs), None), _slope_backward)
_terms_slope.defvjp(lambda *inputs: (_terms_slope(*inputs), None), _slope_backward)
