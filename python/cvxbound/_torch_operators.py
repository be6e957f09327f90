"""What `cvxbound.torch` adds to PyTorch: operators, and how they are differentiated.

The operators are plain ones of a library, which compilers see and do not look into; functions of
autograd call them. Operators with an autograd formula of their own would be shorter, and fail
under `torch.func.grad`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import _autodiff, _device
from ._autodiff import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LIBRARY = torch.library.Library("cvxbound", "DEF")
_INPUTS = "Tensor eta, Tensor rate, Tensor G"  # of one rank; the rate is gamma / D
_CHOICE = "Tensor? at, str kind, str last_step"


def _operator(schema: str, shapes: Callable[..., Any]) -> Callable[[Any], Any]:
    """Define an operator by what follows, for CPUs and GPUs; `shapes` makes its empty results."""

    def define(implementation: Any) -> Any:
        name = schema.partition("(")[0]
        _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
        for device in ("CPU", "CUDA"):
            _LIBRARY.impl(name, implementation, device)
        operator = getattr(torch.ops.cvxbound, name).default
        torch.library.register_fake(operator, shapes, lib=_LIBRARY)
        torch.library.register_vmap(operator, _mapped(operator), lib=_LIBRARY)
        return operator

    return define


def _mapped(operator: Any) -> Callable[..., Any]:
    """Tensors have as many batch axes each: under vmap one more comes first."""
    is_batched = [
        each.name != "at" and isinstance(each.type, (torch.TensorType, torch.OptionalType))
        for each in operator._schema.arguments
    ]

    def mapped(info: Any, axes: tuple[int | None, ...], *arguments: Any) -> Any:
        led = [
            x if x is None or not leads else x[None] if axis is None else x.movedim(axis, 0)
            for x, axis, leads in zip(arguments, axes, is_batched, strict=True)
        ]
        found = operator(*led)
        return found, (0, 0) if isinstance(found, tuple) else 0

    return mapped


# --- where tensors are computed with -------------------------------------------------------------


class _Place(NamedTuple):
    """How tensors become arrays of NumPy or CuPy, and back."""

    array: Callable[[Tensor], Any]
    tensor: Callable[[Any], Tensor]


@contextlib.contextmanager
def _place_of(eta: Tensor) -> Iterator[_Place]:
    """The host, or a GPU and its current stream; tensors and arrays share their memory."""
    if not eta.is_cuda:
        yield _Place(_host, _contiguous)
        return
    cupy = _device.cupy()
    stream = torch.cuda.current_stream(eta.device).cuda_stream
    with cupy.cuda.Device(eta.device.index), cupy.cuda.ExternalStream(stream):
        yield _Place(
            lambda x: cupy.from_dlpack(x.detach()),
            lambda x: torch.from_dlpack(cupy.ascontiguousarray(x)),
        )


def _host(x: Tensor) -> Any:
    return x.detach().cpu().numpy()


def _contiguous(x: Any) -> Tensor:
    """The tensor of an array, laid out in memory as compilers are told that it is."""
    return torch.from_numpy(np.asarray(x, order="C"))


def _choice(at: Tensor | None, kind: Any, last_step: Any) -> Choice:
    return Choice(kind, last_step, None if at is None else at.numpy())


# --- values --------------------------------------------------------------------------------------


def _empty_curve(eta: Tensor, rate: Tensor, G: Tensor, at: Tensor | None, *choice: str) -> Tensor:
    batch = torch.broadcast_shapes(eta.shape[:-1], rate.shape, G.shape[:-1])
    return eta.new_empty((*batch, eta.shape[-1] if at is None else at.shape[0]))


def _empty_terms(
    eta: Tensor, rate: Tensor | None, G: Tensor, at: Tensor | None, *choice: str
) -> tuple[Tensor, Tensor]:
    empty = _empty_curve(eta, eta[..., 0] if rate is None else rate, G, at)
    return empty, torch.empty_like(empty)


@_operator(f"curve({_INPUTS}, {_CHOICE}) -> Tensor", _empty_curve)
def _curve(eta: Tensor, rate: Tensor, G: Tensor, *choice: Any) -> Tensor:
    with _place_of(eta) as place:
        gamma, norm = place.array(rate), place.array(G)
        return place.tensor(_autodiff.curve(place.array(eta), gamma, norm, choice=_choice(*choice)))


@_operator(
    f"terms(Tensor eta, Tensor? rate, Tensor G, {_CHOICE}) -> (Tensor, Tensor)", _empty_terms
)
def _terms(eta: Tensor, rate: Tensor | None, G: Tensor, *choice: Any) -> tuple[Tensor, Tensor]:
    with _place_of(eta) as place:
        gamma = None if rate is None else place.array(rate)
        found = _autodiff.terms(place.array(eta), place.array(G), gamma, choice=_choice(*choice))
        distance, noise = map(place.tensor, found)
        return distance, noise


# --- derivatives, of weighted sums of values: the host computes them -----------------------------


def _empty_curve_slope(
    weights: Tensor, eta: Tensor, rate: Tensor, G: Tensor, at: Tensor | None, *choice: str
) -> Tensor:
    batch = torch.broadcast_shapes(weights.shape[:-1], eta.shape[:-1], rate.shape, G.shape[:-1])
    return eta.new_empty(batch if choice[-1] == "gamma" else (*batch, eta.shape[-1]))


def _empty_terms_slope(of_distance: Tensor, of_noise: Tensor, eta: Tensor, *choice: Any) -> Tensor:
    batch = of_distance.shape[:-1]
    return eta.new_empty(batch if choice[-1] == "gamma" else (*batch, eta.shape[-1]))


@_operator(
    f"curve_slope(Tensor weights, {_INPUTS}, {_CHOICE}, str wrt) -> Tensor", _empty_curve_slope
)
def _curve_slope(
    weights: Tensor,
    eta: Tensor,
    rate: Tensor,
    G: Tensor,
    at: Any,
    kind: str,
    last_step: str,
    wrt: Any,
) -> Tensor:
    choice = _choice(at, kind, last_step)
    found = _autodiff.curve_slope(_host(weights), _host(eta), _host(rate), _host(G), choice, wrt)
    return _contiguous(found).to(eta.device)


@_operator(
    "terms_slope(Tensor of_distance, Tensor of_noise, Tensor eta, Tensor? rate, Tensor G, "
    f"{_CHOICE}, str wrt) -> Tensor",
    _empty_terms_slope,
)
def _terms_slope(
    of_distance: Tensor,
    of_noise: Tensor,
    eta: Tensor,
    rate: Tensor | None,
    G: Tensor,
    at: Any,
    kind: str,
    last_step: str,
    wrt: Any,
) -> Tensor:
    choice = _choice(at, kind, last_step)
    gamma = None if rate is None else _host(rate)
    found = _autodiff.terms_slope(
        _host(of_distance), _host(of_noise), _host(eta), gamma, _host(G), choice, wrt
    )
    return _contiguous(found).to(eta.device)


# --- autograd ------------------------------------------------------------------------------------


class _Function(torch.autograd.Function):
    """What the functions share: vmap maps their operators."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *tensors, ctx.kind, ctx.last_step = inputs
        ctx.save_for_backward(*tensors)


