"""A run that goes on for longer: what is kept, what is solved for, and what it is worth."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cvxbound as cb
from cvxbound import schedules
from cvxbound._decay import SHAPES
from cvxbound._recipe import Decline, Recipe, cooled
from cvxbound._roots import minimum, root

KINDS = ["last", "tight", "average"]
STRATEGIES = ["cooldown", "factor", "stages"]
RUN = schedules.wsd(4000, cooldown=0.2)


def best(eta, kind="last"):
    return cb.tune(eta, kind=kind, last_step="repeat").gamma


def percent(ratio):
    return 100 * ratio


# --- the numbers of the paper --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "fraction", "improvement"),
    [(1.5, 0.446, 7.2), (2, 0.633, 12.1), (3, 0.876, 19.8), (3.5, 0.959, None)],
)
def test_cooldowns(times, fraction, improvement):
    """Schaipp et al.: WSD with a cooldown of 0.2, extended by a longer one."""
    steps = int(times * 4000)
    found = cb.extend(RUN, steps, last_step="given")
    assert found.solved
    assert found.cooldown / steps == pytest.approx(fraction, abs=1e-3)
    if improvement:
        assert percent(found.improvement) == pytest.approx(improvement, abs=0.3)


def test_past_some_horizon_no_cooldown_is_long_enough():
    assert cb.extend(RUN, int(3.78 * 4000), last_step="given").solved
    found = cb.extend(RUN, 16_000)
    assert not found.solved
    assert found.cooldown == 16_000  # linear decay
    assert percent(found.improvement) == pytest.approx(25.8, abs=0.3)
    assert "0.973 times the rate would be the best for it" in found.message
    assert "strategy='factor' keeps it the best one; its bound is 5.1% above" in found.message


@pytest.mark.parametrize(
    ("times", "factor", "improvement"),
    [(1.5, 0.637, 6.1), (2, 0.533, 9.9), (3, 0.431, 16.5), (4, 0.375, 22.0)],
)
def test_factors(times, factor, improvement):
    """The same, by a lower plateau after step 0.8 T0."""
    found = cb.extend(RUN, int(times * 4000), strategy="factor", resume=3200, last_step="given")
    assert found.solved
    assert found.factors == (pytest.approx(factor, abs=5e-4),)
    assert found.cooldown == 0.2 * len(found.schedule)
    assert percent(found.improvement) == pytest.approx(improvement, abs=0.3)


# --- what every extension is ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("shape", ["linear", "1-sqrt"])
def test_the_rate_is_the_best_one_again(strategy, kind, shape):
    run = schedules.wsd(1000, cooldown=0.25, shape=shape, warmup=50, final=0.05)
    found = cb.extend(run, 1700, strategy=strategy, kind=kind)
    assert found.solved
    assert found.gamma == best(run, kind)
    assert best(found.schedule, kind) == pytest.approx(found.gamma, rel=1e-8)
    assert found.omega == cb.bound(found.schedule, found.gamma, kind=kind, last_step="repeat")
    naive = schedules.wsd(1700, cooldown=0.25, shape=shape, warmup=50, final=0.05)
    expected = cb.bound(naive, found.gamma, kind=kind, last_step="repeat")
    assert found.omega_naive == pytest.approx(expected, rel=1e-12)
    tuned = cb.tune(naive, kind=kind, last_step="repeat").omega
    assert found.omega_tuned == pytest.approx(tuned, rel=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_was_run_is_kept(strategy):
    run = schedules.wsd(1000, cooldown=0.25, warmup=50)
    for resume in (None, 400, 750):
        found = cb.extend(run, 1700, strategy=strategy, resume=resume)
        assert found.resume >= (resume or 51)
        assert len(found.schedule) == 1700
        kept = slice(0, found.resume)
        np.testing.assert_array_equal(found.schedule.eta[kept], run.eta[kept])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_saving_is_the_horizon_that_is_enough(strategy):
    """There the same strategy gets to the bound of the old recipe, and not much earlier."""
    found = cb.extend(RUN, 8000, strategy=strategy)
    enough = round(8000 * (1 - found.saving))
    for steps, reached in ((enough + 2, True), (enough - 2, False)):
        shorter = cb.extend(RUN, steps, strategy=strategy)
        assert (shorter.omega <= found.omega_naive) == reached


def test_a_stage_without_a_solution_is_told():
    """What counts for the whole is whether the rate is the best one at the end."""
    found = cb.extend(schedules.wsd(41, cooldown=0.0625), 53, strategy="stages")
    assert [stage.solved for stage in found.stages] == [True, True, False, True]
    assert found.solved
    assert best(found.schedule.eta, "last") == pytest.approx(found.gamma, rel=1e-6)
    assert f"for the horizon {found.stages[2].steps}." in found.message


def test_rounding_is_no_decay():
    noise = np.random.default_rng(0).normal(size=4000)
    found = cb.extend(RUN.eta * (1 + 1e-8 * noise), 6000, strategy="factor")
    assert found.improvement == pytest.approx(
        cb.extend(RUN, 6000, strategy="factor").improvement, abs=1e-5
    )
    as_float32 = (3e-4 * RUN.eta).astype(np.float32)
    assert cb.extend(as_float32, 8000).cooldown == pytest.approx(
        cb.extend(RUN, 8000).cooldown, abs=1
    )


@settings(max_examples=30)
@given(
    steps=st.integers(20, 400),
    more=st.floats(1.05, 4),
    cooldown=st.floats(0.05, 0.8),
    warmup=st.floats(0, 0.15),
    strategy=st.sampled_from(STRATEGIES),
    kind=st.sampled_from(KINDS),
)
def test_any_run(steps, more, cooldown, warmup, strategy, kind):
    """Solved means that the rate is the best one; in any case the steps are in [0, 1]."""
    run = schedules.wsd(steps, cooldown=cooldown, warmup=warmup)
    new = int(steps * more) + 10
    found = cb.extend(run, new, strategy=strategy, kind=kind)
    eta = found.schedule.eta
    assert eta.shape == (new,)
    assert eta.max() == run.eta.max()
    assert eta.min() >= 0
    assert np.isfinite(found.omega)
    assert 0 <= found.saving < 1
    if found.solved:
        assert best(eta, kind) == pytest.approx(found.gamma, rel=1e-6)


def test_unsolved_is_the_least_bound():
    found = cb.extend(RUN, 8000, resume=3900)
    body = np.append(RUN.eta[:3900], np.full(4100, RUN.eta[3899]))
    others = [cooled(body, length, Decline()) for length in np.linspace(1, 4101, 60)]
    omegas = cb.bound(np.array(others), found.gamma, last_step="repeat")
    assert not found.solved
    assert found.omega <= omegas.min() * (1 + 1e-7)


# --- the run -------------------------------------------------------------------------------------


def test_a_run_that_has_only_its_plateau():
    """The schedule that the rate was tuned for says the rest, also at another scale."""
    expected = cb.extend(RUN, 8000)
    for scale in (1.0, 0.2):
        found = cb.extend(schedules.constant(3500), 8000, reference=scale * RUN.eta)
        assert found.schedule == expected.schedule
        assert found.omega == pytest.approx(expected.omega, rel=1e-12)


def test_the_planned_horizon_gives_the_planned_run():
    found = cb.extend(schedules.constant(3000), 4000, reference=RUN)
    np.testing.assert_allclose(found.schedule, RUN, atol=1e-8)


def test_units_of_the_run():
    found = cb.extend(3e-4 * RUN.eta, 8000)
    np.testing.assert_allclose(found.schedule, 3e-4 * cb.extend(RUN, 8000).schedule.eta, rtol=1e-8)


def test_a_log(tmp_path):
    """The peak learning rate is taken out, the shape of its cooldown recognised."""
    run = schedules.wsd(1000, cooldown=0.3, shape="1-sqrt", warmup=100)
    log = tmp_path / "run.csv"
    rows = [f"{i + 1},{3e-4 * eta:.6g}" for i, eta in enumerate(run.eta)]
    log.write_text("\n".join(["step,lr", *rows]) + "\n")
    found, expected = cb.extend(log, 2000), cb.extend(run, 2000)
    assert found.schedule.params["shape"] == "1-sqrt"
    np.testing.assert_allclose(found.schedule, expected.schedule, atol=2e-5)
    assert found.improvement == pytest.approx(expected.improvement, abs=1e-4)


@pytest.mark.parametrize("decay", [schedules.cosine, schedules.linear, schedules.inverse_sqrt])
def test_a_decay_has_no_plateau(decay):
    run = decay(500, warmup=50)
    with pytest.raises(
        ValueError, match=r"no plateau to hold: it is at its peak from step 51 to 5. .* resume="
    ):
        cb.extend(run, 1000)
    found = cb.extend(run, 1000, resume=300)
    assert found.resume >= 300
    assert found.schedule.eta[300:].max() == run.eta[299]


def test_a_run_without_a_cooldown_of_its_own():
    """The rate of a constant run is the best one later, too, if the run cools down."""
    found = cb.extend(schedules.constant(1000), 2000)
    assert found.solved
    assert found.omega_naive == cb.bound(schedules.constant(2000), found.gamma)


# --- strategies ----------------------------------------------------------------------------------


def test_stages_can_be_left_at_each_horizon():
    """Cooled down at the horizon of any stage, the rate is the best one."""
    found = cb.extend(RUN, 16_000, strategy="stages", stages=[6000, 9000, 16_000])
    assert [stage.steps for stage in found.stages] == [6000, 9000, 16_000]
    assert found.factors == tuple(stage.factor for stage in found.stages)
    assert list(found.factors) == sorted(found.factors, reverse=True)
    eta, start = np.ones(16_000), 3201
    for stage in found.stages:
        eta[start:] = stage.factor
        cut = cooled(eta[: stage.steps], stage.steps // 5, Decline())
        assert best(cut) == pytest.approx(found.gamma, rel=1e-9)
        assert stage.omega == cb.bound(cut, found.gamma, last_step="repeat")
        assert stage.omega < stage.omega_naive
        start = stage.steps + 1 - stage.steps // 5
    assert found.schedule == schedules.from_array(cut)


def test_one_stage_is_a_factor():
    one = cb.extend(RUN, 9000, strategy="stages", stages=1)
    assert one.schedule == cb.extend(RUN, 9000, strategy="factor").schedule


def test_looking_ahead_lowers_earlier_and_then_less():
    near, far = (
        cb.extend(RUN, 16_000, strategy="stages", stages=4, lookahead=ahead).factors
        for ahead in (1, 2)
    )
    assert far[0] < near[0]
    assert far[-1] > near[-1]
    assert far[-1] == far[-2]  # the last horizon was in sight


def test_more_stages_than_there_is_room_for():
    found = cb.extend(RUN, 4010, strategy="stages", stages=50)
    assert 1 <= len(found.stages) < 10


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_long_runs_are_quick(kind):
    run = schedules.wsd(25_000, cooldown=0.2)
    start = time.perf_counter()
    cb.extend(run, 100_000, kind=kind)
    assert time.perf_counter() - start < 5  # 0.1 and 0.4 s on an idle machine


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"eta": []}, ValueError, "eta must have at least one step"),
        ({"eta": [1, np.inf]}, ValueError, "eta must be non-negative, finite .* index 1"),
        ({"eta": [0, 0]}, ValueError, "eta has no positive step"),
        ({"eta": np.ones((2, 3))}, ValueError, "eta must have one axis"),
        ({"eta": [1, 1, 1, 0, 0]}, ValueError, "eta has no best .* ends at zero"),
        ({"steps": 4000}, ValueError, "steps must be more than the 4000 steps of eta, got 4000"),
        ({"steps": 8e3}, TypeError, "steps must be an integer"),
        ({"strategy": "factors"}, ValueError, "did you mean 'factor'"),
        ({"kind": "lsat"}, ValueError, "did you mean 'last'"),
        ({"reference": [0.0]}, ValueError, "reference has no positive step"),
        ({"resume": 0}, ValueError, "resume must be at least 1, where the peak is reached"),
        ({"resume": 4001}, ValueError, "resume must be one of the 4000 steps"),
        ({"cooldown": 0.5}, ValueError, "is what strategy='cooldown' finds"),
        ({"cooldown": 1.0, "strategy": "factor"}, ValueError, "less than all of the 8000 steps"),
        ({"cooldown": 4900, "strategy": "factor"}, ValueError, "nothing is left of the plateau"),
        ({"shape": "liner"}, ValueError, "did you mean 'linear'"),
        ({"final": 2}, ValueError, "final must be a ratio to the peak"),
        ({"exponent": 0}, ValueError, "exponent must be positive"),
        ({"stages": 0}, ValueError, "stages must be at least 1"),
        ({"stages": [5000, 5000]}, ValueError, r"stages\[1\] is 5000, after 5000"),
        ({"stages": [9000]}, ValueError, "stages must increase from the 4000 steps of eta to"),
        ({"lookahead": 0}, ValueError, "lookahead must be at least 1"),
    ],
)
def test_what_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        cb.extend(**{"eta": RUN, "steps": 8000, **arguments})


def test_a_rate_of_zero_cannot_be_held():
    with pytest.raises(ValueError, match="the learning rate of step 4 is zero"):
        cb.extend([1, 1, 0.5, 0], 9, resume=4)


def test_a_cooldown_that_reaches_zero_early():
    with pytest.raises(ValueError, match="its cooldown is at zero before the last step"):
        cb.extend(RUN, 8000, shape=lambda x: np.maximum(1 - 2 * x, 0))
    assert cb.extend(RUN, 8000, shape=lambda x: np.maximum(1 - 2 * x, 0), last_step="free").solved


# --- words ---------------------------------------------------------------------------------------


def test_repr_and_summary():
    found = cb.extend(RUN, 16_000)
    assert repr(found).startswith("<Extension cooldown: 16000 steps, no solution, bound 25.")
    assert found.message in found.summary()
    assert (
        repr(found.schedule) == "<Schedule extended: 16000 steps, cooldown, resumed after step 1>"
    )
    assert found.schedule.params["cooldown"] == found.cooldown


# --- parts ---------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    steps=st.integers(2, 300),
    cooldown=st.integers(1, 300),
    shape=st.sampled_from(SHAPES),
    final=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_a_whole_cooldown_is_that_of_wsd(steps, cooldown, shape, final):
    cooldown = min(cooldown, steps)
    expected = schedules.wsd(steps, cooldown=cooldown, shape=shape, rate=0.3, final=final)
    found = cooled(np.ones(steps), cooldown, Decline(shape, 2.0, 0.3, final))
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [1.0, 1.5, 2.0, 20.0, 20.5, 50.0])
def test_a_cooldown_is_continuous_in_its_length(shape, length):
    """Also where one more step joins it, although sqrt(x) rises steeply at x = 0."""
    near = [
        cooled(np.ones(50), min(length + change, 50.0), Decline(shape))
        for change in (-1e-12, 1e-12)
    ]
    assert np.abs(near[1] - near[0]).max() < 1e-5


@pytest.mark.parametrize("shape", ["linear", "1-sqrt", "cosine", "power", "exponential"])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_the_recipe_of_a_run(shape, final):
    made = {"shape": shape, "final": final, "rate": 0.5, "warmup": 30}
    recipe = Recipe.of(schedules.wsd(1000, cooldown=0.4, **made).eta)
    assert (recipe.first, recipe.last, recipe.peak) == (31, 601, 1)
    assert recipe.fits
    assert recipe.fraction == 0.4
    assert recipe.decline == Decline(shape, end=final)
    expected = schedules.wsd(2500, cooldown=0.4, **made)
    np.testing.assert_allclose(recipe.stretched(2500), expected, rtol=1e-12)


def test_a_shape_that_is_none_of_these_is_stretched():
    run = schedules.piecewise(1000, milestones=[0.5, 0.8], factors=[0.3, 0.1]).eta
    recipe = Recipe.of(run)
    assert not recipe.fits
    stretched = recipe.stretched(2000)
    np.testing.assert_array_equal(stretched[::2], run)


def test_root():
    calls = []

    def cubic(x):
        calls.append(x)
        return x**3 - 2

    assert root(cubic, 0.0, 100.0, -2.0, 1e6 - 2, 1e-12) == pytest.approx(2 ** (1 / 3), rel=1e-12)
    assert len(calls) < 40
    assert root(lambda x: -1.0 if x < 1 else 1.0, 0.0, 3.0, -1.0, 1.0, 1e-12) == pytest.approx(1)


def test_minimum():
    assert minimum(lambda x: (x - 2) ** 2, 0.0, 10.0, 1e-6) == pytest.approx(2, abs=1e-4)
    assert minimum(lambda x: x, 1.0, 3.0, 1e-4) == 1.0
    assert minimum(lambda x: -x, 1.0, 3.0, 1e-4) == 3.0
