"""Schedules from other tools and for them, without any of them installed.

The formulas of each tool are written out here once more, one step at a time, as it publishes them.
"""

import math
import subprocess
import sys

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import schedules
from cvxbound.schedules import (
    constant,
    cosine,
    cyclic_wsd,
    from_callable,
    from_config,
    from_hf,
    wsd,
)

LR, T, W, C = 1e-3, 1000, 100, 200
RATES = {
    "linear": lambda x: 1 - x,
    "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2,
    "1-sqrt": lambda x: 1 - math.sqrt(x),
    "exponential": lambda x: 2 * 0.5**x - 1,
}


def check(found, expected):
    """The learning rates of a schedule, the last of which may be repeated."""
    expected = np.array(expected)
    assert found.eta.max() == 1
    assert found.params["peak"] == pytest.approx(expected.max(), rel=1e-12)
    if found.params["last_step"] == "repeat":
        expected[-1] = expected[-2]
    np.testing.assert_allclose(found.eta * found.params["peak"], expected, rtol=1e-9, atol=1e-18)


# --- any function --------------------------------------------------------------------------------


def test_the_first_step_has_the_number_that_it_is_given():
    found = from_callable(lambda t: 2.0 / t, 4, first=1, last_step="given")
    assert found.eta.tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    assert found.params["peak"] == 2


def test_the_last_step_is_repeated_unless_it_is_asked_for():
    def ends_at_zero(t):
        return 1 - t / 3

    found = from_callable(ends_at_zero, 4)
    assert found.eta[-1] == found.eta[-2] > 0
    assert repr(found) == (
        "<Schedule ends_at_zero: 4 steps, learning rates of ends_at_zero; last step repeated>"
    )
    given = from_callable(ends_at_zero, 4, last_step="given")
    assert given.eta[-1] == 0
    assert "repeated" not in repr(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (lambda t: -1.0, 3),
            "^learning rates of function must be non-negative, finite .*; found -1.0 at index 0",
        ),
        ((lambda t: math.nan, 3), "found nan at index 0"),
        ((lambda t: 0.0, 3), "function: no learning rate is positive"),
        ((lambda t: 1.0, 0), "steps must be at least 1, got 0"),
    ],
)
def test_functions_that_make_no_schedule(arguments, message):
    with pytest.raises(ValueError, match=message):
        from_callable(*arguments)
    with pytest.raises(TypeError, match=r"fn must be a function of the step; got 0.001"):
        from_callable(1e-3, 3)
    with pytest.raises(ValueError, match=r"unknown last_step 'last'.*\(repeat, given\)"):
        from_callable(lambda t: 1.0, 3, last_step="last")


# --- settings of tools ---------------------------------------------------------------------------


def ramp(t, start=0.0):
    """Linear to 1 at W."""
    return start + (1 - start) * t / W


@pytest.mark.parametrize("style", ["linear", "cosine", "minus_sqrt", "exponential"])
def test_megatron_uses_the_rate_of_the_iterations_that_are_done(style):
    shape = RATES[{"minus_sqrt": "1-sqrt"}.get(style, style)]
    low, first = 0.1 * LR, 0.05 * LR

    def rate(n):  # iterations done
        if n <= W:
            return first + (LR - first) * n / W
        return low + (LR - low) * shape(max(n - (T - C), 0) / C)

    cfg = {"lr": LR, "min_lr": low, "lr_decay_style": "WSD", "lr_wsd_decay_style": style}
    cfg |= {"lr_warmup_init": first, "lr_wsd_decay_iters": C, "lr_warmup_iters": W}
    check(from_config("megatron", cfg | {"train_iters": T}), [rate(n) for n in range(T)])


@pytest.mark.parametrize("style", ["linear", "cosine"])
def test_megatron_holds_the_least_rate_after_the_decay(style):
    length = 900

    def rate(n):
        if n <= W:
            return LR * n / W
        return LR * RATES[style]((n - W) / (length - W)) if n <= length else 0

    found = from_config(
        "megatron",
        f"--lr {LR} --lr-decay-style={style} --lr-decay-iters {length} --lr-warmup-iters {W}",
        T,
        last_step="given",
    )
    check(found, [rate(n) for n in range(T)])


