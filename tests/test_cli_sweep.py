"""Sweeps on the command line: plan files, and the commands run, status and best."""

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import _progress, cli
from cvxbound.sweeps import read_plan
from cvxbound.sweeps._engine import Progress

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ["cyclopts", "rich", "xarray", "zarr"])),
    reason="sweeps on the command line need cyclopts, rich, xarray and zarr",
)

EXAMPLES = Path(__file__).parents[1] / "examples" / "sweeps"

PLAN = """
family = "wsd"
block = 5

[axes]
steps = [100, 1e3, 2000]
cooldown = { linspace = [0.1, 1.0], num = 10 }
shape = ["linear", "1-sqrt"]
"""


@pytest.fixture
def write(tmp_path):
    """Write a plan file."""

    def call(text, name="plan.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return call


@pytest.fixture
def plan(write):
    return write(PLAN)


def refused(path, key, told):
    """A plan file is not read, and the error leads to the key."""
    with pytest.raises(ValueError, match=r"plan\.toml: ") as error:
        read_plan(path)
    message = str(error.value)
    assert message.startswith(f"{path}: {key}")
    for words in told:
        assert words in message


# --- plan files ----------------------------------------------------------------------------------


def test_a_plan_file_is_a_call_of_sweep(write):
    path = write(
        """
        family = "cos"
        kind = ["last", "tight"]
        at = [0.5, 1.0]
        last_step = "free"
        where = "warmup < steps / 10"
        block = 7

        [axes]
        final = [0, 0.1]
        cycle = 1.0
        G = { geomspace = [0.5, 2], num = 3 }

        [[zip]]
        dim = "run"
        steps = [100, 1e3]
        warmup = [10, 20]
        """
    )
    expected = cb.sweep(
        "cosine",
        cb.zip("run", steps=[100, 1000], warmup=[10, 20]),
        kind=["last", "tight"],
        at=[0.5, 1.0],
        last_step="free",
        where="warmup < steps / 10",
        block=7,
        final=[0, 0.1],
        cycle=1.0,
        G=np.geomspace(0.5, 2, 3),
    )
    assert read_plan(path).identity == expected.identity


def test_the_last_step_of_plan_files_is_repeated(write):
    path = write('family = "linear"\n[axes]\nsteps = 10')
    assert read_plan(path).last_step == "repeat"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[1, 10, 100]", [1, 10, 100]),
        ("[1.0, 1e2]", [1.0, 100]),
        ("{ linspace = [0.5, 1.5], num = 3 }", [0.5, 1.0, 1.5]),
        ("{ geomspace = [1e-2, 1], num = 3 }", [0.01, 0.1, 1.0]),
        ("{ logspace = [-1, 1], num = 3 }", [0.1, 1.0, 10.0]),
        ("{ arange = [1, 4] }", [1, 2, 3]),
        ("{ arange = [1.0, 2.0, 0.25] }", [1.0, 1.25, 1.5, 1.75]),
        ("{ linspace = [2, 1], num = 1 }", [2.0]),
        ("{ geomspace = [10, 1], num = 7, whole = true }", [10, 7, 5, 3, 2, 1]),
    ],
)
def test_values_of_an_axis(write, text, values):
    path = write(f'family = "linear"\n[axes]\nsteps = 100\ngamma = {text}')
    found = read_plan(path).template()["gamma"]
    np.testing.assert_allclose(found, values, rtol=1e-15)


def test_steps_are_whole(write):
    path = write('family = "linear"\n[axes]\nsteps = { geomspace = [1, 1e6], num = 100 }')
    steps = read_plan(path).template()["steps"].values
    assert steps.dtype.kind == "i"
    assert (steps[0], steps[-1]) == (1, 1_000_000)
    assert np.all(np.diff(steps) > 0)
    assert len(steps) < 100


def test_coupled_axes_may_repeat(write):
    """What is coupled has to stay of one length."""
    generated = "{ linspace = [1, 3], num = 5, whole = true }"
    path = write(
        'family = "linear"\n'
        f"[[zip]]\nsteps = [10, 20, 30, 40, 50]\nwarmup = {generated}\n"
        "[axes]\nfinal = [0.0, 0.1]"
    )
    template = read_plan(path).template()
    assert template["warmup"].dims == ("steps_warmup",)
    assert template["warmup"].values.tolist() == [1, 2, 2, 2, 3]


