// Compiled once per instruction set, with CVXBOUND_SEGMENT_KERNELS naming the table it defines; see
// kernels.cpp for what that asks of the code.
#include "segment_kernels.hpp"

#include "segment_search.hpp"
#include "segment_walk.hpp"

namespace cvxbound {

extern const SegmentKernels CVXBOUND_SEGMENT_KERNELS;
const SegmentKernels CVXBOUND_SEGMENT_KERNELS = {fill, sums, best_split};

}  // namespace cvxbound
