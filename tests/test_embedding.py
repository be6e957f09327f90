"""The library for C and C++: its functions against those of Python, to the bit; and the examples.

What is tested lies in the installed package, or under CVXBOUND_PREFIX, where `cmake --install` has
put it.
"""

import ctypes
import importlib.metadata
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import __main__ as command
from cvxbound import _embedding

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "embed"
BINDINGS = EXAMPLES / "ctypes" / "cvxbound_ctypes.py"
NAME = "libcvxbound.dylib" if sys.platform == "darwin" else "libcvxbound.so"

KINDS = ["last", "tight", "average"]
LAST_STEPS = ["given", "repeat", "free"]
METHODS = ["auto", "direct", "fast"]


def prefix():
    """The folder that has include and lib."""
    if "CVXBOUND_PREFIX" in os.environ:
        return Path(os.environ["CVXBOUND_PREFIX"])
    try:
        return _embedding.folder("--libdir").parent
    except FileNotFoundError as error:
        installed = Path(sysconfig.get_path("platlib")) in Path(cb.__file__).parents
        if installed:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def bindings():
    """The example of ctypes as a module."""
    spec = importlib.util.spec_from_file_location("cvxbound_ctypes", BINDINGS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path():
    """The shared library."""
    names = ("lib", "lib64", f"lib/{sysconfig.get_config_var('MULTIARCH')}")
    folders = [prefix() / name for name in names]
    return next(folder / NAME for folder in folders if (folder / NAME).exists())


@pytest.fixture(scope="module")
def library(bindings, path):
    return bindings.load(str(path))


def pointer(array, kind=ctypes.c_double):
    return None if array is None else array.ctypes.data_as(ctypes.POINTER(kind))


class Caller:
    """The C functions, called with arrays: a status, and the outputs that were written."""

    def __init__(self, library, bindings, eta, G=None, **options):
        self.library, self.bindings = library, bindings
        self.eta = np.ascontiguousarray(np.atleast_2d(eta), np.float64)
        self.norm = None if G is None else np.ascontiguousarray(np.atleast_2d(G), np.float64)
        norm_shape = (0, 0) if G is None else self.norm.shape
        self.schedules = bindings.Schedules(
            pointer(self.eta), *self.eta.shape, pointer(self.norm), *norm_shape
        )
        self.options = bindings.Options()
        size = ctypes.sizeof(bindings.Options)
        assert library.cvxbound_default_options(self.options, size) == 0
        names = {"kind": KINDS, "last_step": LAST_STEPS, "method": METHODS}
        for name, value in options.items():
            setattr(self.options, name, names[name].index(value) if name in names else value)

    def __call__(self, name, *, gamma=None, at=None, weights=None, outputs=1):
        rows, steps = self.eta.shape
        rates = None if gamma is None else np.full(rows, gamma, np.float64)
        horizons = None if at is None else np.array(at, np.int64)
        weights = None if weights is None else np.ascontiguousarray(weights, np.float64)
        columns = steps if at is None or name == "gradient" else len(at)
        found = [np.full((rows, 1 if name == "bound" else columns), -7.0) for _ in range(outputs)]
        count = 0 if at is None else len(at)
        arguments = [self.schedules]
        if name != "tune":
            arguments.append(pointer(rates))
        if name != "bound":
            arguments += [pointer(horizons, ctypes.c_int64), count]
        if name == "gradient":
            arguments.append(pointer(weights))
        function = getattr(self.library, f"cvxbound_{name}")
        return function(*arguments, self.options, *map(pointer, found)), found


@pytest.fixture
def caller(library, bindings):
    return lambda *arguments, **options: Caller(library, bindings, *arguments, **options)


def same_bits(found, expected):
    expected = np.ascontiguousarray(np.broadcast_to(expected, found.shape), np.float64)
    assert found.tobytes() == expected.tobytes()


# --- the results are those of Python -------------------------------------------------------------

RNG = np.random.default_rng(0)
ROUGH = 10.0 ** RNG.uniform(-12, 3, (3, 40))
SCHEDULES = {
    "one step": ([[0.5]], None, 1.0),
    "one step and a norm": ([[0.5]], [[3e40]], 2.0),
    "a batch": (RNG.random((4, 150)), None, 3.0),
    "zeros": (np.where(RNG.random((3, 40)) < 0.4, 0.0, ROUGH), None, 1.0),
    "nothing moves": (np.zeros((1, 5)), None, 1.0),
    "a constant norm": (ROUGH, [[0.37]], 0.1),
    "a constant norm a row": (ROUGH, [[1e-30], [1.0], [7e50]], 1e20),
    "a row without noise": (ROUGH, [[0.0], [1.0], [2.0]], 1.0),
    "norms that rows share": (ROUGH, RNG.random((1, 40)) * 5, 2.5),
    "norms far from 1": (ROUGH, RNG.random((3, 40)) * 1e60, 1e-7),
    "tiny norms": (ROUGH[:1, :20], 10.0 ** RNG.uniform(-320, -290, (1, 20)), 1e-9),
    "norms and zeros": (ROUGH, np.where(RNG.random((3, 40)) < 0.5, 0.0, 1e20), 1.0),
    "extreme steps": (10.0 ** RNG.uniform(-300, 299, (2, 20)), None, 1e-5),
    "subnormal steps": (np.full((1, 12), 5e-324), None, 1.0),
    "long": (np.linspace(1, 0, 600, endpoint=False), None, 1.0),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_python(caller, name, kind):
    eta, G, D = SCHEDULES[name]
    for last_step, method in itertools.product(LAST_STEPS, METHODS):
        call = caller(eta, G, kind=kind, last_step=last_step, method=method, D=D)
        shared = {"G": 1.0 if G is None else np.array(G), "D": D, "kind": kind}
        shared |= {"last_step": last_step}
        steps = call.eta.shape[1]
        for at in (None, [steps], [(steps + 1) // 2, 1, steps]):
            chosen = {**shared, "method": method, "at": "all" if at is None else at}
            compare(call, "curve", cb.curve, {"gamma": 0.3}, at, chosen)
            compare(call, "terms", cb.terms, {}, at, chosen)
            compare(call, "terms", cb.terms, {"gamma": 0.3}, at, chosen)
            compare(call, "tune", cb.tune, {}, at, chosen)
        if method == "auto":
            compare(call, "bound", cb.bound, {"gamma": 0.3}, None, shared)


def compare(call, name, function, own, at, arguments):
    with np.errstate(all="ignore"):
        try:
            expected = function(call.eta, **own, **arguments)
        except ValueError:
            expected = None
    outputs = 2 if name in ("terms", "tune") else 1
    status, found = call(name, at=at, outputs=outputs, **own)
    assert (status == 0) == (expected is not None)
    if status:
        assert all((x == -7).all() for x in found)
        return
    for x, y in zip(found, expected if outputs == 2 else [expected], strict=True):
        same_bits(x, y[:, None] if name == "bound" else y)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_python(caller, name, kind):
    eta, G, D = SCHEDULES[name]
    for last_step, gamma in itertools.product(LAST_STEPS, [0.3, None]):
        call = caller(eta, G, kind=kind, last_step=last_step, D=D)
        rows, steps = call.eta.shape
        weights = np.random.default_rng(1).normal(size=(rows, steps))
        for at, weight in ((None, weights), ([steps], None)):
            status, found = call("gradient", gamma=gamma, at=at, weights=weight, outputs=2)
            for wrt, values in zip(("eta", "G"), found, strict=True):
                arguments = {"G": 1.0 if G is None else np.array(G), "D": D, "kind": kind}
                arguments |= {"at": at, "weights": weight, "last_step": last_step, "wrt": wrt}
                with np.errstate(all="ignore"):
                    try:
                        expected = cb.gradient(call.eta, gamma, **arguments)
                    except ValueError:
                        assert status
                        continue
                if status == 0:
                    same_bits(values, expected)


def test_outputs_may_be_inputs_and_need_not_be_wanted(caller):
    call = caller(RNG.random((2, 90)))
    expected = cb.curve(call.eta, 0.2)
    gamma = np.full(2, 0.2)
    into = pointer(call.eta)
    assert call.library.cvxbound_curve(call.schedules, pointer(gamma), None, 0, None, into) == 0
    same_bits(call.eta, expected)
    expected = cb.terms(call.eta, at="all").noise
    assert call.library.cvxbound_terms(call.schedules, None, None, 0, None, None, into) == 0
    same_bits(call.eta, expected)


def test_another_number_of_threads_gives_the_same_bits(caller):
    one, four = (caller(ROUGH, kind="tight", nthreads=n)("tune", outputs=2) for n in (1, 4))
    for x, y in zip(one[1], four[1], strict=True):
        same_bits(x, y)


# --- what is refused -----------------------------------------------------------------------------

NAN, INF = np.nan, np.inf
REFUSED = {
    "null gamma": ("pointer is", {}, {"gamma": None}),
    "negative step": ("eta must be", {"eta": [1, -1, 1]}, {}),
    "step that is not a number": ("eta must be", {"eta": [1, 1, NAN]}, {}),
    "step too large": ("eta must be", {"eta": [1, 1e301, 1]}, {}),
    "infinite norm": ("norm must be", {"G": [1, INF, 1]}, {}),
    "negative constant norm": ("norm must be", {"G": [-1]}, {}),
    "norms of other schedules": ("norm_rows 1 or rows", {"G": np.ones((2, 3))}, {}),
    "norms of other steps": ("norm_steps 1 or steps", {"G": np.ones(2)}, {}),
    "zero gamma": ("gamma, one a row", {}, {"gamma": 0}),
    "gamma that is not a number": ("gamma, one a row", {}, {"gamma": NAN}),
    "gamma G / D underflows": ("gamma, one a row", {"D": 1e300}, {"gamma": 1e-300}),
    "no horizon": ("horizons must", {}, {"at": []}),
    "horizon 0": ("horizons must", {}, {"at": [1, 0]}),
    "horizon too late": ("horizons must", {}, {"at": [4]}),
    "unknown kind": ("kind must", {"kind": 3}, {}),
    "unknown last step": ("last_step must", {"last_step": -1}, {}),
    "unknown method": ("method must", {"method": 2**31 - 1}, {}),
    "tolerance below the method's": ("at least 1e-12", {"method": 2, "rtol": 1e-13}, {}),
    "no tolerance": ("rtol must", {"rtol": NAN}, {}),
    "no distance": ("D must", {"D": 0}, {}),
    "infinite distance": ("D must", {"D": INF}, {}),
    "threads below 0": ("nthreads must", {"nthreads": -1}, {}),
    "too many threads": ("nthreads must", {"nthreads": 4097}, {}),
    "options of another version": ("sizeof", {"size": 8}, {}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(library, bindings, what):
    message, made, called = REFUSED[what]
    made = {"eta": [1, 0.5, 0.25], **made}
    raw = {key: made.pop(key) for key in list(made) if key not in ("eta", "G")}
    call = Caller(library, bindings, made["eta"], made.get("G"))
    for name, value in raw.items():
        setattr(call.options, name, value)
    status, (omega,) = call("curve", **{"gamma": 0.1, **called})
    assert message in library.cvxbound_strerror(status).decode()
    assert (omega == -7).all()


@pytest.mark.parametrize("size", [0, -1, 2**44 + 1, 2**61 + 1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("name", ["rows", "steps"])
def test_impossible_sizes(caller, name, size):
    call = caller([1, 0.5, 0.25])
    setattr(call.schedules, name, size)
    omega, gamma = np.full(3, -7.0), np.ones(3)
    for function, at in (("bound", []), ("curve", [None, 0])):
        status = getattr(call.library, f"cvxbound_{function}")(
            call.schedules, pointer(gamma), *at, None, pointer(omega)
        )
        assert b"rows and steps" in call.library.cvxbound_strerror(status)
    assert (omega == -7).all()


def test_gradients_refuse(caller):
    call = caller([1, 0.5, 0])
    for weights, message in (([[1, 1, 1]], "no derivative"), ([[1, NAN, 0]], "weights, one")):
        status, found = call("gradient", gamma=1, weights=weights, outputs=2)
        assert message in call.library.cvxbound_strerror(status).decode()
        assert all((x == -7).all() for x in found)


MEMORY = """
import ctypes, importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("bindings", sys.argv[1])
bindings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bindings)
library = bindings.load(sys.argv[2])
steps = 40_000_000
eta, omega, gamma = (ctypes.c_double * steps)(), (ctypes.c_double * 1)(-7.0), ctypes.c_double(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
schedules = bindings.Schedules(eta, 1, steps)
status = library.cvxbound_curve(schedules, gamma, None, 0, None, omega)
print(status, omega[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_no_memory(path):
    """The results of 40 million horizons do not fit into 100 MB."""
    assert output(sys.executable, "-c", MEMORY, BINDINGS, path) == "18 -7.0\n"


def test_every_status_has_its_sentence(library):
    texts = [library.cvxbound_strerror(status) for status in range(20)]
    assert len(set(texts)) == 20
    unknown = {library.cvxbound_strerror(status) for status in (-1, 20, 2**31 - 1)}
    assert unknown == {b"unknown status"}


def test_version(library):
    released = importlib.metadata.version("cvxbound").partition(".dev")[0]
    assert library.cvxbound_version().decode() == released


# --- the examples --------------------------------------------------------------------------------


def output(*command, **environment):
    """The numbers that a program prints, one a line."""
    done = subprocess.run(
        [str(each) for each in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(text):
    return np.array([float(line) for line in text.splitlines()])


def tool(*names):
    """A program beside this Python, or on the path."""
    beside = Path(sys.executable).parent
    for name in names:
        found = shutil.which(name, path=beside) or shutil.which(name)
        if found:
            return found
    pytest.skip(f"needs one of {', '.join(names)}, which this environment lacks")


def decay(steps):
    return 1 - np.arange(steps) / steps


def expected_of_c():
    eta = decay(1000)
    curve = cb.curve(eta, 0.05, at=[10, 500, 1000])
    return [*curve, *cb.tune(eta, kind="tight")]


def expected_of_cpp():
    eta = np.stack([np.ones(1000), decay(1000)])
    problem = {"G": 1 + 9 / (1 + np.arange(1000) / 100), "D": 3}
    gamma, best = cb.tune(eta, **problem)
    by_eta, by_norm = (cb.gradient(eta, 0.01, **problem, wrt=wrt) for wrt in ("eta", "G"))
    bounds = cb.bound(eta, 0.01, **problem)
    return [*bounds, gamma[1], best[1], by_eta[0, 0], by_norm[0, -1]]


@pytest.mark.parametrize(
    ("language", "compiler", "expected"),
    [("c", ("cc", "gcc", "clang"), expected_of_c), ("cpp", ("c++", "g++"), expected_of_cpp)],
)
def test_example_by_cmake(tmp_path, path, language, compiler, expected):
    """find_package finds a tree that has been moved since it was installed."""
    cmake = tool("cmake")
    tool(*compiler)
    moved = tmp_path / "moved tree"
    for folder in ("include", path.parent.relative_to(prefix())):
        shutil.copytree(prefix() / folder, moved / folder)
    build = tmp_path / "build"
    ninja = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    generator = [] if shutil.which("make") else ninja
    source = EXAMPLES / language
    output(cmake, "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={moved}", *generator)
    output(cmake, "--build", build)
    same_bits(numbers(output(build / "example")), expected())


def test_example_by_a_compiler_alone(tmp_path, path):
    flags = [f"-I{prefix() / 'include'}", f"-L{path.parent}", f"-Wl,-rpath,{path.parent}"]
    source = EXAMPLES / "c" / "main.c"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    compiler = tool("cc", "gcc", "clang")
    output(compiler, *strict, source, *flags, "-lcvxbound", "-o", tmp_path / "example")
    same_bits(numbers(output(tmp_path / "example")), expected_of_c())


def test_example_of_ctypes(path):
    found = numbers(output(sys.executable, BINDINGS, path))
    same_bits(found, cb.curve(decay(10), 0.5))


def test_impossible_environment(path):
    done = subprocess.run(
        [sys.executable, str(BINDINGS), str(path)],
        env={**os.environ, "CVXBOUND_NUM_THREADS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "CVXBOUND_NUM_THREADS must be from 1 to 4096" in done.stderr


# --- where it lies -------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", _embedding.FLAGS)
def test_folders(capsys, monkeypatch, tmp_path, flag):
    monkeypatch.setattr(cb, "__path__", [str(tmp_path / "sources"), str(tmp_path / "installed")])
    folder = tmp_path / "installed" / _embedding.FLAGS[flag]
    assert command.main([flag]) == 1
    assert "pip install ." in capsys.readouterr().err
    folder.mkdir(parents=True)
    assert command.main([flag]) == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_the_package_has_what_cmake_looks_for(path):
    """The prefix is the package, which is the entry point that build backends hand to CMake."""
    if "CVXBOUND_PREFIX" in os.environ:
        pytest.skip("CVXBOUND_PREFIX is tested, which is no package")
    (entry,) = (
        each
        for each in importlib.metadata.entry_points(group="cmake.root")
        if each.name == "cvxbound"
    )
    assert entry.load() is cb
    assert (_embedding.folder("--cmakedir") / "cvxboundConfig.cmake").is_file()
    assert (_embedding.folder("--includedir") / "cvxbound" / "cvxbound.h").is_file()
