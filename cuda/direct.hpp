// All horizons of `last` with a fixed last step, directly.
#pragma once

#include <cstddef>

#include "cvxbound_cuda.hpp"
#include "schedules.hpp"

namespace cvxbound {
namespace cuda {

/// Bytes of workspace for direct_last: 18 for a step, up to a limit that items take turns to use.
std::size_t direct_size(const Pairs& pairs);

/// `last` with a fixed last step at every horizon of the items; the batch has no horizons of its own.
///
/// O(T^2) an item: 2.5 double-precision operations for a pair of a step and a horizon. Distances are sums
/// of steps, walked away from the target, and terms are positive, so that the relative error stays below
/// 1e-14; steps of any range.
void direct_last(const Pairs& pairs, void* workspace, Stream stream);

}  // namespace cuda
}  // namespace cvxbound
