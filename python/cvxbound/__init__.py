"""What a learning-rate schedule is worth, before the compute is spent.

Bounds on the last iterate of the (stochastic) subgradient method under any learning-rate schedule,
after Schaipp, Hägele, Taylor, Simsekli and Bach (ICML 2025, arXiv 2501.18965):

>>> import cvxbound as cb
>>> schedule = cb.schedules.wsd(100_000, cooldown=0.2, shape="1-sqrt")
>>> best = cb.tune(schedule)
>>> curve = cb.curve(schedule, gamma=best.gamma, at=[1_000, 80_000, 100_000])
"""

from . import logs, reference, schedules, theory
from ._core import __version__
from ._info import info
from ._results import Terms, Tuned
from .bounds import bound, curve, terms, tune
from .extension import Extension, extend
from .gradients import gradient
from .laws import LossLaw, fit, validate
from .optimization import optimize
from .refinement import refine
from .schedules import Schedule
from .sweeps import PlanMismatchError, SweepError, open_sweep, sweep, zip  # noqa: A004
from .transfer import transfer_lr

__all__ = [
    "Extension",
    "LossLaw",
    "PlanMismatchError",
    "Schedule",
    "SweepError",
    "Terms",
    "Tuned",
    "__version__",
    "bound",
    "curve",
    "extend",
    "fit",
    "gradient",
    "info",
    "laws",
    "logs",
    "open_sweep",
    "optimize",
    "reference",
    "refine",
    "schedules",
    "sweep",
    "terms",
    "theory",
    "transfer_lr",
    "tune",
    "validate",
    "zip",
]
