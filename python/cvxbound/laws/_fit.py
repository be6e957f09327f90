"""Fitting a loss law to runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._arrays import whole_number
from .._messages import did_you_mean
from ._bootstrap import Linearized, bootstrap, leave_out
from ._bound import Bound
from ._errors import errors
from ._estimate import Estimate, Features, estimate
from ._form import Form
from ._law import LossLaw
from ._observe import Observations, as_runs, describe, observe, warmup_of
from ._published import Annealing, MultiPower, Omega

FORMS: dict[str, Callable[..., Form]] = {
    form.name: form for form in (Bound, Omega, Annealing, MultiPower)
}

_REPLICATES = 200
_EARLY = 1.5  # times the burn-in: how long its end is watched
_MISFIT = 3.0  # times the usual residual, at which the early losses do not follow the law
_LEAST_MISFIT = 3e-3  # relative, below which nobody minds
_LEAST_KEPT = 0.5  # of the losses of every run


def fit(
    runs: object,
    *,
    law: str = "bound",
    burn_in: int | None = None,
    replicates: int = _REPLICATES,
    rng: int | np.random.Generator = 0,
    **options: Any,
) -> LossLaw:
    """Fit a loss law to the logs of training runs.

    Parameters
    ----------
    runs : Run, or a list of them
        Or anything that `cvxbound.logs.load` reads. Relative errors of their losses count. Losses
        that runs share, going on from one stable phase, count once.
    law : {"bound", "omega", "annealing", "multi-power"}, default "bound"
        Which law:

        - ``"bound"``: ``L = C + p a**kappa + q b**mu``, with the distance a and the noise b of a
          bound on the last iterate, for the learning rates that the weights feel (see Notes);
        - ``"omega"``: ``L = C + p a + q b`` of the bound `last` and the learning rates themselves;
        - ``"annealing"``: Tissue, Wang, Wang (arXiv 2408.11029);
        - ``"multi-power"``: Luo et al. (ICLR 2025, arXiv 2503.12811).
    burn_in : int, optional
        Losses up to this step do not count. By default the longest warm-up; and more, as long as
        the early losses are three times farther from the law than the others, 0.3 % at least, and
        half of those of every run are left.
    replicates : int, default 200
        Fits to resampled losses, from which intervals are made, with the errors on runs that were
        left out of a fit; 0 for none of these.
    rng : int or Generator, default 0
        For these.
    **options
        Of ``"bound"``: ``kind`` ("tight", "last", "average"); ``weight_decay`` (0.1) and
        ``weight_rms`` (0.02), numbers or "fit"; ``kappa`` and ``mu``, "fit" or numbers, and
        ``mu="kappa"`` for one exponent; ``norms``, the gradient norms of the bound: "constant",
        "logged", or "power", those that fall with a power nu of the learning rate. Of
        ``"annealing"``: ``decay`` (0.999).

    Returns
    -------
    LossLaw

    Raises
    ------
    ImportError
        SciPy is missing.
    TypeError, ValueError
        An unknown law or option; runs that a law cannot be fitted to (the run, the step, and what
        to do), or fewer losses than the law has numbers.

    Notes
    -----
    With optimisers whose updates have a fixed size, such as AdamW, weights grow with every step and
    shrink by weight decay, and normalised layers turn by the learning rate over their norm: the
    squared norm follows ``n[k+1] = (1 - weight_decay lr[k])**2 n[k] + (lr[k] / weight_rms)**2``,
    and the steps of the bound are ``lr[k] / sqrt(n[k])``. ``weight_decay=0, weight_rms=inf`` makes
    them the learning rates themselves.

    Coefficients are not negative, and are eliminated: only exponents, and what else is to be
    fitted, are searched. Features come from `terms`, a pass over the schedule for each run: twenty
    runs of 72,000 steps take seconds, and minutes where ``weight_decay`` or ``weight_rms`` are
    fitted; replicates take as long again for every few hundred losses. Weights are Huber's.
    docs/forecasts.md has how the laws compare on held-out runs.

    Examples
    --------
    >>> import numpy as np
    >>> import cvxbound as cb
    >>> def run(name, schedule):
    ...     lr, at = 1e-3 * schedule.eta, np.arange(100, 2001, 25)
    ...     a, b = cb.terms(lr, kind="tight", at=at)
    ...     return cb.logs.Run(name, lr, at, 2.5 + 0.9 * a**0.5 + 60 * b)
    >>> runs = [run("cosine", cb.schedules.cosine(2000, warmup=50)),
    ...         run("constant", cb.schedules.constant(2000, warmup=50))]
    >>> law = cb.fit(runs, weight_decay=0, weight_rms=float("inf"), replicates=0)
    >>> {name: round(value, 3) for name, value in law.parameters.items() if name != "q"}
    {'C': 2.5, 'p': 0.9, 'kappa': 0.5, 'mu': 1.0, 'weight_decay': 0.0, 'weight_rms': inf}
    """
    if law not in FORMS:
        raise did_you_mean(law, FORMS, "law")
    form = make_form(law, options)
    observations = observe(as_runs(runs), form)
    if isinstance(replicates, bool) or replicates != 0:
        whole_number(replicates, "replicates")
    chosen = _fitted(form, observations, burn_in)
    kept, found = chosen.observations, chosen.found
    draws, left_out = np.empty((0, form.size)), np.zeros(0)
    if replicates:
        features = Linearized(form, kept.traces, found.values)
        draws = bootstrap(form, kept, features, found, replicates, rng)
        left_out = leave_out(form, kept, features, found)
    return LossLaw(
        form=form,
        values=found.values,
        coefficients=tuple(found.coefficients.tolist()),
        replicates=draws,
        left_out=tuple(left_out.tolist()),
        errors=errors(kept.loss, kept.loss * (1 + found.residuals)),
        runs=tuple(describe(kept)),
        split=kept.runs[0].split,
        burn_in=chosen.burn_in,
    )


def make_form(law: str, options: dict[str, Any]) -> Form:
    """Return a form by its name and options; TypeError for an option that it does not have."""
    form = FORMS[law]
    known = list(form().options())
    for name in options:
        if name not in known:
            raise TypeError(
                f"law {law!r} has no option {name!r}; it has {', '.join(known) or 'none'}"
            )
    return form(**options)


class _Fitted(NamedTuple):
    burn_in: int
    observations: Observations
    found: Estimate


def _fitted(form: Form, observations: Observations, burn_in: int | None) -> _Fitted:
    """Fit with the burn-in that was asked for, or with one that leaves no early misfit."""
    kept_from = _latest(observations)
    if burn_in is not None:
        return _fit_after(form, observations, _given(burn_in, observations))
    cut = min(max(warmup_of(run) for run in observations.runs), kept_from)
    while True:
        fitted = _fit_after(form, observations, cut)
        longer = max(int(_EARLY * cut), int(np.sort(observations.after(cut).step)[0]))
        if longer > kept_from or not _misfits(fitted, longer):
            return fitted
        cut = longer


def _given(burn_in: object, observations: Observations) -> int:
    cut = whole_number(burn_in, "burn_in") if burn_in != 0 else 0
    for run in observations.runs:
        if run.step[-1] <= cut:
            raise ValueError(
                f"burn_in={cut} leaves no loss of run {run.name!r}, whose last is at step "
                f"{run.step[-1]}"
            )
    return cut


def _latest(observations: Observations) -> int:
    """The longest burn-in that leaves half of the losses of every run."""
    return min(
        int(run.step[int((1 - _LEAST_KEPT) * run.step.size)]) - 1 for run in observations.runs
    )


def _misfits(fitted: _Fitted, until: int) -> bool:
    """Whether the law is farther from the early losses than from the others."""
    error = np.abs(fitted.found.residuals)
    early = fitted.observations.step <= until
    if not early.any() or early.all():
        return bool(early.all())
    usual = float(np.median(error[~early]))
    return bool(np.median(error[early]) > max(_MISFIT * usual, _LEAST_MISFIT))


def _fit_after(form: Form, observations: Observations, cut: int) -> _Fitted:
    kept = observations.after(cut)
    if kept.loss.size <= form.size:
        raise ValueError(
            f"law {form.name!r} has {form.size} numbers to fit, and the runs have "
            f"{kept.loss.size} losses after step {cut}: give more runs, or fix parameters"
        )
    found = estimate(form, Features(form, kept.traces), kept.loss, kept.weight)
    return _Fitted(cut, kept, found)
