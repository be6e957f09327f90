"""The scripts in examples/paper give the numbers of Schaipp et al., ICML 2025 (D = G = 1)."""

import functools
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb

pytest.importorskip("matplotlib", reason="the scripts draw with matplotlib")

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT.parent / "shared" / "data" / "llama_runs"

needs_logs = pytest.mark.skipif(
    not (LOGS / "index.json").exists(), reason=f"the published training logs are not in {LOGS}"
)

SCRIPTS = importlib.import_module("all").SCRIPTS
KINDS = ["last", "tight"]


def script(name):
    return importlib.import_module(name)


@functools.cache
def numbers(name):
    return script(name).compute()


def shown(values, digits):
    return [round(float(value), digits) for value in values]


# --- schedules of 400 steps ----------------------------------------------------------------------


def test_schedules_compared():
    """The six optima are pinned in test_bounds.py; here the figure shows the same."""
    found = numbers("schedule_comparison")
    assert found["last"]["wsd 0.2"]["omega"] == cb.tune(cb.schedules.wsd(400, 0.2)).omega
    for kind in KINDS:
        for name, of in found[kind].items():
            assert of["curve"][-1] == pytest.approx(of["omega"], rel=1e-12), name
            assert min(of["sweep"]) >= of["omega"]


def test_cooldown_lengths():
    found = numbers("cooldown_length")
    assert found["cooldown_steps"] == [1, 45, 89, 134, 178, 222, 267, 311, 355, 400]
    linear = found["last"]["linear"]
    at = [0, 1, 3, 9]  # c near 0, .11, .33, 1
    assert shown((linear["gamma"][i] for i in at), 4) == [0.0182, 0.0230, 0.0286, 0.0496]
    assert shown((linear["omega"][i] for i in at), 4) == [0.1375, 0.1149, 0.1050, 0.1006]


def test_cosine_cycles():
    found = numbers("cosine_cycle")
    assert found["cycles"] == (1, 1.5, 2, 4, 5)
    assert shown(found["last"]["omega"], 4) == [0.1041, 0.1146, 0.1238, 0.1340, 0.1353]


def test_the_cycle_of_a_run_is_the_family():
    eta = numbers("cosine_cycle")["eta"]
    np.testing.assert_allclose(eta[0], cb.schedules.cosine(400, final=0.1), rtol=1e-12)


def test_falling_gradient_norms():
    """The published bounds are the best on a grid of rates; a closed form is a little lower."""
    last = numbers("grad_norm_shape")["last"]
    on_grid = {name: [row["omega_of_grid"] for row in rows] for name, rows in last.items()}
    assert shown(on_grid["cosine"][1:], 5) == [0.01345, 0.00645]
    assert shown(on_grid["wsd 0.2"][1:], 5) == [0.00910, 0.00359]
    for rows in last.values():
        for row in rows:
            assert 0.99 < row["omega"] / row["omega_of_grid"] <= 1


# --- over the horizon ----------------------------------------------------------------------------


def test_gamma_over_the_horizon():
    last = numbers("multiple_horizon")["last"]
    cosine, wsd = last["cosine"]["fit"], last["wsd 0.2"]["fit"]
    assert (round(cosine["A"], 2), round(cosine["B"], 3)) == (0.92, -0.492)
    assert (round(wsd["A"], 2), round(wsd["B"], 3)) == (0.47, -0.488)
    ratio = dict(zip(numbers("multiple_horizon")["more_horizons"], last["ratio"], strict=True))
    assert shown([ratio[200], ratio[100_000]], 3) == [1.907, 1.887]


def test_power_law_is_least_squares():
    """The gradient of the sum of squares is zero at the fit, which is not that of logarithms."""
    x = np.array([1.0, 2.0, 4.0, 8.0])
    y = 3 * x**-0.5 + np.array([0.1, -0.2, 0.1, 0.0])
    factor, exponent = script("_paper").power_law(x, y)
    residual = y - factor * x**exponent
    np.testing.assert_allclose(residual @ x**exponent, 0, atol=1e-12)
    np.testing.assert_allclose(residual @ (x**exponent * np.log(x)), 0, atol=1e-12)


def test_the_cooldown_removes_the_logarithm():
    found = numbers("wsd_detail")
    root = np.sqrt(found["horizons"])
    wsd = dict(zip(found["horizons"], found["last"]["wsd"] * root, strict=True))
    constant = dict(zip(found["horizons"], found["last"]["constant"] * root, strict=True))
    assert shown([wsd[500], wsd[8000]], 3) == [2.182, 2.162]
    assert shown([constant[500], constant[8000]], 2) == [2.79, 3.25]
    assert found["theorem"][-1] / found["last"]["wsd"][-1] == pytest.approx(1.234, abs=5e-4)