def test_megatron_counts_samples_where_the_run_is_told_in_them():
    batch = 16
    samples = {"train_samples": T * batch, "global_batch_size": batch, "lr": LR}
    samples |= {"lr_decay_style": "inverse-square-root", "lr_warmup_samples": W * batch}
    rates = [LR * (n / W if n <= W else math.sqrt(W / n)) for n in range(T)]
    check(from_config("megatron", samples), rates)
    iters = {"lr": LR, "lr_decay_style": "inverse-square-root", "lr_warmup_iters": W}
    check(from_config("megatron", iters | {"train_iters": T}), rates)


@pytest.mark.parametrize("kind", ["linear", "sqrt", "cosine"])
@pytest.mark.parametrize("ratio", [0.2, None])
def test_torchtitan_has_a_virtual_last_step(kind, ratio):
    span = T - W if ratio is None else C
    shape = RATES[{"sqrt": "1-sqrt"}.get(kind, kind)]

    def factor(t):  # steps from one on
        if t <= W:
            return t / W
        return 0.1 + 0.9 * shape(max(t - (T + 1 - span), 0) / span)

    scheduler = {"warmup_steps": W, "decay_ratio": ratio, "decay_type": kind, "min_lr_factor": 0.1}
    cfg = {"lr_scheduler": scheduler, "training": {"steps": T}, "optimizer": {"lr": LR}}
    check(from_config("torchtitan", cfg), [LR * factor(t) for t in range(1, T + 1)])


def test_torchtitan_may_have_another_length_than_the_run():
    cfg = {"lr_scheduler.total_steps": 2 * T, "lr_scheduler.warmup_steps": 0, "training.steps": T}
    found = from_config("torchtitan", cfg, last_step="given")
    check(found, [1 - (t - 1) / (2 * T) for t in range(1, T + 1)])


@pytest.mark.parametrize("style", ["linear", "cosine", "1-sqrt"])
def test_nanotron_warms_up_until_the_step_after(style):
    def rate(n):
        if n <= W:
            return LR * n / W
        return LR * (0.1 + 0.9 * RATES[style](max(n - (T - C), 0) / C))

    scheduler = {"learning_rate": LR, "lr_warmup_steps": W, "lr_decay_style": style}
    scheduler |= {"lr_decay_starting_step": T - C, "lr_decay_steps": C, "min_decay_lr": 0.1 * LR}
    cfg = {"optimizer": {"learning_rate_scheduler": scheduler}, "tokens": {"train_steps": T}}
    check(from_config("nanotron", cfg), [rate(n) for n in range(T)])


def test_nanotron_without_a_warmup_starts_at_zero():
    cfg = {"learning_rate": LR, "lr_decay_style": "linear", "min_decay_lr": 0.0, "train_steps": 4}
    found = from_config("nanotron", cfg, last_step="given")
    check(found, [0, 0.75 * LR, 0.5 * LR, 0.25 * LR])


@pytest.mark.parametrize("style", ["linear", "cosine"])
@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_maxtext_is_at_the_ends_of_each_phase(schedule, style):
    length, final = 900, 0.1
    span, style = (C, style) if schedule == "wsd" else (length - W, "cosine")

    def factor(i):
        if i < W:
            return i / (W - 1)
        if i >= length:
            return 0
        x = max(i - (length - span), 0) / (span - 1)
        return final + (1 - final) * RATES[style](x)

    cfg = {"lr_schedule_type": schedule, "steps": T, "learning_rate_schedule_steps": length}
    cfg |= {"warmup_steps_fraction": W / length + 1e-9, "wsd_decay_steps_fraction": C / length}
    cfg |= {"wsd_decay_steps_fraction": (C + 0.5) / length, "wsd_decay_style": style}
    found = from_config("maxtext", cfg | {"learning_rate": LR}, last_step="given")
    check(found, [LR * factor(i) for i in range(T)])


OLMO = {
    "wsd": lambda t: min(1, t / W, (T - t) / C),
    "linear_with_warmup": lambda t: t / W if t < W else 0.1 + 0.9 * (T - t) / (T - W),
    "cos_with_warmup": lambda t: t / W if t < W else 0.1 + 0.9 * RATES["cosine"]((t - W) / (T - W)),
    "inv_sqrt_with_warmup": lambda t: t / W if t < W else 0.1 + 0.9 * math.sqrt(W / t),
    "constant_with_warmup": lambda t: min(1, t / W),
    "constant": lambda t: 1,
}


