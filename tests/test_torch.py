"""Bounds of tensors: the package's own values and derivatives, whatever PyTorch does."""

import numpy as np
import pytest

import cvxbound as cb

torch = pytest.importorskip("torch", reason="cvxbound.torch needs PyTorch")
ct = pytest.importorskip("cvxbound.torch", reason="cvxbound.torch needs PyTorch")

FIXED = [("last", "given"), ("last", "repeat"), ("average", "given"), ("average", "repeat")]
FREE = [("last", "free"), ("tight", "given"), ("average", "free")]
CHOICES = [*FIXED, *FREE]


def steps(*shape, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(0).random(shape) + 0.2, dtype=dtype)


def asking(*tensors):
    return [torch.as_tensor(x, dtype=torch.float64).clone().requires_grad_() for x in tensors]


ETA = steps(7)
NORMS = steps(2, 7)[1]


# --- values and derivatives are those of the package ---------------------------------------------


@pytest.mark.parametrize(("kind", "last_step"), CHOICES)
@pytest.mark.parametrize("norms", [1.3, NORMS])
def test_derivatives_are_those_of_the_package(kind, last_step, norms):
    eta, gamma, G, D = asking(ETA, 0.3, norms, 1.7)
    which = {"kind": kind, "last_step": last_step}
    omega = ct.bound(eta, gamma, G=G, D=D, **which)
    omega.backward()
    known = {"G": np.asarray(norms), "D": 1.7, **which}
    assert omega.item() == pytest.approx(cb.bound(ETA.numpy(), 0.3, **known), rel=1e-14)
    distance, noise = cb.terms(ETA.numpy(), gamma=0.3, **known)
    by_norm = cb.gradient(ETA.numpy(), 0.3, wrt="G", **known)
    expected = [
        (eta, cb.gradient(ETA.numpy(), 0.3, **known)),
        (G, by_norm if G.ndim else by_norm.sum()),
        (gamma, noise - distance / 0.3**2),
        (D, 2 * distance / 1.7 / 0.3),
    ]
    for x, slope in expected:
        np.testing.assert_allclose(x.grad, slope, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("at", [None, [2, 5], 4, torch.tensor([7, 1]), "all"])
def test_curves(at):
    weights = np.arange(1.0, 1 + np.size(cb.curve(ETA.numpy(), at=None if at is None else at)))
    (eta,) = asking(ETA)
    found = ct.curve(eta, 0.3, at=at)
    np.testing.assert_array_equal(found.detach(), cb.curve(ETA.numpy(), 0.3, at=at))
    (found * torch.tensor(weights).reshape(found.shape)).sum().backward()
    expected = cb.gradient(ETA.numpy(), 0.3, at="all" if at is None else at, weights=weights)
    np.testing.assert_allclose(eta.grad, expected, rtol=1e-12)


@pytest.mark.parametrize(("kind", "last_step"), CHOICES)
def test_gradcheck(kind, last_step):
    inputs = asking(steps(2, 5), [0.3, 0.7], steps(5), 1.7)
    which = {"kind": kind, "last_step": last_step}
    for function in (ct.bound, ct.curve):
        assert torch.autograd.gradcheck(
            lambda eta, gamma, G, D, f=function: f(eta, gamma, G=G, D=D, **which), inputs
        )


@pytest.mark.parametrize(("kind", "last_step"), FIXED)
@pytest.mark.parametrize("gamma", [None, 0.3])
def test_terms(kind, last_step, gamma):
    eta, G, D = asking(steps(2, 5), steps(5), 1.7)
    which = {"kind": kind, "last_step": last_step, "gamma": gamma, "at": "all"}
    found = ct.terms(eta, G=G, D=D, **which)
    expected = cb.terms(steps(2, 5).numpy(), G=steps(5).numpy(), D=1.7, **which)
    np.testing.assert_allclose(found.distance.detach(), expected.distance, rtol=1e-15)
    np.testing.assert_array_equal(found.noise.detach(), expected.noise)
    assert torch.autograd.gradcheck(lambda eta, G, D: ct.terms(eta, G=G, D=D, **which), [eta, G, D])


@pytest.mark.parametrize(("kind", "last_step"), FREE)
@pytest.mark.parametrize("gamma", [None, 0.3])
def test_terms_of_a_free_last_step(kind, last_step, gamma):
    """Weighted as in the bound, they change as it does; the balance of both is scale-free."""
    eta, G, D = asking(steps(2, 5), steps(5), 1.7)
    which = {"kind": kind, "last_step": last_step}
    found = ct.terms(eta, gamma=gamma, G=G, D=D, at=[3, 5], **which)
    rate = (found.distance / found.noise).sqrt().detach() if gamma is None else gamma
    omega = found.distance / rate + rate * found.noise
    slopes = torch.autograd.grad(omega.sum(), [eta, G], retain_graph=True)
    known = {"G": steps(5).numpy(), "D": 1.7, "at": [3, 5], **which}
    by_eta, by_norm = (
        cb.gradient(steps(2, 5).numpy(), gamma, weights=[1, 1], wrt=wrt, **known)
        for wrt in ("eta", "G")
    )
    rtol = (
        1e-6 if gamma is None else 1e-9
    )  # the terms, of which the rate is made, have fewer digits
    np.testing.assert_allclose(slopes[0], by_eta, rtol=rtol, atol=1e-11)
    np.testing.assert_allclose(slopes[1], by_norm.sum(axis=0), rtol=rtol, atol=1e-11)
    # distance(c eta, gamma) = distance(eta, c gamma) / c, by Euler's theorem.
    (of_eta,) = torch.autograd.grad(found.distance.sum(), eta, retain_graph=True)
    scaled = (of_eta * eta).sum().item() + found.distance.sum().item()
    rates = torch.tensor(gamma or 1.0, dtype=torch.float64, requires_grad=True)
    if gamma is None:
        assert scaled == pytest.approx(0, abs=1e-7)
        return
    again = ct.terms(eta, gamma=rates, G=G, D=D, at=[3, 5], **which).distance.sum()
    again.backward()
    assert scaled == pytest.approx(gamma * rates.grad.item(), rel=1e-9)


def test_an_infinite_bound_that_does_not_count():
    eta, gamma = asking([0.0, 1.0, 0.5], 0.3)
    omega = ct.curve(eta, gamma)
    assert torch.isinf(omega[0])
    omega[2].backward()
    np.testing.assert_allclose(eta.grad, cb.gradient([0.0, 1.0, 0.5], 0.3), rtol=1e-12)
    assert gamma.grad.isfinite()


def test_single_precision_is_converted_and_gets_derivatives_of_its_own():
    eta, gamma = steps(7, dtype=torch.float32).requires_grad_(), torch.tensor(0.3)
    gamma.requires_grad_()
    omega = ct.bound(eta, gamma)
    omega.backward()
    exact = eta.detach().numpy().astype(float), gamma.item()
    assert omega.dtype == torch.float64
    assert omega.item() == cb.bound(*exact)
    assert (eta.grad.dtype, gamma.grad.dtype) == (torch.float32, torch.float32)
    np.testing.assert_array_equal(eta.grad, cb.gradient(*exact).astype(np.float32))


def test_what_is_not_a_tensor_is_one_of_no_derivative():
    schedule = cb.schedules.wsd(50)
    omega = ct.bound(schedule, [0.1, 0.2], G=np.ones(50, np.float32))
    np.testing.assert_array_equal(omega, cb.bound(schedule, [0.1, 0.2]))
    assert ct.bound(torch.tensor([2, 1])) == cb.bound([2, 1])


# --- batches -------------------------------------------------------------------------------------


def test_leading_axes_broadcast():
    eta, gamma, G, D = asking(steps(3, 1, 7), [0.1, 0.2], steps(2, 7), [[1.0], [2.0], [3.0]])
    omega = ct.bound(eta, gamma, G=G, D=D)
    omega.sum().backward()
    assert omega.shape == (3, 2)
    radius = D.detach().numpy()
    values = [cb.bound(eta[i].detach().numpy(), [0.1, 0.2], G=G.detach().numpy(), D=r[0])
              for i, r in enumerate(radius)]  # fmt: skip
    np.testing.assert_allclose(omega.detach(), values, rtol=1e-14)
    assert [x.grad.shape for x in (eta, gamma, G, D)] == [(3, 1, 7), (2,), (2, 7), (3, 1)]
    assert torch.autograd.gradcheck(lambda e, g, G, D: ct.bound(e, g, G=G, D=D), [eta, gamma, G, D])


def test_func():
    func, eta = torch.func, steps(3, 7)

    def omega(x, gamma=0.3):
        return ct.bound(x, gamma, kind="tight")

    expected = cb.gradient(eta.numpy(), 0.3, kind="tight")
    np.testing.assert_allclose(func.grad(omega)(eta[0]), expected[0], rtol=1e-12)
    np.testing.assert_allclose(func.vmap(func.grad(omega))(eta), expected, rtol=1e-12)
    jacobian = func.jacrev(lambda x: ct.curve(x, 0.3))(eta[0])
    rows = [cb.gradient(eta[0].numpy(), 0.3, at=t) for t in range(1, 8)]
    np.testing.assert_allclose(jacobian, rows, rtol=1e-12, atol=1e-15)


def test_vmap_over_each_argument():
    gamma = torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)
    vmap = torch.func.vmap
    np.testing.assert_array_equal(
        vmap(lambda g: ct.bound(ETA, g))(gamma), cb.bound(ETA.numpy(), gamma.numpy())
    )
    both = vmap(vmap(ct.bound, (None, 0)), (0, None))(steps(2, 7), gamma)
    np.testing.assert_array_equal(both, cb.bound(steps(2, 1, 7).numpy(), gamma.numpy()))
    G = steps(7, 3)
    split = vmap(lambda G: ct.terms(ETA, G=G, at=[2, 7]), in_dims=1)(G)
    np.testing.assert_array_equal(
        split.noise, cb.terms(ETA.numpy(), G=G.numpy().T, at=[2, 7]).noise
    )


