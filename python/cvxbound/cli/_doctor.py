"""Whether this installation computes what it should, and what it could use."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _device, bounds, info, schedules, theory

if TYPE_CHECKING:
    from .._info import Info

_TOLERANCE = 1e-12
_STEPS = 100_000


class Package(NamedTuple):
    """A package that something needs: its version, None where it is missing, and the extra."""

    name: str
    version: str | None
    extra: str | None


class Check(NamedTuple):
    """A value that is known."""

    name: str
    expected: float
    found: float

    @property
    def ok(self) -> bool:
        """Whether it was found."""
        return abs(self.found / self.expected - 1) <= _TOLERANCE


@dataclass(frozen=True)
class Diagnosis:
    """What `cvxbound doctor` found."""

    info: Info
    python: str
    platform: str
    packages: tuple[Package, ...]
    checks: tuple[Check, ...]
    missing_for_gpu: str | None  # None where nothing is

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)


def diagnose() -> Diagnosis:
    """Look at the installation and check a few values."""
    return Diagnosis(
        info=info(),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=_packages(),
        checks=_checks(),
        missing_for_gpu=_device.missing(),
    )


def _checks() -> tuple[Check, ...]:
    """Values in closed form: of both walks, of a search over the last step, of the averages."""
    constant, wsd = schedules.constant(_STEPS), schedules.wsd(_STEPS, cooldown=0.2)
    return (
        Check(
            "constant schedule, last: harmonic numbers",
            _tuned(theory.constant_terms(_STEPS)),
            float(bounds.tune(constant).omega),
        ),
        Check(
            "wsd, last: harmonic numbers",
            _tuned(theory.wsd_terms(_STEPS, _STEPS - _STEPS // 5 + 1)),
            float(bounds.tune(wsd).omega),
        ),
        Check(
            "optimal steps, tight: D G / sqrt(T)",
            theory.optimal_bound(_STEPS, kind="tight"),
            float(bounds.bound(theory.optimal_steps(_STEPS, kind="tight"), kind="tight")),
        ),
        Check(
            "constant schedule, average: D G / sqrt(T)",
            theory.optimal_bound(_STEPS, kind="average"),
            float(bounds.tune(constant, kind="average").omega),
        ),
    )


def _tuned(terms: tuple[float | np.ndarray, float | np.ndarray]) -> float:
    return float(2 * np.sqrt(terms[0] * terms[1]))


def _packages() -> tuple[Package, ...]:
    """Look up what the package requires, from its own metadata."""
    found = []
    for requirement in importlib.metadata.requires("cvxbound") or ():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"](.+?)['\"]", requirement)
        if name and name[0] != "cvxbound":  # one extra that asks for others
            found.append(Package(name[0], _version(name[0]), extra[1] if extra else None))
    return tuple(found)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
