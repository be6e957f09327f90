#include "direct_adjoint.hpp"

#include <cmath>
#include <vector>

#include "jet.hpp"
#include "recursion.hpp"

namespace cvxbound {
namespace {

/// What a walk carries for R.
template <class Walked>
double state_of(double R) {
  return Walked::kRooted ? std::sqrt(R) : R;
}

template <class Walked>
Jet<double> state_of(const Jet<double>& R) {
  return Walked::kRooted ? square_root(R, std::sqrt(R.value)) : R;
}

template <class Walked, class V>
V distance_of(const V& state) {
  return Walked::kRooted ? state * state : state;
}

/// Newton's step, from rho near the best one.
template <class Walked, bool kNorms>
double polished(const Schedule& steps, const Weighted& horizon, double gamma) {
  const double rho = horizon.rho, norm = steps.norm_at(horizon.step);
  Jet<double> state = state_of<Walked>(Jet<double>{rho, rho, rho}), grown = {}, sum = {};
  for (std::int64_t k = horizon.step - 2; k >= 0; --k) {
    Walked::template step<kNorms>(constant(steps.eta[k]), constant(steps.norm_at(k + 1)), state, grown,
                                  sum);
  }
  const double last = rho * norm * norm;
  const Jet<double> distance = constant(1.0) / distance_of<Walked>(state);
  const Jet<double> noise = sum + Jet<double>{last, last, last};
  const double step = newton_step(distance, noise, gamma);
  return std::abs(step) < kLargestPolish ? rho * std::exp(step) : rho;
}

/// Adds one horizon. `trace` takes the states of the walk; it may be the place of the derivatives, where
/// these are all still zero.
template <class Walked, bool kNorms>
void add_horizon(const Schedule& steps, const Objective& objective, Weighted horizon, double* trace) {
  const std::int64_t sources = horizon.step - 1;
  if (objective.is_free && !objective.rho_given) {
    horizon.rho = polished<Walked, kNorms>(steps, horizon, objective.gamma);
  }
  const double norm = steps.norm_at(horizon.step);
  double state = state_of<Walked>(horizon.rho), unused = 0, sum = 0;
  for (std::int64_t k = sources - 1; k >= 0; --k) {
    trace[k] = state;
    Walked::template step<kNorms>(steps.eta[k], steps.norm_at(k + 1), state, unused, sum);
  }
  const double R = distance_of<Walked>(state);
  const double distance = 0.5 / R, noise = 0.5 * (horizon.rho * norm * norm + sum);
  const double gamma = objective.gamma > 0 ? objective.gamma : std::sqrt(distance / noise);
  const double noise_bar = 0.5 * horizon.weight * gamma;
  double bar = -(horizon.weight / gamma) * distance / R;
  double state_bar = Walked::kRooted ? 2 * bar * state : bar;
  double* const eta_bar = objective.out.eta;
  double* const norm_bar = objective.out.norm;
  const bool first = trace == eta_bar;
  for (std::int64_t k = 0; k < sources; ++k) {
    double of_eta, of_norm;
    Walked::template reverse<kNorms>(steps.eta[k], steps.norm_at(k + 1), trace[k], noise_bar, state_bar,
                                     of_eta, of_norm);
    eta_bar[k] = first ? of_eta : eta_bar[k] + of_eta;
    if (norm_bar) norm_bar[k] += of_norm;
  }
  bar = Walked::kRooted ? 0.5 * state_bar / state_of<Walked>(horizon.rho) : state_bar;
  if (norm_bar) norm_bar[sources] += 2 * noise_bar * horizon.rho * norm;
  objective.finish(horizon, distance / gamma + gamma * noise, bar + noise_bar * norm * norm);
}

template <class Walked>
void add(const Schedule& steps, const Objective& objective, const std::function<void()>& interrupt) {
  std::vector<double> memory(objective.horizons.size() > 1 ? static_cast<std::size_t>(steps.steps) : 0);
  double* trace = objective.out.eta;
  for (const Weighted& horizon : objective.horizons) {
    if (steps.norm) {
      add_horizon<Walked, true>(steps, objective, horizon, trace);
    } else {
      add_horizon<Walked, false>(steps, objective, horizon, trace);
    }
    if (interrupt) interrupt();
    trace = memory.data();
  }
}

}  // namespace

void direct_adjoint(const Recursion& recursion, const Schedule& steps, const Objective& objective,
                    const std::function<void()>& interrupt) {
  if (recursion.square > 0) {
    add<Tight>(steps, objective, interrupt);
  } else {
    add<Last>(steps, objective, interrupt);
  }
}

}  // namespace cvxbound