@pytest.mark.parametrize("name", OLMO)
def test_olmo_counts_steps_from_one(name):
    cfg = {"scheduler": {"type": name, "warmup": W}, "optim": {"lr": LR}}
    if name == "wsd":
        cfg["scheduler"]["decay"] = C
    found = from_config("olmo", cfg, T, last_step="given")
    check(found, [LR * OLMO[name](t) for t in range(1, T + 1)])


def test_olmo_stages_and_their_override():
    stages = [
        {"duration": 10, "start_lr_fraction": 0.0, "end_lr_fraction": 1.0},
        {"duration": 20, "end_lr_fraction": 1.0},
    ]
    late = {"start": 25, "duration": 10, "shape": "cosine", "end_lr": 0.0}
    cfg = {"type": "ComposableScheduler", "stages": stages, "override_decay": late, "lr": LR}

    def factor(t):
        return min(1, t / 10) * RATES["cosine"](min(max(t - 25, 0) / 10, 1))

    found = from_config("olmo", cfg, 34)
    check(found, [LR * factor(t) for t in range(1, 35)])


def test_olmo_periods_each_have_a_decay():
    cfg = {"type": "wsds", "period_lengths": [20, 10], "warmup": 5, "decay": 4, "lr": LR}
    rates = [LR * min(1, t / 5, ((20 if t <= 20 else 30) - t) / 4) for t in range(1, 31)]
    check(from_config("olmo", cfg, 30, last_step="given"), rates)


def test_olmo_starts_within_a_decay_that_is_longer_than_the_run():
    cfg = {"type": "wsd", "warmup": 0, "decay": 900, "lr": LR}
    check(from_config("olmo", cfg, 100), [LR * (100 - t) / 900 for t in range(1, 101)])


def test_olmo_has_names_of_modules_and_members_of_enumerations_in_its_text():
    text = "lr = 3e-4\nscheduler = optim.WSD(units=SchedulerUnits.steps, warmup=10, decay=20)\n"
    found = from_config("olmo", text, 100)
    assert found.params["config"] == {
        "lr": 3e-4,
        "type": "wsd",
        "units": "steps",
        "warmup": 10,
        "decay": 20,
    }


STAGE = {"duration": 5, "end_lr_fraction": 1.0}


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"stages": 5}, "olmo: stages must be a list, got 5"),
        ({"stages": []}, "olmo: stages is needed"),
        ({"stages": [STAGE, 5]}, "stage 2 of olmo: expected a mapping of its settings"),
        ({"stages": [STAGE, {"end_lr": 0}]}, "stage 2 of olmo: duration is needed"),
        ({"stages": [{"duration": 5}]}, "stage 1 of olmo: one of end_lr and end_lr_fraction is"),
        ({"stages": [STAGE | {"duration": "x"}]}, "stage 1 of olmo: duration must be a number"),
        ({"stages": [STAGE | {"shape": "exp"}]}, "unknown shape of stage 1 of olmo 'exp'"),
        (
            {"stages": [STAGE], "override_decay": {"duration": 3, "end_lr": 0}},
            "override_decay of olmo: start is needed",
        ),
        ({"type": "wsds", "period_lengths": "abc"}, "period_lengths must be a list, got 'abc'"),
        ({"type": "wsds", "period_lengths": ["a"]}, "period_lengths must be a number.*got 'a'"),
        ({"type": "wsds", "period_lengths": [2.5]}, "must be a number of steps, got 2.5"),
        ({"type": "wsds"}, "period_lengths is needed"),
        (
            {"type": "wsds", "period_lengths": [9, 9], "period_lr_multipliers": [1.0]},
            "there are 1 period_lr_multipliers for 2 period_lengths",
        ),
        (
            {"type": "wsds", "period_lengths": [9, 9], "warmup": 5, "decay": 5},
            "period 1 has 9 steps, of which warm-up and decay need 10",
        ),
        (
            {"type": "wsds", "period_lengths": [99, 4], "warmup": 5, "decay": 5},
            "period 2 has 4 steps, of which warm-up and decay need 5",
        ),
        ({"type": "wsd", "warmup": "many"}, "warmup must be a number from 0 on, got 'many'"),
        ({"type": "wsd", "warmup_fraction": 5}, "warmup_fraction must be at most 1, got 5"),
        ("scheduler = WSD(warmup=W)", "expected a number, a string or such, got W; expected assig"),
    ],
)
def test_settings_of_olmo_that_make_no_schedule(cfg, message):
    cfg = cfg if isinstance(cfg, str) else {"type": "composable"} | cfg
    with pytest.raises((TypeError, ValueError), match=message):
        from_config("olmo", cfg, 100)