def test_a_family_of_a_file(write):
    write(
        "from cvxbound import schedules\n"
        "CUT = 2\n"
        "def cut(steps, level):\n"
        "    eta = schedules.constant(steps).eta.copy()\n"
        "    eta[steps // CUT:] = level\n"
        "    return eta\n",
        "my_schedules.py",
    )
    path = write('family = "my_schedules.py:cut"\n[axes]\nsteps = 10\nlevel = [0.5, 1.0]')
    data = read_plan(path).run()
    assert "my_schedules" not in sys.modules
    expected = cb.terms(np.repeat([1.0, 0.5], 5), last_step="repeat")
    assert float(data.distance[0]) == pytest.approx(expected.distance, rel=1e-11)


AXES = "[axes]\nsteps = 100\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["family: expected a name", "got none"]),
        ("family = 3", ["family: expected a name", "got 3"]),
        ('family = "wds"\n' + AXES, ["family: unknown schedule 'wds'", "did you mean 'wsd'?"]),
        ('familly = "wsd"', ["unknown key 'familly'", "did you mean 'family'?"]),
        ('family = "wsd"\nsteps = 3', ["unknown key 'steps'", "below [axes]"]),
        ('family = "wsd"\naxes = 3', ["axes: expected a table", "got 3"]),
        ('family = "wsd"\n' + AXES + 'where = "steps > 3"', ["axes.where:", "above [axes]"]),
        ('family = "wsd"\n' + AXES + "cooldwn = 0.1", ["axes.cooldwn: ", "mean 'cooldown'?"]),
        ('family = "wsd"\n' + AXES + "horizon = 1", ["axes.horizon: an axis cannot be called"]),
        ('family = "wsd"\n' + AXES + "cooldown = []", ["axes.cooldown: axis cooldown is empty"]),
        ('family = "wsd"\n' + AXES + "cooldown = [0.1, 3]", ["axes.cooldown: ", "got both"]),
        ('family = "wsd"\n' + AXES + "cooldown = [0.1, 0.1]", ["axes.cooldown: ", "0.1 twice"]),
        ('family = "wsd"\n' + AXES + 'shape = ["1-sqr"]', ["axes.shape: ", "mean '1-sqrt'?"]),
        ('family = "wsd"\n' + AXES + "final = 2", ["axes.final: final must be a ratio"]),
        ('family = "wsd"\n' + AXES + "gamma = [1, nan]", ["axes.gamma: ", "finite", "index 1"]),
        ('family = "wsd"\n' + AXES + "gamma = [-1.0]", ["axes.gamma: ", "positive"]),
        ('family = "wsd"\n[axes]\nsteps = [0]', ["axes.steps: ", "at least 1, got 0"]),
        ('family = "wsd"\n[axes]\nstepz = 9', ["axes.stepz: ", "did you mean 'steps'?"]),
        ('family = "wsd"\n[[zip]]\nstepz = [9]', ["zip[0].stepz: ", "did you mean 'steps'?"]),
        ('family = "wsd"\n[[zip]]\nsteps = [9, 0]', ["zip[0].steps: ", "at least 1, got 0"]),
        ('family = "wsd"\n[[zip]]\nsteps = [9, 9]', ["zip[0]: ", "steps=9 twice"]),
        ('family = "wsd"\n[[zip]]\n', ["zip[0]: zip needs axes, such as steps = [...] and"]),
        ('family = "wsd"\n[[zip]]\ndim = 3\nsteps = [9]', ["zip[0]: dim must be a name, got 3"]),
        (
            'family = "wsd"\n' + AXES + "[[zip]]\nfinal = [0.1]\n[[zip]]\nsteps = [9]",
            ["axes.steps and zip[1].steps: steps is given twice"],
        ),
        (
            'family = "wsd"\n[[zip]]\nsteps = [9]\n[[zip]]\nsteps = [9]',
            ["zip[0].steps and zip[1].steps: steps is given twice"],
        ),
        ('family = "wsd"\n[axes]\nx = ' + "[" * 2000 + "]" * 2000, ["nested too deeply"]),
        ('family = "wsd"\nkind = "tigt"\n' + AXES, ["kind", "did you mean 'tight'?"]),
        ('family = "wsd"\nlast_step = "repat"\n' + AXES, ["last_step", "did you mean 'repeat'?"]),
        ('family = "wsd"\nat = 0\n' + AXES, ["at"]),
        ('family = "wsd"\nblock = 0\n' + AXES, ["block"]),
        ('family = "wsd"\nwhere = 3\n' + AXES, ["where"]),
        ('family = "wsd"\nwhere = "steps >"\n' + AXES, ["where", "steps >"]),
        ('family = "wsd"\nwhere = "stps > 3"\n' + AXES, ["where", "'stps'", "'steps'"]),
        ('family = "wsd"\nwhere = "open(steps)"\n' + AXES, ["where"]),
        ('family = "wsd"\nzip = 3', ["zip: expected tables", "[[zip]]", "got 3"]),
        ('family = "wsd"\n[zip]\nsteps = [3]', ["zip: expected tables", "[[zip]]"]),
        ('family = "wsd"\n[[zip]]\nsteps = 3', ["zip[0].steps: expected a list", "got 3"]),
        (
            'family = "wsd"\n[[zip]]\nsteps = [3, 4]\nwarmup = [1, 1, 1]',
            ["zip[0]", "steps", "warmup", "2", "3"],
        ),
        ('family = "wsd"\n[axes]\nsteps = [3\n', ["not valid TOML", "Unclosed array"]),
        ('family = "wsd"\n[axes]\nsteps = 3\nsteps = 4\n', ["not valid TOML", "line 4"]),
        ('family = "wsd"\n[axes]\nsteps = 2020-01-01', ["axes.steps: expected a number"]),
        ('family = "wsd"\n[axes]\nsteps = [[2020-01-01]]', ["axes.steps[0][0]: expected"]),
        ('family = "no.py:cut"\n' + AXES, ["family: no such file", "no.py"]),
        ('family = "no:cut"\n' + AXES, ['family: expected "file.py:function"', "'no:cut'"]),
    ],
)
def test_mistakes_in_plan_files(write, text, told):
    """With advice in the words of a file, not in those of Python."""
    refused(write(text), "", told)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{}", ["cooldown: expected one of linspace, geomspace, logspace, arange"]),
        ("{ num = 3 }", ["cooldown: expected one of linspace"]),
        ("{ linspce = [0, 1], num = 3 }", ["cooldown.linspce", "did you mean 'linspace'?"]),
        ("{ linspace = [0, 1], nums = 3 }", ["cooldown.nums", "did you mean 'num'?"]),
        ("{ linspace = [0, 1], arange = [0, 1] }", ["cooldown: expected one of linspace"]),
        (
            "{ linspace = [1], num = 3 }",
            ["cooldown.linspace: expected two finite numbers", "got [1]"],
        ),
        ("{ linspace = 1, num = 3 }", ["cooldown.linspace: expected two finite numbers", "got 1"]),
        ('{ linspace = [0, "1"], num = 3 }', ["cooldown.linspace: expected two finite numbers"]),
        ("{ linspace = [0, 1] }", ["cooldown.num: expected how many values", "got none"]),
        ("{ linspace = [0, 1], num = 0 }", ["cooldown.num: expected how many", "got 0"]),
        ("{ linspace = [0, 1], num = 1.5 }", ["cooldown.num: expected how many", "got 1.5"]),
        ("{ linspace = [0, 1], num = 1e12 }", ["cooldown.num", "to 10,000,000"]),
        ("{ linspace = [0, inf], num = 3 }", ["cooldown.linspace: expected two finite"]),
        ("{ geomspace = [0, 1], num = 3 }", ["cooldown.geomspace: expected two positive"]),
        ("{ logspace = [0, 999], num = 3 }", ["cooldown.logspace: expected a range of finite"]),
        ("{ arange = [0], whole = true }", ["cooldown.arange: expected two or three numbers"]),
        ("{ arange = [0, 1, 0] }", ["cooldown.arange: expected from 1 to", "got [0, 1, 0]"]),
        ("{ arange = [1, 0] }", ["cooldown.arange: expected from 1 to"]),
        ("{ arange = [0, 1, 1e-9] }", ["cooldown.arange: expected from 1 to 10,000,000"]),
        ("{ arange = [0, 1], num = 3 }", ["cooldown.num", "unknown key 'num'"]),
        ("{ linspace = [0, 1], num = 3, whole = 1 }", ["cooldown.whole: expected true or false"]),
        ("{ linspace = [0, 1e300], num = 3, whole = true }", ["cooldown.linspace: expected whole"]),
    ],
)
def test_mistakes_in_generated_axes(write, value, told):
    path = write(f'family = "wsd"\n[axes]\nsteps = 100\ncooldown = {value}')
    refused(path, "axes.cooldown", told)