# --- compilers -----------------------------------------------------------------------------------


# Its compiler makes an instance of what it deprecates instances of.
PYTORCHS_OWN_WARNINGS = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def a_loss(eta, gamma, G):
    curve = ct.curve(eta, gamma, G=G, at=[2, 5])
    return curve.sum() + ct.bound(eta, gamma, D=2.0) + ct.terms(eta, G=G).noise


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@PYTORCHS_OWN_WARNINGS
def test_compiled_whole(backend):
    inputs, others = (asking(ETA, 0.3, NORMS) for _ in range(2))
    compiled = torch.compile(a_loss, fullgraph=True, backend=backend)
    values = [function(*x) for function, x in ((a_loss, inputs), (compiled, others))]
    for value in values:
        value.backward()
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-15)
    for mine, its in zip(inputs, others, strict=True):
        np.testing.assert_allclose(mine.grad, its.grad, rtol=1e-14)


@PYTORCHS_OWN_WARNINGS
def test_exported():
    class Bound(torch.nn.Module):
        def forward(self, eta):
            return ct.bound(eta, 0.3, kind="tight")

    exported = torch.export.export(Bound(), (ETA,)).module()
    other = steps(2, 7)[1]
    assert exported(other) == cb.bound(other.numpy(), 0.3, kind="tight")


