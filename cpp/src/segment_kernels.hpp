// Schedules made of segments: their steps, and their sums without visiting every step.
#pragma once

#include <cstdint>

#include "basis.hpp"
#include "cvxbound/segment.hpp"
#include "panels.hpp"
#include "split.hpp"

namespace cvxbound {

/// Sums over the steps before a horizon, walked backwards from R = rho: R grows by each step.
struct SegmentSums {
  double length;     ///< sum of the steps
  double fractions;  ///< sum of eta^2 / R
  double squares;    ///< sum of eta^2
};

struct SegmentKernels {
  /// The learning rates of `count` steps of a segment, from its step `begin` (0-based) on.
  void (*fill)(const Segment& segment, std::int64_t begin, std::int64_t count, double* eta);

  /// The sums over the first `steps` steps of a schedule, in O(log(steps)) for each segment, for rho > 0.
  ///
  /// Next to the target steps are taken one by one, then in panels that grow with the distance from it and
  /// shrink towards the singularity of a formula. A panel is halved until the tails of the Legendre series
  /// of its steps and of eta^2 / R say that its sums are exact to about 1e-13; 32 steps are walked where
  /// even the smallest one is not.
  SegmentSums (*sums)(const Segment* segments, std::int64_t count, std::int64_t steps, double rho,
                      const PanelRules& rules);

  /// The split at the horizon after the first `steps` steps for the last step that is best for `gamma`, as
  /// best_rho finds it (search.hpp), in O(log(steps)). False where the steps are too rough for that.
  bool (*best_split)(const Segment* segments, std::int64_t count, std::int64_t steps, bool tight,
                     double gamma, const PanelRules& rules, const WindowBasis& window, Split& found);
};

}  // namespace cvxbound