@pytest.mark.parametrize(
    ("value", "hinted"),
    [
        ("{ linspace = [10, 50], num = 5 }", True),
        ("{ linspace = [10, 50], num = 5, whole = false }", True),
        ("{ geomspace = [0.5, 8], num = 5 }", True),
        ("{ linspace = [-0.5, 0.5], num = 3 }", False),
        ("[0.5, 50]", False),
    ],
)
@pytest.mark.parametrize("table", ["axes", "[zip]"])
def test_lengths_that_were_meant_as_steps(write, table, value, hinted):
    path = write(f'family = "wsd"\n[{table}]\nwarmup = {value}')
    with pytest.raises(ValueError, match=r"(axes|zip\[0\])\.warmup: ") as error:
        read_plan(path)
    assert str(error.value).endswith("; whole = true makes them steps") == hinted


def test_mistakes_in_the_file_of_a_family(write):
    path = write('family = "mine.py:cut"\n' + AXES)
    write("def cat(steps): ...\ndef _cut(steps): ...", "mine.py")
    with pytest.raises(ValueError, match=r"family: unknown function of mine\.py 'cut'.*'cat'"):
        read_plan(path)
    write("1 / 0", "mine.py")
    with pytest.raises(ValueError, match=r"family: .*mine\.py failed: ZeroDivisionError"):
        read_plan(path)
    write("raise SystemExit(0)", "mine.py")
    with pytest.raises(ValueError, match=r"family: .*mine\.py failed: SystemExit"):
        read_plan(path)
    write("raise KeyboardInterrupt", "mine.py")
    with pytest.raises(KeyboardInterrupt):
        read_plan(path)


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_bytes(b'family = "wsd"\n# \xff\n')
    with pytest.raises(ValueError, match=r"not text in UTF-8 \(at line 2\)"):
        read_plan(path)
    with pytest.raises(FileNotFoundError):
        read_plan(tmp_path / "missing.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_are_plans(path):
    assert "kernels" in repr(read_plan(path))


# --- commands ------------------------------------------------------------------------------------


def test_run_status_and_best(run, ask, plan, tmp_path):
    store = tmp_path / "out.zarr"
    code, out, err = run("sweep", "run", plan, "--store", store)
    assert code == 0
    assert err.startswith("<Sweep of wsd: 60 cells = 60 kernels\n")
    assert "15 of 15 blocks are done" in out
    assert "Best along steps, cooldown, shape" in out
    status = ask("sweep", "status", store)
    assert (status["blocks"], status["done"], status["failed"]) == (15, 15, [])
    assert status["sizes"] == {"steps": 3, "cooldown": 10, "shape": 2}
    best = ask("sweep", "best", store)
    (row,) = best["rows"]
    schedule = cb.schedules.wsd(row["steps"], row["cooldown"], row["shape"])
    assert row["omega"] == pytest.approx(cb.tune(schedule, last_step="repeat").omega, rel=1e-10)
    rows = [
        cb.tune(cb.schedules.wsd(steps, float(cooldown), shape), last_step="repeat").omega
        for steps in (100, 1000, 2000)
        for cooldown in np.linspace(0.1, 1, 10)
        for shape in ("linear", "1-sqrt")
    ]
    assert row["omega"] == pytest.approx(min(rows), rel=1e-10)


def test_the_best_along_some_axes(run, ask, plan, tmp_path):
    store = tmp_path / "out.zarr"
    run("sweep", "run", plan, "--store", store)
    found = ask("sweep", "best", store, "--over", "cooldown, shape", "--gamma", 0.02, "--D", 2)
    assert [row["steps"] for row in found["rows"]] == [100, 1000, 2000]
    row = found["rows"][1]
    schedule = cb.schedules.wsd(1000, row["cooldown"], row["shape"])
    omega = cb.bound(schedule, 0.02, D=2, last_step="repeat")
    assert row["omega"] == pytest.approx(omega, rel=1e-10)
    code, out, _ = run("sweep", "best", store, "--over", "shape", "--rows", 2)
    assert code == 0
    assert "... and 28 more (--rows)." in out


def test_shards_fill_one_store(run, ask, plan, tmp_path):
    store = tmp_path / "out.zarr"
    assert run("sweep", "run", plan, "--store", store, "--shard", "0/2")[0] == 0
    assert ask("sweep", "status", store)["done"] == 8
    assert run("sweep", "run", plan, "--store", store, "--shard", "1/2")[0] == 0
    assert ask("sweep", "best", store)["done"] == 15


def test_the_rate_is_that_of_the_blocks(run, plan, tmp_path, monkeypatch):
    """Without imports, and without making the store."""
    compute = cb.sweeps.Plan.run

    def timed(self, *arguments, progress, **options):
        compute(self, *arguments, **options)
        progress(Progress(done=15, total=15, failed=0, kernels=60, seconds=4.0))

    monkeypatch.setattr(cb.sweeps.Plan, "run", timed)
    code, out, _ = run("sweep", "run", plan, "--store", tmp_path / "a.zarr")
    assert code == 0
    assert "60 kernels in 4 s, 15 a second." in out


@pytest.mark.parametrize("threads", ["0", "5000", "x"])
def test_threads_that_are_none(refuse, plan, tmp_path, threads):
    argv = ["sweep", "run", plan, "--store", tmp_path / "a", f"--threads={threads}"]
    assert f"Invalid value for --threads: {'must be' if threads != 'x' else ''}" in refuse(2, *argv)


@pytest.mark.parametrize("shard", ["2/2", "3/2", "-1/2", "1", "a/b", "0/0", "0/1.5", ""])
def test_shards_that_are_none(refuse, plan, tmp_path, shard):
    told = refuse(2, "sweep", "run", plan, "--store", tmp_path / "a", f"--shard={shard}")
    assert "--shard: " in told
    assert repr(shard) in told


def test_blocks_that_fail_are_reported(run, write, tmp_path):
    write("def line(steps, slope):\n    return [1 - slope / 2] * (steps - (slope == 2))", "mine.py")
    path = write('family = "mine.py:line"\nblock = 1\n[axes]\nsteps = 1\nslope = [0, 1, 2]')
    code, out, _ = run("sweep", "run", path, "--store", tmp_path / "out.zarr")
    assert code == 1
    assert "2 of 3 blocks are done" in out
    assert "slope=2" in out
    code, out, _ = run("sweep", "status", tmp_path / "out.zarr", "--json")
    (failure,) = json.loads(out)["failed"]
    assert failure["block"] == 2
    assert "at least one step" in failure["error"]


def test_another_plan_is_refused(run, plan, write, tmp_path):
    store = tmp_path / "out.zarr"
    run("sweep", "run", plan, "--store", store)
    other = write(PLAN.replace("2000]", "3000]"), "other.toml")
    code, out, err = run("sweep", "run", other, "--store", store)
    assert (code, out) == (1, "")
    assert "steps" in err


def test_what_is_wrong_is_said(refuse, tmp_path):
    assert "missing.toml" in refuse(1, "sweep", "run", tmp_path / "missing.toml", "--store", "a")
    assert "no store" in refuse(1, "sweep", "status", tmp_path / "none.zarr")
    for command in ("status", "best"):
        assert "got an empty name" in refuse(2, "sweep", command, "")


def test_a_store_without_a_name(run, plan):
    code, out, err = run("sweep", "run", plan, "--store", "")
    assert (code, out) == (2, "")
    assert "got an empty name" in err


def test_a_mask_that_is_too_deep(refuse, write):
    path = write(f'family = "wsd"\nwhere = "{"-" * 990}steps < 0"\n[axes]\nsteps = 100')
    assert f"{path}: where is nested too deeply" in refuse(1, "sweep", "run", path, "--store", "a")


@pytest.mark.parametrize(
    ("scheduler", "told"),
    [
        ("nowhere", "tcp://host:8786"),
        ("", "tcp://host:8786"),
        ("tcp://", "missing port number"),
        ("tpc://host:8786", "unknown address scheme 'tpc'"),
    ],
)
def test_an_unknown_scheduler(run, plan, tmp_path, scheduler, told):
    pytest.importorskip("distributed")
    code, out, err = run("sweep", "run", plan, "--store", tmp_path / "a", "--scheduler", scheduler)
    assert (code, out) == (2, "")
    assert told in err


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"address": 3}'])
def test_the_file_of_no_scheduler(run, plan, write, tmp_path, text):
    """Dask would wait for such a file to become a good one."""
    pytest.importorskip("distributed")
    file = write(text, "scheduler.json")
    code, out, err = run("sweep", "run", plan, "--store", tmp_path / "a", "--scheduler", file)
    assert (code, out) == (1, "")
    assert f'{file}: expected JSON with the "address" of a scheduler' in err