HF = {
    "linear": (lambda x: 1 - x, {}),
    "cosine": (RATES["cosine"], {}),
    "cosine_with_min_lr": (lambda x: 0.1 + 0.9 * RATES["cosine"](x), {"min_lr": 0.1 * LR}),
    "polynomial": (lambda x: 0.1 + 0.9 * (1 - x) ** 2, {"lr_end": 0.1 * LR, "power": 2}),
    "constant_with_warmup": (lambda x: 1, {}),
    "inverse_sqrt": (lambda x: math.sqrt(W / (W + x * (T - W))), {}),
}


@pytest.mark.parametrize("name", HF)
def test_hf_warms_up_from_zero(name):
    after, kwargs = HF[name]
    found = from_hf(name, T, num_warmup_steps=W, lr=LR, **kwargs)
    check(found, [LR * (i / W if i < W else after((i - W) / (T - W))) for i in range(T)])
    cfg = {"learning_rate": LR, "lr_scheduler_type": name, "lr_scheduler_kwargs": kwargs}
    assert from_config("hf", cfg | {"warmup_steps": W / T}, T) == found  # a ratio of the run


# --- what is wrong with settings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "cfg", "message"),
    [
        ("megatrn", {}, "unknown tool 'megatrn'; did you mean 'megatron'"),
        ("megatron", {}, r"megatron: how long is the run\? pass steps, or train_iters among"),
        ("torchtitan", {}, r"torchtitan: how long is the run\? pass steps, or steps among"),
        (
            "megatron",
            {"train-iters": 9, "lr-warmup-iter": 1},
            "unknown setting of megatron 'lr_warmup_iter'; did you mean 'lr_warmup_iters'",
        ),
        (
            "megatron",
            {"train_iters": 9, "lr_decay_style": "WSD"},
            "megatron: lr_wsd_decay_iters is needed",
        ),
        (
            "megatron",
            {"train_iters": 9, "lr_decay_style": "wsd"},
            "unknown lr_decay_style of megatron 'wsd'.*WSD",
        ),
        ("megatron", {"train_iters": 9, "lr_warmup_iters": 9}, r"warm-up \(9\) must be shorter"),
        ("megatron", {"train_iters": 9, "lr": -1}, "lr must be a number from 0 on, got -1"),
        ("megatron", {"train_iters": 9, "lr": 1, "min_lr": 2}, "must be at most lr, 1"),
        ("olmo", {"type": "wsd", "max_steps": 9}, "one of warmup and warmup_fraction is needed"),
        (
            "olmo",
            {"type": "wds", "max_steps": 9},
            "unknown type of olmo 'wds'; did you mean",
        ),
        ("olmo", {"units": "tokens", "max_steps": 9, "type": "constant"}, "units are tokens"),
        ("maxtext", {"steps": 9, "warmup_steps_fraction": 2.0}, "exceed the 9 steps"),
        ("hf", {"max_steps": 9, "lr_scheduler_type": "greedy"}, "greedy follows losses"),
        ("hf", {"max_steps": 9, "lr_scheduler_type": "cos"}, "unknown schedule of hf 'cos'"),
        ("hf", "max_steps=", "hf: the text of the settings: "),
    ],
)
def test_settings_that_make_no_schedule(tool, cfg, message):
    with pytest.raises(ValueError, match=message):
        from_config(tool, cfg)


def test_hf_arguments_are_those_of_the_schedule():
    with pytest.raises(TypeError, match=r"hf: warmup_stable_decay: missing .*'num_decay_steps'"):
        from_hf("warmup_stable_decay", 10)
    with pytest.raises(TypeError, match=r"hf: linear: .*unexpected keyword argument 'power'"):
        from_hf("linear", 10, power=2)
    with pytest.raises(ValueError, match=r"unknown decay_type of hf 'sqrt'; .*1-sqrt"):
        from_hf("warmup_stable_decay", 10, num_decay_steps=5, decay_type="sqrt")
    with pytest.raises(TypeError, match="megatron: expected a mapping of its settings"):
        from_config("megatron", 3)


