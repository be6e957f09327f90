"""Loss laws built on the two parts of a bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .. import bounds
from .._arrays import positive_scalar
from .._messages import did_you_mean
from ._form import Form, Parameter, Trace, Values
from ._rates import effective_rates

if TYPE_CHECKING:
    from .._arrays import Float, Int

NORMS = ("constant", "logged", "power")
KINDS = ("tight", "last", "average")

_SMALLEST = 1e-9  # of the peak: the learning rate whose norm smaller ones have

Fitted = float | Literal["fit"]


@dataclass(frozen=True)
class Bound(Form):
    """``L = C + p a**kappa + q b**mu``, with the distance a and the noise b of a bound.

    The steps of the bound are the learning rates that weights feel, `effective_rates`.

    Parameters
    ----------
    kind : {"tight", "last", "average"}, default "tight"
        Which bound.
    weight_decay, weight_rms : float or "fit", default 0.1 and 0.02
        As for `effective_rates`.
    kappa, mu : float or "fit", default "fit"
        The exponents; ``mu="kappa"`` for one in both places.
    norms : {"constant", "logged", "power"}, default "constant"
        The gradient norms of the bound; those of "power" are ``lr**-nu``.

    Examples
    --------
    >>> form = Bound(mu=1.0)
    >>> form.size, [each.name for each in form.free]
    (4, ['kappa'])
    """

    name: ClassVar[str] = "bound"
    coefficients: ClassVar[tuple[str, ...]] = ("C", "p", "q")

    kind: str = "tight"
    weight_decay: Fitted = 0.1
    weight_rms: Fitted = 0.02
    kappa: Fitted = "fit"
    mu: Fitted | Literal["kappa"] = "fit"
    norms: str = "constant"

    def __post_init__(self) -> None:
        for what, value, choices in (("kind", self.kind, KINDS), ("norms", self.norms, NORMS)):
            if value not in choices:
                raise did_you_mean(value, choices, what)
        for what in ("kappa", "mu", "weight_rms"):
            self._check(what, ("fit", "kappa") if what == "mu" else ("fit",))
        if self.weight_decay != 0:
            self._check("weight_decay", ("fit",))

    def _check(self, what: str, words: tuple[str, ...]) -> None:
        value: Any = getattr(self, what)
        if isinstance(value, str):
            if value not in words:
                raise did_you_mean(value, words, what)
            return
        if what == "weight_rms" and value == math.inf:
            return
        object.__setattr__(self, what, positive_scalar(value, what))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        def parameter(
            name: str, low: float, high: float, *starts: float, shape: bool = False
        ) -> Parameter:
            value = getattr(self, name)
            return Parameter(name, low, high, starts, None if value == "fit" else value, shape)

        found = [parameter("kappa", 0.02, 4.0, 0.3, 0.6)]
        if self.mu != "kappa":
            found.append(parameter("mu", 0.02, 4.0, 0.5, 1.0))
        found.append(parameter("weight_decay", 1e-4, 10.0, 0.1, shape=True))
        found.append(parameter("weight_rms", 1e-4, 10.0, 0.02, shape=True))
        if self.norms == "power":
            found.append(Parameter("nu", -1.0, 1.0, (0.1,), is_shape=True))
        return tuple(found)

    @property
    def needs_norms(self) -> bool:
        return self.norms == "logged"

    def features(self, trace: Trace, values: Values) -> Float:
        rates = effective_rates(trace.lr, values["weight_decay"], values["weight_rms"])
        norms = None
        if self.norms == "logged":
            norms = trace.norms
        elif self.norms == "power":
            norms = np.maximum(trace.lr, _SMALLEST * trace.lr.max()) ** -values["nu"]
        return terms_of(rates, norms, trace.at, self.kind)

    def columns(self, features: Float, values: Values) -> Float:
        distance, noise = features
        kappa, mu = self.exponents(values)
        return np.stack([np.ones_like(noise), distance**kappa, noise**mu], axis=-1)

    def exponents(self, values: Values) -> tuple[float, float]:
        """Kappa and mu."""
        return values["kappa"], values["kappa" if self.mu == "kappa" else "mu"]


def terms_of(rates: Float, norms: Float | None, at: Int, kind: Any) -> Float:
    """Return distance and noise of a bound, (2, n), as functions of the learning rates alone.

    The last step is free: rho, which stands for it, is that of the least noise, since beside a
    noise of peak rates the distance decides nothing.
    """
    peak = rates.max()
    G: Any = 1.0 if norms is None else norms
    found = bounds.terms(rates / peak, gamma=1.0, G=G, kind=kind, last_step="free", at=at)
    return np.stack([found.distance / peak, found.noise * peak])
