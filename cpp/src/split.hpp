// The two terms of a bound and the conventions of their limits, for processors and GPUs alike.
#pragma once

#include "portable.hpp"

namespace cvxbound {

constexpr double kInfinity = __builtin_inf();

struct Split {
  double distance;
  double noise;
  double rho;
};

/// `last` where the virtual step is zero: infinite noise after any movement, else no bound at all.
CVX_PORTABLE inline Split zero_last_step(double moved) {
  return moved > 0 ? Split{0.5 / moved, kInfinity, 0} : Split{kInfinity, 0, 0};
}

/// The bound of an average whose last weight is rho and the earlier ones sum to S, with Q the sum of their
/// squares times those of the norms, and `norm` the last one.
CVX_PORTABLE inline Split average_split(double S, double Q, double norm, double rho) {
  if (rho == kInfinity) return {0, 0, rho};
  const double total = S + rho, root = rho * norm;
  if (!(total > 0)) return {kInfinity, 0, rho};
  return {0.5 / total, 0.5 * (Q + root * root) / total, rho};
}

/// The last weight of an average that minimises (1/gamma + gamma (Q + rho^2 G^2)) / (S + rho), or
/// (Q + rho^2 G^2) / (S + rho)^2 where gamma is 0.
CVX_PORTABLE inline double best_average_rho(double S, double Q, double norm, double gamma) {
  if (norm == 0) return kInfinity;
  if (gamma > 0) {
    const double ratio = (1 / gamma + gamma * Q) / (gamma * norm * norm);
    return ratio / (S + __builtin_sqrt(S * S + ratio));
  }
  return S > 0 ? Q / (S * norm * norm) : 1.0;
}

/// Sums with one extra double, so that a million equal steps do not drift.
struct Accumulator {
  double high = 0, low = 0;

  CVX_PORTABLE void add(double x) {
    const double sum = high + x, part = sum - high;
    low += (high - (sum - part)) + (x - part);
    high = sum;
  }
  CVX_PORTABLE double value() const { return high < kInfinity ? high + low : high; }
};

}  // namespace cvxbound
