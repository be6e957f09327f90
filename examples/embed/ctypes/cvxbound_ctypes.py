"""cvxbound by its C functions, from Python without NumPy: a pattern for any language that calls C.

Usage: python cvxbound_ctypes.py LIBRARY, the path of libcvxbound.
"""

import ctypes
import sys

Double = ctypes.c_double
DoublePointer = ctypes.POINTER(Double)
Horizon = ctypes.c_int64


class Schedules(ctypes.Structure):
    """The struct cvxbound_schedules."""

    _fields_ = [
        ("eta", DoublePointer),
        ("rows", ctypes.c_int64),
        ("steps", ctypes.c_int64),
        ("norm", DoublePointer),
        ("norm_rows", ctypes.c_int64),
        ("norm_steps", ctypes.c_int64),
    ]


class Options(ctypes.Structure):
    """The struct cvxbound_options."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("kind", ctypes.c_int32),
        ("last_step", ctypes.c_int32),
        ("method", ctypes.c_int32),
        ("nthreads", ctypes.c_int32),
        ("rtol", Double),
        ("D", Double),
    ]


def load(path):
    """Open the library and declare its functions."""
    library = ctypes.CDLL(path)
    inputs = [ctypes.POINTER(Schedules), DoublePointer]
    at = [ctypes.POINTER(Horizon), ctypes.c_int64]
    options = ctypes.POINTER(Options)
    library.cvxbound_version.restype = ctypes.c_char_p
    library.cvxbound_strerror.restype = ctypes.c_char_p
    library.cvxbound_default_options.argtypes = [options, ctypes.c_size_t]
    library.cvxbound_bound.argtypes = [*inputs, options, DoublePointer]
    library.cvxbound_curve.argtypes = [*inputs, *at, options, DoublePointer]
    library.cvxbound_terms.argtypes = [*inputs, *at, options, DoublePointer, DoublePointer]
    library.cvxbound_tune.argtypes = [inputs[0], *at, options, DoublePointer, DoublePointer]
    library.cvxbound_gradient.argtypes = [
        *inputs, *at, DoublePointer, options, DoublePointer, DoublePointer,
    ]  # fmt: skip
    return library


def main(path):
    """Print the bound after every step of a short linear decay."""
    library = load(path)
    steps = 10
    eta = (Double * steps)(*(1 - i / steps for i in range(steps)))
    omega = (Double * steps)()
    schedule = Schedules(eta, 1, steps)
    status = library.cvxbound_curve(schedule, Double(0.5), None, 0, None, omega)
    if status:
        raise SystemExit(library.cvxbound_strerror(status).decode())
    print(*omega, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
