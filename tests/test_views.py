"""The bound over the base learning rate, horizon and cooldown: numbers, figures, commands."""

import importlib.util
import json
import sys

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import cli, plot, views

KINDS = ["last", "tight", "average"]

needs_figures = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="figures need matplotlib"
)


def wsd_of(cooldown):
    return cb.schedules.wsd(400, cooldown)


# --- sweeps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_is_the_bound_at_each_rate(kind):
    schedule = cb.schedules.wsd(300)
    problem = {"G": 2.0, "D": 3.0, "kind": kind, "last_step": "repeat"}
    found = views.sweep(schedule, **problem)
    best = cb.tune(schedule, **problem)
    assert (found.best_gamma, found.best_omega) == best
    assert (found.label, found.kind, found.normalised) == ("wsd", kind, False)
    np.testing.assert_allclose(found.omega, cb.bound(schedule, found.gamma, **problem), rtol=1e-12)
    np.testing.assert_allclose(found.gamma[[0, 32, -1]] / best.gamma, [1 / 16, 1, 16], rtol=1e-12)
    assert found.omega.argmin() == 32


def test_a_sweep_at_given_rates():
    found = views.sweep(cb.schedules.wsd(300), [0.01, 0.1], label="mine")
    assert (found.label, found.normalised) == ("mine", True)
    assert found.gamma.tolist() == [0.01, 0.1]


@pytest.mark.parametrize("gamma", [[], [0.1, 0.1], [0.2, 0.1], 0.1, [[0.1]]])
def test_rates_of_a_sweep_increase(gamma):
    with pytest.raises(ValueError, match="gamma must be values that increase"):
        views.sweep(cb.schedules.wsd(300), gamma)


@pytest.mark.parametrize("eta", [np.ones((2, 3)), 1.0, []])
def test_a_sweep_takes_one_schedule(eta):
    with pytest.raises(ValueError, match="one schedule"):
        views.sweep(eta)


def test_a_sweep_refuses_an_infinite_bound():
    with pytest.raises(ValueError, match="mine: no base learning rate gives a finite bound"):
        views.sweep([1.0, 1.0, 0.0], label="mine")


# --- trends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_trend_is_tuned_at_each_value(kind):
    at = [10, 100, 400]
    found = views.trend(cb.schedules.wsd, at, over="horizon", label="wsd", kind=kind, D=2.0)
    best = [cb.tune(cb.schedules.wsd(steps), kind=kind, D=2.0) for steps in at]
    np.testing.assert_array_equal(np.transpose([found.gamma, found.omega]), best)
    assert found.x.tolist() == at
    assert not found.normalised


def test_the_exponent_is_that_of_a_power_law():
    """With the tight optimum the best rate is exactly proportional to T^-1/2."""

    def best_of(steps):
        return cb.theory.optimal_steps(steps, kind="tight") * steps**0.25

    found = views.trend(best_of, [10, 50, 300], over="horizon", label="optimum", kind="tight")
    np.testing.assert_allclose(found.exponent, -0.25, rtol=1e-6)


def test_no_exponent_where_there_is_no_horizon():
    over_cooldown = views.trend(wsd_of, views.fractions(), over="cooldown", label="wsd")
    one_horizon = views.trend(cb.schedules.wsd, [400], over="horizon", label="wsd")
    assert np.isnan([over_cooldown.exponent, one_horizon.exponent]).all()


@pytest.mark.parametrize("at", [[], [100, 100], [200, 100], 100])
def test_what_a_trend_is_over_increases(at):
    with pytest.raises(ValueError, match="at must be values that increase"):
        views.trend(cb.schedules.wsd, at, over="horizon", label="wsd")


def test_an_infinite_bound_is_named():
    with pytest.raises(ValueError, match="mine at cooldown 1: no base learning rate"):
        views.trend(lambda _: [1.0, 0.0], [1.0], over="cooldown", label="mine")


