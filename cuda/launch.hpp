// How kernels are written and launched: as bodies, plain structs with a call operator, that a GPU runs in
// parallel and, compiled for a processor, a loop runs one after another, so that tests without a GPU reach
// every index and every operation.
//
//   launch(name, count, body, stream)         body(i) for i in [0, count), a thread each; of their blocks
//                                             Body::kBlocks are to fit a multiprocessor together
//   launch_blocks(name, count, body, stream)  body(block, shared) for `count` blocks of Body::kThreads
//                                             threads that share a Body::Shared
//   launch_groups(name, count, most, body, stream)
//                                             body(group, shared) for groups, of Body::kThreads threads of
//                                             a warp: `most` of them at a time, where each needs a
//                                             slot of a workspace groups_at_once<Body>()
//
// The body of a block or group is run by all its threads; what they do differently goes into `each`, which
// ends with a barrier, and what a thread keeps from one `each` to the next into a PerThread. Between two
// `each`, a group may read what it shares, since its next `each` begins with a barrier too; a block may
// not.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "cvxbound_cuda.hpp"
#include "portable.hpp"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#endif

namespace cvxbound {
namespace cuda {

/// Threads of a block where each works by itself.
constexpr int kThreads = 128;

#if defined(__CUDACC__)

inline void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(call) + " failed: " + cudaGetErrorString(error) + " (" +
                           cudaGetErrorName(error) + ")");
}

/// A value of each thread of a block, in its registers.
template <class T, int kCount>
class PerThread {
 public:
  __device__ T& operator[](int) { return value_; }

 private:
  T value_;
};

template <int kCount>
struct Block {
  std::int64_t first;  ///< of the launch

  __device__ std::int64_t index() const { return first + blockIdx.x; }

  template <class Function>
  __device__ void each(const Function& function) const {
    function(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};

template <int kCount>
class Group {
 public:
  __device__ Group(std::int64_t index, std::int64_t slot) : index_(index), slot_(slot) {}
  __device__ std::int64_t index() const { return index_; }
  /// Which of the groups at work at a time this is.
  __device__ std::int64_t slot() const { return slot_; }

  template <class Function>
  __device__ void each(const Function& function) const {
    const int lane = threadIdx.x % kCount, first = threadIdx.x % kWarp - lane;
    const unsigned members = (kCount == kWarp ? ~0u : (1u << kCount % kWarp) - 1) << first;
    __syncwarp(members);  // others may still read what the function writes
    function(lane);
    __syncwarp(members);
  }

 private:
  static constexpr int kWarp = 32;
  static_assert(kWarp % kCount == 0, "a group must not straddle warps");

  std::int64_t index_, slot_;
};

template <class Body>
__global__ void __launch_bounds__(kThreads, Body::kBlocks) run(const Body body, std::int64_t count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) body(i);
}

template <class Body>
__global__ void __launch_bounds__(Body::kThreads) run_blocks(const Body body, std::int64_t first) {
  __shared__ typename Body::Shared shared;
  body(Block<Body::kThreads>{first}, shared);
}

/// Threads of a block of groups: few, since a multiprocessor hands out its registers by the block. It need
/// not hold more than one: else the compiler would rather spill some than let one block less in.
constexpr int kGroupThreads = 64, kGroupBlocks = 1;

/// A body whose functions are not inlined is read where the launch left it, not copied for each thread.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 700
#define CVX_LEFT_IN_PLACE
#else
#define CVX_LEFT_IN_PLACE __grid_constant__
#endif

template <class Body>
__global__ void __launch_bounds__(kGroupThreads, kGroupBlocks)
    run_groups(const CVX_LEFT_IN_PLACE Body body, std::int64_t count, std::int64_t slots) {
  constexpr int kGroups = kGroupThreads / Body::kThreads;
  __shared__ typename Body::Shared shared[kGroups];
  const int mine = threadIdx.x / Body::kThreads;
  const std::int64_t slot = std::int64_t{blockIdx.x} * kGroups + mine;
  if (slot >= slots) return;
  for (std::int64_t i = slot; i < count; i += slots) body(Group<Body::kThreads>(i, slot), shared[mine]);
}

constexpr std::int64_t kMostBlocks = 0x7fffffff;

template <class Body>
void launch(const char* name, std::int64_t count, const Body& body, Stream stream) {
  if (count <= 0) return;
  const std::int64_t blocks = (count + kThreads - 1) / kThreads;
  run<<<static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), kThreads, 0, stream>>>(body,
                                                                                                   count);
  check(cudaGetLastError(), name);
}

