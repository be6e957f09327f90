// Schedules that are made of segments.
#pragma once

#include <cstddef>

#include "cvxbound_cuda.hpp"
#include "panels.hpp"
#include "tables.hpp"

namespace cvxbound {
namespace cuda {

/// `last` with a fixed last step, or `average`, at each horizon of each item, a thread each: O(log t)
/// operations by panels, O(t) where schedules are walked (Options::method). `rules` lie on the device.
void bound_segments(const SegmentBatch& batch, const Options& options, const Terms& out,
                    const PanelRules* rules, Stream stream);

/// Bytes of workspace for search_segments.
std::size_t segment_search_size(const SegmentBatch& batch);

/// `tight`, or `last` with a free last step, at each horizon of each item: a group of threads each, by
/// routes (segment_search.hpp), O(log t) operations; O(t) where schedules are walked. NaN where a horizon
/// is 0, and where the way is not short.
void search_segments(const SegmentBatch& batch, const Options& options, const Terms& out, void* workspace,
                     const Tables* tables, Stream stream);

}  // namespace cuda
}  // namespace cvxbound
