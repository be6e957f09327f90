// Schedules that are made of segments.
#pragma once

#include "cvxbound_cuda.hpp"
#include "panels.hpp"

namespace cvxbound {
namespace cuda {

/// `last` with a fixed last step, or `average`, at each horizon of each item, a thread each: O(log t)
/// operations by panels, O(t) where schedules are walked (Options::method). `rules` lie on the device.
void bound_segments(const SegmentBatch& batch, const Options& options, const Terms& out,
                    const PanelRules* rules, Stream stream);

}  // namespace cuda
}  // namespace cvxbound
