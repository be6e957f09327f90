"""The figure of a loss law."""

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import laws, logs, plot

pytest.importorskip("matplotlib", reason="figures need matplotlib")
pytest.importorskip("scipy", reason="fitting needs SciPy")

LR = 1e-3


def a_run(name, schedule, lr=LR):
    at = np.arange(10, len(schedule) + 1, 10)
    a, b = laws.Omega().features(laws.Trace(lr * schedule.eta, None, at), {})
    noise = 1 + 1e-3 * np.random.default_rng(len(name)).standard_normal(at.size)
    return logs.Run(name, lr * schedule.eta, at, (2.5 + 0.9 * a + 60 * b) * noise)


RUNS = [
    a_run("cosine", cb.schedules.cosine(600, warmup=20)),
    a_run("constant", cb.schedules.constant(600, warmup=20)),
]
OTHER = a_run("other $x_1$", cb.schedules.linear(900, warmup=20))
PLAN = cb.schedules.wsd(1500, warmup=20)


@pytest.fixture(scope="module")
def law():
    return cb.fit(RUNS, law="omega", replicates=10)


def drawn(figure):
    """The legend, and the lines and points of each entry in the upper panel."""
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    top, bottom = figure.axes
    return entries, top, bottom


def curves(axes):
    """What is drawn as a line, without the samples in the legend."""
    return [each for each in axes.lines if len(each.get_xdata()) and each.get_linestyle() != "None"]


def points(axes):
    """What is drawn as markers."""
    return [each for each in axes.lines if len(each.get_xdata()) and each.get_linestyle() == "None"]


def test_the_entries(law):
    """What is predicted comes first, with its loss; then held-out runs, then fitted ones."""
    figure = plot.forecast(law, RUNS, held_out=[OTHER], schedules={"plan": PLAN})
    entries, top, _ = drawn(figure)
    _, loss, low, high = law.predict(PLAN)
    assert entries == [
        f"plan: {loss:.4g} ({low:.4g} to {high:.4g})",
        "other $x_1$, held out",
        "cosine",
        "constant",
    ]
    assert top.get_ylabel() == "val loss"


def test_the_curves_are_the_law_and_the_points_are_the_losses(law):
    figure = plot.forecast(law, RUNS[:1], schedules=[PLAN])
    _, top, _ = drawn(figure)
    for curve, schedule in zip(curves(top), (PLAN, RUNS[0]), strict=True):
        at = np.asarray(curve.get_xdata())
        np.testing.assert_allclose(curve.get_ydata(), law.predict(schedule, at=at).loss)
        assert at[0] == law.burn_in + 1
    end, losses = points(top)
    assert end.get_xdata().tolist() == [1500]
    np.testing.assert_array_equal(losses.get_xdata(), RUNS[0].step)
    np.testing.assert_array_equal(losses.get_ydata(), RUNS[0].loss)


def test_the_residuals(law):
    """In percent of the law, after the burn-in."""
    _, _, bottom = drawn(plot.forecast(law, RUNS, held_out=[OTHER]))
    for found, run in zip(points(bottom), (OTHER, *RUNS), strict=True):
        late = run.step > law.burn_in
        expected = 100 * (run.loss[late] / law.predict(run, at=run.step[late]).loss - 1)
        np.testing.assert_array_equal(found.get_xdata(), run.step[late])
        np.testing.assert_allclose(found.get_ydata(), expected, atol=1e-6)


def test_what_the_law_did_not_see_has_an_interval(law):
    _, top, _ = drawn(plot.forecast(law, RUNS))
    assert not top.collections
    _, top, _ = drawn(plot.forecast(law, held_out=[OTHER], schedules=[PLAN]))
    assert len(top.collections) == 2
    without = cb.fit(RUNS, law="omega", replicates=0)
    entries, _, _ = drawn(plot.forecast(without, schedules=[PLAN]))
    assert entries == [f"wsd: {without.predict(PLAN).loss:.4g}"]


@pytest.mark.parametrize("log_x", [False, True])
def test_the_first_losses_do_not_squeeze_the_rest(law, log_x):
    _, top, _ = drawn(plot.forecast(law, RUNS, schedules=[PLAN], log_x=log_x))
    low, high = top.get_ylim()
    assert RUNS[0].loss[0] > 3 * high
    assert low < law.predict(PLAN).low
    assert high > law.predict(PLAN, at=law.burn_in + 100).high


def test_rates(law):
    """One for all schedules, or the best of each."""
    linear = cb.schedules.linear(1200)
    for lr in (2e-3, "best"):
        entries, _, _ = drawn(plot.forecast(law, schedules={"linear": linear}, lr=lr))
        rate = law.best_lr(linear).lr if lr == "best" else lr
        assert entries[0].startswith(f"linear: {law.predict(linear, rate).loss:.4g} ")


def test_a_diverged_run_is_drawn_to_where_it_is_finite(law):
    bad = logs.Run("bad", np.full(100, LR), [50, 60, 100], [9.0, 8.0, np.inf])
    _, _, bottom = drawn(plot.forecast(law, held_out=[bad]))
    (residuals,) = points(bottom)
    assert residuals.get_xdata().max() == 60


@pytest.mark.parametrize("count", [1, 20])
def test_few_and_many(law, count, tmp_path):
    """The legend of many has columns beside each other."""
    runs = [a_run(f"run {i}", cb.schedules.cosine(300 + 10 * i), 5e-4) for i in range(count)]
    figure = plot.forecast(law, runs)
    assert figure.get_size_inches()[1] < 9
    plot.save(figure, tmp_path / "law.svg")


def test_a_run_shorter_than_the_burn_in(law):
    short = a_run("short", cb.schedules.cosine(40))
    long = cb.fit(RUNS, law="omega", replicates=0, burn_in=100)
    _, _, bottom = drawn(plot.forecast(long, held_out=[short]))
    assert points(bottom)[0].get_xdata().tolist() == [40]


def test_nothing_to_draw(law):
    with pytest.raises(ValueError, match="at least one run or schedule"):
        plot.forecast(law)
