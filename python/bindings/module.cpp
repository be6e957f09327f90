// cvxbound._core: the C++ core as Python sees it. Views in, GIL released, one call, views out.
#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "cvxbound/cvxbound.hpp"

namespace py = pybind11;

namespace {

using Doubles = py::array_t<double, py::array::c_style>;
using Indices = py::array_t<std::int64_t, py::array::c_style>;

template <class Array>
const auto* aligned(const Array& array, const char* name) {
  if (reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(*array.data()) != 0) {
    throw std::invalid_argument(std::string(name) + " is not aligned");
  }
  return array.data();
}

/// The second axis of a [rows, steps] array.
std::int64_t columns(const Doubles& array, const char* name) {
  if (array.ndim() != 2) throw std::invalid_argument(std::string(name) + " must be [rows, steps]");
  return array.shape(1);
}

const std::int64_t* rows(const Indices& index, std::int64_t items, std::int64_t limit, const char* name) {
  const std::int64_t* row = aligned(index, name);
  if (index.size() != items)
    throw std::invalid_argument(std::string(name) + " must have one entry an item");
  for (std::int64_t i = 0; i < items; ++i) {
    if (row[i] < 0 || row[i] >= limit) throw std::invalid_argument(std::string(name) + " is out of range");
  }
  return row;
}

void check_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

cvxbound::Options options_of(cvxbound::Kind kind, cvxbound::LastStep last_step, cvxbound::Method method,
                             int nthreads) {
  cvxbound::Options options;
  options.kind = kind;
  options.last_step = last_step;
  options.method = method;
  options.threads = nthreads;
  options.interrupt = check_signals;
  return options;
}

/// The arguments of `terms` and `omega` as the core takes them; the arrays must outlive it.
struct Call {
  cvxbound::Batch batch;
  cvxbound::Options options;

  Call(const Doubles& eta, const std::optional<Doubles>& norm, const std::optional<Doubles>& gamma,
       const Indices& eta_row, const Indices& norm_row, const Indices& gamma_row,
       const std::optional<Indices>& horizons, cvxbound::Kind kind, cvxbound::LastStep last_step,
       cvxbound::Method method, double rtol, int nthreads)
      : options(options_of(kind, last_step, method, nthreads)) {
    options.rtol = rtol;
    batch.items = eta_row.size();
    batch.steps = columns(eta, "eta");
    batch.eta = aligned(eta, "eta");
    batch.eta_row = rows(eta_row, batch.items, eta.shape(0), "eta_row");
    if (norm) {
      if (columns(*norm, "norm") != batch.steps)
        throw std::invalid_argument("norm and eta differ in steps");
      batch.norm = aligned(*norm, "norm");
      batch.norm_row = rows(norm_row, batch.items, norm->shape(0), "norm_row");
    }
    if (gamma) {
      batch.gamma = aligned(*gamma, "gamma");
      batch.gamma_row = rows(gamma_row, batch.items, gamma->size(), "gamma_row");
    }
    if (horizons) {
      batch.horizons = aligned(*horizons, "horizons");
      batch.horizon_count = horizons->size();
    }
  }

  /// An uninitialised [items, horizons] array.
  Doubles output() const {
    return Doubles({static_cast<py::ssize_t>(batch.items),
                    static_cast<py::ssize_t>(batch.horizons ? batch.horizon_count : batch.steps)});
  }

