"""What the runs of a fit cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._law import LossLaw

_WIDE = 2.0  # the ends of the interval of an exponent, one over the other
_WIDE_FLOOR = 0.3  # of itself, between the ends of the interval of what is left of the loss
_FEW = 4  # losses for each number that is fitted
_EDGE = 1e-3  # of a range, in which a parameter is at its end
_ZERO = 1e-9  # of a loss: a term that adds less is none


def doubts(law: LossLaw) -> tuple[str, ...]:
    """Return what a law's numbers do not rest on, in words.

    Parameters
    ----------
    law : LossLaw

    Returns
    -------
    tuple of str
    """
    return (*_missing_terms(law), *_at_ends(law), *_wide(law), *_alike(law))


def _missing_terms(law: LossLaw) -> list[str]:
    found = []
    for name, value in zip(law.form.coefficients, law.coefficients, strict=True):
        if value <= _ZERO:
            found.append(
                f"{name} is 0: the runs do not show this term, and what depends on it is a guess"
            )
    return found


def _at_ends(law: LossLaw) -> list[str]:
    found = []
    for each in law.form.free:
        value = law.values[each.name]
        low, high = each.low, each.high
        if each.is_shape and low > 0:
            low, high, value = np.log([low, high, value])
        if value - low < _EDGE * (high - low) or high - value < _EDGE * (high - low):
            found.append(
                f"{each.name} is at the end of its range, {law.values[each.name]:.4g}: the runs "
                "cannot tell it; fix it"
            )
    return found


def _wide(law: LossLaw) -> list[str]:
    """Fitted numbers that replicates do not agree on; amplitudes go with their exponents."""
    if not len(law.replicates):
        return ["what the runs tell was not tested, as there are no replicates"]
    found = []
    ends = law.spread()
    for name in (law.form.coefficients[0], *(each.name for each in law.form.free)):
        low, high = ends[name]
        wide = low <= 0 < high or high > _WIDE * low > 0
        remedy = "fix it, or add runs that differ"
        if name == law.form.coefficients[0]:  # the loss that is left after any number of steps
            wide = high - low > _WIDE_FLOOR * law.parameters[name]
            remedy = "add runs that differ, or longer ones"
        if wide:
            found.append(
                f"{name} may be anything from {low:.3g} to {high:.3g}: the runs hardly tell it; "
                f"{remedy}"
            )
    return found


def _alike(law: LossLaw) -> list[str]:
    found = []
    count = sum(run["losses"] for run in law.runs)
    if count < _FEW * law.form.size:
        found.append(f"{count} losses are few for {law.form.size} numbers")
    if len(law.runs) == 1:
        found.append("there is one run: how other schedules do is not tested by anything")
    if law.lr is not None:
        found.append(
            f"all runs peak at the learning rate {law.lr:g}: losses at others are extrapolated, "
            "and their intervals too narrow"
        )
    if len({run["steps"] for run in law.runs}) == 1:
        found.append(
            f"all runs have {law.runs[0]['steps']} steps: losses of longer ones are extrapolated"
        )
    return found