def test_ctrl_c_says_how_to_go_on(run, plan, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cb.sweeps.Plan, "run", stop)
    code, out, err = run("sweep", "run", plan, "--store", tmp_path / "a.zarr")
    assert (code, out) == (130, "")
    assert "interrupted before anything was written" in err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupted_run_goes_on(run, write, tmp_path):
    write(
        "import pathlib, signal\n"
        "def line(steps, slope):\n"
        "    flag = pathlib.Path(__file__).with_name('flag')\n"
        "    if slope == 2 and not flag.exists():\n"
        "        flag.touch()\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return [1 - slope / 4] * steps\n",
        "mine.py",
    )
    path = write('family = "mine.py:line"\nblock = 1\n[axes]\nsteps = 5\nslope = [0, 1, 2, 3]')
    argv = ["sweep", "run", path, "--store", tmp_path / "a.zarr"]
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # it may be ignored around us
        "from cvxbound.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert "interrupted: 2 of 4 blocks are done and kept in" in done.stderr
    code, out, _ = run(*argv)
    assert code == 0
    assert "2 kernels in" in out
    assert "Nothing was left to do." in run(*argv)[1]


@pytest.mark.parametrize("by", ["address", "file"])
def test_a_scheduler(run, write, tmp_path, by):
    """A family of a file travels by value: the worker never sees the file."""
    distributed = pytest.importorskip("distributed")
    write("import numpy\ndef line(steps, slope): return numpy.full(steps, 1 / slope)", "mine.py")
    path = write('family = "mine.py:line"\nblock = 2\n[axes]\nsteps = 9\nslope = [1, 2, 3, 4]')
    file = tmp_path / "scheduler.json"
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        scheduler_kwargs={"scheduler_file": str(file)},
    ) as cluster:
        scheduler = cluster.scheduler_address if by == "address" else file
        argv = ["sweep", "run", path, "--store", tmp_path / "a.zarr", "--json"]
        code, out, _ = run(*argv, "--scheduler", scheduler)
    assert code == 0
    found = json.loads(out)
    assert (found["done"], found["kernels"]) == (2, 4)
    expected = cb.tune(np.ones(9), last_step="repeat").omega
    assert found["best"]["rows"][0]["omega"] == pytest.approx(expected, rel=1e-11)