@pytest.mark.parametrize(
    ("tool", "cfg", "message"),
    [
        ("megatron", "lr: 3e-4\nlr_decay_style: cosine\n", "expected flags .* of train_iters"),
        ("maxtext", "--lr_schedule_type wsd", "expected YAML .* or a command line .* of steps"),
        ("hf", '{"learning_rate": 1e-3}', "expected arguments of Python .* of learning_rate"),
        ("olmo", "type: wsd\nwarmup: 50\n", "expected assignments of Python .* of type, lr"),
        ("torchtitan", "[model]\ndim = 9\n", "expected TOML .* or flags .* of lr, steps"),
        ("hf", {"lr": 1}, "'lr': 1}; expected a mapping with some of learning_rate"),
        ("nanotron", {"seed": 1}, "expected a mapping with some of learning_rate, lr_warmup"),
    ],
)
def test_what_has_no_known_setting_is_no_schedule_of_defaults(tool, cfg, message):
    with pytest.raises(ValueError, match=f"^{tool}: no known setting in .*{message}"):
        from_config(tool, cfg, steps=100)
    assert from_config("hf", {}, steps=100) == from_hf("linear", 100)  # defaults, asked for


def test_a_text_in_no_language_of_the_tool():
    broken = "[lr_scheduler]\ndecay_type = cosine\n"
    with pytest.raises(ValueError, match=r"torchtitan: the text .* line 2.*; expected TOML"):
        from_config("torchtitan", broken, steps=100)
    with pytest.raises(ValueError, match=r"megatron: the text .*closing quotation; expected flags"):
        from_config("megatron", "--lr '1", steps=100)
    with pytest.raises(ValueError, match=r"nanotron: expected a mapping .* yaml.safe_load"):
        from_config("nanotron", "lr_warmup_steps: 50", steps=100)


def test_settings_of_other_things_are_left_out():
    cfg = {"lr": LR, "train_iters": 10, "lr_decay_style": "linear", "hidden_size": 4096}
    assert set(from_config("megatron", cfg).params["config"]) == set(cfg) - {"hidden_size"}
    whole = {"training": {"steps": 10}, "profiling": {"steps": 3}, "lr_scheduler": {}}
    assert len(from_config("torchtitan", whole)) == 10


# --- to settings ---------------------------------------------------------------------------------

WARMUPS = [{}, {"warmup": W}, {"warmup": W, "warmup_start": 0.0}, {"warmup": 1}]
ENDS = [{}, {"endpoint": True}]
DECAYS = {
    "linear": lambda **kw: schedules.linear(T, **kw),
    "cosine": lambda **kw: cosine(T, **kw),
    "long cosine": lambda **kw: cosine(T, cycle=2.0, **kw),
    "wsd linear": lambda **kw: wsd(T, C, **kw),
    "wsd cosine": lambda **kw: wsd(T, C, "cosine", **kw),
    "wsd 1-sqrt": lambda **kw: wsd(T, C, "1-sqrt", **kw),
    "wsd exponential": lambda **kw: wsd(T, C, "exponential", **kw),
    "1-sqrt": lambda **kw: schedules.power(T, 0.5, **kw),
    "exponential": lambda **kw: schedules.exponential(T, **kw),
    "constant": lambda **kw: constant(T, **kw),
    "inverse_sqrt": lambda **kw: schedules.inverse_sqrt(T, **kw),
}
EXPORTS = {
    "hf": set(DECAYS) - {"exponential", "wsd exponential"},
    "torchtitan": set(DECAYS) - {"exponential", "wsd exponential", "inverse_sqrt"},
    "megatron": set(DECAYS),
    "olmo": set(DECAYS) - {"exponential", "wsd exponential", "1-sqrt", "wsd 1-sqrt"},
    "maxtext": {"linear", "cosine", "long cosine", "wsd linear", "wsd cosine", "constant"},
}


