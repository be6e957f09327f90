"""Loss laws: fitted to training logs, they predict the loss of other schedules.

A law takes the learning rates of a run and gives its loss at every step. The one built on the bound
is `Bound`; those of other authors are fitted in the same way, to compare.
"""

from ._bound import Bound
from ._errors import errors
from ._file import load
from ._fit import FORMS, fit
from ._form import Form, Parameter, Trace
from ._groups import family
from ._law import BestRate, LossLaw, Prediction
from ._published import Annealing, MultiPower, Omega
from ._rates import effective_rates
from ._validate import Validation, score, validate

__all__ = [
    "FORMS",
    "Annealing",
    "BestRate",
    "Bound",
    "Form",
    "LossLaw",
    "MultiPower",
    "Omega",
    "Parameter",
    "Prediction",
    "Trace",
    "Validation",
    "effective_rates",
    "errors",
    "family",
    "fit",
    "load",
    "score",
    "validate",
]
