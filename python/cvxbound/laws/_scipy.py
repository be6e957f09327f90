"""The one door to SciPy."""

try:
    from scipy.optimize import least_squares, minimize_scalar, nnls
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "scipy":
        raise
    raise ImportError('fitting needs SciPy: pip install "cvxbound[fit]"') from None

__all__ = ["least_squares", "minimize_scalar", "nnls"]
