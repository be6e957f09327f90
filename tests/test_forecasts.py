"""The default loss law predicts published training runs that it was not fitted to."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import results

pytest.importorskip("scipy", reason="laws are fitted with SciPy")

SCRIPT = Path(results.__file__)
needs_logs = pytest.mark.skipif(
    not (results.DATA / "mpl_runs").is_dir() or not (results.DATA / "llama_runs").is_dir(),
    reason=f"the published training logs are not in {results.DATA}",
)


@functools.cache
def llama_splits():
    return results.llama_splits(results.llama_runs(results.DATA))


def scores(name, fitted, tested, *what, **options):
    """The means of some figures over the tested runs."""
    _, rows = results.fitted_and_scored(name, fitted, tested, **options)
    return tuple(results.mean(rows, each) for each in what)


@needs_logs
@pytest.mark.parametrize(("size", "r2", "mae"), [("25M", 0.9995, 0.0023), ("100M", 0.9996, 0.0017)])
def test_the_curves_of_the_multi_power_paper(size, r2, mae):
    """Three curves fitted, six predicted: closer than a law with two numbers more."""
    found = scores("bound", *results.mpl_runs(results.DATA, size), "r2", "mae", shared=True)
    assert found[0] >= r2 > results.PUBLISHED[size][0]
    assert found[1] <= mae < results.PUBLISHED[size][1]


@needs_logs
def test_what_weights_feel_predicts_better_than_learning_rates():
    runs = results.mpl_runs(results.DATA, "25M")
    errors = [
        scores(name, *runs, "mae", shared=True)[0]
        for name in ("bound", "bound, of the LRs themselves", "omega")
    ]
    assert np.all(np.diff(errors) > 0.0015)


@needs_logs
@pytest.mark.parametrize(("rate", "rmse"), [("0.0005", 0.003), ("0.001", 0.0027), ("0.002", 0.005)])
def test_runs_twice_as_long(rate, rmse):
    """At most 25,000 steps fitted, 35,000 and 50,000 predicted; shared losses do not count."""
    fitted, tested = llama_splits()[f"LR {rate}: longer runs"]
    assert max(run.steps for run in fitted) == 25_000
    assert {run.steps for run in tested} <= {35_000, 50_000}
    found = scores("bound", fitted, tested, "rmse", after=results.LLAMA_AFTER)
    assert found[0] <= rmse


@needs_logs
def test_no_run_is_on_both_sides_of_a_split():
    for name, (fitted, tested) in llama_splits().items():
        assert fitted and tested, name
        assert not {run.name for run in fitted} & {run.name for run in tested}, name
    assert max(len(fitted) + len(tested) for fitted, tested in llama_splits().values()) == 109


def test_a_table_in_markdown():
    assert results.markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_folder_without_logs(tmp_path):
    call = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert (call.returncode, call.stdout) == (2, "")
    assert f"no folder mpl_runs in {tmp_path}: expected the training logs" in call.stderr
