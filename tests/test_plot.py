"""Figures: what is sampled, what is drawn, and what is left on the disk."""

import sys
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import _horizons, plot
from cvxbound.plot import Curve, Loss

pytest.importorskip("matplotlib", reason="figures need matplotlib")

SPIKY = cb.schedules.cyclic_wsd(60_000, cycles=40, cooldown=0.1)


def a_curve(omega, *, loss=None, horizon=None, label="made up"):
    omega = np.asarray(omega, np.float64)
    every = np.arange(1, omega.size + 1) if horizon is None else np.asarray(horizon)
    return Curve(label, every, np.ones(every.size), every, omega, 0.5, "last", loss=loss)


def panels(figure):
    top, bottom = figure.axes
    return top, bottom


# --- horizons ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "count"), [(1, 10), (2, 10), (7, 100), (1000, 30), (10**6, 300)])
def test_spread_reaches_both_ends(steps, count):
    at = _horizons.spread(steps, count)
    assert at[0] == 1
    assert at[-1] == steps
    assert np.all(np.diff(at) > 0)
    assert at.size <= count


def test_outline_keeps_every_spike():
    values = np.ones(100_000)
    values[[3, 50_000, 99_998]] = [0.0, 5.0, 2.0]
    at = _horizons.outline(values, bins=100)
    assert {1, 4, 50_001, 99_999, 100_000} <= set(at.tolist())
    assert at.size <= 800


@pytest.mark.parametrize("size", [1, 2, 3, 20, 21])
def test_outline_of_a_short_sequence(size):
    at = _horizons.outline(np.arange(size, dtype=np.float64), bins=10)
    assert at[0] == 1
    assert at[-1] == size


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize(
    "schedule",
    [
        cb.schedules.constant(20_000),
        cb.schedules.cosine(20_000, warmup=300),
        cb.schedules.wsd(20_000, cooldown=0.05, shape="1-sqrt"),
        cb.schedules.piecewise(20_000, milestones=[0.8, 0.9], factors=[0.316, 0.1]),
        cb.schedules.cyclic_wsd(20_000, cycles=7),
    ],
    ids=lambda schedule: schedule.name,
)
def test_a_sampled_curve_looks_like_the_full_one(schedule, logarithmic):
    """On each of 500 columns of the figure it spans what the full curve spans."""
    curve = plot.sample(schedule, log_x=logarithmic)
    assert curve.horizon.size <= 5000
    steps = len(schedule)
    full = cb.curve(schedule, curve.gamma)
    drawn = np.interp(np.arange(1, steps + 1), curve.horizon, curve.omega)
    if logarithmic:
        starts = np.unique(np.geomspace(1, steps + 1, 501).astype(int))[:-1] - 1
    else:
        starts = np.linspace(0, steps, 501).astype(int)[:-1]
    for extreme in (np.minimum, np.maximum):
        np.testing.assert_allclose(
            extreme.reduceat(drawn, starts), extreme.reduceat(full, starts), rtol=1e-12
        )


def test_a_sampled_schedule_keeps_its_cycles():
    curve = plot.sample(SPIKY)
    lows = np.flatnonzero(np.diff(SPIKY.eta) > 0.5) + 1
    assert np.isin(lows, curve.step).all()
    assert np.isin(lows, curve.horizon).all()


# --- what is sampled -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_sample_is_at_the_best_gamma(kind):
    schedule = cb.schedules.wsd(300)
    curve = plot.sample(schedule, kind=kind, G=2.0, D=3.0)
    best = cb.tune(schedule, kind=kind, G=2.0, D=3.0)
    assert curve.gamma == best.gamma
    assert curve.kind == kind
    np.testing.assert_allclose(curve.omega[-1], best.omega, rtol=1e-9)
    np.testing.assert_array_equal(curve.horizon, np.arange(1, 301))
    np.testing.assert_array_equal(curve.step, np.arange(1, 301))
    assert not curve.normalised