@pytest.mark.parametrize("tool", EXPORTS)
@pytest.mark.parametrize("name", DECAYS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("warmup", WARMUPS)
def test_a_tool_follows_what_is_exported_to_it(tool, name, warmup, end):
    """The same from the peak on, and one step off at most in the warm-up; the text says so."""
    schedule = DECAYS[name](**warmup, **end)
    if name not in EXPORTS[tool]:
        with pytest.raises(ValueError, match=r"has no decay that is .*to_torch and to_optax take"):
            schedule.to_config(tool, LR)
        return
    text = schedule.to_config(tool, LR)
    found = from_config(tool, text, last_step="given")
    eta, ours = found.eta * found.params["peak"] / LR, schedule.eta
    if tool == "torchtitan":  # where it is a setting of the optimizer
        assert f"# lr={LR}" in text
        eta = eta * LR
    same = np.isclose(eta, ours, rtol=1e-9, atol=1e-12)
    assert ("every step is the same" in text) == same.all()
    late = name == "inverse_sqrt" and tool == "megatron"
    assert late or same[schedule.params["warmup"] :].all()
    ahead, behind = np.append(ours[1:], ours[-1]), np.append(0, ours[:-1])
    assert np.all(eta <= np.maximum.reduce([ours, ahead, behind]) + 1e-12)
    assert np.all(eta >= np.minimum.reduce([ours, ahead, behind]) - 1e-12)
    if not same.all():
        worst = np.argmax(np.abs(eta - ours))
        first, last = np.flatnonzero(~same)[[0, -1]] + 1
        assert f"step {worst + 1} has {eta[worst]:.6g} of the peak instead of" in text
        assert (f"except in steps {first} to {last}" if first < last else f"step {first}") in text


@pytest.mark.parametrize("tool", ["torchtitan", "megatron", "olmo"])
def test_warmups_that_start_above_zero_are_exact_where_they_can_be(tool):
    assert "every step is the same" in wsd(T, C, warmup=W).to_config(tool, LR)


@pytest.mark.parametrize("tool", ["hf", "torchtitan", "megatron", "olmo", "maxtext"])
def test_final_rates(tool):
    start = {"hf": 0.1, "maxtext": 0.0}.get(tool)
    text = wsd(T, C, final=0.1, warmup=W, warmup_start=start).to_config(tool, LR)
    assert "every step is the same" in text
    assert from_config(tool, text).eta[-1] == pytest.approx(0.1 + 0.9 * 2 / C)


def test_olmo_takes_any_phases_made_of_lines():
    for schedule in (
        cyclic_wsd(T, 3, warmup=W, final=0.1),
        schedules.piecewise(T, [0.5, 0.8], [0.3, 0.1], cooldown=0.1),
    ):
        text = schedule.to_config("olmo")
        np.testing.assert_allclose(
            from_config("olmo", text, last_step="given").eta, schedule.eta, rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize(
    ("schedule", "tool", "lr", "message"),
    [
        (schedules.power(T, 2.0), "torchtitan", LR, r"power \(exponent=2\).*nearest is 'linear'"),
        (wsd(T, shape="1-sqrt"), "olmo", LR, "no decay that is 1-sqrt, only linear, cosine"),
        (wsd(T, shape=lambda x: 1 - x**3), "megatron", LR, "no decay that is a function"),
        (wsd(T, final=0.1), "megatron", None, "decay ends at 0.1 of the peak.*: give lr"),
        (wsd(T, warmup=W, warmup_start=0.3), "megatron", None, "with lr there are some"),
        (wsd(T, warmup=W, warmup_start=0.3), "maxtext", LR, "for warmup_start=0 there are some"),
        (wsd(T, warmup=W, final=0.1), "hf", LR, "for warmup_start=0.1 there are some"),
        (cyclic_wsd(T), "megatron", LR, "cyclic_wsd: Megatron-LM has no settings for it; to_torch"),
        (schedules.from_array([1.0, 0.2, 0.7]), "hf", LR, "array: a table of learning rates"),
        (schedules.from_array([2.0, 1.0]), "hf", LR, "array: a table of learning rates"),
        (cb.optimize(20), "hf", LR, "optimized: a table .*hf takes no tables; to_torch"),
        (cb.extend(wsd(200), 300).schedule, "olmo", LR, "extended: a table of learning rates"),
        (cb.Schedule([1.0, 0.9, 0.2, 0.1], "wsd"), "hf", LR, "wsd: a table of learning rates"),
        (wsd(T), "nanotron", LR, "unknown tool to export to 'nanotron'"),
        (wsd(T), "hf", -1.0, "lr must be positive"),
    ],
)
def test_what_a_tool_cannot_follow(schedule, tool, lr, message):
    with pytest.raises(ValueError, match=message):
        schedule.to_config(tool, lr)


IMPORTS = {
    "hf": {"max_steps": T, "lr_scheduler_type": "cosine_with_min_lr", "learning_rate": LR}
    | {"lr_scheduler_kwargs": {"min_lr": 0.1 * LR}, "warmup_steps": 0.1},
    "torchtitan": {"steps": T, "decay_ratio": 0.3, "decay_type": "sqrt"},
    "megatron": {"train_iters": T, "lr": LR, "min_lr": 0.1 * LR, "lr_decay_style": "linear"},
    "olmo": {
        "max_steps": T,
        "type": "wsd",
        "warmup_fraction": 0.01,
        "lr": LR,
        "decay_min_lr": LR / 9,
    }
    | {"decay_fraction": 0.1},
    "maxtext": {"steps": T, "lr_schedule_type": "wsd", "learning_rate": LR},
}


@pytest.mark.parametrize("tool", IMPORTS)
def test_imported_exported_and_imported_again(tool):
    first = from_config(tool, IMPORTS[tool])
    again = from_config(tool, first.to_config(tool))
    assert again == first
    assert again.params["config"] == first.params["config"]
    twice = from_config(tool, first.to_config(tool, 2 * LR))
    np.testing.assert_allclose(twice.eta, first.eta, rtol=1e-12)
    if tool != "torchtitan":
        assert twice.params["peak"] == pytest.approx(2 * LR)


COOLDOWN = {"num_decay_steps": C, "decay_type": "1-sqrt"}
ALIKE = {
    "hf": {"cosine": {"lr_scheduler_type": "cosine"}}
    | {"1-sqrt": {"lr_scheduler_type": "warmup_stable_decay"} | {"lr_scheduler_kwargs": COOLDOWN}},
    "megatron": {"cosine": {"lr_decay_style": "cosine"}}
    | {"1-sqrt": {"lr_decay_style": "WSD", "lr_wsd_decay_style": "minus_sqrt"}},
    "torchtitan": {"cosine": {"decay_type": "cosine", "decay_ratio": 0.9}}
    | {"1-sqrt": {"decay_type": "sqrt", "decay_ratio": 0.2}},
    "olmo": {"cosine": {"type": "cos_with_warmup"}},
    "maxtext": {"cosine": {"lr_schedule_type": "cosine"}},
}
SIZES = {
    "hf": {"max_steps": T, "learning_rate": LR, "warmup_steps": W},
    "megatron": {"train_iters": T, "lr": LR, "lr_warmup_iters": W, "lr_wsd_decay_iters": C},
    "torchtitan": {"steps": T, "warmup_steps": W},
    "olmo": {"max_steps": T, "lr": LR, "warmup": W},
    "maxtext": {"steps": T, "learning_rate": LR, "warmup_steps_fraction": W / T}
    | {"learning_rate_final_fraction": 0},
}


@pytest.mark.parametrize("name", ["cosine", "1-sqrt"])
@pytest.mark.parametrize("tool", ALIKE)
@pytest.mark.parametrize("other", ALIKE)
def test_settings_of_one_tool_for_another(tool, other, name):
    if name not in ALIKE[tool] or name not in ALIKE[other]:
        pytest.skip(f"{name} is not in both")
    first = from_config(tool, SIZES[tool] | ALIKE[tool][name])
    text = first.to_config(other)
    again = from_config(other, text)
    if "same except" not in text:
        np.testing.assert_allclose(again.eta[:-1], first.eta[:-1], rtol=0, atol=1e-9)
    else:
        np.testing.assert_allclose(again.eta[:-1], first.eta[:-1], rtol=0, atol=1.1 / W)
    if "torchtitan" not in (tool, other):
        assert again.params["peak"] == pytest.approx(LR)


def test_a_table_that_is_known():
    """What other tools make is a table; it is exported where it is what settings make, too."""
    table = schedules.from_callable(lambda t: LR * min(1, (t + 1) / 101, (T - t) / C), T)
    assert "steps is the same" not in table.to_config("megatron")
    found = from_config("megatron", table.to_config("megatron"))
    np.testing.assert_allclose(found.eta[:-1], table.eta[:-1], rtol=0, atol=1e-9)
    assert found.params["peak"] == pytest.approx(LR)
    assert "learning_rate=0.5" in wsd(T).to_config("hf", 0.5)
    for steps in (1, 2, 3):
        flat = schedules.from_callable(lambda t: LR, steps).to_config("hf")
        assert "every step is the same" in flat and f"max_steps={steps}" in flat
    assert "learning_rate=0.5" in table.to_config("hf", 0.5)


def test_a_length_that_was_asked_for_is_exported():
    asked = from_config("hf", {"lr_scheduler_type": "cosine", "warmup_steps": W}, steps=T)
    again = from_config("hf", asked.to_config("hf"))
    np.testing.assert_allclose(again.eta[:-1], asked.eta[:-1], rtol=0, atol=1e-9)
    cut = from_config("megatron", "--train-iters 1000 --lr 1 --lr-decay-style cosine", steps=500)
    with pytest.raises(ValueError, match="table of learning rates"):
        cut.to_config("megatron")


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("torchtitan", "[training]\nsteps = true\n"),
        ("torchtitan", "[training\nsteps = 1 # --a"),
        ("megatron", "--train-iters --lr 1"),
        ("maxtext", "steps: abc\nlearning_rate: 1"),
    ],
)
def test_a_length_that_is_no_number(tool, text):
    with pytest.raises(ValueError, match=tool):
        from_config(tool, text)


