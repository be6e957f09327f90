// cvxbound._jax_ffi: what XLA calls for arrays of the processor, without Python between. Values and
// derivatives are to the bit those of python/cvxbound/_autodiff.py, with its conventions: D = 1, arrays
// have as many leading axes each, which broadcast, and the last axis of G is the steps, or has length 1.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <new>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cvxbound/cvxbound.hpp"
#include "schedule.hpp"
#include "units.hpp"
#include "xla/ffi/api/ffi.h"

namespace py = pybind11;
namespace ffi = xla::ffi;

namespace {

using Argument = ffi::Buffer<ffi::F64>;
using Output = ffi::ResultBuffer<ffi::F64>;
using Horizons = ffi::Span<const std::int64_t>;
using Shape = std::vector<std::int64_t>;
using Text = std::string_view;

std::int64_t size_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

/// An argument as rows of its last `core_axes` axes, 0 or 1.
struct Rows {
  const double* data;
  Shape lead;
  std::int64_t columns;

  Rows(const Argument& array, std::size_t core_axes) : data(array.typed_data()) {
    const auto dims = array.dimensions();
    if (dims.size() < core_axes) throw std::invalid_argument("an array lacks its last axis");
    lead.assign(dims.begin(), dims.end() - core_axes);
    columns = core_axes ? dims.back() : 1;
  }

