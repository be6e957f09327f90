"""OLMo-core: the schedulers of ``olmo_core.optim``.

The first step is step 1 of a schedule that would be at its start at step 0, and the last one is at
its end: a `WSD` decays to a last learning rate of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .._arrays import Float
from .._segments import Form, Segment
from ._curves import decay, line
from ._phases import Phases, absolute
from ._settings import Settings

TITLE = "OLMo-core"
FORMAT = "assignments"
GROUPS: tuple[str, ...] = ("scheduler", "optim", "trainer")
ABSOLUTE: tuple[str, ...] = ("lr", "warmup_min_lr", "decay_min_lr", "start_lr", "end_lr")
SETTINGS: tuple[str, ...] = (
    "type",
    "lr",
    "max_steps",
    "units",
    "warmup",
    "warmup_steps",
    "warmup_fraction",
    "warmup_min_lr",
    "decay",
    "decay_steps",
    "decay_fraction",
    "decay_min_lr",
    "alpha_f",
    "t_max",
    "b",
    "period_lengths",
    "period_lr_multipliers",
    "stages",
    "override_decay",
)
CLASSES = {
    "constant": "ConstantScheduler",
    "constant_with_warmup": "ConstantWithWarmup",
    "wsd": "WSD",
    "wsds": "WSDS",
    "power_lr": "PowerLR",
    "linear_with_warmup": "LinearWithWarmup",
    "inv_sqrt_with_warmup": "InvSqrtWithWarmup",
    "cos_with_warmup": "CosWithWarmup",
    "half_cos_with_warmup": "HalfCosWithWarmup",
    "cos_with_warmup_and_linear_decay": "CosWithWarmupAndLinearDecay",
    "composable": "ComposableScheduler",
}
WRITES: tuple[str, ...] = ("linear", "cosine", "inverse_sqrt")
_NAMES = {theirs: name for name, theirs in CLASSES.items()}
_LINES = {Form.CONSTANT: "linear", Form.LINEAR: "linear", Form.COSINE: "cosine"}


class _Given:
    """What the formulas of OLMo-core's schedulers are made of."""

    def __init__(self, settings: Settings, steps: int) -> None:
        if settings.choice("units", ("steps", "tokens"), "steps") == "tokens":
            raise settings.error("units are tokens; give lengths in steps, and units='steps'")
        self.settings = settings
        self.run = settings.count("max_steps", steps)
        self.lr = settings.number("lr", 1.0)
        self.total = settings.count("t_max", self.run)
        self.final = settings.number("alpha_f", 0.1) * self.lr
        self.bottom = settings.number("decay_min_lr", 0.0)

    def length(self, what: str, of: int, default: float | None = None) -> int:
        """Of the warm-up or the decay, in steps; a fraction is rounded to the nearest."""
        for name in (what, f"{what}_steps"):
            if self.settings.get(name) is not None:
                return self.settings.count(name)
        if self.settings.get(f"{what}_fraction", default) is None:
            raise self.settings.error(f"one of {what} and {what}_fraction is needed")
        share = self.settings.number(f"{what}_fraction", default)
        if share > 1:
            raise self.settings.error(f"{what}_fraction must be at most 1, got {share}")
        return round(of * share)

    def ramp(self, t: Float, warmup: int, top: float) -> Float:
        """The warm-up, which goes on after its end."""
        return line(t, warmup, self.settings.number("warmup_min_lr", 0.0), top)


def learning_rates(settings: Settings, asked: int | None) -> Float:
    """The learning rate of each step."""
    steps = settings.steps(asked, "max_steps")
    name = str(settings.get("type", "wsd"))
    name = _NAMES.get(name, name)
    settings.used["type"] = name
    settings.choice("type", CLASSES)
    return _FORMULAS[name](_Given(settings, steps), np.arange(1.0, steps + 1))


def _constant(given: _Given, t: Float) -> Float:
    return np.full(t.size, given.lr)


def _constant_with_warmup(given: _Given, t: Float) -> Float:
    warmup = given.length("warmup", given.run)
    return np.where(t <= warmup, given.ramp(t, warmup, given.lr), given.lr)


