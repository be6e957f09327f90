#include "block_map.hpp"
#include "launch.hpp"
#include "map_walk.hpp"
#include "maps.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// Threads of a group that makes a map: a node each, then a coefficient each.
constexpr int kTeam = kMaxOrder;

/// Values at the nodes on their way to coefficients.
template <int kChannels>
struct Transformed {
  double value[kChannels][kTeam];
  double series[kChannels][kTeam];
};

/// Sums of a map from its nodes, in units of root^2 / width, and how they become coefficients.
template <class Map>
struct Team {
  using Shared = Transformed<Map::kChannels>;

  const Group<kTeam>& group;
  Shared& shared;
  const Basis& basis;

  /// sums(lane, sum) leaves the sums from R = block_node[lane] in sum[channel][0].
  template <class Sums>
  CVX_DEVICE void finish(const Sums& sums, const double* head, double* record) const {
    group.each([&](int lane) {
      if (lane >= kOrder) return;
      vec sum[Map::kChannels][1] = {};
      sums(lane, sum);
      for (int c = 0; c < Map::kChannels; ++c) {
        shared.value[c][lane] = sum[c][0][0] * (basis.block_node[lane] + kShift);
      }
    });
    group.each([&](int lane) {
      if (lane >= kOrder) return;
      for (int c = 0; c < Map::kChannels; ++c) {
        shared.series[c][lane] = product(basis.to_chebyshev, shared.value[c], lane);
      }
    });
    group.each([&](int lane) {
      if (lane < Map::kCoefficients) record[lane] = head[lane];
      if (lane >= kOrder) return;
      for (int c = 0; c < Map::kChannels; ++c) {
        record[Map::kCoefficients + c * Map::kStride + lane] =
            product(basis.to_monomial, shared.series[c], lane);
      }
    });
  }

  CVX_DEVICE static double product(const double (*matrix)[kMaxOrder], const double* x, int column) {
    vec sum = 0.0;
    for (int i = 0; i < kOrder; ++i) sum = fma(x[i], matrix[i][column], sum);
    return sum[0];
  }
};

/// Group i makes the map of leaf i % leaves of item i / leaves.
template <class Walked, bool kNorms>
struct MakeLeaves {
  using Map = BlockMap<Walked, kNorms, kOrder>;
  static constexpr int kThreads = kTeam;
  struct Shared {
    double eta[Maps::kLeaf], norm[Maps::kLeaf], root[Maps::kLeaf];
    typename Team<Map>::Shared transformed;
  };

  Pairs pairs;
  Maps maps;
  const Basis* basis;

  CVX_DEVICE void operator()(const Group<kThreads>& group, Shared& shared) const {
    const std::int64_t item = maps.item + group.index() / maps.leaves, leaf = group.index() % maps.leaves;
    const std::int64_t begin = leaf * Maps::kLeaf, number = maps.number(item, 0, leaf);
    const Row row = pairs.schedule(item);
    group.each([&](int lane) {
      for (int k = lane; k < Maps::kLeaf; k += kThreads) {
        shared.eta[k] = row.eta[begin + k];
        shared.norm[k] = row.norm_at(begin + k);
        shared.root[k] = shared.eta[k] * shared.norm[k];
      }
    });
    double length = 0;
    Extent extent = {0, -1};
    for (int k = 0; k < Maps::kLeaf; ++k) {
      length += shared.eta[k];
      if (shared.eta[k] > 0) extent.last_positive = begin + k;
      if (shared.norm[k] > extent.largest_norm) extent.largest_norm = shared.norm[k];
    }
    group.each([&](int lane) {
      if (lane == 0) maps.extents[number] = extent;
    });
    double head[Map::kCoefficients] = {};
    Map::leaf_head(shared.eta, shared.root, Maps::kLeaf, length, head);
    const auto sums = [&](int lane, vec(*sum)[1]) {
      if (!(length > 0)) return;
      const vec node = basis->block_node[lane];
      Map::template walk_in_units<1>(shared.eta, shared.root, Maps::kLeaf, head, &node, sum);
    };
    Team<Map>{group, shared.transformed, *basis}.finish(sums, head, maps.map(number));
  }
};

/// Group i makes the map of block i % count of a level of item i / count from those of the level below.
template <class Walked, bool kNorms>
struct Merge {
  using Map = BlockMap<Walked, kNorms, kOrder>;
  static constexpr int kThreads = kTeam;
  using Shared = typename Team<Map>::Shared;

  Maps maps;
  const Basis* basis;
  int level;

