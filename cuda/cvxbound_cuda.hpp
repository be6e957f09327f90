// The bounds of cvxbound.hpp on a GPU.
//
// Batches, options and results are those of the core; arrays lie in the memory of the current device, all
// but what is said otherwise. Work is queued on the caller's stream and nothing waits for it; no memory is
// allocated. What lies in arrays is not checked: steps must be in [0, 1e300], norms in [0, 1e100], gammas
// positive and finite, horizons in range. Errors of CUDA become std::runtime_error naming the call.
//
// Everything is computed in double precision; results agree with those of the core to rounding, and to
// 1e-12 where a last step is searched. `rtol`, `threads` and `interrupt` of the options are not used.
#pragma once

#include <cstddef>

#include "cvxbound/cvxbound.hpp"

struct CUstream_st;

namespace cvxbound {
namespace cuda {

/// A cudaStream_t; null is the default stream.
using Stream = CUstream_st*;

/// Bytes of the constants that kernels read, and the constants themselves, in host memory. The caller keeps
/// a copy on each device.
std::size_t tables_size();
void make_tables(void* host);

/// What a call uses of a device besides its arrays.
struct Resources {
  const void* tables;  ///< a copy of what make_tables fills
  void* workspace;     ///< as many bytes as workspace_size asks for, aligned to 256; any content
  Stream stream;
};

/// Bytes of workspace that `terms` needs for a batch.
std::size_t workspace_size(const Batch& batch, const Options& options);
std::size_t workspace_size(const SegmentBatch& batch, const Options& options);

/// `terms` of the core, for `last` and `tight`. Method::fast must not be asked for where a positive step
/// is below 1e-300 or steps add up to more than 1e304; Method::automatic may choose it.
///
/// Cost: all horizons take O(T^2) directly and O(T log T) by block maps; a horizon is O(T).
void terms(const Batch& batch, const Options& options, const Terms& out, const Resources& on);

/// `terms` of schedules that are made of segments, without a schedule in memory: the arrays of the batch,
/// segments included, lie on the device. `rho` of the results too is filled in where wanted.
///
/// O(log T) a horizon. Where a last step is searched and the steps are so rough, or the segments so many,
/// that no short way leads past them, results are NaN: a walk of each step would keep a GPU for hours, and
/// the core has a better one.
void terms(const SegmentBatch& batch, const Options& options, const Terms& out, const Resources& on);

/// Whether the kernels run on the processor, as the tests of machines without a GPU have them.
bool is_emulated();

}  // namespace cuda
}  // namespace cvxbound
