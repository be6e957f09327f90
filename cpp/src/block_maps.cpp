#include "block_maps.hpp"

#include <algorithm>

#include "parallel.hpp"
#include "schedule.hpp"

namespace cvxbound {
namespace {

/// Leaves whose maps, with all that is built on them, are one unit of work.
constexpr std::int64_t kUnitLeaves = 512;

/// What the leaves found of themselves becomes what lies before each edge.
void accumulate(const FastSchedule& schedule) {
  Accumulator length;
  for (std::int64_t leaf = 1; leaf <= schedule.tree.leaves; ++leaf) {
    Before& now = schedule.before[leaf];
    const Before& last = schedule.before[leaf - 1];
    length.add(now.length);
    now.length = length.value();
    now.largest_norm = std::max(now.largest_norm, last.largest_norm);
    if (now.last_positive < 0) now.last_positive = last.last_positive;
  }
}

}  // namespace

std::int64_t block_count(std::int64_t leaves) {
  std::int64_t blocks = 0;
  for (; leaves > 0; leaves /= 2) blocks += leaves;
  return blocks;
}

void build_maps(const FastKernels& kernels, std::int64_t leaves, FastSchedule& schedule, MapsMemory& memory,
                int threads, const std::function<void()>& interrupt) {
  BlockTree& tree = schedule.tree;
  tree.leaves = leaves;
  double* next = memory.maps.reserve(block_count(leaves) * kernels.record);
  for (int level = 0; leaves >> level > 0; ++level) {
    tree.level[level] = next;
    next += (leaves >> level) * kernels.record;
  }
  schedule.before = memory.before.reserve(leaves + 1);
  schedule.before[0] = {0, schedule.norm ? 0.0 : 1.0, -1};
  int unit_levels = 0;
  while (kUnitLeaves >> unit_levels > 0) ++unit_levels;
  parallel_for((leaves + kUnitLeaves - 1) / kUnitLeaves, threads,
               [&](std::int64_t unit, int) {
                 std::int64_t first = unit * kUnitLeaves, last = std::min(first + kUnitLeaves, leaves);
                 kernels.leaves(schedule, first, last);
                 for (int level = 1; level < unit_levels; ++level) {
                   first /= 2;
                   last /= 2;
                   if (first < last) kernels.merge(schedule, level, first, last);
                 }
               },
               interrupt);
  for (int level = unit_levels; leaves >> level > 0; ++level) {
    kernels.merge(schedule, level, 0, leaves >> level);
  }
  accumulate(schedule);
}

}  // namespace cvxbound
