"""CuPy arrays in, CuPy arrays out: the results of NumPy's, on the caller's device and stream.

Run on a GPU where there is one, and by the processor where CVXBOUND_EMULATED_CUDA is the path of
the module built with CVXBOUND_CUDA=EMULATED: `_cuda.*.so` of a build folder of CMake.
"""

import contextlib
import subprocess
import sys

import numpy as np
import pytest

import cuda_emulation
import cvxbound as cb
import oracle
from cvxbound import _backend, _device, plot, views
from cvxbound.cli import _doctor
from cvxbound.schedules import segment_table

RNG = np.random.default_rng(0)
BATCH = RNG.random((3, 2, 50)) + 0.01
KINDS = ["last", "tight", "average"]
LAST_STEPS = ["given", "repeat", "free"]
FIXED = [("last", "given"), ("last", "repeat"), ("average", "given"), ("average", "repeat")]
FREE = [("tight", "given"), ("last", "free"), ("average", "free")]


class Backend:
    """A GPU, or what stands for one: how to put an array there, and what came of it."""

    def __init__(self, cupy, machine=None):
        self.cupy = cupy
        self.machine = machine

    def put(self, x):
        return self.cupy.asarray(np.asarray(x, np.float64))

    def get(self, x):
        """A result on the host; anything else than a CuPy array of float64 is an error."""
        assert isinstance(x, self.cupy.ndarray)
        assert x.dtype == np.float64
        with contextlib.nullcontext() if self.machine is None else x.device:
            return x.get()

    def same(self, found, expected, rtol=1e-12):
        found = self.get(found)
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=0)


def emulated(monkeypatch):
    machine, cupy = cuda_emulation.emulated(monkeypatch)
    return Backend(cupy, machine)


@pytest.fixture
def emulation(monkeypatch):
    return emulated(monkeypatch)


@pytest.fixture(params=["emulated", "gpu"])
def gpu(request, monkeypatch):
    if request.param == "emulated":
        return emulated(monkeypatch)
    return real()


def real():
    if missing := _device.missing():
        pytest.skip(missing)
    return Backend(_device.cupy())


# --- the same results ----------------------------------------------------------------------------


def cases(steps):
    rng = np.random.default_rng(steps)
    return oracle.schedules(steps, rng) + oracle.hostile(steps, rng)


@pytest.mark.parametrize("steps", [1, 2, 33, 300, 1025])
@pytest.mark.parametrize("method", ["direct", "fast", "auto"])
@pytest.mark.parametrize(("kind", "last_step"), FIXED)
def test_every_horizon(gpu, steps, method, kind, last_step):
    options = {"kind": kind, "last_step": last_step, "at": "all"}
    for case in cases(steps):
        expected = cb.terms(case.eta, G=case.norm, method="direct", **options)
        found = cb.terms(gpu.put(case.eta), G=gpu.put(case.norm), method=method, **options)
        # Sums are made of numbers up to a few powers of two larger.
        good = (expected.noise < 1e307) | np.isinf(expected.noise)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(gpu.get(one)[good], other[good], 1e-12, err_msg=case.name)


@pytest.mark.parametrize(
    ("kind", "last_step", "steps"),
    [("last", "given", 40_000), ("tight", "given", 3_000), ("average", "repeat", 40_000)],
)
def test_long_schedules(gpu, kind, last_step, steps):
    """Of which all horizons and some of them are done by block maps."""
    rng = np.random.default_rng(steps)
    eta = np.linspace(1, 1e-4, steps) * 10 ** rng.uniform(-2, 0, steps)
    norm = 10 ** rng.uniform(-1, 0, steps)
    at = np.unique(rng.integers(1, steps + 1, 50))
    options = {"kind": kind, "last_step": last_step}
    expected = cb.curve(eta, 0.3, G=norm, at=at, method="direct", **options)
    rtol = 1e-9 if kind == "tight" else 1e-12
    for chosen, index in (("all", at - 1), (at, slice(None))):
        found = cb.curve(gpu.put(eta), 0.3, G=gpu.put(norm), at=chosen, **options)
        np.testing.assert_allclose(gpu.get(found)[index], expected, rtol)


