// The free virtual step: walks from many rho, and the global minimum over rho.
#pragma once

#include <cstdint>

#include "kernels.hpp"
#include "recursion.hpp"

namespace cvxbound {

/// One schedule as a target sees it: its sources are the steps before it.
struct Sources {
  const double* eta;
  const double* norm;  ///< null: G = 1
  std::int64_t count;  ///< t - 1
  double last_norm;    ///< G_t
};

struct Split {
  double distance;
  double noise;
  double rho;
};

/// distance and noise from each rho > 0.
void walk_from(const Kernels& kernels, const Recursion& recursion, const Sources& sources,
               const double* rho, std::int64_t count, double* distance, double* noise);

/// Minimises distance / gamma + gamma noise over rho > 0, or distance * noise where gamma is 0.
///
/// In x = log rho both terms change by at most a factor e^|dx|, are free of poles in |Im x| < pi, and
/// the objective F satisfies F'' <= F: it has no feature narrower than about one unit of x. The search
/// therefore (1) brackets the minimum rigorously, (2) scans the bracket on a grid of spacing 1/4, on a
/// long schedule with distant steps merged into blocks, and (3) walks the true schedule from 32
/// Chebyshev nodes around every grid minimum that could be the global one; the interpolant through
/// them is exact to rounding. Up to 4096 steps nothing is merged; beyond, a minimum can be missed for
/// another that is higher by less than the merging error (1e-6 relative at 1e5 steps, 1e-8 at 1e6).
/// Cost: a quarter of a walk of 32 rho for the scan, and one such walk a candidate, nearly always one.
Split best_rho(const Kernels& kernels, const Recursion& recursion, const Sources& sources, double gamma);

}  // namespace cvxbound
