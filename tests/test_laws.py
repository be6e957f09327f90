"""Loss laws: what they compute, what fits find, what they answer, and what they refuse."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cvxbound as cb
from cvxbound import laws
from cvxbound.laws import Annealing, Bound, MultiPower, Omega, Trace, effective_rates

T = 3000
AT = np.arange(200, T + 1, 40)
TRUE = {"C": 2.4, "p": 1.1, "q": 90.0, "kappa": 0.5, "mu": 0.8}
SCHEDULES = {
    "cosine": cb.schedules.cosine(T, warmup=100),
    "constant": cb.schedules.constant(T, warmup=100),
    "wsd": cb.schedules.wsd(T, cooldown=0.3, warmup=100),
}


def losses_of(lr, at=AT, **options):
    """Losses that follow the law exactly."""
    form = Bound(**options)
    values = {each.name: each.fixed for each in form.parameters} | {
        "kappa": TRUE["kappa"],
        "mu": TRUE["mu"],
    }
    columns = form.columns(form.features(Trace(lr, None, at), values), values)
    return columns @ [TRUE[name] for name in form.coefficients]


def make_run(name, schedule, peak=1e-3, noise=0.0, at=AT, **options):
    lr = peak * np.asarray(schedule)
    loss = losses_of(lr, at, **options)
    draws = np.random.default_rng(len(name)).standard_normal(loss.size)
    return cb.logs.Run(name, lr, at, loss * (1 + noise * draws))


@pytest.fixture(scope="module")
def runs():
    return [make_run(name, schedule) for name, schedule in SCHEDULES.items()]


@pytest.fixture(scope="module")
def law(runs):
    return laws.fit(runs, replicates=20)


# What weights feel


@given(
    st.lists(st.floats(0, 0.05), min_size=1, max_size=60),
    st.floats(0, 15),
    st.floats(1e-3, 10) | st.just(math.inf),
)
def test_effective_rates_are_rates_over_the_norm_of_the_weights(lr, weight_decay, weight_rms):
    squared, expected = 1.0, []
    for rate in lr:
        expected.append(rate / math.sqrt(squared))
        squared = (1 - weight_decay * rate) ** 2 * squared + (rate / weight_rms) ** 2
    found = effective_rates(np.array(lr), weight_decay, weight_rms)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_effective_rates_of_a_long_run_that_forgets_its_start_many_times_over():
    lr = np.full(100_000, 0.5)
    found = effective_rates(lr, weight_decay=1.0, weight_rms=2.0)
    # In equilibrium decay takes what a step adds.
    norm = math.sqrt(0.25**2 / (1 - 0.25))
    np.testing.assert_allclose(found[1000:], 0.5 / norm, rtol=1e-9)


def test_without_growth_and_decay_the_rates_are_those_of_the_log():
    lr = np.array([0.1, 0.3, 0.0])
    np.testing.assert_array_equal(effective_rates(lr, 0.0, math.inf), lr)


# Features and columns, against their definitions


def test_features_of_the_bound_are_its_terms_at_the_effective_rates():
    lr = 1e-3 * SCHEDULES["wsd"].eta
    form = Bound()
    values = {"weight_decay": 0.1, "weight_rms": 0.02, "kappa": 0.5, "mu": 1.0}
    distance, noise = form.features(Trace(lr, None, AT), values)
    steps = effective_rates(lr, 0.1, 0.02)
    expected = cb.terms(steps, gamma=1e3, kind="tight", at=AT)  # so that rho is of least noise
    np.testing.assert_allclose(distance, expected.distance, rtol=1e-5)
    np.testing.assert_allclose(noise, expected.noise, rtol=1e-9)


def test_annealing_and_multi_power_are_the_sums_of_their_papers():
    lr = np.r_[np.linspace(0.1, 1, 5), np.linspace(1, 0.2, 30), 0.5 * np.ones(5)]
    at = np.array([3, 20, 40])
    drop = np.where(np.arange(lr.size) > 4, -np.diff(lr, prepend=lr[0]), 0.0)
    momentum, annealed, total = 0.0, [], np.cumsum(lr)
    for k in range(lr.size):
        momentum = 0.9 * momentum + drop[k]
        annealed.append((annealed[-1] if annealed else 0.0) + momentum)
    found = Annealing(decay=0.9).features(Trace(lr, None, at), {})
    np.testing.assert_allclose(found, [total[at - 1], np.array(annealed)[at - 1]], rtol=1e-12)

    c, beta, gamma = 1.5, 0.4, 0.6
    lost = [
        sum(drop[k] * (1 - (1 + c * lr[k] ** -gamma * lr[k:t].sum()) ** -beta) for k in range(1, t))
        for t in at
    ]
    values = {"c": c, "beta": beta, "gamma": gamma, "alpha": 0.5}
    found = MultiPower().features(Trace(lr, None, at), values)
    np.testing.assert_allclose(found, [total[at - 1], lost], rtol=1e-12, atol=1e-15)


def test_omega_is_affine_in_the_bound_of_the_paper():
    lr = 1e-3 * SCHEDULES["cosine"].eta
    features = Omega().features(Trace(lr, None, AT), {})
    columns = Omega().columns(features, {})
    # Beside this D the last step is that of the least noise.
    D, G, C = 1e-3, 1.0, 3.0
    expected = C + cb.curve(lr, G=G, D=D, last_step="free", at=AT)
    np.testing.assert_allclose(columns @ [C, D**2, G**2], expected, rtol=1e-9)


# Fits


def test_a_law_is_found_again_from_losses_that_follow_it(law):
    for name, value in TRUE.items():
        assert law.parameters[name] == pytest.approx(value, rel=2e-3), name
    assert law.errors["worst"] < 1e-5
    assert law.burn_in == 100


def test_other_schedules_rates_and_horizons_are_predicted(law):
    for schedule, lr in [
        (cb.schedules.wsd(2 * T, cooldown=0.1, shape="1-sqrt", warmup=100), 1e-3),
        (cb.schedules.linear(T, warmup=50), 3e-3),
    ]:
        at = np.arange(500, len(schedule), 500)
        found = law.predict(schedule, lr, at=at)
        np.testing.assert_allclose(found.loss, losses_of(lr * schedule.eta, at), rtol=1e-4)


@pytest.mark.parametrize(
    ("made", "fitted"),
    [
        ({"weight_decay": 0, "weight_rms": math.inf}, {"weight_decay": 0, "weight_rms": math.inf}),
        ({"kind": "last"}, {"kind": "last"}),
        ({"weight_rms": 0.035}, {"weight_rms": "fit"}),
        ({}, {"mu": 0.8}),
        ({}, {"kappa": 0.5, "mu": "fit"}),
    ],
)
def test_options_of_the_bound(made, fitted):
    runs = [make_run(name, schedule, **made) for name, schedule in SCHEDULES.items()]
    law = laws.fit(runs, replicates=0, **fitted)
    assert law.parameters["C"] == pytest.approx(TRUE["C"], rel=1e-3)
    assert law.errors["worst"] < 1e-4
    if "weight_rms" in made and fitted["weight_rms"] == "fit":
        assert law.values["weight_rms"] == pytest.approx(made["weight_rms"], rel=0.02)


def test_one_exponent_for_both_terms(runs):
    law = laws.fit(runs, mu="kappa", replicates=0)
    assert "mu" not in law.values
    assert law.form.size == 4
    assert law.errors["rmse"] < 0.01


@pytest.mark.parametrize("name", ["omega", "annealing", "multi-power"])
def test_published_laws_are_fitted_in_the_same_way(runs, name):
    law = laws.fit(runs, law=name, replicates=0)
    assert law.errors["r2"] > 0.8
    assert np.isfinite(law.predict(SCHEDULES["wsd"]).loss)


def test_gradient_norms_that_are_logged_or_a_power_of_the_rate():
    nu = 0.3
    runs = []
    for name, schedule in SCHEDULES.items():
        lr = 1e-3 * schedule.eta
        norm = lr**-nu
        form = Bound(norms="logged", kappa=0.5, mu=0.8)
        values = {each.name: each.fixed for each in form.parameters}
        features = form.features(Trace(lr, norm, AT), values)
        loss = form.columns(features, values) @ [2.4, 1.1, 0.9]
        runs.append(cb.logs.Run(name, lr, AT, loss, grad_norm=norm))
    logged = laws.fit(runs, norms="logged", replicates=0)
    assert logged.parameters["q"] == pytest.approx(0.9, rel=0.02)
    power = laws.fit(runs, norms="power", replicates=0)
    assert power.values["nu"] == pytest.approx(nu, abs=0.02)
    with pytest.raises(ValueError, match="fitted with logged gradient norms: give norms="):
        logged.predict(SCHEDULES["wsd"])
    run = runs[0]
    by_hand = logged.predict(run.lr, norms=run.grad_norm)
    assert logged.predict(run).loss == by_hand.loss


def test_outliers_hardly_move_a_fit(runs):
    spoilt = []
    for run in runs:
        loss = run.loss.copy()
        loss[10::15] *= 1.05
        spoilt.append(dataclasses.replace(run, loss=loss))
    law = laws.fit(spoilt, replicates=0)
    schedule = cb.schedules.linear(2 * T, warmup=100)
    expected = losses_of(1e-3 * schedule.eta, np.array([2 * T]))
    assert law.predict(schedule).loss == pytest.approx(expected[0], rel=2e-3)


def test_early_losses_that_do_not_follow_the_law_are_left_out():
    at = np.arange(20, T + 1, 20)
    runs = []
    for name, schedule in SCHEDULES.items():
        run = make_run(name, schedule, at=at)
        early = run.loss * (1 + 0.5 * np.exp(-at / 100))
        runs.append(dataclasses.replace(run, loss=early))
    law = laws.fit(runs, replicates=0)
    assert 200 < law.burn_in < 1200
    schedule = cb.schedules.linear(2 * T, warmup=100)
    expected = losses_of(1e-3 * schedule.eta, np.array([2 * T]))
    assert law.predict(schedule).loss == pytest.approx(expected[0], rel=5e-3)
    assert laws.fit(runs, burn_in=1000, replicates=0).burn_in == 1000


def test_losses_of_a_shared_stable_phase_count_once():
    stable = make_run("stable", SCHEDULES["constant"], noise=1e-3)
    cooled = [
        make_run(f"cooldown {c}", cb.schedules.wsd(T, cooldown=c, warmup=100), noise=1e-3)
        for c in (0.2, 0.4)
    ]
    # What they share with the stable run is the same observation.
    shared = []
    for run, c in zip(cooled, (0.2, 0.4), strict=True):
        same = run.step < (1 - c) * T
        shared.append(dataclasses.replace(run, loss=np.where(same, stable.loss, run.loss)))
    once = [
        dataclasses.replace(run, step=run.step[~same], loss=run.loss[~same])
        for run, c in zip(shared, (0.2, 0.4), strict=True)
        for same in [run.step < (1 - c) * T]
    ]
    a = laws.fit([stable, *shared], burn_in=100, replicates=0)
    b = laws.fit([stable, *once], burn_in=100, replicates=0)
    # Weights of Huber's differ by the median, which copies shift.
    assert a.parameters["C"] == pytest.approx(b.parameters["C"], rel=2e-3)


def test_runs_may_be_logs(tmp_path):
    run = make_run("wsd", SCHEDULES["wsd"], at=np.arange(1, T + 1, 10))
    path = tmp_path / "wsd.csv"
    rows = np.column_stack([run.step, run.lr[run.step - 1], run.loss])
    np.savetxt(path, rows, "%.17g", ",", header="step,lr,val_loss", comments="")
    law = laws.fit([str(path), make_run("cosine", SCHEDULES["cosine"])], replicates=0)
    assert [run["name"] for run in law.runs] == ["wsd", "cosine"]
    assert law.parameters["C"] == pytest.approx(TRUE["C"], rel=1e-3)


# What a fit refuses


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": np.r_[np.linspace(4, 3, AT.size - 8), np.full(8, 9.0)]}, r"diverged from step"),
        ({"loss": np.linspace(1, -1, AT.size)}, "losses must be positive"),
    ],
)
def test_runs_that_no_law_describes(runs, change, message):
    bad = dataclasses.replace(runs[0], **change)
    with pytest.raises(ValueError, match=f"run 'cosine'.*{message}"):
        laws.fit([bad, runs[1]])


def test_what_fits_refuse(runs):
    with pytest.raises(ValueError, match="unknown law 'bounds'; did you mean 'bound'"):
        laws.fit(runs, law="bounds")
    with pytest.raises(TypeError, match="law 'omega' has no option 'kind'; it has none"):
        laws.fit(runs, law="omega", kind="last")
    with pytest.raises(ValueError, match="unknown kind 'loose'"):
        laws.fit(runs, kind="loose")
    with pytest.raises(ValueError, match="kappa must be positive"):
        laws.fit(runs, kappa=-1.0)
    with pytest.raises(ValueError, match="has no gradient norms, which norms='logged' needs"):
        laws.fit(runs, norms="logged")
    with pytest.raises(ValueError, match="at least one run"):
        laws.fit([])
    other = dataclasses.replace(runs[1], name="other", split="train")
    with pytest.raises(ValueError, match=r"train \(other\), val \(cosine\)"):
        laws.fit([runs[0], other])
    with pytest.raises(ValueError, match="burn_in=5000 leaves no loss of run 'cosine'"):
        laws.fit(runs, burn_in=5000)
    few = dataclasses.replace(runs[0], step=AT[:5], loss=runs[0].loss[:5])
    with pytest.raises(ValueError, match="has 5 numbers to fit, and the runs have 5 losses"):
        laws.fit(few)


def test_weight_decay_must_leave_something_of_the_weights(runs):
    with pytest.raises(ValueError, match="weight_decay=2000 times the largest learning rate"):
        laws.fit(runs, weight_decay=2000)


# Predictions


def test_shapes_of_predictions(law):
    schedule = SCHEDULES["wsd"]
    last = law.predict(schedule)
    assert isinstance(last.loss, float)
    assert last.step == T
    assert law.predict(schedule, at=[10, 20]).loss.shape == (2,)
    everywhere = law.predict(schedule, at="all")
    assert everywhere.step.tolist() == list(range(1, T + 1))
    assert everywhere.loss[-1] == last.loss


def test_what_a_schedule_is_multiplied_with(law, runs):
    schedule = SCHEDULES["wsd"]
    expected = law.predict(1e-3 * schedule.eta).loss
    assert law.predict(schedule).loss == expected  # the peak of the runs
    assert law.predict(schedule.eta, lr=1e-3).loss == expected
    assert law.predict(runs[2]).loss == expected
    with pytest.raises(ValueError, match=r"largest learning rate is 1, 1e\+03 times that of the"):
        law.predict(schedule.eta)
    several = laws.fit([runs[0], make_run("small", SCHEDULES["wsd"], 2e-4)], replicates=0)
    with pytest.raises(ValueError, match=r"peak at learning rates from 0\.0002 to 0\.001: give"):
        several.predict(schedule)
    assert several.lr is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": [0]}, "at"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"interval": 1.0}, "interval must be a probability below 1"),
    ],
)
def test_what_predictions_refuse(law, arguments, message):
    with pytest.raises(ValueError, match=message):
        law.predict(SCHEDULES["wsd"], **arguments)


def test_intervals_hold_what_follows_and_grow_with_their_probability():
    runs = [make_run(name, each, noise=2e-3) for name, each in SCHEDULES.items()]
    law = laws.fit(runs, replicates=60)
    at = np.arange(500, T, 100)
    schedule = cb.schedules.linear(T, warmup=100)
    true = losses_of(1e-3 * schedule.eta, at)
    narrow, wide = (law.predict(schedule, at=at, interval=p) for p in (0.5, 0.95))
    assert np.all(wide.low <= narrow.low)
    assert np.all(narrow.high <= wide.high)
    assert np.mean((wide.low < true) & (true < wide.high)) > 0.9
    assert np.all(wide.high - wide.low < 0.05)


def test_the_same_seed_gives_the_same_intervals(runs):
    a, b = (laws.fit(runs, replicates=5, rng=3) for _ in range(2))
    np.testing.assert_array_equal(a.replicates, b.replicates)


def test_without_replicates_there_are_no_intervals(runs):
    law = laws.fit(runs, replicates=0)
    found = law.predict(SCHEDULES["wsd"])
    assert math.isnan(found.low)
    assert math.isnan(law.best_lr(SCHEDULES["wsd"]).low)
    assert all(math.isnan(low) for low, _ in law.spread().values())


# Learning rates and comparisons


def test_the_best_rate_is_the_best_of_a_dense_grid(law):
    schedule = cb.schedules.wsd(T, cooldown=0.2, warmup=100)
    best = law.best_lr(schedule)
    rates = np.geomspace(best.lr / 3, best.lr * 3, 201)
    losses = [law.predict(schedule, lr, interval=0.9).loss for lr in rates]
    assert best.loss <= min(losses) + 1e-9
    assert best.lr == pytest.approx(rates[int(np.argmin(losses))], rel=0.02)
    assert best.low <= best.lr * 1.05
    assert not best.at_edge
    assert best.extrapolated == (abs(math.log(best.lr / 1e-3)) > 0.01)


def test_a_best_rate_beyond_the_range_is_said_to_be(law):
    found = law.best_lr(SCHEDULES["wsd"], low=1e-5, high=2e-5)
    assert found.at_edge
    assert found.high == math.inf
    assert found.lr == pytest.approx(2e-5, rel=1e-3)
    with pytest.raises(ValueError, match="low must be below high"):
        law.best_lr(SCHEDULES["wsd"], low=1.0, high=0.1)


def test_comparisons_are_sorted_by_loss(law):
    rows = law.compare([SCHEDULES["constant"], SCHEDULES["wsd"], cb.schedules.wsd(T)])
    assert [row["schedule"] for row in rows][-1] == "constant"
    assert {row["schedule"] for row in rows} == {"wsd", "wsd 2", "constant"}
    assert rows[0]["behind"] == 0
    assert all(row["behind"] >= 0 and row["low"] <= row["high"] for row in rows)
    tuned = law.compare({"mine": SCHEDULES["constant"]}, lr="best")
    assert tuned[0]["loss"] <= rows[-1]["loss"]


def test_the_schedule_of_least_loss_is_predicted_to_be_so(law, runs):
    best = law.optimize(400, warmup=20, max_step=3e-3)
    found = law.predict(best, best.params["lr"])
    assert found.loss == pytest.approx(best.params["loss"], rel=1e-12)
    for usual in (cb.schedules.wsd(400, warmup=20), cb.schedules.cosine(400, warmup=20)):
        assert found.loss <= law.best_lr(usual, high=3e-3).loss + 1e-9
    longer = law.optimize(3100, fixed_prefix=runs[1].until(2900), monotone=True)
    np.testing.assert_array_equal(longer.eta[:2900], runs[1].lr[:2900])


def test_an_optimised_schedule_brings_its_learning_rate(law):
    best = law.optimize(300)
    assert law.predict(best).loss == pytest.approx(best.params["loss"], rel=1e-12)
    assert best.params["lr"] <= 10 * 1e-3 * (1 + 1e-9)


def test_what_comparisons_and_best_rates_refuse(law, runs):
    with pytest.raises(ValueError, match="at least one schedule to compare"):
        law.compare([])
    with pytest.raises(TypeError, match="expected several schedules to compare"):
        law.compare(SCHEDULES["wsd"])
    assert law.compare(runs)[0]["schedule"] == law.compare(runs, lr="best")[0]["schedule"]
    normed = [dataclasses.replace(run, grad_norm=np.ones(T)) for run in runs]
    logged = laws.fit(normed, norms="logged", replicates=0)
    with pytest.raises(ValueError, match="norms of a schedule not yet run are unknown"):
        logged.best_lr(SCHEDULES["wsd"])


@pytest.mark.parametrize("weight_rms", [0.02, "fit"])
def test_intervals_of_many_steps_are_made_in_parts(runs, monkeypatch, weight_rms):
    law = laws.fit(runs, replicates=3, weight_rms=weight_rms)
    schedule = SCHEDULES["wsd"]
    whole = law.predict(schedule, at="all")
    monkeypatch.setattr("cvxbound.laws._law._MOST_DRAWN", 60_000)
    parts = law.predict(schedule, at="all")
    np.testing.assert_array_equal(parts.low, whole.low)
    np.testing.assert_array_equal(parts.high, whole.high)


def test_runs_may_be_a_frame(runs):
    table = cb.logs.table(runs)
    pandas = pytest.importorskip("pandas", reason="pandas is for developers")
    law = laws.fit(pandas.DataFrame(table), replicates=0)
    assert len(law.runs) == 3


# What the runs cannot tell


def test_doubts_of_a_single_constant_run():
    law = laws.fit(make_run("constant", SCHEDULES["constant"], noise=2e-3), replicates=40)
    told = law.summary()
    assert "all runs peak at the learning rate 0.001" in told
    assert "all runs have 3000 steps" in told
    assert any("the runs hardly tell it" in doubt or "is 0" in doubt for doubt in law.doubts)
    assert "there is one run" in told
    assert "on the last third of the run, left out of a fit" in told
    assert f"1 run, R2 {law.errors['r2']:.5f}" in repr(law)
    assert f"{len(law.doubts)} doubts: see summary()" in repr(law)


def test_a_term_that_the_runs_do_not_show():
    lr = 1e-3 * SCHEDULES["cosine"].eta
    run = cb.logs.Run("flat", lr, AT, np.full(AT.size, 3.0))
    law = laws.fit(run, replicates=0)
    assert any("there are no replicates" in doubt for doubt in law.doubts)
    assert any(doubt.startswith("p is 0") for doubt in law.doubts)


def test_a_summary_says_what_was_fitted(law):
    told = law.summary()
    assert told.startswith("bound: 5 numbers fitted to 213 val losses of 3 runs, after step 100")
    for name in law.parameters:
        assert f"\n{name}" in told
    assert "fixed" in told
    assert "on runs left out of a fit, 90% are within" in told


# Files


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0, "weight_rms": math.inf}])
def test_a_law_comes_back_from_its_file(runs, tmp_path, options):
    law = laws.fit(runs, replicates=3, **options)
    path = tmp_path / "law.json"
    law.save(path)
    again = laws.load(path)
    schedule = cb.schedules.linear(500)
    assert again.predict(schedule) == law.predict(schedule)
    assert again.summary() == law.summary()
    assert [each.name for each in tmp_path.iterdir()] == ["law.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a loss law that cvxbound saved"),
        ("[1, 2", "not a loss law that cvxbound saved"),
        ('{"cvxbound_law": 99}', "a loss law of format 99, where this version of cvxbound reads 1"),
    ],
)
def test_files_that_are_no_laws(tmp_path, text, message):
    path = tmp_path / "law.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        laws.load(path)


def test_the_measures_of_error():
    found = laws.errors(np.array([2.0, 2.0]), np.array([2.0, 3.0]))
    assert math.isnan(found["r2"])
    assert found["worst"] == 0.5


@settings(max_examples=10)
@given(st.floats(0.1, 10))
def test_laws_do_not_depend_on_the_unit_of_the_learning_rate(scale):
    lr = 1e-3 * SCHEDULES["wsd"].eta
    values = {"kappa": 0.5, "mu": 0.8}
    a = Bound().features(Trace(lr, None, AT), {**values, "weight_decay": 0.1, "weight_rms": 0.02})
    scaled = {**values, "weight_decay": 0.1 / scale, "weight_rms": 0.02 * scale}
    b = Bound().features(Trace(scale * lr, None, AT), scaled)
    np.testing.assert_allclose(b * [[scale], [1 / scale]], a, rtol=1e-9)
