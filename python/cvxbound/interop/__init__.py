"""Schedules from other tools and for other tools: one module for each.

What users call is in `cvxbound.schedules` (``from_torch``, ``from_config``, ...) and on a
`Schedule` (``to_torch``, ``to_config``, ...). No tool is imported before it is needed.
"""

from ._configs import from_config
from ._functions import from_callable, from_keras, from_timm
from ._hf import from_hf
from ._optax import from_optax
from ._torch import from_torch

__all__ = [
    "from_callable",
    "from_config",
    "from_hf",
    "from_keras",
    "from_optax",
    "from_timm",
    "from_torch",
]