  std::int64_t count() const { return size_of(lead); }
};

Shape broadcast(const Shape& one, const Shape& other) {
  Shape batch = one;
  if (one.size() != other.size()) throw std::invalid_argument("arrays differ in their leading axes");
  for (std::size_t axis = 0; axis < one.size(); ++axis) {
    if (one[axis] == 1) batch[axis] = other[axis];
    if (batch[axis] != other[axis] && other[axis] != 1) {
      throw std::invalid_argument("the batch axes do not broadcast together");
    }
  }
  return batch;
}

/// The row that each item of a batch uses.
std::vector<std::int64_t> rows_of(const Shape& lead, const Shape& batch) {
  std::vector<std::int64_t> row(1, 0);
  for (std::size_t axis = 0; axis < batch.size(); ++axis) {
    std::vector<std::int64_t> finer;
    finer.reserve(row.size() * static_cast<std::size_t>(batch[axis]));
    for (const std::int64_t coarse : row) {
      for (std::int64_t i = 0; i < batch[axis]; ++i) {
        finer.push_back(coarse * lead[axis] + (lead[axis] == 1 ? 0 : i));
      }
    }
    row = std::move(finer);
  }
  return row;
}

/// Refuses the first entry that is not good, by its index.
template <class Good>
void check(const Argument& array, const char* expected, const Good& good) {
  const double *first = array.typed_data(), *end = first + array.element_count();
  const double* const bad = std::find_if_not(first, end, good);
  if (bad == end) return;
  std::int64_t flat = bad - first;
  std::string index;
  const auto dims = array.dimensions();
  for (std::size_t axis = dims.size(); axis-- > 0; flat /= dims[axis]) {
    index = std::to_string(flat % dims[axis]) + (index.empty() ? "" : ", ") + index;
  }
  std::ostringstream message;
  message.precision(12);
  message << expected << "; found " << *bad;
  if (!index.empty()) message << " at index " << (dims.size() == 1 ? index : "(" + index + ")");
  throw std::invalid_argument(message.str());
}

void check_steps(const Argument& eta) {
  check(eta, "eta must be non-negative, finite and at most 1e+300",
        [](double x) { return x >= 0 && x <= cvxbound::kLargestStep; });
}

void check_norms(const Argument& norm) {
  check(norm, "G must be non-negative, finite and at most 1e+100",
        [](double x) { return x >= 0 && x <= cvxbound::kLargestNorm; });
}

bool is_positive(double x) { return x > 0 && x < cvxbound::kInfinity; }

template <class Enum>
Enum named(Text name, std::initializer_list<std::pair<Text, Enum>> names) {
  for (const auto& [known, value] : names) {
    if (name == known) return value;
  }
  throw std::invalid_argument("unknown name: " + std::string(name));
}

cvxbound::Options options_of(Text kind, Text last_step) {
  using cvxbound::Kind;
  using cvxbound::LastStep;
  cvxbound::Options options;
  options.kind =
      named<Kind>(kind, {{"last", Kind::last}, {"tight", Kind::tight}, {"average", Kind::average}});
  options.last_step = named<LastStep>(
      last_step, {{"given", LastStep::given}, {"repeat", LastStep::repeat}, {"free", LastStep::free}});
  return options;
}

/// Schedules and norms of a call, and what the core is asked for.
class Problem {
 public:
  Problem(const Argument& eta, const Argument& norm, Horizons horizons, const cvxbound::Options& options)
      : eta_(eta), rows_(eta, 1), norm_rows_(norm, 1), options_(options) {
    check_norms(norm);
    batch_.steps = rows_.columns;
    norms_ = cvxbound::split_norms({norm_rows_.data, norm_rows_.count(), norm_rows_.columns}, steps());
    batch_.eta = rows_.data;
    batch_.norm = norms_.per_step;
    batch_.horizons = horizons.size() ? horizons.begin() : nullptr;
    batch_.horizon_count = static_cast<std::int64_t>(horizons.size());
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  bool is_free() const {
    return options_.kind == cvxbound::Kind::tight || options_.last_step == cvxbound::LastStep::free;
  }
  std::int64_t steps() const { return batch_.steps; }
  std::int64_t horizons() const { return batch_.horizons ? batch_.horizon_count : batch_.steps; }
  std::int64_t items() const { return batch_.items; }

  /// The leading axes of schedules and norms together.
  Shape lead() const { return broadcast(rows_.lead, norm_rows_.lead); }

  /// Takes the batch that the leading axes broadcast to.
  void use(const Shape& batch) {
    batch_.items = size_of(batch);
    eta_row_ = rows_of(rows_.lead, batch);
    norm_row_ = rows_of(norm_rows_.lead, batch);
    batch_.eta_row = eta_row_.data();
    batch_.norm_row = batch_.norm ? norm_row_.data() : nullptr;
  }

  double scale(std::int64_t item) const { return norms_.scale_of(norm_row_[item]); }

  /// Base learning rates of the items of a batch, in units of one over the scale of the norms.
  std::vector<double> weights(const Argument& rate, const Shape& batch) const {
    check(rate, "gamma / D must be positive and finite", is_positive);
    const std::vector<std::int64_t> rate_row = rows_of(Rows(rate, 0).lead, batch);
    const std::vector<std::int64_t> norm_row = rows_of(norm_rows_.lead, batch);
    std::vector<double> weight(rate_row.size());
    for (std::size_t i = 0; i < weight.size(); ++i) {
      weight[i] = rate.typed_data()[rate_row[i]] * norms_.scale_of(norm_row[i]);
      if (!is_positive(weight[i])) {
        throw std::invalid_argument("gamma G / D must be positive and finite; found " +
                                    std::to_string(weight[i]));
      }
    }
    return weight;
  }

  void terms(const double* weight, const cvxbound::Terms& out) {
    batch_.gamma = weight;
    ask([&] { cvxbound::terms(batch_, options_, out); });
  }

  void gradient(const double* weight, const double* share, const cvxbound::Gradients& out) {
    batch_.gamma = weight;
    ask([&] { cvxbound::gradient(batch_, options_, share, nullptr, out); });
  }

  /// Gives the core one norm a step although they are constant, for their derivatives.
  void spread_norms() {
    if (batch_.norm) return;
    ones_.assign(static_cast<std::size_t>(steps()), 1.0);
    shared_row_.assign(static_cast<std::size_t>(items()), 0);
    batch_.norm = ones_.data();
    batch_.norm_row = shared_row_.data();
  }

 private:
  /// Calls the core, which checks steps as it reads them but knows no index of users.
  template <class Function>
  void ask(const Function& function) const {
    try {
      function();
    } catch (const std::invalid_argument&) {
      check_steps(eta_);
      throw;
    }
  }

  const Argument eta_;
  const Rows rows_, norm_rows_;
  cvxbound::Options options_;
  cvxbound::Norms norms_;
  cvxbound::Batch batch_;
  std::vector<std::int64_t> eta_row_, norm_row_, shared_row_;
  std::vector<double> ones_;
};

/// Several base learning rates share a schedule: its terms are computed once.
void curve_of_shared_terms(Problem& problem, const std::vector<double>& weight, const Shape& batch,
                           double* omega) {
  const Shape lead = problem.lead();
  problem.use(lead);
  const std::int64_t horizons = problem.horizons();
  std::vector<double> distance(static_cast<std::size_t>(problem.items() * horizons)), noise(distance);
  cvxbound::Terms out;
  out.distance = distance.data();
  out.noise = noise.data();
  problem.terms(nullptr, out);
  const std::vector<std::int64_t> shared = rows_of(lead, batch);
  for (std::size_t item = 0; item < shared.size(); ++item) {
    for (std::int64_t t = 0; t < horizons; ++t, ++omega) {
      const std::int64_t i = shared[item] * horizons + t;
      *omega = distance[i] / weight[item] + weight[item] * noise[i];
    }
  }
}

void curve(Argument eta, Argument rate, Argument norm, Output omega, Text kind, Text last_step,
           Horizons horizons) {
  Problem problem(eta, norm, horizons, options_of(kind, last_step));
  const Shape batch = broadcast(problem.lead(), Rows(rate, 0).lead);
  const std::vector<double> weight = problem.weights(rate, batch);
  double* const values = omega->typed_data();
  if (!problem.is_free() && size_of(batch) != size_of(problem.lead())) {
    curve_of_shared_terms(problem, weight, batch, values);
    problem.use(batch);
  } else {
    problem.use(batch);
    cvxbound::Terms out;
    out.omega = values;
    problem.terms(weight.data(), out);
  }
  const std::int64_t count = problem.horizons();
  for (std::int64_t i = 0; i < problem.items() * count; ++i) values[i] *= problem.scale(i / count);
}

/// `rest` is the base learning rate, or nothing.
void terms(Argument eta, Argument norm, ffi::RemainingArgs rest, Output distance, Output noise, Text kind,
           Text last_step, Horizons horizons) {
  Problem problem(eta, norm, horizons, options_of(kind, last_step));
  Shape batch = problem.lead();
  std::vector<double> weight;
  if (rest.size()) {
    const Argument rate = rest.get<Argument>(0).value();
    batch = broadcast(batch, Rows(rate, 0).lead);
    weight = problem.weights(rate, batch);
  }
  problem.use(batch);
  cvxbound::Terms out;
  out.distance = distance->typed_data();
  out.noise = noise->typed_data();
  problem.terms(problem.is_free() && !weight.empty() ? weight.data() : nullptr, out);
  const std::int64_t count = problem.horizons();
  for (std::int64_t i = 0; i < problem.items() * count; ++i) {
    const double scale = problem.scale(i / count);
    out.noise[i] *= scale * scale;
  }
}

/// Derivatives of the sum of weights times bounds by the steps, or by the norms.
void slope(Argument weights, Argument eta, Argument rate, Argument norm, Output result, Text kind,
           Text last_step, Horizons horizons, bool by_norm) {
  check(weights, "the derivatives by the bounds, which come back to them, must be finite",
        [](double x) { return std::isfinite(x); });
  Problem problem(eta, norm, horizons, options_of(kind, last_step));
  const Rows share(weights, 1);
  const Shape batch = broadcast(broadcast(problem.lead(), Rows(rate, 0).lead), share.lead);
  const std::vector<double> weight = problem.weights(rate, batch);
  problem.use(batch);
  if (share.columns != problem.horizons()) throw std::invalid_argument("weights differ in horizons");

  std::vector<double> shares;
  for (const std::int64_t row : rows_of(share.lead, batch)) {
    const double* const first = share.data + row * share.columns;
    shares.insert(shares.end(), first, first + share.columns);
  }
  const std::int64_t steps = problem.steps(), size = problem.items() * steps;
  double* const values = result->typed_data();
  cvxbound::Gradients out;
  std::vector<double> unused;
  if (by_norm) {
    problem.spread_norms();
    unused.resize(static_cast<std::size_t>(size));
    out.eta = unused.data();
    out.norm = values;
  } else {
    out.eta = values;
  }
  problem.gradient(weight.data(), shares.data(), out);
  if (by_norm) return;
  for (std::int64_t i = 0; i < size; ++i) values[i] *= problem.scale(i / steps);
}

/// The function as XLA wants it: what is thrown is its error.
template <auto function, class... Arguments>
ffi::Error guarded(Arguments... arguments) {
  try {
    function(std::move(arguments)...);
    return ffi::Error::Success();
  } catch (const std::invalid_argument& error) {
    return ffi::Error::InvalidArgument(error.what());
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "not enough memory");
  } catch (const std::exception& error) {
    return ffi::Error::Internal(error.what());
  }
}

/// The static arguments of all functions: kind, last step and horizons, none of which are all of them.
template <class Binding>
auto with_choice(Binding binding) {
  return std::move(binding)
      .template Attr<Text>("kind")
      .template Attr<Text>("last_step")
      .template Attr<Horizons>("horizons");
}

XLA_FFI_Error* curve_handler(XLA_FFI_CallFrame* frame) {
  static const auto handler =
      with_choice(ffi::Ffi::Bind().Arg<Argument>().Arg<Argument>().Arg<Argument>().Ret<Argument>())
          .To(guarded<curve, Argument, Argument, Argument, Output, Text, Text, Horizons>);
  return handler->Call(frame);
}

XLA_FFI_Error* terms_handler(XLA_FFI_CallFrame* frame) {
  static const auto handler =
      with_choice(
          ffi::Ffi::Bind().Arg<Argument>().Arg<Argument>().RemainingArgs().Ret<Argument>().Ret<Argument>())
          .To(guarded<terms, Argument, Argument, ffi::RemainingArgs, Output, Output, Text, Text, Horizons>);
  return handler->Call(frame);
}

XLA_FFI_Error* slope_handler(XLA_FFI_CallFrame* frame) {
  static const auto handler =
      with_choice(
          ffi::Ffi::Bind().Arg<Argument>().Arg<Argument>().Arg<Argument>().Arg<Argument>().Ret<Argument>())
          .Attr<bool>("by_norm")
          .To(guarded<slope, Argument, Argument, Argument, Argument, Output, Text, Text, Horizons, bool>);
  return handler->Call(frame);
}

py::capsule capsule(XLA_FFI_Handler* handler) { return py::capsule(reinterpret_cast<void*>(handler)); }

}  // namespace

PYBIND11_MODULE(_jax_ffi, m) {
  m.doc() = "Functions that XLA calls, as capsules for jax.ffi.register_ffi_target.";
  m.attr("curve") = capsule(curve_handler);
  m.attr("terms") = capsule(terms_handler);
  m.attr("slope") = capsule(slope_handler);
}