@PYTORCHS_OWN_WARNINGS
@pytest.mark.parametrize("fullgraph", [True, False])
def test_compiled_without_derivatives(fullgraph):
    compiled = torch.compile(a_loss, fullgraph=fullgraph, backend="aot_eager")
    expected = a_loss(ETA, torch.tensor(0.3), NORMS).item()
    assert compiled(ETA, torch.tensor(0.3), NORMS).item() == pytest.approx(expected, rel=1e-15)
    with torch.no_grad():
        assert compiled(*asking(ETA, 0.3, NORMS)).item() == pytest.approx(expected, rel=1e-7)


@PYTORCHS_OWN_WARNINGS
@pytest.mark.parametrize("rate", [torch.tensor([0.1, 0.2]).double(), None])
def test_operators(rate):
    eta, G, at = steps(1, 7), steps(1, 7), torch.tensor([2, 7])
    which, operators = (at, "last", "given"), torch.ops.cvxbound
    torch.library.opcheck(operators.terms.default, (eta, rate, G, *which))
    weights = torch.ones(2, 2, dtype=torch.float64)
    for last_step, wrt in (("given", "G"), ("free", "eta")):
        given = (weights, weights, eta, rate, G, at, "last", last_step, wrt)
        torch.library.opcheck(operators.terms_slope.default, given)
    if rate is not None:
        torch.library.opcheck(operators.curve.default, (eta, rate, G, *which))
        for wrt in ("eta", "gamma", "G"):
            given = (weights, eta, rate, G, *which, wrt)
            torch.library.opcheck(operators.curve_slope.default, given)
        given = (weights, weights, eta, rate, G, at, "tight", "given", "gamma")
        torch.library.opcheck(operators.terms_slope.default, given)


