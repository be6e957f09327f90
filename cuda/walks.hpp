// Walks of whole schedules: one horizon each.
#pragma once

#include "cvxbound_cuda.hpp"
#include "schedules.hpp"

namespace cvxbound {
namespace cuda {

/// `last` with a fixed last step at each pair, a block a pair: O(t) operations, one read of the steps.
void walk_last(const Pairs& pairs, Stream stream);

}  // namespace cuda
}  // namespace cvxbound
