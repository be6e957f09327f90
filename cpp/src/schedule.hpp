// One schedule, the horizons wanted of it, and what all methods share: checks and conventions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cvxbound/cvxbound.hpp"
#include "kernels.hpp"
#include "recursion.hpp"
#include "search.hpp"
#include "split.hpp"

namespace cvxbound {

constexpr double kLargestStep = 1e300;
constexpr double kLargestNorm = 1e100;

struct Schedule {
  const double* eta;
  const double* norm;  ///< null: G = 1
  std::int64_t steps;

  double norm_at(std::int64_t t) const { return norm ? norm[t - 1] : 1.0; }
  Sources sources(std::int64_t t) const { return {eta, norm, t - 1, norm_at(t)}; }
};

struct Ranges {
  Range eta, norm;
};

/// Throws std::invalid_argument for a step or norm out of range.
Ranges check(const Kernels& kernels, const Schedule& schedule);

/// Throws std::invalid_argument for a batch without steps or horizons out of range.
void check_batch(const Batch& batch);

/// The virtual last step of horizon t where it is not free.
inline double fixed_rho(const Schedule& schedule, LastStep last_step, std::int64_t t) {
  return schedule.eta[last_step == LastStep::repeat && t > 1 ? t - 2 : t - 1];
}

/// The horizons of one item, and where their results go.
struct Targets {
  const std::int64_t* horizons;  ///< null: 1 .. count
  std::int64_t count;
  Terms out;
  double gamma;  ///< in units of D / G; 0: the best one, where the last step is free

  std::int64_t horizon(std::int64_t i) const { return horizons ? horizons[i] : i + 1; }
  /// What the last of the horizons sees of a schedule.
  Schedule seen(const Schedule& steps) const {
    return {steps.eta, steps.norm, horizons ? *std::max_element(horizons, horizons + count) : count};
  }
  void write(std::int64_t i, const Split& split) const {
    if (out.distance) out.distance[i] = split.distance;
    if (out.noise) out.noise[i] = split.noise;
    if (out.rho) out.rho[i] = split.rho;
    if (out.omega) out.omega[i] = split.distance / gamma + gamma * split.noise;
  }
  /// The same for neighbours, entry i and those after it.
  void write(std::int64_t i, std::int64_t size, const double* distance, const double* noise,
             const double* rho) const {
    if (out.distance) std::copy_n(distance, size, out.distance + i);
    if (out.noise) std::copy_n(noise, size, out.noise + i);
    if (out.rho) std::copy_n(rho, size, out.rho + i);
    if (!out.omega) return;
    for (std::int64_t j = 0; j < size; ++j) out.omega[i + j] = distance[j] / gamma + gamma * noise[j];
  }
};

}  // namespace cvxbound