template <class Body>
void launch_blocks(const char* name, std::int64_t count, const Body& body, Stream stream) {
  for (std::int64_t first = 0; first < count; first += kMostBlocks) {
    const std::int64_t blocks = count - first < kMostBlocks ? count - first : kMostBlocks;
    run_blocks<<<static_cast<unsigned>(blocks), Body::kThreads, 0, stream>>>(body, first);
    check(cudaGetLastError(), name);
  }
}

/// Groups that the current device has room for at a time.
template <class Body>
std::int64_t groups_at_once() {
  int device = 0, processors = 0, blocks = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, run_groups<Body>, kGroupThreads, 0),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return std::int64_t{processors} * blocks * (kGroupThreads / Body::kThreads);
}

template <class Body>
void launch_groups(const char* name, std::int64_t count, std::int64_t most, const Body& body,
                   Stream stream) {
  if (count <= 0) return;
  constexpr int kGroups = kGroupThreads / Body::kThreads;
  const std::int64_t slots = count < most ? count : most, blocks = (slots + kGroups - 1) / kGroups;
  run_groups<<<static_cast<unsigned>(blocks), kGroupThreads, 0, stream>>>(body, count, slots);
  check(cudaGetLastError(), name);
}

#else

/// Whether threads and blocks run last to first: a body that waits for no barrier where it should gives
/// other results then.
inline bool& reversed() {
  static bool value = false;
  return value;
}

template <class Function>
void in_order(std::int64_t count, const Function& function) {
  for (std::int64_t i = 0; i < count; ++i) function(reversed() ? count - 1 - i : i);
}

template <class T, int kCount>
class PerThread {
 public:
  T& operator[](int thread) { return value_[thread]; }

 private:
  std::vector<T> value_ = std::vector<T>(kCount);
};

template <int kCount>
class Block {
 public:
  explicit Block(std::int64_t index) : index_(index) {}
  std::int64_t index() const { return index_; }

  template <class Function>
  void each(const Function& function) const {
    in_order(kCount, [&](std::int64_t thread) { function(static_cast<int>(thread)); });
  }

 private:
  std::int64_t index_;
};

template <int kCount>
class Group : public Block<kCount> {
 public:
  Group(std::int64_t index, std::int64_t slot) : Block<kCount>(index), slot_(slot) {}
  std::int64_t slot() const { return slot_; }

 private:
  std::int64_t slot_;
};

/// Few, so that one group after another meets what the last one left.
template <class Body>
std::int64_t groups_at_once() {
  return 3;
}

/// Leaves nothing of what a block had in shared memory: every double in it is not a number.
template <class Shared>
void forget(Shared& shared) {
  static_assert(std::is_trivially_copyable<Shared>::value, "shared memory holds plain data");
  std::memset(static_cast<void*>(&shared), 0xff, sizeof shared);
}

template <class Body>
void launch(const char*, std::int64_t count, const Body& body, Stream) {
  in_order(count, body);
}

template <class Body>
void launch_blocks(const char*, std::int64_t count, const Body& body, Stream) {
  const auto shared = std::make_unique<typename Body::Shared>();
  in_order(count, [&](std::int64_t index) {
    forget(*shared);
    body(Block<Body::kThreads>(index), *shared);
  });
}

template <class Body>
void launch_groups(const char*, std::int64_t count, std::int64_t most, const Body& body, Stream) {
  const auto shared = std::make_unique<typename Body::Shared>();
  const std::int64_t slots = count < most ? count : most;
  in_order(slots, [&](std::int64_t slot) {
    forget(*shared);
    for (std::int64_t i = slot; i < count; i += slots) body(Group<Body::kThreads>(i, slot), *shared);
  });
}

#endif

}  // namespace cuda
}  // namespace cvxbound
