"""examples/live: a training loop that reads its schedule, and is made longer while it runs."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb

pytest.importorskip("torch", reason="examples/live/train.py needs PyTorch")
SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "live" / "train.py"


@pytest.fixture
def live(monkeypatch):
    # examples/train has a module of the same name.
    spec = importlib.util.spec_from_file_location("live_train", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "live_train", module)
    spec.loader.exec_module(module)
    return module


def test_the_run_goes_on_along_the_extended_schedule(live):
    plan = live.Plan(steps=100, ask_after=40, longer=200, every=1)
    rows, extension = live.train(plan)
    log = {name: np.array([getattr(row, name) for row in rows]) for name in vars(rows[0])}
    asked = cb.extend(cb.schedules.wsd(100, cooldown=0.2, endpoint=False), 200, resume=40)
    assert repr(extension) == repr(asked)
    np.testing.assert_array_equal(log["step"], np.arange(1, 201))
    np.testing.assert_allclose(log["lr"], plan.lr * extension.schedule.eta, rtol=1e-12)
    np.testing.assert_allclose(
        log["bound"][40:], cb.curve(extension.schedule, extension.gamma)[40:], rtol=1e-12
    )
    assert log["loss"][-20:].mean() < 0.7 * log["loss"][20:40].mean()


def test_the_command(live, monkeypatch, capsys):
    argv = ["train.py", "--steps", "40", "--ask-after", "20", "--longer", "80", "--every", "20"]
    monkeypatch.setattr(sys, "argv", argv)
    live.main()
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out] == [
        "step",
        "20",
        "---",
        "40",
        "60",
        "80",
        "<Extension",
    ]