def test_the_two_terms_are_the_bound():
    found = numbers("wsd_detail")
    gamma = cb.tune(cb.schedules.wsd(4000, 0.2)).gamma
    curve = cb.curve(cb.schedules.wsd(4000, 0.2), gamma, at=found["at"])
    of = found["last"]
    np.testing.assert_allclose(np.add(of["distance"], of["noise"]), curve, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_over_the_cooldown(kind):
    """The same for every horizon and, from some cooldown on, for both bounds."""
    found = numbers("lr_transfer")
    at = [found["fractions"].index(c) for c in (0.2, 0.4, 0.6, 0.8)]
    logs = np.array(found[kind]["linear"])[:, at]
    np.testing.assert_allclose(logs, [[0.665, 0.498, 0.345, 0.183]] * 5, atol=0.005)
    assert found["horizons"] == (400, 1600, 6400, 25_600, 102_400)
    np.testing.assert_allclose(np.array(found[kind]["1-sqrt"])[:, at[0]], 1.010, atol=0.002)
    np.testing.assert_allclose(found[kind]["1-sqrt over linear"], 1.49, atol=0.005)


# --- extensions ----------------------------------------------------------------------------------


def test_extended_runs():
    found = numbers("horizon_transfer")
    rows = dict(zip(found["times"], found["last"]["rows"], strict=True))
    assert shown((rows[t]["cooldown"] for t in (1.5, 2, 3, 3.5)), 3) == [0.446, 0.633, 0.876, 0.959]
    assert rows[4]["cooldown"] is None
    assert 3.75 < found["last"]["longest"] / found["steps"] < 3.80
    assert shown((rows[t]["factor"] for t in (1.5, 2, 3, 4)), 3) == [0.637, 0.533, 0.431, 0.375]
    for strategy, published in [
        ("cooldown", [7.2, 12.1, 19.8, 25.8]),
        ("factor", [6.1, 9.9, 16.5, 22]),
    ]:
        gains = [100 * rows[t]["gains"][strategy] for t in (1.5, 2, 3, 4)]
        np.testing.assert_allclose(gains, published, atol=0.3)


# --- how tight -----------------------------------------------------------------------------------


def test_linear_decay_over_the_optimum():
    found = numbers("optimize_schedule")
    assert found["horizons"] == (10, 50, 100, 400, 1000)
    over = found["last"]["over"]
    assert shown(over[:2], 3) == [1.158, 1.035]
    assert shown(over[2:], 4) == [1.0175, 1.0044, 1.0018]
    best = np.array(found["last"]["optimum"]) * np.sqrt(found["horizons"])
    np.testing.assert_allclose(best[1:], 2, rtol=0.006)


def test_the_exact_worst_case():
    found = numbers("lower_bound")
    for name, exact in found["exact"].items():
        assert found["tight"][name]["curve"][-1] == pytest.approx(exact, abs=1e-5)
        assert np.all(np.less_equal(found["tight"][name]["curve"], found["last"][name]["curve"]))


def test_a_real_problem_stays_below_its_bounds():
    for runs in numbers("convex_example")["runs"].values():
        for run in runs.values():
            assert np.all(np.less_equal(run["loss"], run["tight"]))
            assert np.all(np.less_equal(run["tight"], run["last"]))
            assert run["loss"][0] > 50 * run["loss"][-1]  # it was optimised at all


# --- real runs -----------------------------------------------------------------------------------


@needs_logs
def test_measured_rates_over_the_cooldown():
    found = script("measured_transfer").compute(LOGS)
    at = [found["cooldowns"].index(c) for c in (0.2, 0.4, 0.6, 0.8)]
    # The published figure takes the best of a hundred rates, 4.8 % from one to the next.
    assert shown((found["on_grid"][i] for i in at), 3) == [0.698, 0.465, 0.326, 0.186]
    for kind in KINDS:
        np.testing.assert_allclose(found["measured"], found["theory"][kind], atol=0.05)


def test_losses_without_a_minimum_are_refused():
    with pytest.raises(ValueError, match="no minimum over the learning rates"):
        script("measured_transfer").fit([(1e-3, 3.0), (2e-3, 2.0), (3e-3, 1.0)])


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_draws_and_tabulates(name):
    found = numbers(name)
    as_read = json.loads(json.dumps(found, allow_nan=False))
    script(name).draw(as_read).draw_without_rendering()
    assert script(name).table(as_read) in (ROOT / "docs" / "paper.md").read_text()
    assert f"paper/{name}.png" in (ROOT / "docs" / "paper.md").read_text()
    assert 0 < (ROOT / "docs" / "paper" / f"{name}.png").stat().st_size < 120_000


@needs_logs
def test_the_table_of_real_runs():
    found = script("measured_transfer").compute(LOGS)
    script("measured_transfer").draw(found).draw_without_rendering()
    assert script("measured_transfer").table(found) in (ROOT / "docs" / "paper.md").read_text()


def test_a_script_by_itself(tmp_path):
    path = ROOT / "examples" / "paper" / "lower_bound.py"
    argv = [sys.executable, path, "--out", tmp_path / "new"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == script("lower_bound").table(numbers("lower_bound"))
    assert (tmp_path / "new" / "lower_bound.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "new" / "lower_bound.json").read_text())["steps"] == 60