# --- what it is for ------------------------------------------------------------------------------


def test_a_schedule_that_is_optimised_reaches_the_best_there_is():
    count = 12
    logits = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        omega = ct.bound(logits.exp(), last_step="free")
        omega.backward()
        return omega

    optimizer.step(closure)
    best = cb.theory.optimal_bound(count)
    assert closure().item() == pytest.approx(best, rel=1e-6)


def test_a_distance_for_each_row():
    D = [1.0, 2.0]
    for given in (D, np.array(D), torch.tensor(D)):
        expected = [cb.bound(x.numpy(), 0.3, D=d) for x, d in zip(steps(2, 7), D, strict=True)]
        np.testing.assert_allclose(ct.bound(steps(2, 7), 0.3, D=given), expected, rtol=1e-14)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch uses")
def test_tensors_on_a_gpu():
    eta = steps(3, 7).cuda().requires_grad_()
    omega = ct.bound(eta, 0.3)
    omega.sum().backward()
    assert omega.is_cuda and eta.grad.is_cuda
    np.testing.assert_allclose(omega.detach().cpu(), cb.bound(steps(3, 7).numpy(), 0.3), rtol=1e-12)
    np.testing.assert_allclose(eta.grad.cpu(), cb.gradient(steps(3, 7).numpy(), 0.3), rtol=1e-12)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: ct.bound(-ETA), ValueError, "eta must be non-negative.*at index 0"),
        (lambda: ct.bound(ETA, 0.0), ValueError, "gamma / D must be positive"),
        (lambda: ct.bound(ETA, D=-1.0), ValueError, "D must be positive and finite, got -1.0"),
        (lambda: ct.terms(ETA, D=[1.0, -1.0]), ValueError, r"D must be .* got \[1.0, -1.0\]"),
        (lambda: ct.bound(ETA, -0.1, D=torch.tensor(-1.0)), ValueError, "D must be .* got -1.0"),
        (lambda: torch.vmap(lambda D: ct.bound(ETA, -D, D=-D))(ETA), ValueError, "gamma / D must"),
        (lambda: ct.bound(ETA, G=steps(3)), ValueError, "eta has 7 steps, G has 3"),
        (lambda: ct.bound(torch.tensor(1.0)), ValueError, "time axis"),
        (lambda: ct.bound(ETA + 1j), TypeError, "eta must hold real numbers.*complex128"),
        (lambda: ct.bound(ETA, G=ETA > 0), TypeError, "G must hold real numbers.*bool"),
        (lambda: ct.bound(ETA, kind="lst"), ValueError, "last"),
        (lambda: ct.bound(ETA, last_step="fre"), ValueError, "free"),
        (lambda: ct.curve(ETA, at=[8]), ValueError, r"1\.\.7"),
        (lambda: ct.curve(ETA, at=[1.5]), TypeError, "integer horizons"),
        (lambda: ct.curve(ETA, at=[[1]]), ValueError, "one-dimensional"),
        (lambda: ct.curve(ETA, at="al"), ValueError, "all"),
        (lambda: ct.bound(steps(2, 7), torch.ones(3)), ValueError, "do not broadcast together"),
        (lambda: ct.bound(ETA, torch.ones(2, device="meta")), ValueError, "different devices"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_an_infinite_bound_has_no_derivative():
    (eta,) = asking([1.0, 0.0])
    with pytest.raises(ValueError, match="no derivative: its last step is zero"):
        ct.bound(eta).backward()


def test_derivatives_that_are_no_numbers():
    (eta,) = asking(ETA)
    with pytest.raises(ValueError, match="must be finite"):
        (ct.bound(eta) * torch.nan).backward()


@pytest.mark.parametrize("function", [ct.bound, lambda eta: ct.terms(eta).noise])
def test_second_derivatives_are_refused(function):
    (eta,) = asking(ETA)
    (slope,) = torch.autograd.grad(function(eta), eta, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        slope.sum().backward()
    grad = torch.func.grad
    with pytest.raises(NotImplementedError, match="second derivatives"):
        grad(lambda x: grad(function)(x).sum())(ETA)