def test_text_of_a_launch_script():
    script = f"torchrun train.py \\\n  --num-layers 12 \\\n  --lr {LR} --train-iters 10 # short\n"
    found = from_config("megatron", script + "  --lr-decay-style constant --bf16 --seed 1")
    assert found.params["config"] == {"lr": LR, "train_iters": 10, "lr_decay_style": "constant"}


def test_text_of_a_file_of_torchtitan():
    text = "[training]\nsteps = 1000  # of 4M tokens\n[lr_scheduler]\nwarmup_steps = 50\n"
    text += 'decay_ratio = 0.2\ndecay_type = "sqrt"\n[profiling]\nsteps = 7\n'
    scheduler = {"warmup_steps": 50, "decay_ratio": 0.2, "decay_type": "sqrt"}
    found = from_config("torchtitan", text)
    assert found == from_config("torchtitan", scheduler, steps=1000)
    assert found.params["config"] == scheduler | {"steps": 1000}


@pytest.mark.parametrize(
    "text",
    [
        "base_output_directory: gs://bucket/a=b\nlr_schedule_type: 'wsd' # not cosine\nsteps: 1000",
        "python3 -m maxtext.train base.yml base_output_directory=gs://bucket \\\n"
        "  lr_schedule_type=wsd steps=1000",
    ],
)
def test_text_of_maxtext_is_its_file_or_its_command_line(text):
    found = from_config("maxtext", text)
    assert found.params["config"] == {"lr_schedule_type": "wsd", "steps": 1000}