def test_an_unknown_axis():
    with pytest.raises(ValueError, match="did you mean 'horizon'"):
        views.trend(cb.schedules.wsd, [1, 2], over="horizons", label="wsd")


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 400, 10**6])
def test_horizons_end_at_the_last(steps):
    found = views.horizons(steps)
    assert found[-1] == steps
    assert found[0] == max(min(steps, 10), round(steps / 1000))
    assert np.all(np.diff(found) > 0)
    assert found.size <= 25


def test_fractions_leave_room_for_a_warmup():
    found = views.fractions(0.9)
    assert (found[0], found[-1]) == (0, 0.9)
    for cooldown in found:
        assert len(cb.schedules.wsd(77, float(cooldown), warmup=0.1)) == 77


@pytest.mark.parametrize(
    "call",
    [
        lambda: views.horizons(0),
        lambda: views.horizons(10, 1),
        lambda: views.fractions(0),
        lambda: views.fractions(1.1),
        lambda: views.fractions(1.0, 1),
    ],
)
def test_counts_out_of_range(call):
    with pytest.raises(ValueError, match="got"):
        call()


# --- figures -------------------------------------------------------------------------------------


@needs_figures
def test_a_sweep_is_drawn_with_its_minimum():
    sweeps = [views.sweep(cb.schedules.cosine(400), kind=kind) for kind in ("last", "tight")]
    figure = views.sweep_figure(sweeps)
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    for each, line, mark in zip(sweeps, axes.lines[::2], axes.lines[1::2], strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.transpose([each.gamma, each.omega]))
        np.testing.assert_array_equal(mark.get_xydata(), [[each.best_gamma, each.best_omega]])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["cosine, last: best 0.0482 D/G", "cosine, tight: best 0.0483 D/G"]
    assert axes.lines[0].get_color() == axes.lines[2].get_color()
    assert axes.lines[0].get_linewidth() > axes.lines[2].get_linewidth()


@needs_figures
@pytest.mark.parametrize("over", ["horizon", "cooldown"])
def test_a_trend_is_drawn(over):
    make, at = {
        "horizon": (cb.schedules.wsd, views.horizons(1000)),
        "cooldown": (wsd_of, views.fractions()),
    }[over]
    line = views.trend(make, at, over=over, label="wsd", G=2.0)
    figure = views.trend_figure([line])
    top, bottom = figure.axes
    np.testing.assert_array_equal(top.lines[0].get_xydata(), np.transpose([at, line.gamma]))
    np.testing.assert_array_equal(bottom.lines[0].get_xydata(), np.transpose([at, line.omega]))
    assert bottom.get_xscale() == ("log" if over == "horizon" else "linear")
    (text,) = figure.legends[0].get_texts()
    power = f": gamma* ~ T^{line.exponent:.3f}" if over == "horizon" else ""
    assert text.get_text() == f"wsd{power}"
    assert "D/G" not in top.get_ylabel()


@needs_figures
def test_nothing_to_draw_together():
    with pytest.raises(ValueError, match="at least one line"):
        views.sweep_figure([])
    one = views.trend(cb.schedules.wsd, [1], over="horizon", label="wsd")
    other = views.trend(wsd_of, [1.0], over="cooldown", label="wsd")
    with pytest.raises(ValueError, match="not both"):
        views.trend_figure([one, other])


@needs_figures
@pytest.mark.parametrize("label", ["_run", "$\\nonsense$", "%s{}"])
def test_labels_are_text(label, tmp_path):
    figure = views.sweep_figure([views.sweep(cb.schedules.wsd(30), label=label)])
    plot.save(figure, tmp_path / "a.png")
    assert label in figure.legends[0].get_texts()[0].get_text()


# --- on the command line -------------------------------------------------------------------------


@pytest.fixture
def call(capsys, tmp_path):
    """Run ``cvxbound plot`` with a figure to write: exit code, standard output, standard error."""

    def run(*argv, out="figure.png"):
        code = cli.main(["plot", *map(str, argv), "--out", str(tmp_path / out)])
        return code, *capsys.readouterr()

    return run