@pytest.mark.parametrize("steps", [1, 2, 33, 300])
@pytest.mark.parametrize("method", ["direct", "fast"])
@pytest.mark.parametrize(("kind", "last_step"), FREE)
def test_every_horizon_with_a_free_last_step(gpu, steps, method, kind, last_step):
    """Never above what the processor finds; the fast method may be, by 1e-9."""
    options = {"kind": kind, "last_step": last_step}
    rtol = 1e-9 if method == "fast" else 1e-12
    for case in cases(steps):
        eta, norm = gpu.put(case.eta), gpu.put(case.norm)
        at = oracle.horizons(steps)
        pairs = [
            (
                cb.curve(eta, g, G=norm, at=at, method=method, **options),
                cb.curve(case.eta, g, G=case.norm, at=at, method="direct", **options),
            )
            for g in (0.03, 3.0)
        ]
        pairs.append(
            (
                cb.tune(eta, G=norm, at=at, method=method, **options).omega,
                cb.tune(case.eta, G=case.norm, at=at, method="direct", **options).omega,
            )
        )
        for found, expected in pairs:
            found = gpu.get(found)
            good = expected < 1e280
            worst = np.max(np.abs(found[good] - expected[good]) - expected[good] * rtol, initial=-1)
            assert worst <= 0, case.name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last_step", LAST_STEPS)
