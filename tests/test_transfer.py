"""From the learning rate of one schedule to that of another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cvxbound as cb
from cvxbound import schedules

KINDS = ["last", "tight", "average"]
WSD, COSINE = schedules.wsd(400, cooldown=0.2), schedules.cosine(400)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_of_the_best_rates(kind):
    expected = 3e-4 * (
        cb.tune(COSINE, kind=kind, last_step="repeat").gamma
        / cb.tune(WSD, kind=kind, last_step="repeat").gamma
    )
    assert cb.transfer_lr(3e-4, WSD, COSINE, kind=kind) == pytest.approx(expected, rel=1e-15)


def test_the_ratios_of_the_paper():
    """Schaipp et al.: 1.907 from WSD to cosine at T = 200, and hardly less at a long horizon."""
    for steps, ratio in ((200, 1.907), (100_000, 1.887)):
        source, target = schedules.wsd(steps, cooldown=0.2), schedules.cosine(steps)
        found = cb.transfer_lr(1.0, source, target, last_step="given")
        assert found == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_d_and_g_cancel(kind):
    rates = [cb.tune(each, kind=kind, D=3.0, G=7.0).gamma for each in (WSD, COSINE)]
    found = cb.transfer_lr(rates[0], WSD, COSINE, kind=kind, last_step="given")
    assert found == pytest.approx(rates[1], rel=1e-13)


@given(
    rate=st.floats(1e-6, 1e3),
    steps=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    kind=st.sampled_from(KINDS),
)
def test_there_and_back(rate, steps, kind):
    """Transfer is a ratio: back again is where it came from, and to itself changes nothing."""
    a, b = schedules.linear(steps[0]), schedules.wsd(steps[1], cooldown=0.5)
    there = cb.transfer_lr(rate, a, b, kind=kind)
    assert cb.transfer_lr(there, b, a, kind=kind) == pytest.approx(rate, rel=1e-12)
    assert cb.transfer_lr(rate, a, a, kind=kind) == rate


@pytest.mark.parametrize("exponent", [-0.5, -0.3, 0.0])
def test_horizon_exponent(exponent):
    """T^h takes the place of T^(-1/2), which is the theory's for linear decay up to 1 / T."""
    short, long = schedules.linear(1_000), schedules.linear(64_000)
    found = cb.transfer_lr(1.0, short, long, horizon_exponent=exponent)
    assert found == pytest.approx(64.0**exponent, rel=0.01)


def test_theory_is_an_exponent_of_minus_a_half():
    found = cb.transfer_lr(1.0, WSD, schedules.wsd(1600), horizon_exponent=-0.5)
    assert found == cb.transfer_lr(1.0, WSD, schedules.wsd(1600))


def test_the_same_horizon_has_no_exponent():
    assert cb.transfer_lr(1.0, WSD, COSINE, horizon_exponent=3) == cb.transfer_lr(1.0, WSD, COSINE)


def test_broadcasting():
    """The rates are one axis, the targets another."""
    targets = np.stack([WSD.eta, COSINE.eta])
    found = cb.transfer_lr(np.array([[1.0], [2.0], [3.0]]), WSD, targets)
    assert found.shape == (3, 2)
    assert found[2, 1] == cb.transfer_lr(3.0, WSD, COSINE)
    np.testing.assert_array_equal(found[:, 0], [1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, WSD, WSD), "gamma must be positive and finite; found -1"),
        ((np.inf, WSD, WSD), "gamma must be positive and finite"),
        ((1, [], WSD), "source: eta is empty"),
        ((1, WSD, [1, np.nan]), "target: eta must be non-negative.*index 1"),
        ((1, [0, 0], WSD), "source has no best base learning rate: no step of it is positive"),
        ((1, WSD, [1, 0, 0]), "target has no best .* ends at zero; leave out its last steps"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cb.transfer_lr(*arguments)


@pytest.mark.parametrize("exponent", [np.nan, np.inf, [1, 2]])
def test_the_exponent_is_a_number(exponent):
    with pytest.raises(ValueError, match="horizon_exponent must be a finite number"):
        cb.transfer_lr(1, WSD, COSINE, horizon_exponent=exponent)


def test_names_and_types():
    with pytest.raises(ValueError, match="did you mean 'tight'"):
        cb.transfer_lr(1, WSD, COSINE, kind="tigth")
    with pytest.raises(TypeError, match="source: eta must hold real numbers"):
        cb.transfer_lr(1, ["a"], COSINE)


def test_no_step_is_refused_where_a_virtual_one_could_stand_for_it():
    """`tight` puts the best step in the place of the last one, and so is finite without any."""
    with pytest.raises(ValueError, match="no step of it is positive"):
        cb.transfer_lr(1, [0, 0], COSINE, kind="tight")


def test_zeros_at_the_end_under_a_free_last_step():
    assert cb.transfer_lr(1, WSD, [1, 1, 0, 0], kind="tight") > 0
    assert cb.transfer_lr(1, WSD, [1, 1, 0, 0], last_step="free") > 0


def test_an_exponent_that_is_no_exponent():
    for exponent in (1e6, -1e6):
        with pytest.raises(ValueError, match="horizon_exponent is too large"):
            cb.transfer_lr(1.0, schedules.wsd(10), schedules.wsd(100), horizon_exponent=exponent)