class CurveOf(_Function):
    """Bounds (*batch, horizons) of eta, gamma / D, G, at, kind and last_step."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return _curve(*inputs)

    @staticmethod
    def backward(ctx: Any, weights: Tensor) -> Any:
        saved = ctx.saved_tensors

        def slope(index: int, wrt: str) -> Tensor | None:
            if not ctx.needs_input_grad[index]:
                return None
            found: Tensor = _derivative(_CurveSlope, _curve_slope)(
                weights, *saved, ctx.kind, ctx.last_step, wrt
            )
            return found.sum_to_size(saved[index].shape)

        return slope(0, "eta"), slope(1, "gamma"), slope(2, "G"), None, None, None


class TermsOf(_Function):
    """Distance and noise (*batch, horizons) of what `CurveOf` takes; the rate may be None."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return _terms(*inputs)

    @staticmethod
    def backward(ctx: Any, of_distance: Tensor, of_noise: Tensor) -> Any:
        saved = ctx.saved_tensors

        def slope(index: int, wrt: str) -> Tensor | None:
            if not ctx.needs_input_grad[index]:
                return None
            weights = (of_distance, of_noise)
            found: Tensor = _derivative(_TermsSlope, _terms_slope)(
                *weights, *saved, ctx.kind, ctx.last_step, wrt
            )
            return found.sum_to_size(saved[index].shape)

        return slope(0, "eta"), slope(1, "gamma"), slope(2, "G"), None, None, None


def _derivative(function: type[_Slope], operator: Any) -> Callable[..., Tensor]:
    """What backward calls; compilers allow no function within, and no second derivative either."""
    return operator if torch.compiler.is_compiling() else function.apply  # type: ignore[no-any-return]


class _Slope(torch.autograd.Function):
    """A derivative, which has none."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> Any:
        raise NotImplementedError(_autodiff.NO_SECOND)


class _CurveSlope(_Slope):
    @staticmethod
    def forward(*inputs: Any) -> Any:
        return _curve_slope(*inputs)


class _TermsSlope(_Slope):
    @staticmethod
    def forward(*inputs: Any) -> Any:
        return _terms_slope(*inputs)