  CVX_DEVICE void operator()(const Group<kThreads>& group, Shared& shared) const {
    const std::int64_t count = maps.count(level);
    const std::int64_t item = maps.item + group.index() / count, index = group.index() % count;
    const std::int64_t number = maps.number(item, level, index);
    const std::int64_t child = maps.number(item, level - 1, 2 * index);
    const double *const left = maps.map(child), *const right = maps.map(child + 1);
    double head[Map::kCoefficients] = {};
    Map::merged_head(left, right, head);
    const auto sums = [&](int lane, vec(*sum)[1]) {
      if (!(head[0] > 0)) return;
      vec R = basis->block_node[lane];
      Map::template merged_sums<1>(left, right, head, &R, sum);
    };
    Team<Map>{group, shared, *basis}.finish(sums, head, maps.map(number));
    group.each([&](int lane) {
      if (lane == 0) maps.extents[number] = merged(maps.extents[child], maps.extents[child + 1]);
    });
  }

  CVX_DEVICE static Extent merged(const Extent& left, const Extent& right) {
    return {left.largest_norm > right.largest_norm ? left.largest_norm : right.largest_norm,
            right.last_positive >= 0 ? right.last_positive : left.last_positive};
  }
};

/// Groups at a time: more than any GPU runs together.
constexpr std::int64_t kManyGroups = std::int64_t{1} << 20;

template <class Walked, bool kNorms>
void fill(const Pairs& pairs, const Maps& maps, std::int64_t items, const Basis* basis, Stream stream) {
  static_assert(BlockMap<Walked, kNorms, kOrder>::kStride == kOrder, "one lane a vector");
  launch_groups("make_leaves", items * maps.leaves, kManyGroups,
                MakeLeaves<Walked, kNorms>{pairs, maps, basis}, stream);
  for (int level = 1; maps.count(level) > 0; ++level) {
    launch_groups("merge", items * maps.count(level), kManyGroups,
                  Merge<Walked, kNorms>{maps, basis, level}, stream);
  }
}

Maps layout(const Batch& batch, bool tight) {
  Maps maps = {};
  maps.tight = tight;
  maps.channels = tight && batch.norm ? 2 : 1;
  maps.record = BlockMap<Last, false, kOrder>::kCoefficients + maps.channels * kOrder;
  maps.leaves = (batch.steps - 1) / Maps::kLeaf;
  return maps;
}

std::int64_t item_size(const Maps& maps) {
  return maps.blocks() * (maps.record * static_cast<std::int64_t>(sizeof(double)) +
                          static_cast<std::int64_t>(sizeof(Extent)));
}

std::int64_t items_at_a_time(const Maps& maps, std::int64_t items, std::int64_t most) {
  const std::int64_t size = item_size(maps), fitting = size > 0 ? most / size : items;
  return fitting < 1 ? 1 : fitting < items ? fitting : items;
}

struct FastLast {
  static constexpr int kBlocks = 5;
  Pairs pairs;
  Maps maps;

  CVX_DEVICE void operator()(std::int64_t index) const {
    const std::int64_t i = maps.item * pairs.horizons() + index, item = i / pairs.horizons();
    const std::int64_t t = pairs.horizon(i);
    const Row row = pairs.schedule(item);
    const MapWalk walk(maps, row, item);
    const double rho = pairs.fixed_rho(row, t);
    if (!(rho > 0)) return pairs.write_last(i, row, t, 0, 0, walk.survey(t - 1).length);
    double R = rho, sum = 0;
    walk.walk(t - 1, R, sum);
    pairs.write_last(i, row, t, R, sum, 0);
  }
};

}  // namespace

std::size_t maps_size(const Batch& batch, bool tight, std::int64_t most) {
  const Maps maps = layout(batch, tight);
  return static_cast<std::size_t>(items_at_a_time(maps, batch.items, most) * item_size(maps));
}

Mapped make_maps(const Pairs& pairs, bool tight, std::int64_t item, void* workspace, const Tables* tables,
                 Stream stream, std::int64_t most) {
  Maps maps = layout(pairs.batch, tight);
  const std::int64_t together = items_at_a_time(maps, pairs.batch.items, most);
  const std::int64_t left = pairs.batch.items - item, items = together < left ? together : left;
  maps.item = item;
  maps.records = static_cast<double*>(workspace);
  maps.extents = reinterpret_cast<Extent*>(maps.records + together * maps.blocks() * maps.record);
  const Basis* basis = &tables->basis;
  if (tight) {
    pairs.batch.norm ? fill<Tight, true>(pairs, maps, items, basis, stream)
                     : fill<Tight, false>(pairs, maps, items, basis, stream);
  } else {
    pairs.batch.norm ? fill<Last, true>(pairs, maps, items, basis, stream)
                     : fill<Last, false>(pairs, maps, items, basis, stream);
  }
  return {maps, items};
}

void fast_last(const Pairs& pairs, void* workspace, const Tables* tables, Stream stream,
               std::int64_t most) {
  for (std::int64_t item = 0; item < pairs.batch.items;) {
    const Mapped mapped = make_maps(pairs, false, item, workspace, tables, stream, most);
    launch("fast_last", mapped.items * pairs.horizons(), FastLast{pairs, mapped.maps}, stream);
    item += mapped.items;
  }
}

}  // namespace cuda
}  // namespace cvxbound
