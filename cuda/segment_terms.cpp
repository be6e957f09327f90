// The entry points for schedules that are made of segments.
#include "cvxbound_cuda.hpp"
#include "search.hpp"
#include "segment_split.hpp"
#include "segments.hpp"
#include "tables.hpp"

namespace cvxbound {
namespace cuda {

std::size_t workspace_size(const SegmentBatch& batch, const Options& options) {
  return is_searched(options.kind, options.last_step) ? search_size(batch.items * batch.horizon_count) : 0;
}

void terms(const SegmentBatch& batch, const Options& options, const Terms& out, const Resources& on) {
  if (is_searched(options.kind, options.last_step)) {
    search(batch, options, out, on);
  } else {
    bound_segments(batch, options, out, &static_cast<const Tables*>(on.tables)->panels, on.stream);
  }
}

}  // namespace cuda
}  // namespace cvxbound