def test_sample_at_a_given_gamma():
    schedule = cb.schedules.wsd(300)
    curve = plot.sample(schedule, 0.1, last_step="repeat", label="mine")
    assert (curve.gamma, curve.label, curve.normalised) == (0.1, "mine", True)
    expected = cb.curve(schedule, 0.1, last_step="repeat")
    np.testing.assert_allclose(curve.omega, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_long_schedules_have_few_horizons(kind):
    assert plot.sample(SPIKY, kind=kind).horizon.size <= 5000


def test_sample_names_an_array():
    assert plot.sample([1.0, 0.5]).label == "schedule"


@pytest.mark.parametrize("eta", [np.ones((2, 3)), 1.0, []])
def test_sample_takes_one_schedule(eta):
    with pytest.raises(ValueError, match="one schedule at a time"):
        plot.sample(eta)


def test_sample_refuses_an_infinite_bound():
    with pytest.raises(ValueError, match="mine: no base learning rate gives a finite bound"):
        plot.sample([1.0, 1.0, 0.0], label="mine")
    assert np.isinf(plot.sample([1.0, 1.0, 0.0], 0.1).omega[-1])
    assert np.isinf(plot.sample(np.zeros(5000), 0.1).omega).all()


# --- what is drawn -------------------------------------------------------------------------------


def test_the_two_panels():
    curves = [plot.sample(cb.schedules.cosine(400)), plot.sample(cb.schedules.wsd(300))]
    figure = plot.figure(curves)
    top, bottom = panels(figure)
    for axes, of_eta in ((top, True), (bottom, False)):
        for line, curve in zip(axes.lines, curves, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), curve.step)
            np.testing.assert_array_equal(line.get_ydata(), curve.eta if of_eta else curve.omega)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["cosine: base LR 0.0482 D/G", "wsd: base LR 0.0292 D/G"]
    assert top.lines[0].get_color() == bottom.lines[0].get_color() != bottom.lines[1].get_color()
    assert bottom.get_xlim() == (0, 400)
    assert bottom.get_xlabel() == "step"
    assert "last" in bottom.get_ylabel()


def test_units_are_claimed_for_unit_constants_only():
    figure = plot.figure([plot.sample(cb.schedules.cosine(400), D=2.0)])
    assert "D/G" not in figure.legends[0].get_texts()[0].get_text()
    assert "D G" not in panels(figure)[1].get_ylabel()


def test_the_first_steps_do_not_set_the_range():
    schedule = cb.schedules.wsd(10_000)
    curve = plot.sample(schedule)
    low, high = panels(plot.figure([curve]))[1].get_ylim()
    plateau = curve.omega[np.searchsorted(curve.horizon, 7_900)]
    assert 0 < low < curve.omega.min()
    assert plateau < high < 4 * curve.omega[-1] < curve.omega[0] / 100


def test_a_bound_that_rises_is_shown_in_full():
    curve = a_curve([1.0, 2.0, 3.0])
    low, high = panels(plot.figure([curve]))[1].get_ylim()
    assert low < 1 < 3 < high


def test_logarithmic_steps():
    _, bottom = panels(plot.figure([plot.sample(SPIKY, log_x=True)], log_x=True))
    assert bottom.get_xscale() == bottom.get_yscale() == "log"
    first, last = bottom.get_xlim()
    assert 1 <= first < last == len(SPIKY)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("log_x", [False, True])
def test_the_shortest_schedules(steps, log_x, tmp_path):
    curve = plot.sample(cb.schedules.constant(steps), log_x=log_x)
    plot.save(plot.figure([curve], log_x=log_x), tmp_path / "a.png")


def test_infinite_bounds_are_gaps():
    line = panels(plot.figure([a_curve([2.0, np.inf, 1.0])]))[1].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [2.0, np.nan, 1.0])


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="at least one curve"):
        plot.figure([])
    with pytest.raises(ValueError, match="every bound is infinite"):
        plot.figure([a_curve([np.inf])])


def test_long_labels_leave_room_for_the_figure():
    label = "cosine" + 200 * "x" + "end"
    text = plot.figure([a_curve([2.0, 1.0], label=label)]).legends[0].get_texts()[0].get_text()
    assert text.startswith("cosine")
    assert len(text) < 90


@pytest.mark.parametrize("label", ["_run", "$\\nonsense$", "a$b$c^", "%s{}"])
def test_labels_are_text(label, tmp_path):
    """A name is not markup, and is not left out."""
    loss = Loss(np.array([1, 2]), np.array([2.0, 1.0]), label)
    figure = plot.figure([a_curve([2.0, 1.0], label=label, loss=loss)])
    plot.save(figure, tmp_path / "a.png")
    (text,) = figure.legends[0].get_texts()
    assert label in text.get_text()


