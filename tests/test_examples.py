"""The runs of examples/train: the logs that are kept, and how they are made."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import cvxbound as cb
import runs

COLUMNS = ("step", "lr", "train_loss", "val_loss", "grad_norm")


def kept(name):
    return cb.logs.read(runs.LOGS / f"{name}.csv")


@pytest.mark.parametrize("name", runs.RUNS)
def test_a_kept_log_is_that_of_its_run(name):
    schedule, lr = runs.RUNS[name]
    log = kept(name)
    assert log.names == COLUMNS
    assert log.step.tolist() == [1, *range(50, len(schedule) + 1, 50)]
    np.testing.assert_allclose(log.column("lr"), lr * schedule.eta[log.step - 1], rtol=1e-5)
    for column in COLUMNS[2:]:
        assert np.all(log.column(column) > 0) and np.all(np.isfinite(log.column(column)))
    assert (runs.LOGS / f"{name}.csv").stat().st_size < 15_000


def test_every_kept_log_is_of_a_run():
    assert {path.stem for path in runs.LOGS.iterdir()} == set(runs.RUNS)


@pytest.mark.parametrize("name", runs.RUNS)
def test_a_kept_log_says_what_its_schedule_was(name):
    """A learning rate every 50 steps tells the schedule to what a bound does not feel."""
    logged = cb.schedules.from_log(runs.LOGS / f"{name}.csv")
    assert cb.tune(logged).omega == pytest.approx(
        cb.tune(runs.RUNS[name].schedule).omega, rel=0.002
    )


@pytest.mark.parametrize(
    ("name", "until"),
    [
        ("wsd-10-4000", 3600),
        ("wsd-20-4000", 3200),
        ("wsd-20-sqrt-4000", 3200),
        ("wsd-50-4000", 2000),
        ("wsd-20-2000", 1600),
        ("wsd-20-6000", 4000),
    ],
)
def test_runs_are_one_run_until_they_cool_down(name, until):
    """Weights, batches and evaluations are the same, to the last digit."""
    for column in COLUMNS:
        of_both = [
            log.column(column)[log.step <= until] for log in (kept(name), kept("constant-4000"))
        ]
        np.testing.assert_array_equal(*of_both, err_msg=column)


def test_a_cooldown_pays():
    final = {name: kept(name).column("val_loss")[-1] for name in runs.RUNS}
    assert final["wsd-20-4000"] < final["constant-4000"] - 0.1
    assert final["wsd-20-6000"] < final["wsd-20-4000"] < final["wsd-20-2000"]


def test_the_readme_has_the_last_losses():
    readme = runs.LOGS.with_name("README.md").read_text()
    for name, (_, lr) in runs.RUNS.items():
        assert f"| `{name}` | {lr:g} | {kept(name).column('val_loss')[-1]:.3f} |" in readme


def test_only_runs_without_a_log_are_trained(tmp_path, monkeypatch, capsys):
    (tmp_path / "old.csv").write_text("kept")
    trained = []
    monkeypatch.setitem(
        sys.modules, "train", SimpleNamespace(train=lambda *run: trained.append(run))
    )
    monkeypatch.setattr(runs, "LOGS", tmp_path)
    new = runs.Run(cb.schedules.linear(8), 1e-3)
    monkeypatch.setattr(runs, "RUNS", {"old": new, "new": new})
    runs.main()
    assert trained == [(new.schedule, new.lr, tmp_path / "new.csv")]
    assert "1 of 2 logs" in capsys.readouterr().out


@pytest.fixture
def training():
    pytest.importorskip("torch", reason="examples/train/train.py needs PyTorch")
    import train

    return train


def test_training_writes_a_log(training, tmp_path):
    tiny = training.Setting(width=8, layers=1, heads=2, context=8, batch=4, every=2, evaluated=3)
    schedule = cb.schedules.wsd(5, 0.4, warmup=2)
    final = [training.train(schedule, 1e-2, tmp_path / name, tiny) for name in ("a.csv", "b.csv")]
    log = cb.logs.read(tmp_path / "a.csv")
    assert log.names == COLUMNS
    assert log.step.tolist() == [1, 2, 4, 5]
    np.testing.assert_allclose(log.column("lr"), 1e-2 * schedule.eta[[0, 1, 3, 4]], rtol=1e-5)
    assert log.column("val_loss")[-1] == pytest.approx(final[0], rel=1e-5)
    assert final[0] == pytest.approx(np.log(256), rel=0.1)  # of a model that knows nothing yet
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]
