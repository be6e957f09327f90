"""What this installation is and what it runs on."""

from __future__ import annotations

import importlib.util
from typing import TypedDict

from . import _core, _device
from ._device import Gpu


class Info(TypedDict):
    """Facts about the installation; see `info`."""

    version: str
    isa: str
    isas: list[str]
    threads: int
    cuda: str | None
    jax_ffi: bool
    devices: list[Gpu]


def info() -> Info:
    """Version, instruction set, threads and CUDA of this installation.

    Returns
    -------
    dict
        ``version``; ``isa``: instruction set in use (the best one available, or the one named by
        ``CVXBOUND_FORCE_ISA``); ``isas``: those available; ``threads``: how many are used by
        default (``CVXBOUND_NUM_THREADS``, or the processors this process may run on); ``cuda``:
        the CUDA version the package was built with, None for a build without; ``jax_ffi``: whether
        it was built with functions that XLA calls (docs/autodiff.md); ``devices``: the
        GPUs that CuPy finds, of each its ``name``, ``memory`` in bytes and
        ``compute_capability``. CuPy is imported for it where it is installed, and the driver
        started, but no memory of a GPU taken. A process that is forked after that cannot use a
        GPU: start it with ``spawn``.

    Raises
    ------
    ValueError
        Where one of the two environment variables names something impossible.

    Examples
    --------
    >>> import cvxbound as cb
    >>> cb.info()["isa"] in cb.info()["isas"]
    True
    """
    return {
        "version": _core.__version__,
        "isa": _core.active_isa(),
        "isas": _core.available_isas(),
        "threads": _core.default_threads(),
        "cuda": _device.built_with(),
        "jax_ffi": importlib.util.find_spec("cvxbound._jax_ffi") is not None,
        "devices": _device.gpus(),
    }
