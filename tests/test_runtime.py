"""What the core runs on: instruction sets, threads, interrupts, imports."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cvxbound as cb


def python(code, **environment):
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_info():
    info = cb.info()
    assert info["version"] == cb.__version__ == importlib.metadata.version("cvxbound")
    assert info["isa"] in info["isas"]
    assert info["isas"][0] == "baseline"
    assert info["threads"] >= 1


VALUES = """
import json, numpy as np, cvxbound as cb
rng = np.random.default_rng(0)
eta = rng.random((5, 900)) * np.geomspace(1, 1e-9, 900)
print(json.dumps({
    "isa": cb.info()["isa"],
    "values": [cb.curve(eta).tolist(), cb.bound(eta, G=eta + 1).tolist(),
               cb.tune(eta, kind="tight").omega.tolist()],
}))
"""


def test_instruction_sets_agree():
    """Forcing one works, and the results agree to a few ulp."""
    expected = json.loads(python(VALUES, CVXBOUND_FORCE_ISA="baseline").stdout)
    assert expected["isa"] == "baseline"
    for isa in cb.info()["isas"]:
        found = json.loads(python(VALUES, CVXBOUND_FORCE_ISA=isa).stdout)
        assert found["isa"] == isa
        for one, other in zip(found["values"], expected["values"], strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-14)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CVXBOUND_FORCE_ISA", "avx1024", "expected one of: baseline"),
        ("CVXBOUND_NUM_THREADS", "many", "must be an integer from 1 to 4096, got 'many'"),
        ("CVXBOUND_NUM_THREADS", "0", "got '0'"),
    ],
)
def test_impossible_environment(variable, value, message):
    """The package imports all the same, and says what is wrong when it is used."""
    done = python("import cvxbound; print(cvxbound.__version__)", **{variable: value})
    assert done.stdout.strip() == cb.__version__
    for use in ("cb.curve([1.0] * 50_000)", "cb.info()"):
        done = python(f"import cvxbound as cb; {use}", **{variable: value})
        assert done.returncode == 1
        assert "ValueError" in done.stderr
        assert message in done.stderr


def test_threads_from_the_environment():
    assert (
        python(
            "import cvxbound as cb; print(cb.info()['threads'])", CVXBOUND_NUM_THREADS="3"
        ).stdout
        == "3\n"
    )


def test_import_needs_numpy_alone():
    heavy = ["torch", "jax", "cupy", "xarray", "matplotlib", "scipy", "rich", "cyclopts", "pandas"]
    code = f"import sys, cvxbound; print([m for m in {heavy} if m in sys.modules])"
    done = python(code)
    assert done.stdout == "[]\n", done.stderr


def test_calls_from_several_threads():
    """The GIL is released; results are those of one thread."""
    eta = np.random.default_rng(0).random((8, 2000)) + 0.01
    expected = cb.curve(eta)
    found = [None] * 8

    def work(i):
        found[i] = cb.curve(eta[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


def test_after_fork():
    """A forked child computes although the parent has used threads."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this platform")
    code = """
import os, cvxbound as cb, numpy as np
eta = np.ones(30_000)
cb.curve(eta)
child = os.fork()
if child == 0:
    os._exit(0 if cb.curve(eta, nthreads=2)[-1] > 0 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(code).stdout == "0\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer on this platform")
@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((1_000_000,), {"method": "direct"}),
        ((40_000_000,), {"method": "fast"}),
        ((20_000_000,), {"method": "fast", "kind": "tight"}),
        ((8, 16_000), {"method": "direct", "kind": "tight"}),
        ((16, 100_000), {"method": "fast", "kind": "tight", "rough": True}),
    ],
)
def test_ctrl_c_interrupts_a_long_call(shape, arguments):
    """Of many seconds; an interrupt ends it in a second or so, and leaves no thread behind."""
    eta = np.ones(shape)
    if arguments.pop("rough", False):
        eta = 10.0 ** np.random.default_rng(0).uniform(-300, 300, shape)
    before = threading.active_count()

    def interrupt(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    started = time.perf_counter()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            cb.curve(eta, **arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert time.perf_counter() - started < 3
    assert threading.active_count() == before
