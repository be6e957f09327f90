// The free virtual step: walks from many rho, and the global minimum over rho.
#pragma once

#include <cstdint>

#include "kernels.hpp"
#include "recursion.hpp"
#include "split.hpp"

namespace cvxbound {

/// One schedule as a target sees it: its sources are the steps before it.
struct Sources {
  const double* eta;
  const double* norm;  ///< null: G = 1
  std::int64_t count;  ///< t - 1
  double last_norm;    ///< G_t
};

/// distance and noise from each rho > 0.
void walk_from(const Kernels& kernels, const Recursion& recursion, const Sources& sources,
               const double* rho, std::int64_t count, double* distance, double* noise);

/// Minimises distance / gamma + gamma noise over rho > 0, or distance * noise where gamma is 0; see
/// rho_search.hpp. Cost: three or four walks of the schedule from kWalkers values of rho.
Split best_rho(const Kernels& kernels, const Recursion& recursion, const Sources& sources, double gamma);

}  // namespace cvxbound
