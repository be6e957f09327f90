// cvxbound._cuda: the kernels for GPUs as Python sees them. Addresses of arrays in, GIL released, one call,
// nothing out: the package owns all memory, and has checked it. An address of 0 is a null pointer.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "cvxbound_cuda.hpp"

namespace py = pybind11;

namespace {

using Address = std::uintptr_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

/// What is asked for, of schedules in memory or made of segments.
template <class Schedules>
struct Call {
  Schedules schedules;
  cvxbound::Options options;

  Call(cvxbound::Kind kind, cvxbound::LastStep last_step, cvxbound::Method method) {
    options.kind = kind;
    options.last_step = last_step;
    options.method = method;
  }
};
using Batch = Call<cvxbound::Batch>;
using SegmentBatch = Call<cvxbound::SegmentBatch>;

Batch batch_of(std::int64_t items, std::int64_t steps, Address eta, Address norm, Address gamma,
               Address eta_row, Address norm_row, Address gamma_row, Address horizons,
               std::int64_t horizon_count, cvxbound::Kind kind, cvxbound::LastStep last_step,
               cvxbound::Method method) {
  Batch call(kind, last_step, method);
  call.schedules.items = items;
  call.schedules.steps = steps;
  call.schedules.eta = at<double>(eta);
  call.schedules.norm = at<double>(norm);
  call.schedules.gamma = at<double>(gamma);
  call.schedules.eta_row = at<std::int64_t>(eta_row);
  call.schedules.norm_row = at<std::int64_t>(norm_row);
  call.schedules.gamma_row = at<std::int64_t>(gamma_row);
  call.schedules.horizons = at<std::int64_t>(horizons);
  call.schedules.horizon_count = horizon_count;
  return call;
}

SegmentBatch segments_of(std::int64_t items, std::int64_t width, Address segments, Address gamma,
                         Address horizons, std::int64_t horizon_count, cvxbound::Kind kind,
                         cvxbound::LastStep last_step, cvxbound::Method method) {
  SegmentBatch call(kind, last_step, method);
  call.schedules.items = items;
  call.schedules.width = width;
  call.schedules.segments = at<cvxbound::Segment>(segments);
  call.schedules.gamma = at<double>(gamma);
  call.schedules.horizons = at<std::int64_t>(horizons);
  call.schedules.horizon_count = horizon_count;
  return call;
}

template <class Schedules>
std::size_t workspace_size(const Call<Schedules>& call) {
  return cvxbound::cuda::workspace_size(call.schedules, call.options);
}

template <class Schedules>
void terms(const Call<Schedules>& call, Address distance, Address noise, Address rho, Address omega,
           Address tables, Address workspace, Address stream) {
  cvxbound::Terms out;
  out.distance = at<double>(distance);
  out.noise = at<double>(noise);
  out.rho = at<double>(rho);
  out.omega = at<double>(omega);
  cvxbound::cuda::terms(call.schedules, call.options, out,
                        {at<void>(tables), at<void>(workspace), at<CUstream_st>(stream)});
}

py::bytes tables() {
  std::string made(cvxbound::cuda::tables_size(), '\0');
  cvxbound::cuda::make_tables(made.data());
  return made;
}

template <class Function>
void def_terms(py::module_& m, const char* name, Function function) {
  m.def(name, function, py::call_guard<py::gil_scoped_release>(), py::arg("batch"), py::kw_only(),
        py::arg("distance") = 0, py::arg("noise") = 0, py::arg("rho") = 0, py::arg("omega") = 0,
        py::arg("tables"), py::arg("workspace"), py::arg("stream"));
}

}  // namespace

PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  m.doc() = "The CUDA kernels of cvxbound. Private: call the functions of the package instead.";
  py::module_::import("cvxbound._core");  // it has the enumerations

  py::class_<Batch>(m, "Batch")
      .def(py::init(&batch_of), py::kw_only(), py::arg("items"), py::arg("steps"), py::arg("eta"),
           py::arg("norm"), py::arg("gamma"), py::arg("eta_row"), py::arg("norm_row"), py::arg("gamma_row"),
           py::arg("horizons"), py::arg("horizon_count"), py::arg("kind"), py::arg("last_step"),
           py::arg("method"));
  py::class_<SegmentBatch>(m, "SegmentBatch")
      .def(py::init(&segments_of), py::kw_only(), py::arg("items"), py::arg("width"), py::arg("segments"),
           py::arg("gamma"), py::arg("horizons"), py::arg("horizon_count"), py::arg("kind"),
           py::arg("last_step"), py::arg("method"));

  m.def("workspace_size", &workspace_size<cvxbound::Batch>, py::arg("batch"));
  m.def("workspace_size", &workspace_size<cvxbound::SegmentBatch>, py::arg("batch"));
  def_terms(m, "terms", &terms<cvxbound::Batch>);
  def_terms(m, "segment_terms", &terms<cvxbound::SegmentBatch>);
  m.def("tables", &tables);
  m.def("is_emulated", &cvxbound::cuda::is_emulated);
  m.attr("cuda_version") = CVXBOUND_CUDA_VERSION;
}
