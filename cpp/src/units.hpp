// From the units of users to those of the core, where D = 1 and norms are of ordinary size: what
// python/cvxbound/_arrays.py and _problem.py do, to the bit.
#pragma once

#include <cstdint>
#include <vector>

namespace cvxbound {

/// Norms as users have them: [rows, steps], either of which may be 1.
struct NormArray {
  const double* data;
  std::int64_t rows, steps;
};

/// Gradient norms = scale * per_step.
struct Norms {
  const double* per_step = nullptr;  ///< [rows, steps], null: all are 1; of `NormArray` or `made`
  std::vector<double> scale = {1};   ///< one for all schedules, or one each
  std::vector<double> made;

  double scale_of(std::int64_t row) const { return scale[scale.size() > 1 ? row : 0]; }
};

/// Takes from norms in [0, kLargestNorm] what is constant along the steps of a schedule, of so many steps.
/// A constant never enters the kernels, unless one of them is 0; others are scaled by a power of two where
/// they are far from 1.
Norms split_norms(const NormArray& norms, std::int64_t steps);

}  // namespace cvxbound
