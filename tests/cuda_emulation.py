"""A stand-in for CuPy on NumPy, and the kernels that the processor runs, for tests without a GPU.

Arrays have what the package uses of CuPy's, and refuse what CuPy's refuse: to become a NumPy array
unasked, to be mixed with one, and to be touched while another device is the current one. Memory
that nothing has been written to is not a number.
"""

from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest

import extensions
from cvxbound import _device

# Names the module that CMake builds as `_cuda` with CVXBOUND_CUDA=EMULATED.
VARIABLE = "CVXBOUND_EMULATED_CUDA"


def emulated(monkeypatch):
    """A machine whose GPUs the processor stands for while a test runs, and its CuPy."""
    kernels = extensions.load("cvxbound._cuda", VARIABLE)
    if kernels is None:
        pytest.skip(f"no emulated kernels: {VARIABLE} is not set")
    machine = Machine(kernels)
    cupy = make_cupy(machine)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cvxbound._cuda", machine.recording())
    monkeypatch.setattr(_device, "_tables", {})
    return machine, cupy


class Machine:
    """GPUs, which of them is the current one, and the calls of kernels on them."""

    def __init__(self, kernels, count=2):
        self.kernels = kernels
        self.count = count
        self.current = 0
        self.streams = {}  # of each device, the current one
        self.calls = []  # of kernels: name, device, stream

    def recording(self):
        """The kernels, each call of them remembered."""

        def recorded(name):
            def call(batch, *, stream, **arguments):
                self.calls.append((name, self.current, stream))
                getattr(self.kernels, name)(batch, stream=0, **arguments)

            return call

        names = {name: getattr(self.kernels, name) for name in dir(self.kernels)}
        return types.SimpleNamespace(
            **names | {name: recorded(name) for name in ("terms", "segment_terms")}
        )


class CUDARuntimeError(RuntimeError):
    """What CuPy raises for an error of CUDA."""


def make_cupy(machine):
    """A module to be `cupy` in `sys.modules`."""
    cupy = types.ModuleType("cupy")
    cupy.is_emulated = True

    class Device:
        def __init__(self, number=None):
            self.id = machine.current if number is None else number

        def __enter__(self):
            self.before, machine.current = machine.current, self.id

        def __exit__(self, *_):
            machine.current = self.before

    class Stream:
        def __init__(self, ptr):
            self.ptr = ptr

        def __enter__(self):
            self.before = machine.streams.get(machine.current)
            machine.streams[machine.current] = self

        def __exit__(self, *_):
            machine.streams[machine.current] = self.before

        def synchronize(self):
            pass

    def get_current_stream():
        return machine.streams.get(machine.current) or Stream(0)

    class ndarray:  # noqa: N801
        __array_ufunc__ = None

        def __init__(self, values):
            self._values, self.device = np.asarray(values), Device()

        def __array__(self, *_, **__):
            raise TypeError("Implicit conversion to a NumPy array is not allowed.")

        def __getitem__(self, index):
            return ndarray(unwrap(self)[tuple(map(unwrap, as_tuple(index)))])

        def __setitem__(self, index, value):
            unwrap(self)[tuple(map(unwrap, as_tuple(index)))] = unwrap(value)

        def __bool__(self):
            return bool(unwrap(self))

        def __float__(self):
            return float(unwrap(self))

        def __str__(self):
            return str(unwrap(self))

        def __format__(self, spec):
            return format(unwrap(self), spec)

        @property
        def data(self):
            return types.SimpleNamespace(ptr=self._values.ctypes.data if self.size else 0)

        def get(self):
            return unwrap(self).copy()

    def as_tuple(index):
        return index if isinstance(index, tuple) else (index,)

    def unwrap(x):
        """NumPy's array of one of the current device, or a scalar as it is."""
        if isinstance(x, ndarray):
            assert x.device.id == machine.current, "an array of another device than the current one"
            return x._values
        if isinstance(x, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        return x

    def wrap(x):
        return ndarray(x) if isinstance(x, (np.ndarray, np.generic)) else x

    def silent(function):
        """A function of NumPy for arrays of a device; like CUDA, it warns of nothing."""

        def call(*arguments, **options):
            plain = [list(map(unwrap, x)) if isinstance(x, list) else unwrap(x) for x in arguments]
            with np.errstate(all="ignore"):
                result = function(*plain, **{name: unwrap(x) for name, x in options.items()})
            return options["out"] if "out" in options else wrap(result)

        return call

    operators = ["add", "sub", "mul", "truediv", "pow", "gt", "ge", "lt", "le", "eq", "and"]
    names = [f"__{name}__" for name in operators]
    names += [f"__r{name}__" for name in operators[:4]]
    names += ["all", "any", "astype", "flatten", "max", "min", "reshape", "sum"]
    for name in names:
        setattr(ndarray, name, silent(getattr(np.ndarray, name)))

    def in_place(method):
        def call(self, other):
            silent(method)(self, other)
            return self

        return call

    for name in ("__iadd__", "__isub__", "__imul__", "__itruediv__"):
        setattr(ndarray, name, in_place(getattr(np.ndarray, name)))
    for name in ("shape", "ndim", "size", "dtype"):
        setattr(ndarray, name, property(lambda self, name=name: getattr(self._values, name)))

    def asarray(x, dtype=None, order=None):
        if not isinstance(x, ndarray):  # a copy to the device
            return ndarray(np.array(x, dtype=dtype, order=order))
        values = np.asarray(unwrap(x), dtype=dtype, order=order)
        return x if values is x._values else ndarray(values)

    def empty(shape, dtype):
        size = np.dtype(dtype).itemsize * math.prod(np.atleast_1d(shape).tolist())
        raw = np.full(size + 256, 0xFF, np.uint8)
        start = -raw.ctypes.data % 256
        return ndarray(raw[start : start + size].view(dtype).reshape(shape))

    for name in [
        *("arange", "array", "broadcast_to", "copyto", "cumsum", "isnan", "ldexp", "moveaxis"),
        *("multiply", "ones", "sqrt", "stack", "take", "where", "zeros_like"),
    ]:
        setattr(cupy, name, silent(getattr(np, name)))
    ndarray.__module__ = "cupy"
    cupy.ndarray, cupy.asarray, cupy.empty = ndarray, asarray, empty
    cupy.asnumpy = lambda x: x.get() if isinstance(x, ndarray) else np.asarray(x)

    def device_count():
        if not machine.count:
            raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return machine.count

    def properties(device):
        return {"name": b"Stand-in", "totalGlobalMem": 80 << 30, "major": 9, "minor": device}

    runtime = types.SimpleNamespace(
        getDeviceCount=device_count,
        getDeviceProperties=properties,
        CUDARuntimeError=CUDARuntimeError,
    )
    cupy.cuda = types.SimpleNamespace(
        Device=Device, Stream=Stream, get_current_stream=get_current_stream, runtime=runtime
    )
    return cupy
