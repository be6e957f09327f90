// What the C++ tests share: checks, exact walks and random schedules.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cvxbound/cvxbound.hpp"

namespace {

[[maybe_unused]] int failures = 0;

inline void report(bool ok, const char* what, int line, const std::string& detail) {
  if (ok) return;
  if (++failures > 20) return;
  std::fprintf(stderr, "line %d: %s %s\n", line, what, detail.c_str());
}

#define CHECK(condition, detail) report((condition), #condition, __LINE__, (detail))

constexpr double kInf = std::numeric_limits<double>::infinity();
using Array = std::vector<double>;

/// Exactly sized on the heap, so that AddressSanitizer sees one element too far.
struct Exact {
  explicit Exact(const Array& x) : data(new double[x.size()]) { std::copy(x.begin(), x.end(), data.get()); }
  std::unique_ptr<double[]> data;
};

/// A batch of one schedule, with G = 1 without norms and the best gamma where it is 0. Horizons must
/// outlive it.
class One {
 public:
  One(const Array& eta, const Array& norm, double gamma, const std::vector<std::int64_t>& horizons = {})
      : eta_(eta), norm_(norm), gamma_(gamma) {
    batch_.items = 1;
    batch_.steps = static_cast<std::int64_t>(eta.size());
    batch_.eta = eta_.data.get();
    batch_.norm = norm.empty() ? nullptr : norm_.data.get();
    batch_.gamma = gamma > 0 ? &gamma_ : nullptr;
    if (horizons.empty()) return;
    batch_.horizons = horizons.data();
    batch_.horizon_count = static_cast<std::int64_t>(horizons.size());
  }
  One(const One&) = delete;
  One& operator=(const One&) = delete;

  const cvxbound::Batch& batch() const { return batch_; }

 private:
  const Exact eta_, norm_;
  const double gamma_;
  cvxbound::Batch batch_;
};

struct Result {
  Array distance, noise, rho;
};

struct Oracle {
  long double distance, noise;
};

inline Oracle oracle(const Array& eta, const Array& norm, std::int64_t t, long double rho, bool tight) {
  long double R = rho, sum = 0;
  const long double last = norm.empty() ? 1 : norm[t - 1];
  for (std::int64_t k = t - 2; k >= 0; --k) {
    const long double e = eta[k], g = norm.empty() ? 1 : norm[k];
    if (e == 0) continue;
    sum += e * g * (e * g / R);
    R += tight ? 2 * e + e * (e / R) : e;
  }
  return {0.5L / R, 0.5L * (rho * last * last + sum)};
}

inline bool close(double value, long double expected, double rtol) {
  if (std::isinf(static_cast<double>(expected))) return value == expected;
  return std::abs(value - expected) <= rtol * std::abs(expected);
}

inline Array random_steps(std::size_t n, std::mt19937_64& rng, double decades, bool zeros) {
  std::uniform_real_distribution<double> exponent(-decades, 0), unit(0, 1);
  Array x(n);
  for (double& v : x) v = zeros && unit(rng) < 0.3 ? 0.0 : std::pow(10.0, exponent(rng));
  return x;
}

const std::vector<std::size_t> kSizes = {1,  2,  3,  4,  5,   7,   8,   9,   15,  16,  17,  31,  32,
                                         33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513, 700};

/// All horizons of one schedule against walks from each; zeros at the end follow their own rule.
inline void check_every_horizon_of_last(const Array& eta, const Array& norm, const Result& curve,
                                        double rtol, const std::string& name) {
  for (std::size_t t = 1; t <= eta.size(); ++t) {
    const std::string where = name + " t=" + std::to_string(t) + " rtol=" + std::to_string(rtol);
    if (eta[t - 1] > 0) {
      const Oracle expected = oracle(eta, norm, t, eta[t - 1], false);
      CHECK(close(curve.distance[t - 1], expected.distance, 5e-15), where);
      CHECK(close(curve.noise[t - 1], expected.noise, rtol), where);
    } else {
      const bool moved = std::any_of(eta.begin(), eta.begin() + t, [](double x) { return x > 0; });
      CHECK(curve.noise[t - 1] == (moved ? kInf : 0), where);
      CHECK(std::isinf(curve.distance[t - 1]) != moved, where);
    }
  }
}

}  // namespace
