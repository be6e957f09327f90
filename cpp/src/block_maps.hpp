// Builds the block maps of one schedule (fast_kernels.hpp), and owns their memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "fast_kernels.hpp"

namespace cvxbound {

/// An array that grows, does not keep what it held, and is not touched before it is used.
template <class T>
class Scratch {
 public:
  T* reserve(std::int64_t size) {
    if (size > size_) {
      data_.reset(new T[static_cast<std::size_t>(size)]);
      size_ = size;
    }
    return data_.get();
  }

 private:
  std::unique_ptr<T[]> data_;
  std::int64_t size_ = 0;
};

/// Memory that serves one schedule after another.
struct MapsMemory {
  Scratch<double> maps;
  Scratch<Before> before;
};

/// Fills `tree` and `before` of a schedule whose other members are set, for its first `leaves` leaves.
/// O(leaf) time a leaf and O(1) a block; results do not depend on the number of threads.
void build_maps(const FastKernels& kernels, std::int64_t leaves, FastSchedule& schedule, MapsMemory& memory,
                int threads, const std::function<void()>& interrupt);

/// Blocks of all levels together.
std::int64_t block_count(std::int64_t leaves);

}  // namespace cvxbound