# --- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_x", [False, True])
def test_a_loss_that_follows_the_bound_lies_on_it(log_x):
    omega = 1 / np.arange(1.0, 101)
    at = np.arange(10, 101, 10)
    loss = Loss(at, 3.0 + 40.0 * omega[at - 1], "val_loss")
    figure = plot.figure([a_curve(omega, loss=loss)], log_x=log_x)
    bottom = panels(figure)[1]
    np.testing.assert_allclose(bottom.lines[1].get_ydata(), omega[at - 1], rtol=1e-9)
    (right,) = bottom.child_axes
    assert right.get_ylabel().startswith("val_loss")
    figure.draw_without_rendering()
    np.testing.assert_allclose(right.get_ylim(), 3 + 40 * np.array(bottom.get_ylim()), rtol=1e-9)


def test_one_scale_for_all_losses():
    """Two runs are compared with one another too, so the curves may not be moved one by one."""
    omega = np.linspace(2.0, 1.0, 50)
    at = np.arange(1, 51)
    curves = [
        a_curve(omega, loss=Loss(at, 5 + omega, "loss")),
        a_curve(omega + 0.5, loss=Loss(at, 5 + omega + 0.5 + 0.1, "loss")),
    ]
    lines = panels(plot.figure(curves))[1].lines
    slope = np.ptp(lines[1].get_ydata()) / np.ptp(omega)
    np.testing.assert_allclose(
        lines[3].get_ydata() - lines[1].get_ydata(), 0.6 * slope * np.ones(50), rtol=1e-9
    )


@pytest.mark.parametrize("value", [np.linspace(1, 2, 50), np.ones(50), np.full(50, np.nan)])
def test_losses_that_do_not_follow(value):
    """A rising, a constant and a missing loss are drawn, and nothing is divided by zero."""
    omega = np.linspace(2.0, 1.0, 50)
    loss = Loss(np.arange(1, 51), value, "loss")
    figure = plot.figure([a_curve(omega, loss=loss)])
    figure.draw_without_rendering()
    low, high = panels(figure)[1].get_ylim()
    drawn = panels(figure)[1].lines[1].get_ydata()
    assert np.isnan(value).all() or (low <= drawn.min() <= drawn.max() <= high)


def test_a_loss_without_a_point_in_the_figure():
    figure = plot.figure([a_curve([9.0, 2.0, 1.0], loss=Loss(np.array([1]), np.array([7.0]), "l"))])
    figure.draw_without_rendering()


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")]
)
def test_save(tmp_path, suffix, start):
    target = tmp_path / f"a figure{suffix}"
    target.write_text("old")
    plot.save(plot.figure([a_curve([2.0, 1.0])]), target)
    assert target.read_bytes().startswith(start)
    assert [each.name for each in tmp_path.iterdir()] == [target.name]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    target.write_text("old")
    figure = plot.figure([a_curve([2.0, 1.0])])

    def fail(path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        plot.save(figure, target)
    assert caught.value.filename == str(target)
    assert ".part" not in str(caught.value)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_errors_name_the_file_asked_for(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    figure = plot.figure([a_curve([2.0, 1.0])])

    def busy(self, other):
        raise PermissionError(13, "Permission denied", str(self), None, str(other))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", busy)
        with pytest.raises(PermissionError) as caught:
            plot.save(figure, target)
    assert str(caught.value) == f"[Errno 13] Permission denied: {str(target)!r}"

    def fail(*_, **__):
        raise OSError(2, "No such file or directory", "a font")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="'a font'"):
        plot.save(figure, target)
    assert not list(tmp_path.iterdir())


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "real" / "a.png")
    plot.save(plot.figure([a_curve([2.0, 1.0])]), link)
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt", ".png"])
def test_unknown_formats(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.pdf, \.png, \.svg"):
        plot.check_path(tmp_path / name)


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no such folder, for a\.png"):
        plot.check_path(tmp_path / "missing" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError, match="a folder"):
        plot.check_path(tmp_path / "folder.png")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError, match="no permission"):
        plot.check_path(tmp_path / "a.png")


def test_without_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "cvxbound\[plot\]"'):
        plot.check_path(tmp_path / "a.png")
