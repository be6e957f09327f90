"""The schedule that gradient norms ask for: its steps, its worth, its nearest relative."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import cvxbound as cb
from cvxbound import theory
from cvxbound.refinement import _running_median

DATA = Path(__file__).parents[2] / "shared" / "data" / "llama_runs"
real_logs = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real logs in {DATA}")

KINDS = ["tight", "last", "average"]
RNG = np.random.default_rng(0)
# Large at first, as norms are, with the noise of single batches.
NORMS = (1 + 4 * np.exp(-np.arange(400) / 30)) * np.exp(0.2 * RNG.standard_normal(400))


def shape(G, **options):
    return cb.refine(G, compare=False, **options)


def logged(name):
    with (DATA / f"gn-{name}.csv").open() as file:
        return np.array(
            [float(row["grad_norm"]) for row in csv.DictReader(file) if row["grad_norm"]]
        )


# --- the steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 5, 1000])
def test_constant_norms_give_linear_decay(steps):
    found = shape(np.full(steps, 0.3))
    np.testing.assert_allclose(found, cb.schedules.linear(steps), rtol=1e-13)


def test_the_steps_are_those_of_the_paper():
    """With a norm after the last step that is equal to the last."""
    w = np.append(NORMS, NORMS[-1]) ** -2.0
    expected = np.array([w[t] * w[t + 1 :].sum() for t in range(400)])
    np.testing.assert_allclose(shape(NORMS), expected / expected.max(), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_after_all_steps_no_schedule_is_better(kind):
    """The last of T + 1 steps is the virtual one of the bound."""
    longer = np.append(NORMS, NORMS[-1])
    best = theory.optimal_steps(401, longer, kind=kind)
    found = shape(NORMS, kind=kind)
    np.testing.assert_allclose(found.eta, best[:-1] / best[:-1].max(), rtol=1e-13)
    whole = np.append(found.eta, best[-1] / best[:-1].max())
    omega = cb.tune(whole, G=longer, kind=kind).omega
    assert omega == pytest.approx(theory.optimal_bound(401, longer, kind=kind), rel=1e-12)


@given(arrays(float, st.integers(1, 30), elements=st.floats(1e-3, 1e3)), st.sampled_from(KINDS))
def test_any_norms_give_a_schedule_of_peak_one_that_ends_above_zero(G, kind):
    found = shape(G, kind=kind)
    assert len(found) == G.size
    assert found.eta.max() == 1
    assert found.eta[-1] > 0
    assert 1 - 1e-12 <= found.params["ratio"] < np.inf


def test_the_unit_of_the_norms_does_not_matter_to_the_shape():
    np.testing.assert_allclose(shape(NORMS * 1e-60), shape(NORMS), rtol=1e-12)
    one, other = shape(NORMS).params, shape(NORMS * 10).params
    assert other["omega"] == pytest.approx(10 * one["omega"])
    assert other["gamma"] == pytest.approx(one["gamma"] / 10)


def test_large_norms_at_the_start_are_a_warm_up():
    eta = shape(1 + 4 * np.exp(-np.arange(400) / 30)).eta
    assert eta[0] < 0.1
    assert (np.diff(eta[: eta.argmax()]) > 0).all()
    assert (np.diff(eta[eta.argmax() :]) < 0).all()


def test_norms_of_a_run_of_another_length():
    found = shape(1 + 4 * np.exp(-np.arange(400) / 30), steps=4000)
    assert len(found) == 4000
    same = shape(1 + 4 * np.exp(-(np.arange(4000) - 4.5) / 300))
    np.testing.assert_allclose(found.eta[10:], same.eta[10:], rtol=0.01, atol=1e-3)
    assert len(shape([2.0], steps=3)) == 3
    assert shape(NORMS, steps=400) == shape(NORMS)


# --- smoothing and warm-up ------------------------------------------------------------------------


@given(arrays(float, st.integers(1, 40), elements=st.sampled_from([1.0, 2.0, 3.5])), st.data())
def test_the_running_median(x, data):
    window = data.draw(st.integers(0, x.size))
    padded = np.pad(x, window // 2, mode="reflect")
    expected = [np.median(padded[i : i + 2 * (window // 2) + 1]) for i in range(x.size)]
    assert _running_median(x, window).tolist() == expected


def test_smoothing_follows_the_trend():
    """Single norms that are off do not show in the schedule; their price does."""
    spiked = np.ones(200)
    spiked[[40, 90, 150]] = [0.01, 30, 10]
    found = shape(spiked, smooth=5)
    np.testing.assert_allclose(found, cb.schedules.linear(200), rtol=1e-12)
    assert found.params["smooth"] == 5
    assert found.params["omega"] == cb.tune(found, G=spiked, kind="tight").omega
    assert found.params["ratio"] > 1.1 > shape(spiked).params["ratio"]
    assert shape(NORMS, smooth=0.05) == shape(NORMS, smooth=20) == shape(NORMS, smooth=21)


@pytest.mark.parametrize("warmup", [30, 0.075])
def test_a_warm_up_of_a_given_length(warmup):
    found = shape(NORMS, smooth=0.1, warmup=warmup)
    before = shape(NORMS, smooth=0.1).eta
    assert found.params["warmup"] == 30
    np.testing.assert_allclose(found.eta[:30], np.arange(1, 31) / 31 * found.eta[30])
    np.testing.assert_allclose(found.eta[30:] / found.eta[30], before[30:] / before[30])


def test_the_warm_up_is_found():
    """It ends at the first step near the peak, wherever the noise has put the peak itself."""
    found = shape(NORMS, smooth=0.05, warmup="auto")
    before = shape(NORMS, smooth=0.05).eta
    length = found.params["warmup"]
    assert 30 < length <= before.argmax()
    assert (before[:length] < 0.95 * before.max()).all()
    assert before[length] >= 0.95 * before.max()
    assert (np.diff(found.eta[: length + 1], n=2) < 1e-12).all()
    assert shape(np.ones(50), warmup="auto").params["warmup"] == 0
    assert shape(np.arange(1, 50), warmup="auto").params["warmup"] == 0


# --- what it is worth -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_params_say_what_the_schedule_is_worth(kind):
    found = shape(NORMS, kind=kind)
    tuned = cb.tune(found, G=NORMS, kind=kind)
    assert (found.params["gamma"], found.params["omega"]) == tuned
    assert found.params["optimum"] == theory.optimal_bound(400, NORMS, kind=kind)
    assert found.params["ratio"] == tuned.omega / found.params["optimum"]
    assert 1 - 1e-12 <= found.params["ratio"] < 1.01
    assert found.params["nearest"] is None


@pytest.mark.parametrize(
    ("steps", "kind", "expected"),
    [(1000, "tight", 1.000173), (1000, "last", 1.000976), (100, "tight", 1.001657)],
)
def test_what_the_layout_costs(steps, kind, expected):
    """The bound is that of the iterate before the last step, for which linear decay is not best."""
    assert shape(np.ones(steps), kind=kind).params["ratio"] == pytest.approx(expected, abs=1e-6)


def test_the_nearest_family():
    assert cb.refine(np.ones(200)).params["nearest"] == cb.schedules.linear(200)
    assert cb.refine(np.ones(200), kind="average").params["nearest"] == cb.schedules.constant(200)
    warm = cb.refine(NORMS, smooth=0.05, warmup="auto")
    nearest = warm.params["nearest"]
    assert nearest.params["warmup"] == warm.params["warmup"]
    ratio = cb.tune(nearest, G=NORMS, kind="tight").omega / warm.params["optimum"]
    assert warm.params["nearest_ratio"] == pytest.approx(ratio)
    others = [cb.schedules.linear(400), cb.schedules.wsd(400), cb.schedules.cosine(400, warmup=40)]
    assert (
        cb.tune(np.stack(others), G=NORMS, kind="tight").omega.min()
        >= ratio * warm.params["optimum"]
    )


def test_the_repr_says_what_matters():
    assert repr(cb.refine(np.ones(1000))) == (
        "<Schedule refined: 1000 steps, tight 1.000 times the optimum, nearest linear 1.000 times>"
    )
    assert repr(shape(np.ones(9), kind="average")) == (
        "<Schedule refined: 9 steps, average 1.000 times the optimum>"
    )
    assert "nearest linear(warmup=" in repr(cb.refine(NORMS))


def test_a_refined_schedule_can_be_sent_to_another_process():
    found = cb.refine(NORMS)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.params == found.params


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("G", "options", "message"),
    [
        ([], {}, r"shape \(n,\) with n >= 1; got \(0,\)"),
        (1.0, {}, r"one norm a step, of shape \(n,\)"),
        ([[1.0]], {}, r"got \(1, 1\)"),
        ([1, 0, 2], {}, r"G must be positive and finite; found 0\.0 at index 1"),
        ([1, np.nan], {}, "found nan at index 1"),
        ([1, 2, -1], {}, r"found -1\.0 at index 2"),
        ([1, 1e101], {}, "at most 1e"),
        ([1, 2], {"kind": "tights"}, "did you mean 'tight'"),
        ([1, 2], {"warmup": "automatic"}, "unknown warmup 'automatic'; did you mean 'auto'"),
        ([1, 2], {"warmup": 3}, "warmup must be from 0 to 2 steps, got 3"),
        ([1, 2], {"smooth": 3}, "smooth must be from 0 to 2"),
        ([1, 2], {"smooth": 1.5}, "smooth must be from 0 to 1 where it is a float"),
        ([1, 2], {"steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_refusals(G, options, message):
    with pytest.raises(ValueError, match=message):
        cb.refine(G, **options)


def test_refused_types():
    with pytest.raises(TypeError, match="G must hold real numbers"):
        cb.refine(["1"])
    with pytest.raises(TypeError, match="steps must be one integer"):
        cb.refine([1.0], steps=2.0)
    with pytest.raises(TypeError, match="smooth must be an int"):
        cb.refine([1.0], smooth="5")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("G", [[1e30, 1e-30, 1e-30, 1e30], [1e-100] * 4, [1e100] * 4])
def test_norms_of_any_size(kind, G):
    found = cb.refine(G, kind=kind)
    assert np.isfinite(found.eta).all()
    assert 1 - 1e-12 <= found.params["ratio"] < 3


@pytest.mark.parametrize("G", [[1.0, 1e-61], [1e-320] * 5])
def test_norms_that_are_too_far_apart(G):
    with pytest.raises(ValueError, match="as large as another; found"):
        cb.refine(G)


# --- real runs ------------------------------------------------------------------------------------


@real_logs
@pytest.mark.parametrize("rate", ["0.0001", "0.0005", "0.001"])
def test_a_real_run_asks_for_what_practice_does(rate):
    """From norms logged without any decay: a short warm-up, then a decay that is nearly linear."""
    norms = logged(f"stable-124m_lr{rate}_wsd_warmup300_decay_linear_0.0_iter50000")
    found = cb.refine(norms, smooth=0.02, warmup="auto")
    assert 0.03 < found.params["warmup"] / len(found) < 0.25
    assert found.params["ratio"] < 1.02
    assert found.params["nearest_ratio"] < 1.025
    assert found.params["nearest"].params["warmup"] == found.params["warmup"]