  void run(const cvxbound::Terms& out) const {
    const py::gil_scoped_release release;
    cvxbound::terms(batch, options, out);
  }
};

py::tuple terms(const Doubles& eta, const std::optional<Doubles>& norm, const std::optional<Doubles>& gamma,
                const Indices& eta_row, const Indices& norm_row, const Indices& gamma_row,
                const std::optional<Indices>& horizons, cvxbound::Kind kind, cvxbound::LastStep last_step,
                cvxbound::Method method, double rtol, int nthreads, bool rho) {
  const Call call(eta, norm, gamma, eta_row, norm_row, gamma_row, horizons, kind, last_step, method, rtol,
                  nthreads);
  cvxbound::Terms out;
  Doubles distance = call.output(), noise = call.output();
  out.distance = distance.mutable_data();
  out.noise = noise.mutable_data();
  if (!rho) {
    call.run(out);
    return py::make_tuple(distance, noise);
  }
  Doubles last = call.output();
  out.rho = last.mutable_data();
  call.run(out);
  return py::make_tuple(distance, noise, last);
}

Doubles omega(const Doubles& eta, const std::optional<Doubles>& norm, const Doubles& gamma,
              const Indices& eta_row, const Indices& norm_row, const Indices& gamma_row,
              const std::optional<Indices>& horizons, cvxbound::Kind kind, cvxbound::LastStep last_step,
              cvxbound::Method method, double rtol, int nthreads) {
  const Call call(eta, norm, gamma, eta_row, norm_row, gamma_row, horizons, kind, last_step, method, rtol,
                  nthreads);
  Doubles values = call.output();
  cvxbound::Terms out;
  out.omega = values.mutable_data();
  call.run(out);
  return values;
}

/// [items, horizons] in what `call` was made of, or null.
const double* per_horizon(const std::optional<Doubles>& array, const Call& call, const char* name) {
  if (!array) return nullptr;
  const py::ssize_t horizons = call.batch.horizons ? call.batch.horizon_count : call.batch.steps;
  if (columns(*array, name) != horizons || array->shape(0) != call.batch.items)
    throw std::invalid_argument(std::string(name) + " must be [items, horizons]");
  return aligned(*array, name);
}

py::tuple gradient(const Doubles& eta, const std::optional<Doubles>& norm,
                   const std::optional<Doubles>& gamma, const Indices& eta_row, const Indices& norm_row,
                   const Indices& gamma_row, const std::optional<Indices>& horizons, cvxbound::Kind kind,
                   cvxbound::LastStep last_step, cvxbound::Method method, double rtol, int nthreads,
                   const Doubles& weight, const std::optional<Doubles>& rho) {
  const Call call(eta, norm, gamma, eta_row, norm_row, gamma_row, horizons, kind, last_step, method, rtol,
                  nthreads);
  const double* weights = per_horizon(weight, call, "weight");
  const double* last = per_horizon(rho, call, "rho");
  const auto steps = [&] {
    return Doubles(
        {static_cast<py::ssize_t>(call.batch.items), static_cast<py::ssize_t>(call.batch.steps)});
  };
  Doubles omega = call.output(), rho_bar = call.output(), eta_bar = steps();
  std::optional<Doubles> norm_bar;
  if (norm) norm_bar = steps();
  cvxbound::Gradients out;
  out.omega = omega.mutable_data();
  out.eta = eta_bar.mutable_data();
  out.norm = norm_bar ? norm_bar->mutable_data() : nullptr;
  out.rho = rho_bar.mutable_data();
  {
    const py::gil_scoped_release release;
    cvxbound::gradient(call.batch, call.options, weights, last, out);
  }
  return py::make_tuple(omega, eta_bar, norm_bar, rho_bar);
}

py::tuple walk(cvxbound::Kind kind, const Doubles& eta, const std::optional<Doubles>& norm,
               const Doubles& rho) {
  if (norm && norm->size() != eta.size()) throw std::invalid_argument("norm and eta differ in steps");
  const double* steps = aligned(eta, "eta");
  const double* norms = norm ? aligned(*norm, "norm") : nullptr;
  const double* start = aligned(rho, "rho");
  Doubles distance(rho.size()), noise(rho.size());
  double* distance_out = distance.mutable_data();
  double* noise_out = noise.mutable_data();
  const std::int64_t count = eta.size(), walkers = rho.size();
  {
    const py::gil_scoped_release release;
    cvxbound::walk(kind, steps, norms, count, start, walkers, distance_out, noise_out);
  }
  return py::make_tuple(distance, noise);
}

/// A [items, width] array of the dtype SEGMENT of the Python package, whose fields are those of Segment.
const cvxbound::Segment* segments(const py::array& table) {
  if (table.ndim() != 2 || table.itemsize() != sizeof(cvxbound::Segment) ||
      !(table.flags() & py::array::c_style) ||
      reinterpret_cast<std::uintptr_t>(table.data()) % alignof(cvxbound::Segment) != 0) {
    throw std::invalid_argument("segments must be an aligned, contiguous [items, width] array of SEGMENT");
  }
  return static_cast<const cvxbound::Segment*>(table.data());
}

py::tuple segment_terms(const py::array& table, const Indices& horizons,
                        const std::optional<Doubles>& gamma, cvxbound::Kind kind,
                        cvxbound::LastStep last_step, cvxbound::Method method, int nthreads) {
  cvxbound::SegmentBatch batch;
  batch.segments = segments(table);
  batch.items = table.shape(0);
  batch.width = table.shape(1);
  batch.horizons = aligned(horizons, "horizons");
  if (horizons.ndim() != 2 || horizons.shape(0) != table.shape(0))
    throw std::invalid_argument("horizons must be [items, horizons]");
  batch.horizon_count = horizons.shape(1);
  if (gamma) {
    batch.gamma = aligned(*gamma, "gamma");
    if (gamma->size() != batch.items) throw std::invalid_argument("gamma must have one entry an item");
  }
  const cvxbound::Options options = options_of(kind, last_step, method, nthreads);
  Doubles distance({horizons.shape(0), horizons.shape(1)}), noise({horizons.shape(0), horizons.shape(1)});
  cvxbound::Terms out;
  out.distance = distance.mutable_data();
  out.noise = noise.mutable_data();
  {
    const py::gil_scoped_release release;
    cvxbound::terms(batch, options, out);
  }
  return py::make_tuple(distance, noise);
}

Doubles lay_out(const py::array& table) {
  const cvxbound::Segment* all = segments(table);
  if (table.shape(0) != 1) throw std::invalid_argument("lay_out takes the segments of one schedule");
  std::int64_t steps = 0;
  for (py::ssize_t i = 0; i < table.shape(1); ++i) steps += all[i].steps;
  Doubles eta(steps);
  cvxbound::lay_out(all, table.shape(1), eta.mutable_data());
  return eta;
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "The C++ core of cvxbound. Private: call the functions of the package instead.";

  py::native_enum<cvxbound::Kind>(m, "Kind", "enum.Enum")
      .value("last", cvxbound::Kind::last)
      .value("tight", cvxbound::Kind::tight)
      .value("average", cvxbound::Kind::average)
      .finalize();
  py::native_enum<cvxbound::LastStep>(m, "LastStep", "enum.Enum")
      .value("given", cvxbound::LastStep::given)
      .value("repeat", cvxbound::LastStep::repeat)
      .value("free", cvxbound::LastStep::free)
      .finalize();

  py::native_enum<cvxbound::Method>(m, "Method", "enum.Enum")
      .value("automatic", cvxbound::Method::automatic)
      .value("direct", cvxbound::Method::direct)
      .value("fast", cvxbound::Method::fast)
      .finalize();

  m.def("terms", &terms, py::arg("eta").noconvert(), py::arg("norm").noconvert().none(true),
        py::arg("gamma").noconvert().none(true), py::arg("eta_row").noconvert(),
        py::arg("norm_row").noconvert(), py::arg("gamma_row").noconvert(),
        py::arg("horizons").noconvert().none(true), py::arg("kind"), py::arg("last_step"),
        py::arg("method"), py::arg("rtol"), py::arg("nthreads"), py::arg("rho"));
  m.def("omega", &omega, py::arg("eta").noconvert(), py::arg("norm").noconvert().none(true),
        py::arg("gamma").noconvert(), py::arg("eta_row").noconvert(), py::arg("norm_row").noconvert(),
        py::arg("gamma_row").noconvert(), py::arg("horizons").noconvert().none(true), py::arg("kind"),
        py::arg("last_step"), py::arg("method"), py::arg("rtol"), py::arg("nthreads"));
  m.def("gradient", &gradient, py::arg("eta").noconvert(), py::arg("norm").noconvert().none(true),
        py::arg("gamma").noconvert().none(true), py::arg("eta_row").noconvert(),
        py::arg("norm_row").noconvert(), py::arg("gamma_row").noconvert(),
        py::arg("horizons").noconvert().none(true), py::arg("kind"), py::arg("last_step"),
        py::arg("method"), py::arg("rtol"), py::arg("nthreads"), py::arg("weight").noconvert(),
        py::arg("rho").noconvert().none(true));
  m.def("walk", &walk, py::arg("kind"), py::arg("eta").noconvert(), py::arg("norm").noconvert().none(true),
        py::arg("rho").noconvert());
  m.def("segment_terms", &segment_terms, py::arg("segments"), py::arg("horizons").noconvert(),
        py::arg("gamma").noconvert().none(true), py::arg("kind"), py::arg("last_step"), py::arg("method"),
        py::arg("nthreads"));
  m.def("lay_out", &lay_out, py::arg("segments"));
  m.def("active_isa", &cvxbound::active_isa);
  m.def("available_isas", &cvxbound::available_isas);
  m.def("default_threads", &cvxbound::default_threads);
  m.attr("__version__") = CVXBOUND_VERSION;
}