# --- the command line ----------------------------------------------------------------------------


def test_cli_prints_the_text(run, ask):
    pytest.importorskip("cyclopts", reason="the command line needs it")
    text = wsd(T, 0.2, warmup=W).to_config("hf", LR)
    command = ("export", "wsd:steps=1000,cooldown=0.2,warmup=100", "--to", "hf", "--lr", LR)
    assert run(*command) == (0, text, "")
    found = ask(*command)
    assert (found["text"], found["to"], found["lr"]) == (text, "hf", LR)
    assert (found["command"], found["steps"], found["out"]) == ("export", T, None)


def test_cli_writes_a_file(run, refuse, tmp_path):
    pytest.importorskip("cyclopts", reason="the command line needs it")
    out = tmp_path / "flags.txt"
    code, shown, _ = run("export", "cosine", "--steps", T, "--to", "megatron", "--out", out)
    assert (code, shown) == (0, f"settings: {out}\n")
    assert out.read_text() == cosine(T).to_config("megatron")
    error = refuse(1, "export", "power:exponent=2", "--steps", T, "--to", "hf", "--out", out)
    assert "has no decay that is power (exponent=2)" in error
    assert "Did you mean" in refuse(2, "export", "linear", "--steps", T, "--to", "olm")


# --- what is imported ----------------------------------------------------------------------------


def test_no_tool_is_imported():
    code = (
        "import sys, cvxbound as cb\n"
        "cb.schedules.from_hf('linear', 9).to_config('hf')\n"
        "found = {'torch', 'jax', 'optax', 'keras', 'transformers', 'timm'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("torch", lambda: wsd(9).to_torch(None)),
        ("jax", lambda: wsd(9).to_optax()),
        ("jax", lambda: schedules.from_optax(lambda t: 1.0, 9)),
        ("keras", lambda: schedules.from_keras(lambda t: 1.0, 9)),
    ],
)
def test_a_missing_package_is_named(monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"needs {package}: pip install {package}"):
        call()