@needs_figures
@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_from_a_shell(call, tmp_path, kind):
    argv = ["cosine", "wsd:cooldown=0.4", "--steps", 200, "--view", "sweep", "--kind", kind]
    code, out, err = call(*argv, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out, parse_constant=pytest.fail)
    assert (found["view"], found["figure"]) == ("sweep", str(tmp_path / "figure.png"))
    row = found["schedules"][1]
    expected = views.sweep(cb.schedules.wsd(200, 0.4), kind=kind, last_step="repeat")
    assert (row["label"], row["kind"]) == ("wsd:cooldown=0.4", kind)
    assert (row["gamma"], row["omega"]) == (expected.gamma.tolist(), expected.omega.tolist())
    assert row["best"] == {"gamma": expected.best_gamma, "omega": expected.best_omega}
    assert [each.name for each in tmp_path.iterdir()] == ["figure.png"]
    assert "gamma*" in call(*argv)[1]


@needs_figures
def test_horizons_from_a_shell(call):
    argv = ["wsd:cooldown=0.4,warmup=0.1", "--steps", 5000, "--view", "horizon"]
    (row,) = json.loads(call(*argv, "--json")[1])["schedules"]
    assert row["horizon"] == views.horizons(5000).tolist()
    first = cb.tune(cb.schedules.wsd(10, 0.4, warmup=0.1), last_step="repeat")
    assert (row["gamma"][0], row["omega"][0]) == first
    assert -0.6 < row["exponent"] < -0.4
    assert "5,000" in call(*argv)[1]


@needs_figures
@pytest.mark.parametrize("warmup", [0, 50, 0.5])
def test_cooldowns_from_a_shell(call, warmup):
    argv = [f"wsd:shape=1-sqrt,warmup={warmup}", "--steps", 200, "--view", "cooldown"]
    (row,) = json.loads(call(*argv, "--json")[1])["schedules"]
    most = 1 - (warmup if isinstance(warmup, float) else warmup / 200)
    assert (row["cooldown"][0], row["cooldown"][-1]) == (0, most)
    whole = cb.schedules.wsd(200, most, "1-sqrt", warmup=warmup)
    assert (row["gamma"][-1], row["omega"][-1]) == cb.tune(whole, last_step="repeat")
    assert row["exponent"] is None
    assert "within 1 %" in call(*argv)[1]


@needs_figures
@pytest.mark.parametrize("view", ["horizon", "cooldown"])
def test_a_run_cannot_be_made_anew(call, tmp_path, view):
    log = tmp_path / "log.csv"
    log.write_text("step,lr\n1,0.1\n2,0.1\n3,0.05\n")
    code, out, err = call(log, "--view", view)
    assert (code, out) == (2, "")
    assert "log of a run" in err
    assert call(log, "--view", "sweep")[0] == 0


@needs_figures
@pytest.mark.parametrize(
    ("code", "argv", "told"),
    [
        (2, ["cosine", "--view", "cooldown"], "cosine has no cooldown to vary"),
        (2, ["wsd", "--view", "sweep", "--log-x"], "--log-x goes with --view curves"),
        (2, ["wsd", "--view", "sweep", "--loss-column", "a"], "--loss-column goes with"),
        (2, ["wsd", "--view", "horizon", "--gamma", "1"], "--gamma goes with --view curves"),
        (2, ["wsd", "--view", "sweeps"], 'Did you mean "sweep"'),
        (1, ["wsd:warmup=300", "--view", "horizon"], "give its lengths as fractions"),
        (1, ["wsd:cooldown=0,warmup=1.0", "--view", "cooldown"], "leaves no step for a cooldown"),
    ],
)
def test_what_does_not_go_together(call, tmp_path, code, argv, told):
    found, out, err = call(*argv, "--steps", 1000)
    assert (found, out) == (code, "")
    assert told in err
    assert not list(tmp_path.iterdir())


@needs_figures
def test_curves_are_the_default(call):
    found = json.loads(call("wsd", "--steps", 100, "--json")[1])
    assert found["view"] == "curves"


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "cvxbound\[plot\]"'):
        views.sweep_figure([views.sweep(cb.schedules.wsd(30))])
