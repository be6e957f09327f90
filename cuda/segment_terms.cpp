// The entry points for schedules that are made of segments.
#include "cvxbound_cuda.hpp"
#include "segment_split.hpp"
#include "segments.hpp"
#include "tables.hpp"

namespace cvxbound {
namespace cuda {

std::size_t workspace_size(const SegmentBatch& batch, const Options& options) {
  return is_searched(options.kind, options.last_step) ? segment_search_size(batch) : 0;
}

void terms(const SegmentBatch& batch, const Options& options, const Terms& out, const Resources& on) {
  const auto* tables = static_cast<const Tables*>(on.tables);
  if (is_searched(options.kind, options.last_step)) {
    search_segments(batch, options, out, on.workspace, tables, on.stream);
  } else {
    bound_segments(batch, options, out, &tables->panels, on.stream);
  }
}

}  // namespace cuda
}  // namespace cvxbound
