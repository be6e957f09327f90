"""The exact worst case of a schedule, by semidefinite programming: a check, not a tool."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from ._arrays import Float, check_range, positive_scalar, real_array

__all__ = ["worst_case"]

_MOST_STEPS = 30
_LARGEST_WEIGHT = 1e3  # of gamma eta G / D; beyond it the solver's digits are lost


def worst_case(eta: ArrayLike, gamma: float = 1.0, *, G: float = 1.0, D: float = 1.0) -> float:
    """Compute the exact worst case of the last iterate: what no analysis can improve upon.

    The largest f(x_T) - f* over all convex functions with subgradients of norm at most G, all their
    subgradients at x_1, ..., x_T, all dimensions, and all x_1 at most D from a minimiser. The bound
    `tight` agrees with it to the solver's digits wherever it has been computed.

    Parameters
    ----------
    eta : array_like (T,) or Schedule
        The schedule, of at most 30 steps. x_T depends on the first T - 1 of them only.
    gamma : float, default 1.0
        Base learning rate.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.

    Returns
    -------
    float
        To about seven digits. Units of loss.

    Raises
    ------
    ImportError
        Without PEPit, the extra ``pep``.
    TypeError, ValueError
        For an `eta` that is not one schedule, is longer than 30 steps, or holds a bad step (its
        index), for a step of gamma eta G > 1000 D, and for scalars that are not positive.
    RuntimeError
        If the solver does not reach its accuracy.

    Notes
    -----
    A semidefinite programme in a matrix of T + 1 rows with T (T + 1) convexity constraints: about
    four seconds at T = 30 and eight times as long for twice the steps. Not for several threads at
    once: PEPit keeps its problem in global variables.

    References
    ----------
    Taylor, Hendrickx, Glineur (arXiv 1512.07516): worst cases of first-order methods.
    Goujaud et al. (arXiv 2201.04040): PEPit, which writes the programme.

    Examples
    --------
    >>> from cvxbound import bound, schedules
    >>> steps = schedules.wsd(5)
    >>> round(worst_case(steps, 0.5), 6)  # doctest: +SKIP
    0.727203
    >>> round(float(bound(steps, 0.5, kind="tight")), 6)
    0.727203
    """
    steps, size = _checked(eta, gamma, G, D)
    try:
        from PEPit import PEP
        from PEPit.functions import ConvexLipschitzFunction
    except ImportError:
        raise ImportError(
            'the exact worst case needs PEPit: pip install "cvxbound[pep]"; '
            'bound(..., kind="tight") agrees with it and does not'
        ) from None
    problem = PEP()
    function = problem.declare_function(ConvexLipschitzFunction, M=1.0)
    best = function.stationary_point()
    x = problem.set_initial_point()
    problem.set_initial_condition((x - best) ** 2 <= 1)
    slope, value = function.oracle(x)
    for step in steps[:-1].tolist():
        x = x - step * slope
        slope, value = function.oracle(x)
    problem.set_performance_metric(value - function(best))
    return size * _solved(problem)


def _checked(eta: ArrayLike, gamma: float, G: float, D: float) -> tuple[Float, float]:
    """Return the steps for D = G = 1, and the unit of the result."""
    steps = real_array(eta, "eta")
    if steps.ndim != 1 or not steps.size:
        raise ValueError(f"eta must be one schedule, of shape (T,) with T >= 1; got {steps.shape}")
    if steps.size > _MOST_STEPS:
        raise ValueError(
            f"eta must have at most {_MOST_STEPS} steps, got {steps.size}: the time of the "
            'semidefinite programme grows as T^3; use bound(..., kind="tight")'
        )
    check_range(steps, "eta", 1e300)
    norm, radius = positive_scalar(G, "G"), positive_scalar(D, "D")
    largest = positive_scalar(gamma, "gamma") * norm / radius
    check_range(steps, "eta", _LARGEST_WEIGHT / largest)
    return steps * largest, norm * radius


def _solved(problem: Any) -> float:
    """Solve by an interior point method; PEPit's own choice is good to three digits only."""
    from cvxpy.error import SolverError

    status = "failed"
    try:
        value = problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)
        status = problem.wrapper.prob.status
    except SolverError as error:
        status = str(error)
    if status != "optimal":
        raise RuntimeError(
            f"the semidefinite solver stopped without an answer ({status}); "
            'use bound(..., kind="tight")'
        )
    return float(value)
