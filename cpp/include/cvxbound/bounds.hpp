// cvxbound from C++: vectors in and out, and errors thrown. cvxbound/cvxbound.h says what is computed.
//
//     const cvxbound::Doubles omega = cvxbound::curve({eta}, {0.1});
//     const auto [gamma, best] = cvxbound::tune({eta}, cvxbound::Options(), {1000, 2000});
//
// C++17, and nothing but a header over the C functions: any compiler will do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "cvxbound/cvxbound.h"

namespace cvxbound {

using Doubles = std::vector<double>;
using Horizons = std::vector<std::int64_t>;

/// What a function refuses.
struct Error : std::runtime_error {
  explicit Error(int code) : std::runtime_error(cvxbound_strerror(code)), status(code) {}
  int status;
};

inline void check(int status) {
  if (status != CVXBOUND_OK) throw Error(status);
}

/// The options of the C functions, by default their defaults.
struct Options : cvxbound_options {
  Options() : cvxbound_options() { check(cvxbound_default_options(this, sizeof(cvxbound_options))); }
};

template <class T>
const T* data_or_null(const std::vector<T>& x) {
  return x.empty() ? nullptr : x.data();
}

/// Rows of learning rates and norms, one row after another.
struct Schedules {
  Doubles eta;
  Doubles norm = {};  ///< none: all are 1; one number: the same at all steps; one a step; a row each
  std::int64_t rows = 1;

  std::int64_t steps() const {
    const auto size = static_cast<std::int64_t>(eta.size());
    if (rows < 1 || size == 0 || size % rows != 0) throw Error(CVXBOUND_BAD_SIZE);
    return size / rows;
  }

  /// For the C functions; it must not outlive this.
  cvxbound_schedules view() const {
    const auto size = static_cast<std::int64_t>(norm.size());
    if (norm.empty()) return {eta.data(), rows, steps(), nullptr, 0, 0};
    const std::int64_t norm_steps = std::min(size, steps());
    if (size % norm_steps != 0) throw Error(CVXBOUND_BAD_SIZE);
    return {eta.data(), rows, steps(), norm.data(), size / norm_steps, norm_steps};
  }
};

/// One number a row: those given, or one for all; none where there are none.
inline Doubles for_rows(const Doubles& numbers, std::int64_t rows) {
  if (numbers.empty()) return {};
  if (numbers.size() == 1) return Doubles(static_cast<std::size_t>(rows), numbers[0]);
  if (static_cast<std::int64_t>(numbers.size()) != rows) throw Error(CVXBOUND_BAD_GAMMA);
  return numbers;
}

/// The bound after the last step of each row; of `gamma` one number a row, or one for all.
inline Doubles bound(const Schedules& schedules, const Doubles& gamma, const Options& options = {}) {
  const cvxbound_schedules view = schedules.view();
  const Doubles rates = for_rows(gamma, view.rows);
  Doubles omega(static_cast<std::size_t>(view.rows));
  check(cvxbound_bound(&view, data_or_null(rates), &options, omega.data()));
  return omega;
}

/// What the functions of many horizons share; no horizons stand for every step.
struct AtHorizons {
  AtHorizons(const Schedules& schedules, const Horizons& horizons)
      : view(schedules.view()),
        at(data_or_null(horizons)),
        count(static_cast<std::int64_t>(horizons.size())) {}

  Doubles output() const {
    return Doubles(static_cast<std::size_t>(view.rows * (at ? count : view.steps)));
  }

  cvxbound_schedules view;
  const std::int64_t* at;
  std::int64_t count;
};

/// The bound at horizons, or after every step; rows one after another.
inline Doubles curve(const Schedules& schedules, const Doubles& gamma, const Options& options = {},
                     const Horizons& horizons = {}) {
  const AtHorizons call(schedules, horizons);
  Doubles omega = call.output();
  const Doubles rates = for_rows(gamma, call.view.rows);
  check(cvxbound_curve(&call.view, data_or_null(rates), call.at, call.count, &options, omega.data()));
  return omega;
}

struct Terms {
  Doubles distance, noise;
};

/// The two terms of the bound; without `gamma` at the best one, where the last step is free.
inline Terms terms(const Schedules& schedules, const Doubles& gamma = {}, const Options& options = {},
                   const Horizons& horizons = {}) {
  const AtHorizons call(schedules, horizons);
  Terms found = {call.output(), call.output()};
  const Doubles rates = for_rows(gamma, call.view.rows);
  check(cvxbound_terms(&call.view, data_or_null(rates), call.at, call.count, &options,
                       found.distance.data(), found.noise.data()));
  return found;
}

struct Tuned {
  Doubles gamma, omega;
};

/// The best base learning rates, and the bounds there.
inline Tuned tune(const Schedules& schedules, const Options& options = {}, const Horizons& horizons = {}) {
  const AtHorizons call(schedules, horizons);
  Tuned found = {call.output(), call.output()};
  check(cvxbound_tune(&call.view, call.at, call.count, &options, found.gamma.data(), found.omega.data()));
  return found;
}

struct Gradient {
  Doubles by_eta, by_norm;
};

/// Derivatives of the sum of bounds at horizons, or after every step, by steps and norms; without `gamma`
/// at the best one of each. `weights`, one for each horizon of each row, are 1 where there are none.
inline Gradient gradient(const Schedules& schedules, const Doubles& gamma, const Options& options = {},
                         const Horizons& horizons = {}, const Doubles& weights = {}) {
  const AtHorizons call(schedules, horizons);
  if (!weights.empty() && weights.size() != call.output().size()) throw Error(CVXBOUND_BAD_WEIGHTS);
  Gradient found = {Doubles(schedules.eta.size()), Doubles(schedules.eta.size())};
  const Doubles rates = for_rows(gamma, call.view.rows);
  check(cvxbound_gradient(&call.view, data_or_null(rates), call.at, call.count, data_or_null(weights),
                          &options, found.by_eta.data(), found.by_norm.data()));
  return found;
}

}  // namespace cvxbound