def _tail(given: _Given, t: Float, start: float, rates: Float) -> Float:
    """The linear decay of the last steps."""
    span = given.length("decay", given.run, 0.1)
    tail = decay(t - (given.run - span), span, "linear", start, given.bottom)
    return np.where(t >= given.run - span, tail, rates)


def _wsd(given: _Given, t: Float) -> Float:
    warmup = given.length("warmup", given.run)
    rates = _tail(given, t, given.lr, np.full(t.size, given.lr))
    return np.where(t <= warmup, given.ramp(t, warmup, given.lr), rates)


def _wsds(given: _Given, t: Float) -> Float:
    periods = given.settings.counts("period_lengths")
    peaks = [1.0] * len(periods)
    if given.settings.get("period_lr_multipliers") is not None:
        peaks = given.settings.numbers("period_lr_multipliers")
    if len(peaks) != len(periods):
        raise given.settings.error(
            f"there are {len(peaks)} period_lr_multipliers for {len(periods)} period_lengths"
        )
    warmup = given.length("warmup", periods[0])
    for number, period in enumerate(periods, 1):
        needed = given.length("decay", period) + (warmup if number == 1 else 0)
        if needed > period:
            raise given.settings.error(
                f"period {number} has {period} steps, of which warm-up and decay need {needed}"
            )
    rates = np.full(t.size, given.bottom)
    end = sum(periods)
    for period, peak in zip(reversed(periods), reversed(peaks), strict=True):
        span = given.length("decay", period)
        rates = np.where(
            (t <= end) & (t < sum(periods)),
            decay(t - (end - span), span, "linear", peak * given.lr, given.bottom),
            rates,
        )
        end -= period
    return np.where(t < warmup, given.ramp(t, warmup, peaks[0] * given.lr), rates)


def _power_lr(given: _Given, t: Float) -> Float:
    warmup, b = given.length("warmup", given.run), given.settings.get("b", -0.51)
    body = given.lr * (np.maximum(t, 1) / max(warmup, 1)) ** b
    span = given.length("decay", given.run, 0.1)
    start = given.lr * ((given.run - span) / max(warmup, 1)) ** b
    return np.where(t <= warmup, given.ramp(t, warmup, given.lr), _tail(given, t, start, body))


def _annealed(shape: str) -> Callable[[_Given, Float], Float]:
    def rates(given: _Given, t: Float) -> Float:
        warmup = given.length("warmup", given.total)
        fall = decay(t - warmup, given.total - warmup, shape, given.lr, given.final)
        return np.where(t < warmup, given.ramp(t, warmup, given.lr), fall)

    return rates


def _half_cosine(given: _Given, t: Float) -> Float:
    warmup = given.length("warmup", given.total)
    rest = given.total - warmup
    fall = decay(t - warmup + rest, 2 * rest, "cosine", given.lr, given.final)
    half = given.final + (given.lr - given.final) / 2
    return np.where(t < warmup, given.ramp(t, warmup, half), fall)


def _cosine_and_decay(given: _Given, t: Float) -> Float:
    cosine = _annealed("cosine")
    start = float(cosine(given, np.array([given.run - given.length("decay", given.run, 0.1)]))[0])
    return _tail(given, t, start, cosine(given, t))


def _inverse_sqrt(given: _Given, t: Float) -> Float:
    warmup = given.length("warmup", given.run)
    fall = given.final + (given.lr - given.final) * np.sqrt(warmup / t)
    return np.where(t < warmup, given.ramp(t, warmup, given.lr), fall)


def _composable(given: _Given, t: Float) -> Float:
    rates = _staged(given, t)
    if given.settings.get("override_decay") is None:
        return rates
    late = _part("override_decay of olmo", given.settings.get("override_decay"))
    begin = late.count("start")
    start = float(_staged(given, np.array([float(begin)]))[0])
    return np.where(t >= begin, _fall(given, late, t - begin, start), rates)


def _staged(given: _Given, t: Float) -> Float:
    rates = np.full(t.size, given.lr)
    begin, level = 0, given.lr
    for number, each in enumerate(given.settings.sequence("stages"), 1):
        stage = _part(f"stage {number} of olmo", each)
        start = _level(given, stage, "start", level)
        rates = np.where(t >= begin, _fall(given, stage, t - begin, start), rates)
        begin, level = begin + stage.count("duration"), _level(given, stage, "end")
    return rates


