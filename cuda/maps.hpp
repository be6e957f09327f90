// Block maps (fast_kernels.hpp) of the schedules of a batch, in the workspace, and what needs nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cvxbound_cuda.hpp"
#include "portable.hpp"
#include "schedules.hpp"
#include "tables.hpp"

namespace cvxbound {
namespace cuda {

/// Besides its map, what is known of the steps of a block.
struct Extent {
  double largest_norm;
  std::int64_t last_positive;  ///< index of the last step that is not zero, -1 for none
};

/// Maps of all complete aligned blocks of kLeaf 2^level steps before the last horizon, for some items of a
/// batch: item by item, and of an item level by level.
struct Maps {
  static constexpr int kLeaf = 32;

  bool tight;
  int channels;         ///< sums of a block, the last one the noise (block_map.hpp)
  int record;           ///< doubles of a map
  std::int64_t leaves;  ///< of an item
  std::int64_t item;    ///< the first item that is there
  double* records;
  Extent* extents;

  CVX_PORTABLE std::int64_t count(int level) const { return leaves >> level; }
  /// Blocks of an item, all levels together.
  CVX_PORTABLE std::int64_t blocks() const { return blocks_from(leaves); }
  CVX_PORTABLE std::int64_t number(std::int64_t i, int level, std::int64_t index) const {
    return (i + 1 - item) * blocks() - blocks_from(count(level)) + index;
  }
  CVX_PORTABLE double* map(std::int64_t number) const { return records + number * record; }

 private:
  /// Blocks of a level that has `count` of them, and of all above: count + count / 2 + count / 4 + ...
  CVX_PORTABLE static std::int64_t blocks_from(std::int64_t count) {
#if defined(__CUDA_ARCH__)
    return 2 * count - __popcll(count);
#else
    return 2 * count - __builtin_popcountll(static_cast<unsigned long long>(count));
#endif
  }
};

/// Most bytes of the maps that are there at a time, unless those of one item take more.
constexpr std::int64_t kMostMaps = std::int64_t{1} << 30;

/// Bytes of workspace for the maps of as many items of a batch as are done at a time.
std::size_t maps_size(const Batch& batch, bool tight, std::int64_t most = kMostMaps);

/// Makes the maps of items from `item` on, as many as fit, and says how many those are. O(steps) an item,
/// log2(steps) launches.
struct Mapped {
  Maps maps;
  std::int64_t items;
};
Mapped make_maps(const Pairs& pairs, bool tight, std::int64_t item, void* workspace, const Tables* tables,
                 Stream stream, std::int64_t most = kMostMaps);

/// `last` with a fixed last step at each pair, a thread a pair: O(log t) operations after the maps.
/// `workspace` has maps_size bytes.
void fast_last(const Pairs& pairs, void* workspace, const Tables* tables, Stream stream,
               std::int64_t most = kMostMaps);

}  // namespace cuda
}  // namespace cvxbound
