"""From the settings of a tool to a schedule, and from a schedule to settings."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._arrays import Float, positive_scalar
from .._decay import fraction_left
from .._messages import counted, did_you_mean
from . import _hf, _maxtext, _megatron, _nanotron, _olmo, _text, _torchtitan
from ._common import LastStep, checked, imported
from ._phases import Phases, phases
from ._settings import Settings
from ._tools import Tool, WritableTool

if TYPE_CHECKING:
    from .._schedule import Schedule

Written = Literal["hf", "torchtitan", "megatron", "olmo", "maxtext"]
_WRITTEN: Mapping[str, WritableTool] = {
    "hf": _hf,
    "torchtitan": _torchtitan,
    "megatron": _megatron,
    "olmo": _olmo,
    "maxtext": _maxtext,
}
_TOOLS: Mapping[str, Tool] = {**_WRITTEN, "nanotron": _nanotron}
_ANY_PHASES = ("olmo",)  # whose stages take any number of them
_TABLES = "to_torch and to_optax take any schedule"


def from_config(
    tool: str,
    cfg: Mapping[str, Any] | str,
    steps: int | None = None,
    *,
    last_step: LastStep = "repeat",
) -> Schedule:
    """Make the schedule of a run from the settings of another tool, which need not be installed.

    Parameters
    ----------
    tool : {"hf", "torchtitan", "megatron", "olmo", "nanotron", "maxtext"}
        Whose settings they are.
    cfg : mapping or str
        The settings by the tool's own names, alone or among all others, which are ignored; in the
        tool's groups or out of them (``{"lr_scheduler": {"warmup_steps": 100}}``); as on a command
        line (``--lr-warmup-iters``) or as in Python. ``vars(args)`` of parsed arguments will do.
        OLMo's schedulers are told by ``type``, its name for them or their class. Or the text that
        `Schedule.to_config` writes, or another in the same language: flags of torchtitan and
        Megatron-LM, torchtitan's TOML, lines of MaxText's YAML or its command line. Nanotron's YAML
        has groups: it is read by ``yaml.safe_load`` before.
    steps : int, optional
        Length of the schedule; by default that of the run, if the settings say.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.

    Returns
    -------
    Schedule
        Step t has the learning rate that the tool uses for its step t, over the largest one, which
        is ``params["peak"]``; ``params["config"]`` has the settings that were used.

    Raises
    ------
    TypeError
        `cfg` is not a mapping.
    ValueError
        Unknown tool; no setting of the tool's in what is given; one that is missing, out of its
        range, or called almost as one of the tool's; settings of a run that cannot be told without
        one.

    Notes
    -----
    The formulas are those of transformers 5.24, torchtitan 0.3, Megatron-LM's core 0.16, OLMo-core
    3.0, and nanotron and MaxText as of 2026. Defaults are the tool's, but for a peak learning rate
    that is not given: then it is 1.

    Examples
    --------
    >>> flags = "--lr 3e-4 --lr-decay-style WSD --train-iters 1000 --lr-wsd-decay-iters 200"
    >>> schedule = from_config("megatron", flags + " --lr-wsd-decay-style minus_sqrt")
    >>> schedule
    <Schedule megatron: 1000 steps, learning rates of megatron; last step repeated>
    >>> schedule.params["peak"], schedule.eta[[799, 800, 850]].tolist()
    (0.0003, [1.0, 1.0, 0.5])
    """
    module = _TOOLS.get(tool)
    if module is None:
        raise did_you_mean(tool, _TOOLS, "tool")
    checked(1 if steps is None else steps, last_step)
    settings = settings_of(tool, cfg)
    rates = module.learning_rates(settings, steps)
    return imported(rates, tool, tool, last_step, tool=tool, config=settings.used)


def settings_of(tool: str, cfg: Mapping[str, Any] | str) -> Settings:
    """The settings of a tool from a mapping or a text, at least one of which is known."""
    known = _TOOLS[tool].SETTINGS
    form, given = _parsed(tool, cfg) if isinstance(cfg, str) else ("a mapping", cfg)
    settings = Settings(tool, given, known, _TOOLS[tool].GROUPS)
    if cfg and not settings.used:
        raise settings.error(
            f"no known setting in {reprlib.repr(cfg)}; expected {form} with some of "
            f"{', '.join(known)}"
        )
    return settings


def _parsed(tool: str, text: str) -> tuple[str, Mapping[str, Any]]:
    """What a text of settings looks like, and those of this one."""
    if tool not in _WRITTEN:
        raise ValueError(
            f"{tool}: expected a mapping of its settings, such as yaml.safe_load makes of the text "
            "of its file; got a text"
        )
    form = _text.form(_WRITTEN[tool])
    try:
        return form, _text.read(_WRITTEN[tool], text)
    except (SyntaxError, ValueError) as error:
        message = f"{tool}: the text of the settings: {error}; expected {form}"
        raise ValueError(message) from None


def to_config(schedule: Schedule, tool: str, lr: float | None = None) -> str:
    """See `Schedule.to_config`."""
    if tool not in _WRITTEN:
        raise did_you_mean(tool, _WRITTEN, "tool to export to")
    module = _WRITTEN[tool]
    lr = None if lr is None else positive_scalar(lr, "lr")
    if schedule.params.get("tool") == tool and _say_all(schedule, tool):
        return _again(schedule, tool, lr)
    if lr is None:  # a family knows no peak, whatever was read from a run does
        lr = schedule.params.get("peak")
    parts = phases(schedule, tool)
    if parts.plain and parts.shape is not None and parts.shape not in module.WRITES:
        raise ValueError(f"{schedule.name}: {_no_such_decay(parts, module)}")
    if not parts.plain and tool not in _ANY_PHASES:
        raise ValueError(f"{schedule.name}: {module.TITLE} has no settings for it; {_TABLES}")
    settings, rates = _best(schedule, parts, tool, lr)
    if _distance(schedule.eta, rates, parts.final)[0]:
        raise ValueError(f"{schedule.name}: {_too_far(schedule, rates, parts, tool, lr)}")
    comments = [f"{module.TITLE}: {_title(schedule)}", *_differences(schedule.eta, rates)]
    return _text.write(module, settings, comments)


def _best(
    schedule: Schedule, parts: Phases, tool: str, lr: float | None
) -> tuple[dict[str, Any], Float]:
    """The settings of a tool that come nearest, and its learning rates over the peak."""
    module = _WRITTEN[tool]
    tried = [
        (settings, _rates(tool, settings) / (lr or 1.0))
        for settings in module.candidates(parts, lr)
    ]
    if not tried:
        raise ValueError(f"{schedule.name}: {module.TITLE} has no settings for it; {_TABLES}")
    return min(tried, key=lambda pair: _distance(schedule.eta, pair[1], parts.final))


def _rates(tool: str, settings: Mapping[str, Any]) -> Float:
    module = _WRITTEN[tool]
    return module.learning_rates(Settings(tool, settings, module.SETTINGS), None)


def _differ(eta: Float, rates: Float) -> NDArray[np.bool_]:
    return ~np.isclose(rates, eta, rtol=1e-9, atol=1e-12)


def _distance(eta: Float, rates: Float, final: float) -> tuple[bool, int, float]:
    """How far off learning rates are, for a comparison.

    Whether by more than one step anywhere, which is not between the two beside it; at how many
    steps; and by how much.
    """
    around = np.concatenate([[0.0], eta, [min(final, eta[-1])]])
    three = np.stack([around[:-2], eta, around[2:]])
    within = (rates > three.min(0) - 1e-12) & (rates < three.max(0) + 1e-12)
    return not within.all(), int(_differ(eta, rates).sum()), float(np.abs(rates - eta).max())


def _title(schedule: Schedule) -> str:
    notes = (counted(schedule.eta.size, "step"), schedule.note)
    return f"{schedule.name}, {', '.join(filter(None, notes))}"


def _differences(eta: Float, rates: Float) -> list[str]:
    """What a text says of the learning rates that it makes."""
    off = np.flatnonzero(_differ(eta, rates))
    if not off.size:
        return ["The learning rate of every step is the same."]
    first, last = int(off[0]) + 1, int(off[-1]) + 1
    where = f"step {first}" if first == last else f"steps {first} to {last}"
    return [
        f"The learning rates are the same except in {where}, by one step at most:",
        f"{_worst(eta, rates)}.",
    ]


def _worst(eta: Float, rates: Float) -> str:
    worst = int(np.argmax(np.abs(rates - eta)))
    return f"step {worst + 1} has {rates[worst]:.6g} of the peak instead of {eta[worst]:.6g}"


def _no_such_decay(parts: Phases, module: WritableTool) -> str:
    shapes = ", ".join(module.WRITES)
    near = f"the nearest is {_nearest(parts, module.WRITES)!r}; "
    return (
        f"{module.TITLE} has no decay that is {parts.shape}, only {shapes}; "
        f"{'' if parts.shape == 'inverse_sqrt' else near}{_TABLES}"
    )


def _too_far(schedule: Schedule, rates: Float, parts: Phases, tool: str, lr: float | None) -> str:
    """Say what is wrong with the nearest settings, and what to do."""
    eta, title = schedule.eta, _WRITTEN[tool].TITLE
    advice = [f"{title} has no settings for it: with the nearest, {_worst(eta, rates)}"]
    if not _differ(eta, rates)[parts.warmup :].any():
        advice.append(f"for warmup_start={rates[0]:.6g} there are some")
    if lr is None and not _distance(eta, _best(schedule, parts, tool, 1.0)[1], parts.final)[0]:
        advice.append("with lr there are some")
    return "; ".join([*advice, _TABLES])


def _nearest(parts: Phases, shapes: Iterable[str]) -> str:
    """The shape of a decay that can best take its place."""
    falling = next(each for each in parts.segments if each.start == 1 and each.form != 0)
    x = np.linspace(0.01, 1, 100)
    ours = falling._replace(steps=100, first=1.0, span=100.0, end=0.0).values()
    left = {
        shape: fraction_left(x, 1 - x, shape, 2.0, 0.5)
        for shape in shapes
        if shape != "inverse_sqrt"
    }
    return min(left, key=lambda shape: float(np.abs(left[shape] - ours).max()))


def _say_all(schedule: Schedule, tool: str) -> bool:
    """Whether the settings that a schedule was made from say how long it is."""
    try:
        return _rates(tool, schedule.params["config"]).size == schedule.eta.size
    except ValueError:
        return False


def _again(schedule: Schedule, tool: str, lr: float | None) -> str:
    """The settings that a schedule was made from, at another peak if one is given."""
    params = schedule.params
    module = _WRITTEN[tool]
    settings = dict(params["config"])
    if lr is not None:
        settings = {module.ABSOLUTE[0]: 1.0} | settings
        settings = _scaled(settings, module.ABSOLUTE, lr / params["peak"])
    return _text.write(module, settings, [f"{module.TITLE}: {_title(schedule)}"])


def _scaled(value: Any, names: Iterable[str], factor: float) -> Any:
    """Settings with those of some names multiplied, wherever they are."""
    if isinstance(value, Mapping):
        return {
            key: each * factor
            if key in names and each is not None
            else _scaled(each, names, factor)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_scaled(each, names, factor) for each in value]
    return value