def _part(name: str, given: Mapping[str, Any]) -> Settings:
    """The settings of a stage, or of the decay that takes its place."""
    ends = ("start_lr", "start_lr_fraction", "end_lr", "end_lr_fraction")
    return Settings(name, given, ("start", "duration", "shape", *ends))


def _fall(given: _Given, part: Settings, done: Float, start: float) -> Float:
    shape = part.choice("shape", ("linear", "cosine"), "linear")
    return decay(done, part.count("duration"), shape, start, _level(given, part, "end"))


def _level(given: _Given, part: Settings, which: str, default: float | None = None) -> float:
    """The learning rate at the start or the end."""
    if part.get(f"{which}_lr") is not None:
        return part.number(f"{which}_lr")
    if part.get(f"{which}_lr_fraction") is not None:
        return given.lr * part.number(f"{which}_lr_fraction")
    if default is None:
        raise part.error(f"one of {which}_lr and {which}_lr_fraction is needed")
    return default


_FORMULAS: Mapping[str, Callable[[_Given, Float], Float]] = {
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "wsd": _wsd,
    "wsds": _wsds,
    "power_lr": _power_lr,
    "linear_with_warmup": _annealed("linear"),
    "inv_sqrt_with_warmup": _inverse_sqrt,
    "cos_with_warmup": _annealed("cosine"),
    "half_cos_with_warmup": _half_cosine,
    "cos_with_warmup_and_linear_decay": _cosine_and_decay,
    "composable": _composable,
}


def candidates(phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
    """Settings that may do, the best ones first."""
    shared: dict[str, Any] = {} if lr is None else {"lr": lr}
    shared["max_steps"] = phases.steps
    if phases.plain:
        for each in _plain(phases, lr):
            yield shared | each
    if all(each.form in _LINES for each in phases.segments):
        yield shared | {"type": "composable", "stages": _stages(phases)}


def _plain(phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
    """A scheduler of its own for the usual phases; its step t is one further than the schedule."""
    for warmup in dict.fromkeys((phases.warmup + 1, phases.warmup)):
        ramp = {"warmup": warmup}
        if phases.shape is None:
            yield (
                {"type": "constant_with_warmup"} | ramp if phases.warmup else {"type": "constant"}
            )
        elif phases.shape == "inverse_sqrt":
            yield {"type": "inv_sqrt_with_warmup"} | ramp | {"alpha_f": 0.0}
        elif phases.whole:
            name = "linear_with_warmup" if phases.shape == "linear" else "cos_with_warmup"
            end = {} if phases.end + 1 == phases.steps else {"t_max": phases.end + 1}
            yield {"type": name} | ramp | end | {"alpha_f": phases.final}
        elif phases.shape == "linear" and phases.end + 1 >= phases.steps:
            span = phases.steps - 1 - phases.hold
            bottom = phases.final + (1 - phases.final) * (1 - span / phases.span)
            if span and not (bottom and lr is None):
                least = {"decay_min_lr": absolute(bottom, lr, TITLE)} if bottom else {}
                yield {"type": "wsd"} | ramp | {"decay": span, "decay_fraction": None} | least


def _stages(phases: Phases) -> list[dict[str, Any]]:
    """A stage for each segment, after one for the step 0 that is never taken."""
    first = float(phases.segments[0].values()[0])
    stages: list[dict[str, Any]] = [
        {"duration": 1, "start_lr_fraction": first, "end_lr_fraction": first}
    ]
    for segment in phases.segments:
        start, end, duration = _ends(segment)
        stages.append(
            {
                "duration": duration,
                "shape": _LINES[Form(int(segment.form))],
                "start_lr_fraction": start,
                "end_lr_fraction": end,
            }
        )
    return stages


def _ends(segment: Segment) -> tuple[float, float, int]:
    """The ratio at the first step of a segment, at the step after its last, and its length."""
    if segment.form == Form.CONSTANT:
        return float(segment.start), float(segment.start), int(segment.steps)
    if segment.form == Form.COSINE:  # a stage has to be all of one
        return float(segment.start), float(segment.end), int(segment.span)
    share = np.array([segment.first, segment.first + segment.steps]) / segment.span
    start, end = segment.start + (segment.end - segment.start) * share
    return float(start), float(end), int(segment.steps)
