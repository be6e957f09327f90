// Walks back through block maps, for kernels.
#pragma once

#include "block_map.hpp"
#include "maps.hpp"
#include "recursion.hpp"
#include "schedules.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// One schedule and its block maps.
class MapWalk {
 public:
  CVX_DEVICE MapWalk(const Maps& maps, const Row& row, std::int64_t item)
      : maps_(maps), row_(row), item_(item) {}

  /// From R over the first `steps` steps, last to first: R grows, and what there is of eta^2 G^2 / R adds
  /// up in `sum`. Blocks are taken whole where they are no longer than R.
  CVX_DEVICE CVX_NOINLINE void walk(std::int64_t steps, double& R, double& sum) const {
    std::int64_t edge = edge_before(steps);
    walk_steps(edge * Maps::kLeaf, steps, R, sum);
    while (edge > 0) {
      if (!(width(0, edge) <= R)) {
        --edge;
        walk_steps(edge * Maps::kLeaf, (edge + 1) * Maps::kLeaf, R, sum);
        continue;
      }
      int level = 0;
      while (is_edge(level + 1, edge) && width(level + 1, edge) <= R) ++level;
      jump(block(level, edge), R, sum);
      edge -= std::int64_t{1} << level;
    }
  }

  /// What is known of the first `steps` steps.
  struct Survey {
    double length;
    Extent extent;
  };
  CVX_DEVICE CVX_NOINLINE Survey survey(std::int64_t steps) const {
    Survey seen = {0, {0, -1}};
    std::int64_t edge = edge_before(steps);
    for (std::int64_t k = steps - 1; k >= edge * Maps::kLeaf; --k) {
      add(seen, row_.eta[k], row_.norm_at(k), row_.eta[k] > 0 ? k : -1);
    }
    while (edge > 0) {
      int level = 0;
      while (is_edge(level + 1, edge)) ++level;
      const Extent& extent = maps_.extents[number(level, edge)];
      add(seen, width(level, edge) * (maps_.tight ? 0.5 : 1.0), extent.largest_norm, extent.last_positive);
      edge -= std::int64_t{1} << level;
    }
    return seen;
  }

 private:
  CVX_DEVICE std::int64_t edge_before(std::int64_t steps) const {
    const std::int64_t edge = steps / Maps::kLeaf;
    return edge < maps_.leaves ? edge : maps_.leaves;
  }

  /// Whether a block of a level ends at an edge, a number of leaves.
  CVX_DEVICE static bool is_edge(int level, std::int64_t edge) {
    return (edge & ((std::int64_t{1} << level) - 1)) == 0;
  }

  /// The block of a level that ends at an edge.
  CVX_DEVICE std::int64_t number(int level, std::int64_t edge) const {
    return maps_.number(item_, level, (edge >> level) - 1);
  }
  CVX_DEVICE const double* block(int level, std::int64_t edge) const {
    return maps_.map(number(level, edge));
  }
  CVX_DEVICE double width(int level, std::int64_t edge) const { return block(level, edge)[0]; }

  CVX_DEVICE void walk_steps(std::int64_t begin, std::int64_t end, double& R, double& sum) const {
    for (std::int64_t k = end - 1; k >= begin; --k) {
      step_back(maps_.tight, row_.eta[k], row_.norm_at(k), R, R, sum);
    }
  }

  /// As BlockMap::jump, of any kind of map.
  CVX_DEVICE void jump(const double* record, double& R, double& sum) const {
    using Map = BlockMap<Last, false, kOrder>;
    vec inverse;
    const vec z = Map::block_variable(record[0], R, inverse);
    for (int c = 0; c < maps_.channels; ++c) {
      const double root = record[Map::kRoot + c];
      vec value;
      Map::template horner<1>(record + Map::kCoefficients + c * Map::kStride, &z, &value);
      const double part = root * value[0] * (root * inverse[0]);
      if (maps_.tight && c == 0) R += part;
      if (c + 1 == maps_.channels) sum += part;
    }
    R += record[0];
  }

  CVX_DEVICE static void add(Survey& seen, double length, double largest_norm, std::int64_t last_positive) {
    seen.length += length;
    if (largest_norm > seen.extent.largest_norm) seen.extent.largest_norm = largest_norm;
    if (seen.extent.last_positive < 0) seen.extent.last_positive = last_positive;
  }

  const Maps& maps_;
  const Row row_;
  const std::int64_t item_;
};

}  // namespace
}  // namespace cuda
}  // namespace cvxbound
