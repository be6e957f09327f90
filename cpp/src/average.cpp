#include "average.hpp"

#include <cmath>
#include <vector>

namespace cvxbound {
namespace {

/// The weight of x_t, given S_{t-1} and Q_{t-1}.
double average_rho(const Schedule& steps, LastStep last_step, std::int64_t t, double gamma, double S,
                   double Q) {
  if (last_step != LastStep::free) return fixed_rho(steps, last_step, t);
  return best_average_rho(S, Q, steps.norm_at(t), gamma);
}

}  // namespace

void average_adjoint(const Schedule& steps, const Objective& objective) {
  const double gamma = objective.gamma;
  double* const norm_bar = objective.out.norm;
  std::vector<double> length_bar(steps.steps + 1, 0.0), squares_bar(steps.steps + 1, 0.0);
  Accumulator length, squares;
  std::int64_t done = 0;
  for (const Weighted& horizon : objective.horizons) {
    for (; done < horizon.step - 1; ++done) {
      const double root = steps.eta[done] * steps.norm_at(done + 1);
      length.add(steps.eta[done]);
      squares.add(root * root);
    }
    const double norm = steps.norm_at(horizon.step), root = horizon.rho * norm;
    const double S = length.value() + horizon.rho, Q = squares.value() + root * root;
    const double distance = 0.5 / S, noise = 0.5 * Q / S;
    const double rate = gamma > 0 ? gamma : std::sqrt(distance / noise);
    const double of_squares = 0.5 * horizon.weight * rate / S;
    const double of_length = -(horizon.weight / rate * distance / S + of_squares * (Q / S));
    length_bar[done] += of_length;
    squares_bar[done] += of_squares;
    objective.finish(horizon, distance / rate + rate * noise, of_length + 2 * of_squares * root * norm);
    if (norm_bar) norm_bar[done] += 2 * of_squares * root * horizon.rho;
  }
  // A step is part of the sums of all later horizons.
  Accumulator of_length, of_squares;
  for (std::int64_t k = done - 1; k >= 0; --k) {
    of_length.add(length_bar[k + 1]);
    of_squares.add(squares_bar[k + 1]);
    const double norm = steps.norm_at(k + 1), pull = 2 * of_squares.value() * steps.eta[k];
    objective.out.eta[k] += of_length.value() + pull * norm * norm;
    if (norm_bar) norm_bar[k] += pull * steps.eta[k] * norm;
  }
}

void average(const Kernels& kernels, const Schedule& steps, LastStep last_step, const Targets& targets) {
  check(kernels, steps);
  std::vector<Split> splits(steps.steps);
  Accumulator length, squares;
  for (std::int64_t t = 1; t <= steps.steps; ++t) {
    const double norm = steps.norm_at(t), S = length.value(), Q = squares.value();
    splits[t - 1] = average_split(S, Q, norm, average_rho(steps, last_step, t, targets.gamma, S, Q));
    const double root = steps.eta[t - 1] * norm;
    length.add(steps.eta[t - 1]);
    squares.add(root * root);
  }
  for (std::int64_t i = 0; i < targets.count; ++i) {
    targets.write(i, splits[targets.horizon(i) - 1]);
  }
}

}  // namespace cvxbound