def test_a_bar_while_a_person_looks(capsys, plan, tmp_path, monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    argv = ["sweep", "run", str(plan), "--store", str(tmp_path / "a.zarr"), "--json"]
    assert cli.main(argv) == 0
    assert "15/15 blocks" in screen.getvalue()
    assert json.loads(capsys.readouterr().out)["done"] == 15


def test_a_bar_needs_rich(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ImportError, match=r"cvxbound\[cli\]"), _progress.bar():
        pass


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["--over", "cooldwn"], 1, ["cooldwn", "did you mean 'cooldown'?"]),
        (["--rows", "0"], 2, ["--rows", "at least 1"]),
        (["--gamma", "-1"], 1, ["gamma must be positive"]),
        (["--D", "0"], 1, ["D must be positive"]),
    ],
)
def test_wrong_questions(run, refuse, plan, tmp_path, argv, code, told):
    run("sweep", "run", plan, "--store", tmp_path / "a.zarr")
    message = refuse(code, "sweep", "best", tmp_path / "a.zarr", *argv)
    for words in told:
        assert words in message


def test_advice_on_scales_is_in_the_words_of_a_shell(run, refuse, write, tmp_path):
    path = write('family = "wsd"\nkind = "tight"\n[axes]\nsteps = 9')
    run("sweep", "run", path, "--store", tmp_path / "free.zarr")
    told = refuse(1, "sweep", "best", tmp_path / "free.zarr", "--gamma", "0.1")
    assert "leave --gamma out, or give gamma to the sweep" in told
    path = write('family = "wsd"\nkind = "tight"\n[axes]\nsteps = 9\ngamma = [0.1, 0.2]')
    run("sweep", "run", path, "--store", tmp_path / "own.zarr")
    for scale in ("gamma", "D", "G"):
        told = refuse(1, "sweep", "best", tmp_path / "own.zarr", f"--{scale}", "0.1")
        assert told.rstrip().endswith(f"; leave --{scale} out")


@pytest.mark.parametrize("command", ["", "run", "status", "best"])
def test_help(run, command):
    code, out, err = run("sweep", *command.split(), "--help")
    assert (code, err) == (0, "")
    assert "--json" in out or not command
    assert "empty" not in out
    assert "--shard" in out or command != "run"


def test_progress_in_words():
    event = Progress(done=3, total=12, failed=0, kernels=6000, seconds=2.0)
    assert _progress.describe(event) == "3/12 blocks, 3,000 kernels/s, 0:00:06 left"
