// The C functions of cvxbound/cvxbound.h over the core: checks what comes, changes units, calls the core,
// and turns what it throws into a status. Results wait in memory of their own until all has gone well.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "cvxbound/cvxbound.h"
#include "cvxbound/cvxbound.hpp"
#include "dispatch.hpp"
#include "fast_curve.hpp"
#include "schedule.hpp"
#include "units.hpp"

namespace cvxbound::abi {
namespace {

/// Doubles in an address space of 2^47 bytes: no array has more, and no size below overflows.
constexpr std::int64_t kMostEntries = std::int64_t{1} << 44;

constexpr int kMostThreads = 4096;

/// What ends a call that cannot be answered.
struct Refusal {
  int status;
};

void require(bool ok, int status) {
  if (!ok) throw Refusal{status};
}

bool is_positive(double x) { return x > 0 && x < kInfinity; }

template <class T>
void check_pointer(const T* pointer) {
  require(pointer && reinterpret_cast<std::uintptr_t>(pointer) % alignof(T) == 0, CVXBOUND_BAD_POINTER);
}

template <class T>
void check_pointer_if_any(const T* pointer) {
  if (pointer) check_pointer(pointer);
}

void check_environment(int threads) {
  try {
    active_kernels();
    if (threads == 0) default_threads();
  } catch (const std::invalid_argument&) {
    throw Refusal{CVXBOUND_BAD_ENVIRONMENT};
  }
}

cvxbound_options default_options() {
  return {sizeof(cvxbound_options), CVXBOUND_LAST, CVXBOUND_GIVEN, CVXBOUND_AUTO, 0, kBestTolerance, 1};
}

cvxbound_options checked_options(const cvxbound_options* given) {
  static_assert(static_cast<int>(Kind::last) == CVXBOUND_LAST);
  static_assert(static_cast<int>(Kind::tight) == CVXBOUND_TIGHT);
  static_assert(static_cast<int>(Kind::average) == CVXBOUND_AVERAGE);
  static_assert(static_cast<int>(LastStep::given) == CVXBOUND_GIVEN);
  static_assert(static_cast<int>(LastStep::repeat) == CVXBOUND_REPEAT);
  static_assert(static_cast<int>(LastStep::free) == CVXBOUND_FREE);
  static_assert(static_cast<int>(Method::automatic) == CVXBOUND_AUTO);
  static_assert(static_cast<int>(Method::direct) == CVXBOUND_DIRECT);
  static_assert(static_cast<int>(Method::fast) == CVXBOUND_FAST);
  cvxbound_options options = default_options();
  if (!given) return options;
  check_pointer(given);
  require(given->size == sizeof options, CVXBOUND_BAD_OPTIONS);
  options = *given;
  require(options.kind >= CVXBOUND_LAST && options.kind <= CVXBOUND_AVERAGE, CVXBOUND_BAD_KIND);
  require(options.last_step >= CVXBOUND_GIVEN && options.last_step <= CVXBOUND_FREE,
          CVXBOUND_BAD_LAST_STEP);
  require(options.method >= CVXBOUND_AUTO && options.method <= CVXBOUND_FAST, CVXBOUND_BAD_METHOD);
  require(options.nthreads >= 0 && options.nthreads <= kMostThreads, CVXBOUND_BAD_NTHREADS);
  require(is_positive(options.rtol), CVXBOUND_BAD_RTOL);
  require(options.method != CVXBOUND_FAST || options.rtol >= kBestTolerance, CVXBOUND_BAD_RTOL);
  require(is_positive(options.D), CVXBOUND_BAD_D);
  return options;
}

cvxbound_schedules checked_schedules(const cvxbound_schedules* given) {
  check_pointer(given);
  const cvxbound_schedules schedules = *given;
  check_pointer(schedules.eta);
  require(schedules.rows >= 1 && schedules.steps >= 1, CVXBOUND_BAD_SIZE);
  require(schedules.rows <= kMostEntries / schedules.steps, CVXBOUND_BAD_SIZE);
  if (!schedules.norm) return schedules;
  check_pointer(schedules.norm);
  require(schedules.norm_rows == 1 || schedules.norm_rows == schedules.rows, CVXBOUND_BAD_SIZE);
  require(schedules.norm_steps == 1 || schedules.norm_steps == schedules.steps, CVXBOUND_BAD_SIZE);
  return schedules;
}

Norms checked_norms(const cvxbound_schedules& schedules) {
  if (!schedules.norm) return {};
  const double* const norm = schedules.norm;
  const bool ok = std::all_of(norm, norm + schedules.norm_rows * schedules.norm_steps,
                              [](double x) { return x >= 0 && x <= kLargestNorm; });
  require(ok, CVXBOUND_BAD_NORM);
  return split_norms({norm, schedules.norm_rows, schedules.norm_steps}, schedules.steps);
}

using Results = std::unique_ptr<double[]>;

/// A call's arguments, checked, and what the core is asked for.
class Call {
 public:
  /// `gamma` and `horizons` may be null.
  Call(const cvxbound_schedules* schedules, const double* gamma, const std::int64_t* horizons,
       std::int64_t count, const cvxbound_options* options)
      : given_(checked_schedules(schedules)), count_(horizons ? count : given_.steps) {
    const cvxbound_options chosen = checked_options(options);
    check_environment(chosen.nthreads);
    D_ = chosen.D;
    options_.kind = static_cast<Kind>(chosen.kind);
    options_.last_step = static_cast<LastStep>(chosen.last_step);
    options_.method = static_cast<Method>(chosen.method);
    options_.rtol = chosen.rtol;
    options_.threads = chosen.nthreads;
    check_horizons(horizons, count);
    norms_ = checked_norms(given_);
    batch_.items = given_.rows;
    batch_.steps = given_.steps;
    batch_.eta = given_.eta;
    batch_.horizons = horizons;
    batch_.horizon_count = count;
    use_norms(norms_.per_step, given_.norm_rows);
    if (gamma) use_gamma(gamma);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::int64_t horizons() const { return count_; }
  std::int64_t rows() const { return batch_.items; }
  double D() const { return D_; }
  double scale(std::int64_t row) const { return norms_.scale_of(row); }
  bool has_constant_norms() const { return !norms_.per_step; }

  /// Memory for one number a row and column, where it is wanted.
  Results make(bool wanted, std::int64_t columns) const {
    return Results(wanted ? new double[static_cast<std::size_t>(rows() * columns)] : nullptr);
  }

  void terms(const Terms& out) {
    if (!is_free() && !out.omega) batch_.gamma = nullptr;  // it only counts where something is searched
    ask([&] { cvxbound::terms(batch_, options_, out); }, CVXBOUND_INTERNAL);
  }

  void gradient(const double* weights, double* by_eta, double* by_norm) {
    options_.rtol = kBestTolerance;
    Gradients out;
    out.eta = by_eta;
    out.norm = by_norm;
    ask([&] { cvxbound::gradient(batch_, options_, weights, nullptr, out); }, CVXBOUND_NO_DERIVATIVE);
  }

  /// Gives the core one norm a step although they are constant, for their derivatives.
  void spread_norms() {
    ones_.assign(static_cast<std::size_t>(batch_.steps), 1.0);
    use_norms(ones_.data(), 1);
  }

 private:
  bool is_free() const { return options_.kind == Kind::tight || options_.last_step == LastStep::free; }

  void check_horizons(const std::int64_t* horizons, std::int64_t count) const {
    require(horizons ? count >= 1 : count == 0, CVXBOUND_BAD_HORIZONS);
    require(given_.rows <= kMostEntries / count_, CVXBOUND_BAD_SIZE);
    if (!horizons) return;
    check_pointer(horizons);
    const bool ok = std::all_of(horizons, horizons + count,
                                [this](std::int64_t t) { return t >= 1 && t <= given_.steps; });
    require(ok, CVXBOUND_BAD_HORIZONS);
  }

  void use_norms(const double* per_step, std::int64_t norm_rows) {
    batch_.norm = per_step;
    if (!per_step || norm_rows == batch_.items) return;
    shared_row_.assign(static_cast<std::size_t>(batch_.items), 0);
    batch_.norm_row = shared_row_.data();
  }

  /// In units of D over the scale of the norms.
  void use_gamma(const double* gamma) {
    check_pointer(gamma);
    gamma_.resize(static_cast<std::size_t>(rows()));
    for (std::int64_t row = 0; row < rows(); ++row) {
      gamma_[row] = gamma[row] * scale(row) / D_;
      require(is_positive(gamma[row]) && is_positive(gamma_[row]), CVXBOUND_BAD_GAMMA);
    }
    batch_.gamma = gamma_.data();
  }

  /// Calls the core, which checks steps as it reads them; `otherwise` is its refusal of something else.
  template <class Function>
  void ask(const Function& function, int otherwise) const {
    try {
      function();
    } catch (const std::invalid_argument&) {
      throw Refusal{wrong_eta(otherwise)};
    }
  }

  /// What is wrong with the steps, or `otherwise`.
  int wrong_eta(int otherwise) const {
    int found = otherwise;
    for (std::int64_t row = 0; row < rows(); ++row) {
      const double *first = batch_.eta + row * batch_.steps, *end = first + batch_.steps;
      if (!std::all_of(first, end, [](double x) { return x >= 0 && x <= kLargestStep; })) {
        return CVXBOUND_BAD_ETA;
      }
      if (std::accumulate(first, end, 0.0) == kInfinity) found = CVXBOUND_TOO_LARGE;
    }
    return found;
  }

  const cvxbound_schedules given_;
  const std::int64_t count_;
  double D_;
  Norms norms_;
  std::vector<double> gamma_, ones_;
  std::vector<std::int64_t> shared_row_;
  Batch batch_;
  Options options_;
};

/// Moves results to where they are wanted, times a factor of each row.
template <class Factor>
void write(const Results& found, std::int64_t rows, std::int64_t columns, const Factor& factor,
           double* out) {
  if (!out) return;
  for (std::int64_t row = 0; row < rows; ++row) {
    const double by = factor(row);
    for (std::int64_t i = row * columns; i < (row + 1) * columns; ++i) out[i] = found[i] * by;
  }
}

void check_outputs(const double* one, const double* other) {
  require(one || other, CVXBOUND_BAD_POINTER);
  check_pointer_if_any(one);
  check_pointer_if_any(other);
}

void curve(const cvxbound_schedules* schedules, const double* gamma, const std::int64_t* horizons,
           std::int64_t count, const cvxbound_options* options, double* omega) {
  check_pointer(omega);
  check_pointer(gamma);
  Call call(schedules, gamma, horizons, count, options);
  const Results found = call.make(true, call.horizons());
  Terms out;
  out.omega = found.get();
  call.terms(out);
  write(found, call.rows(), call.horizons(), [&](auto row) { return call.D() * call.scale(row); }, omega);
}

void bound(const cvxbound_schedules* schedules, const double* gamma, const cvxbound_options* options,
           double* omega) {
  check_pointer(schedules);
  const std::int64_t last = schedules->steps;
  require(last >= 1, CVXBOUND_BAD_SIZE);
  curve(schedules, gamma, &last, 1, options, omega);
}

void terms(const cvxbound_schedules* schedules, const double* gamma, const std::int64_t* horizons,
           std::int64_t count, const cvxbound_options* options, double* distance, double* noise) {
  check_outputs(distance, noise);
  Call call(schedules, gamma, horizons, count, options);
  const Results distances = call.make(distance, call.horizons());
  const Results noises = call.make(noise, call.horizons());
  Terms out;
  out.distance = distances.get();
  out.noise = noises.get();
  call.terms(out);
  write(distances, call.rows(), call.horizons(), [&](auto) { return call.D() * call.D(); }, distance);
  write(
      noises, call.rows(), call.horizons(), [&](auto row) { return call.scale(row) * call.scale(row); },
      noise);
}

/// Not a number is what no step, or no noise, leaves of an infinite rate or bound.
double infinite_if_nan(double x) { return std::isnan(x) ? kInfinity : x; }

void tune(const cvxbound_schedules* schedules, const std::int64_t* horizons, std::int64_t count,
          const cvxbound_options* options, double* gamma, double* omega) {
  check_outputs(gamma, omega);
  Call call(schedules, nullptr, horizons, count, options);
  const Results distance = call.make(true, call.horizons()), noise = call.make(true, call.horizons());
  Terms out;
  out.distance = distance.get();
  out.noise = noise.get();
  call.terms(out);
  for (std::int64_t row = 0; row < call.rows(); ++row) {
    const double rate = call.D() / call.scale(row), value = 2 * call.D() * call.scale(row);
    for (std::int64_t i = row * call.horizons(); i < (row + 1) * call.horizons(); ++i) {
      const double a = std::sqrt(distance[i]), b = std::sqrt(noise[i]);
      if (gamma) gamma[i] = infinite_if_nan(a / b * rate);
      if (omega) omega[i] = infinite_if_nan(a * b * value);
    }
  }
}

void gradient(const cvxbound_schedules* schedules, const double* gamma, const std::int64_t* horizons,
              std::int64_t count, const double* weights, const cvxbound_options* options, double* by_eta,
              double* by_norm) {
  check_outputs(by_eta, by_norm);
  check_pointer_if_any(weights);
  Call call(schedules, gamma, horizons, count, options);
  const std::int64_t size = call.rows() * call.horizons(), steps = schedules->steps;
  std::vector<double> ones;
  if (!weights) {
    ones.assign(static_cast<std::size_t>(size), 1.0);
    weights = ones.data();
  }
  require(std::all_of(weights, weights + size, [](double x) { return std::isfinite(x); }),
          CVXBOUND_BAD_WEIGHTS);
  const bool constant = call.has_constant_norms();
  const Results of_eta = call.make(true, steps), of_norm = call.make(by_norm, steps);
  if (by_eta || !constant) call.gradient(weights, of_eta.get(), constant ? nullptr : of_norm.get());
  if (by_norm && constant) {
    const Results unused = call.make(true, steps);
    call.spread_norms();
    call.gradient(weights, unused.get(), of_norm.get());
  }
  write(of_eta, call.rows(), steps, [&](auto row) { return call.D() * call.scale(row); }, by_eta);
  write(of_norm, call.rows(), steps, [&](auto) { return call.D(); }, by_norm);
}

/// Calls a function; nothing that it throws goes further.
template <class Function, class... Arguments>
int status_of(const Function& function, Arguments... arguments) noexcept {
  try {
    function(arguments...);
    return CVXBOUND_OK;
  } catch (const Refusal& refusal) {
    return refusal.status;
  } catch (const std::bad_alloc&) {
    return CVXBOUND_NO_MEMORY;
  } catch (const std::length_error&) {
    return CVXBOUND_NO_MEMORY;
  } catch (...) {
    return CVXBOUND_INTERNAL;
  }
}

}  // namespace
}  // namespace cvxbound::abi

namespace abi = cvxbound::abi;

const char* cvxbound_strerror(int status) {
  switch (status) {
    case CVXBOUND_OK:
      return "no error";
    case CVXBOUND_BAD_POINTER:
      return "a pointer is misaligned, or null where memory is needed; of several outputs one is needed";
    case CVXBOUND_BAD_SIZE:
      return "rows and steps must be at least 1, norm_rows 1 or rows, norm_steps 1 or steps, and no array "
             "may have more than 2^44 entries";
    case CVXBOUND_BAD_OPTIONS:
      return "the size of the options must be sizeof(cvxbound_options) of this version of the library: "
             "call cvxbound_default_options first";
    case CVXBOUND_BAD_KIND:
      return "kind must be CVXBOUND_LAST, CVXBOUND_TIGHT or CVXBOUND_AVERAGE";
    case CVXBOUND_BAD_LAST_STEP:
      return "last_step must be CVXBOUND_GIVEN, CVXBOUND_REPEAT or CVXBOUND_FREE";
    case CVXBOUND_BAD_METHOD:
      return "method must be CVXBOUND_AUTO, CVXBOUND_DIRECT or CVXBOUND_FAST";
    case CVXBOUND_BAD_NTHREADS:
      return "nthreads must be from 1 to 4096, or 0 for the default";
    case CVXBOUND_BAD_RTOL:
      return "rtol must be positive and finite, and at least 1e-12 for CVXBOUND_FAST";
    case CVXBOUND_BAD_D:
      return "D must be positive and finite";
    case CVXBOUND_BAD_ETA:
      return "eta must be non-negative, finite and at most 1e300";
    case CVXBOUND_BAD_NORM:
      return "norm must be non-negative, finite and at most 1e100";
    case CVXBOUND_BAD_GAMMA:
      return "gamma, one a row, and gamma G / D for the size G of the norms, must be positive and finite";
    case CVXBOUND_BAD_HORIZONS:
      return "horizons must lie in 1..steps and their count be at least 1; or they are null and it is 0";
    case CVXBOUND_BAD_WEIGHTS:
      return "weights, one for each row and horizon, must be finite";
    case CVXBOUND_BAD_ENVIRONMENT:
      return "CVXBOUND_NUM_THREADS must be from 1 to 4096, and CVXBOUND_FORCE_ISA an instruction set of "
             "this processor, where the environment has them";
    case CVXBOUND_NO_DERIVATIVE:
      return "a bound that has a weight has no derivative: its last step is zero, or best at infinity";
    case CVXBOUND_TOO_LARGE:
      return "the sum of eta overflows";
    case CVXBOUND_NO_MEMORY:
      return "not enough memory";
    case CVXBOUND_INTERNAL:
      return "an error inside cvxbound: please report it";
    default:
      return "unknown status";
  }
}

const char* cvxbound_version(void) { return CVXBOUND_VERSION; }

int cvxbound_default_options(cvxbound_options* options, size_t size) {
  const auto fill = [=] {
    abi::check_pointer(options);
    abi::require(size == sizeof *options, CVXBOUND_BAD_OPTIONS);
    *options = abi::default_options();
  };
  return abi::status_of(fill);
}

int cvxbound_bound(const cvxbound_schedules* schedules, const double* gamma,
                   const cvxbound_options* options, double* omega) {
  return abi::status_of(abi::bound, schedules, gamma, options, omega);
}

int cvxbound_curve(const cvxbound_schedules* schedules, const double* gamma, const int64_t* horizons,
                   int64_t count, const cvxbound_options* options, double* omega) {
  return abi::status_of(abi::curve, schedules, gamma, horizons, count, options, omega);
}

int cvxbound_terms(const cvxbound_schedules* schedules, const double* gamma, const int64_t* horizons,
                   int64_t count, const cvxbound_options* options, double* distance, double* noise) {
  return abi::status_of(abi::terms, schedules, gamma, horizons, count, options, distance, noise);
}

int cvxbound_tune(const cvxbound_schedules* schedules, const int64_t* horizons, int64_t count,
                  const cvxbound_options* options, double* gamma, double* omega) {
  return abi::status_of(abi::tune, schedules, horizons, count, options, gamma, omega);
}

int cvxbound_gradient(const cvxbound_schedules* schedules, const double* gamma, const int64_t* horizons,
                      int64_t count, const double* weights, const cvxbound_options* options, double* by_eta,
                      double* by_norm) {
  return abi::status_of(abi::gradient, schedules, gamma, horizons, count, weights, options, by_eta,
                        by_norm);
}