def test_one_horizon(gpu, kind, last_step):
    options = {"kind": kind, "last_step": last_step, "G": 2.0, "D": 3.0}
    eta = gpu.put(BATCH)
    gpu.same(cb.bound(eta, 0.3, **options), cb.bound(BATCH, 0.3, **options))
    tuned = cb.tune(eta, **options)
    gpu.same(tuned.omega, cb.tune(BATCH, **options).omega)
    gpu.same(cb.bound(eta, tuned.gamma, **options), gpu.get(tuned.omega))
    distance, noise = cb.terms(eta, gamma=0.3, **options)
    gpu.same(distance / 0.3 + 0.3 * noise, cb.bound(BATCH, 0.3, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_leading_axes_broadcast(gpu, kind):
    norm, gamma = RNG.random((2, 50)) + 0.1, np.array([0.1, 1.0, 10.0])[:, None]
    eta = gpu.put(BATCH)
    expected = cb.bound(BATCH, gamma, G=norm, kind=kind)
    gpu.same(cb.bound(eta, gpu.put(gamma), G=gpu.put(norm), kind=kind), expected)
    gpu.same(cb.bound(eta, gamma, G=norm, kind=kind), expected)  # arrays of the host are moved
    one = BATCH[0, 0]
    rates = np.geomspace(0.1, 10, 4)
    gpu.same(cb.curve(gpu.put(one), gpu.put(rates), kind=kind), cb.curve(one, rates, kind=kind))
    split = cb.terms(gpu.put(one), gamma=rates, kind=kind)
    assert split.noise.shape == split.distance.shape == (4,)
    each = np.array([1.0, 3.0])[:, None]
    for G in (each, gpu.put(each), gpu.put(0.7), 0.7):
        host = gpu.get(G) if isinstance(G, gpu.cupy.ndarray) else G
        gpu.same(cb.bound(eta, 0.3, G=G, kind=kind), cb.bound(BATCH, 0.3, G=host, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_norms_of_any_size(gpu, kind):
    norm = (RNG.random(50) + 0.1) * 1e60
    for G in (norm, norm * 1e-120, 0.0, np.zeros(50), [[0.0], [1.0]]):
        expected = cb.tune(BATCH, G=G, D=1e-30, kind=kind)
        for given in (G, gpu.put(G)):
            gpu.same(cb.tune(gpu.put(BATCH), G=given, D=1e-30, kind=kind).omega, expected.omega)


@pytest.mark.parametrize("kind", KINDS)
def test_axis(gpu, kind):
    moved = np.moveaxis(BATCH, -1, 0)
    eta = gpu.put(moved)
    for options in ({"axis": 0}, {"axis": 0, "G": moved}, {"axis": -3, "at": [1, 7]}):
        expected = cb.curve(moved, 0.5, kind=kind, **options)
        on_gpu = options | ({"G": gpu.put(moved)} if "G" in options else {})
        gpu.same(cb.curve(eta, 0.5, kind=kind, **on_gpu), expected)
    gpu.same(cb.bound(eta, axis=0, kind=kind), cb.bound(moved, axis=0, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_at(gpu, kind):
    eta = gpu.put(BATCH)
    for at in (7, [50, 1, 7], "all", None, np.array([3], np.int8)):
        gpu.same(cb.curve(eta, at=at, kind=kind), cb.curve(BATCH, at=at, kind=kind))
    at = gpu.cupy.asarray(np.array([2, 3]))
    gpu.same(cb.curve(eta, at=at, kind=kind), cb.curve(BATCH, at=[2, 3], kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_out(gpu, kind):
    out = gpu.put(np.zeros((50, 3, 2)))
    moved = np.moveaxis(BATCH, -1, 0)
    assert cb.curve(gpu.put(moved), axis=0, kind=kind, out=out) is out
    gpu.same(out, cb.curve(moved, axis=0, kind=kind))
    single = gpu.put(0.0)
    assert cb.bound(gpu.put([1.0, 1.0]), kind=kind, out=single) is single
    gpu.same(single, cb.bound([1.0, 1.0], kind=kind))
    for wrong in (np.zeros((3, 2)), gpu.put(np.zeros(3))):
        with pytest.raises(ValueError, match=r"out must be a float64 CuPy array of .* \(3, 2\)"):
            cb.bound(gpu.put(BATCH), out=wrong)
    with pytest.raises(ValueError, match="out must be a float64 array of shape"):
        cb.bound(BATCH, out=gpu.put(np.zeros((3, 2))))


def test_scalars_come_back_as_arrays_without_axes(gpu):
    eta = gpu.put([1.0, 1.0])
    for found in (cb.bound(eta), cb.curve(eta, at=2), *cb.tune(eta), *cb.terms(eta)):
        assert gpu.get(found).shape == ()


def test_other_real_numbers(gpu):
    for dtype in (np.float16, np.float32, np.int8, np.uint32):
        eta = (BATCH * 100).astype(dtype)
        gpu.same(cb.bound(gpu.cupy.asarray(eta)), cb.bound(eta))
    turned = gpu.put(BATCH)[..., ::-1]
    gpu.same(cb.bound(turned, kind="tight"), cb.bound(BATCH[..., ::-1], kind="tight"))


def test_edges(gpu):
    for eta in ([0, 1, 1, 0, 1], [0, 0], [1, 0], [0, 7.0], [5e-324] * 2):
        for kind in KINDS:
            for last_step in LAST_STEPS:
                options = {"kind": kind, "last_step": last_step}
                gpu.same(cb.curve(gpu.put(eta), **options), cb.curve(eta, **options))
                gpu.same(cb.tune(gpu.put(eta), **options).omega, cb.tune(eta, **options).omega)
    assert cb.bound(gpu.put(np.ones((0, 5)))).shape == (0,)
    assert cb.curve(gpu.put(np.ones((2, 0, 5))), kind="tight").shape == (2, 0, 5)
    assert cb.curve(gpu.put(np.ones((2, 0, 5))), kind="average", at=[1]).shape == (2, 0, 1)


def test_inputs_are_left_alone(gpu):
    eta, norm = gpu.put(BATCH), gpu.put(BATCH * 1e50)
    for function in (cb.bound, cb.curve, cb.terms, cb.tune):
        for kind in KINDS:
            function(eta, G=norm, kind=kind)
    np.testing.assert_array_equal(gpu.get(eta), BATCH)
    np.testing.assert_array_equal(gpu.get(norm), BATCH * 1e50)


def test_steps_out_of_the_range_of_block_maps(gpu):
    """They are walked whatever method is asked for; sums of the largest steps are no mistake."""
    for eta in ([1e-301, 1.0, 1.0] * 400, [1e300] * 1200, [0.0, 1e-310] * 600):
        expected = cb.curve(eta, method="direct", last_step="repeat")
        good = expected < 1e280
        for method in ("fast", "auto"):
            found = gpu.get(cb.curve(gpu.put(eta), method=method, last_step="repeat"))
            np.testing.assert_allclose(found[good], expected[good], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"at": 50}, "direct"),
        ({"at": [49, 50]}, "automatic"),
        ({"at": 50, "method": "fast"}, "fast"),
        ({"at": 50, "kind": "tight"}, "automatic"),
        ({"at": 50, "last_step": "free"}, "automatic"),
        ({"at": 50, "kind": "tight", "method": "direct"}, "direct"),
        ({"at": 50, "kind": "tight", "rtol": 1e-13}, "direct"),
        ({"at": "all", "rtol": 1e-13}, "direct"),
    ],
)
def test_the_method_that_kernels_are_asked_for(emulation, monkeypatch, options, expected):
    """`automatic` leaves it to them: where a last step is free, one horizon takes many walks."""
    batch, methods = emulation.machine.kernels.Batch, []

    def recorded(*, method, **others):
        methods.append(method.name)
        return batch(method=method, **others)

    monkeypatch.setattr(sys.modules["cvxbound._cuda"], "Batch", recorded)
    cb.curve(emulation.put(BATCH), **options)
    assert methods == [expected]


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("last_step", LAST_STEPS)
def test_one_horizon_of_a_long_schedule(gpu, kind, last_step):
    options, eta = {"kind": kind, "last_step": last_step}, np.linspace(1, 0.01, 2_000)
    expected = cb.tune(eta, **options, method="direct").omega
    rtol = 1e-9 if kind == "tight" or last_step == "free" else 1e-12
    gpu.same(cb.tune(gpu.put(eta), **options).omega, expected, rtol)


@pytest.mark.parametrize("family", ["wsd", "cosine"])
@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("last_step", LAST_STEPS)
@pytest.mark.parametrize("weight", [None, np.array([0.1, 3.0])])
def test_segments(gpu, family, kind, last_step, weight):
    table = segment_table(family, {"steps": np.array([300, 299]), "warmup": 7}, 2)
    horizons = np.array([[1, 299, 300], [0, 150, 299]])
    options = {"kind": kind, "last_step": last_step, "weight": weight}
    expected = _backend.segment_split(table, horizons, **options)
    found = _device.segment_split(table, horizons, **options)
    assert all(type(x) is np.ndarray for x in found)
    np.testing.assert_allclose(bound_of(*found, weight), bound_of(*expected, weight), rtol=1e-11)


@pytest.mark.parametrize("split", [_device.segment_split, _backend.segment_split])
@pytest.mark.parametrize("horizon", [-1, 11])
def test_horizons_beyond_the_segments_are_refused(emulation, split, horizon):
    table = segment_table("cosine", {"steps": np.array([12, 10])}, 2)
    horizons = np.array([[11, 0], [10, horizon]])
    with pytest.raises(ValueError, match="a horizon beyond the steps in item 1"):
        split(table, horizons, kind="last", last_step="given")


def bound_of(distance, noise, weight):
    if weight is None:
        return 2 * np.sqrt(distance * noise)
    return distance / weight[:, None] + weight[:, None] * noise


# --- devices and streams -------------------------------------------------------------------------


def test_the_current_stream_is_used(emulation):
    eta = emulation.put(BATCH)
    cb.bound(eta)
    with emulation.cupy.cuda.Stream(42):
        cb.curve(eta, kind="tight")
    assert emulation.machine.calls == [("terms", 0, 0), ("terms", 0, 42)]


def test_a_gpu_keeps_the_order_of_a_stream():
    """One that waits for no other: what is made on it is read, and what is found is there."""
    gpu, eta = real(), np.linspace(1, 0.01, 3_000)
    with gpu.cupy.cuda.Stream(non_blocking=True):
        slow = gpu.cupy.ones(1 << 24)
        for _ in range(200):
            gpu.cupy.sqrt(slow, out=slow)
        found = cb.curve(gpu.put(eta) * slow[-1], kind="tight", method="direct")
        gpu.same(found, cb.curve(eta, kind="tight", method="direct"))


def test_the_second_gpu_is_used_for_its_arrays():
    gpu = real()
    if len(_device.gpus()) < 2:
        pytest.skip("there is one GPU")
    with gpu.cupy.cuda.Device(1):
        eta = gpu.put(BATCH)
    for kind in KINDS:
        found = cb.curve(eta, kind=kind)
        assert found.device.id == 1
        gpu.same(found, cb.curve(BATCH, kind=kind))
    assert gpu.cupy.cuda.Device().id == 0


def test_work_is_done_where_the_steps_are(emulation):
    with emulation.cupy.cuda.Device(1):
        eta, norm = emulation.put(BATCH), emulation.put(BATCH)
    for kind in KINDS:
        found = [cb.bound(eta, kind=kind), *cb.tune(eta, kind=kind), *cb.terms(eta, kind=kind)]
        assert {x.device.id for x in found} == {1}
        emulation.same(cb.curve(eta, G=norm, kind=kind), cb.curve(BATCH, G=BATCH, kind=kind))
    assert {device for _, device, _ in emulation.machine.calls} == {1}
    assert list(_device._tables) == [1]
    other = emulation.put(BATCH)
    assert emulation.machine.current == 0
    with pytest.raises(ValueError, match="on different devices: eta on 1, G on 0"):
        cb.bound(eta, G=other)
    with pytest.raises(ValueError, match="on different devices: eta on 1, out on 0"):
        cb.bound(eta, out=other)


def test_tables_are_copied_once(emulation, monkeypatch):
    copies = []
    tables = emulation.machine.kernels.tables
    monkeypatch.setattr(
        sys.modules["cvxbound._cuda"], "tables", lambda: copies.append(1) or tables()
    )
    for _ in range(3):
        cb.bound(emulation.put(BATCH))
    assert copies == [1]


def test_tables_that_another_thread_copies_meanwhile(emulation, monkeypatch):
    """The first copy stays for all, since kernels may be reading it."""
    tables, others = emulation.machine.kernels.tables, []

    def interrupted():
        if not others:
            others.append(None)
            others[0] = _device._tables_of(emulation.cupy)
        return tables()

    monkeypatch.setattr(sys.modules["cvxbound._cuda"], "tables", interrupted)
    assert _device._tables_of(emulation.cupy) is others[0]
    assert _device._tables == {0: others[0]}


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("eta", "message"),
    [
        ([1, -0.5], r"eta must be non-negative.*found -0.5 at index 1"),
        ([[1, 1], [1, np.nan]], r"found nan at index \(1, 1\)"),
        ([1, np.inf], "found inf at index 1"),
        ([1, 1e301], r"at most 1e\+300; found 1e\+301 at index 1"),
        (np.ones((3, 0)), r"eta is empty.*shape \(3, 0\)"),
        (1.0, "eta must have a time axis"),
    ],
)
def test_bad_steps(gpu, kind, eta, message):
    for function in (cb.bound, cb.curve, cb.terms, cb.tune):
        with pytest.raises(ValueError, match=message):
            function(gpu.put(eta), kind=kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("G", "message"),
    [
        ([1, -1, 1], "G must be non-negative.*found -1.0 at index 1"),
        ([1, np.nan, 1], "found nan at index 1"),
        ([1e50, -3, 1], r"found -3\.0 at index 1"),
        (-2.0, "G must be non-negative.*found -2.0"),
        ([1, 1], "differ in the time axis: eta has 3 steps, G has 2"),
    ],
)
def test_bad_norms(gpu, kind, G, message):
    for given in (G, gpu.put(G)):
        with pytest.raises(ValueError, match=message):
            cb.bound(gpu.put([1, 1, 1]), G=given, kind=kind)


def test_bad_arguments(gpu):
    eta = gpu.put(BATCH)
    for gamma, message in [
        ([1, -1], "gamma must be positive and finite; found -1.0 at index 1"),
        (0.0, "gamma must be positive and finite; found 0.0"),
        ([1, 2, 3, 4], r"do not broadcast together: eta \(3, 2\)"),
    ]:
        for given in (gamma, gpu.put(gamma)):
            with pytest.raises(ValueError, match=message):
                cb.bound(eta, given)
    with pytest.raises(ValueError, match=r"gamma G / D must be positive and finite; found 0\.0"):
        cb.bound(eta, 1e-300, G=gpu.put(1e-30))
    with pytest.raises(ValueError, match=r"at must lie in 1..50 \(1-based steps\); found 51"):
        cb.curve(eta, at=51)
    for dtype in (complex, bool):
        with pytest.raises(TypeError, match="eta must hold real numbers, got an array of"):
            cb.bound(gpu.cupy.asarray(np.ones(3, dtype)))


def test_what_takes_no_arrays_of_a_device_says_so(gpu):
    eta = gpu.put(np.linspace(1, 0.1, 50))
    message = r"is a CuPy array: bound, curve, terms and tune take one.*pass cupy.asnumpy\("
    for call in (
        lambda: cb.gradient(eta),
        lambda: cb.gradient(np.ones(50), G=eta),
        lambda: cb.gradient(np.ones(50), weights=eta),
        lambda: cb.extend(eta, 100),
        lambda: cb.optimize(50, G=eta),
        lambda: cb.refine(eta),
        lambda: cb.transfer_lr(eta, np.ones(50), np.ones(50)),
        lambda: cb.transfer_lr(0.1, eta, np.ones(50)),
        lambda: cb.schedules.from_array(eta),
        lambda: views.sweep(eta),
        lambda: plot.sample(eta),
        lambda: cb.bound(np.ones(50), eta),
        lambda: cb.bound(np.ones(50), G=eta),
        lambda: cb.tune(cb.schedules.wsd(50), G=eta),
        lambda: cb.bound(eta, D=eta[0]),
    ):
        with pytest.raises(TypeError, match=message):
            call()


# --- what is missing -----------------------------------------------------------------------------


def segments_there():
    table = segment_table("linear", {"steps": 10}, 1)
    return _device.segment_split(table, np.array([[10]]), kind="last", last_step="given")


@pytest.fixture
def stand_in(monkeypatch):
    """CuPy's stand-in, without any kernels."""
    machine = cuda_emulation.Machine(None)
    cupy = cuda_emulation.make_cupy(machine)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cvxbound._cuda", None)
    return Backend(cupy, machine)


def test_a_package_built_without_kernels(stand_in):
    assert cb.info()["cuda"] is None
    for call in (lambda: cb.bound(stand_in.put([1.0])), _device.kernels):
        with pytest.raises(RuntimeError, match=r"built without.*CVXBOUND_CUDA=ON"):
            call()
    assert "built without" in _device.missing()


def test_without_cupy(monkeypatch, emulation):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r'pip install "cvxbound\[cuda\]"'):
        segments_there()
    assert cb.info()["devices"] == []
    assert "cvxbound[cuda]" in _device.missing()
    assert cb.bound([1, 1]) > 0


def test_without_a_gpu(emulation):
    emulation.machine.count = 0
    with pytest.raises(RuntimeError, match="no GPU can be used: cudaErrorNoDevice: no CUDA"):
        segments_there()
    assert cb.info()["devices"] == []
    assert "cudaErrorNoDevice" in _device.missing()


def test_what_the_package_was_built_with(emulation):
    assert cb.info()["cuda"] == "emulated"
    assert _device.missing() is None


def test_emulated_kernels_refuse_arrays_of_a_gpu(emulation, monkeypatch):
    monkeypatch.delattr(emulation.cupy, "is_emulated")
    eta = emulation.put(BATCH)
    with pytest.raises(RuntimeError, match=r"the test build.*cannot read arrays of a GPU"):
        cb.bound(eta)
    with pytest.raises(RuntimeError, match="the test build"):
        segments_there()
    assert not emulation.machine.calls
    assert "the test build" in _device.missing()
    assert cb.info()["cuda"] == "emulated"


def test_info_and_doctor(stand_in, monkeypatch, run, ask):
    monkeypatch.setattr(_doctor, "_checks", lambda: ())
    assert cb.info()["devices"] == [
        {"name": "Stand-in", "memory": 80 << 30, "compute_capability": capability}
        for capability in ("9.0", "9.1")
    ]
    code, out, _ = run("doctor")
    assert code == 0
    assert "Stand-in" in out
    assert "80 GiB" in out
    assert "built without" in out
    found = ask("doctor")
    assert found["info"]["devices"][0]["name"] == "Stand-in"
    assert "built without" in found["missing_for_gpu"]


def test_nothing_of_cupy_is_imported():
    code = (
        "import sys, cvxbound as cb; cb.curve([1.0, 1.0]); cb.tune(cb.schedules.wsd(9)); "
        "print([m for m in ('cupy', 'cvxbound._cuda') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
