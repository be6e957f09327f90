// All horizons of `last`, a tile of targets a block, against tiles of sources.
//
// Eight neighbouring sources are one rational function num(x) / den(x) of the distance x from their end
// (see RationalGroup): 20 operations for eight pairs, of which 15 for num and den, 3 for the reciprocal,
// one to add and one to move on. A thread has four targets, which share each load of a coefficient, and a
// block is small, so that one schedule is spread over all of a GPU.
//
// Coefficients are in units of the largest step and the largest root eta G of their tile, rounded up to
// powers of two, so that a product of eight factors stays in range wherever x is in [kLow, kHigh] and what
// underflows is below 1e-150 of the sum over the tile. Any other distance takes a division a source.
#include <algorithm>
#include <cmath>

#include "direct.hpp"
#include "launch.hpp"
#include "rational.hpp"
#include "reciprocal.hpp"
#include "recursion.hpp"

namespace cvxbound {
namespace cuda {
namespace {

constexpr int kGroups = kTile / kGroup;
constexpr double kLow = 0x1p-64, kHigh = 0x1p120;

/// Items take turns where they would need more than this.
constexpr std::int64_t kMostWorkspace = std::int64_t{1} << 26;

/// A tile of sources.
struct alignas(16) Tile {
  struct alignas(16) Power {
    double num, den;  ///< coefficients of a power of x; that of x^8 in den is 1
  };
  static constexpr int kPadding = 28;
  Power power[kGroups][kGroup];
  double width[kGroups];     ///< of a group, in units of the largest step
  double length;             ///< sum of the steps
  double unit;               ///< 1 / the unit of steps, 0 where one of the units is out of range
  double factor;             ///< unit of the sums; 0 where no source has any weight
  double padding[kPadding];  ///< to as many words for each thread that copies it, zeros
};

/// Tiles of a schedule.
CVX_PORTABLE inline std::int64_t tiles_of(std::int64_t steps) { return (steps + kTile - 1) / kTile; }

/// n with x <= 2^n, within a factor of two.
CVX_DEVICE inline int exponent_above(double x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  return exponent;
}

/// Makes a tile, a thread a group.
struct MakeTile {
  static constexpr int kThreads = kGroups;
  struct Shared {
    double eta[kTile], root[kTile];
    double largest_eta[kThreads], largest_root[kThreads];
    double length[kThreads];  ///< of groups
  };

  Pairs pairs;
  std::int64_t first_item, tiles;
  Tile* result;

  CVX_DEVICE void operator()(const Block<kThreads>& block, Shared& shared) const {
    const Row row = pairs.schedule(first_item + block.index() / tiles);
    const std::int64_t first = block.index() % tiles * kTile, left = pairs.batch.steps - first;
    Tile& tile = result[block.index()];
    block.each([&](int thread) {
      double largest_eta = 0, largest_root = 0;
      for (int i = thread; i < kTile; i += kThreads) {
        const double eta = i < left ? row.eta[first + i] : 0.0;
        const double root = i < left ? eta * row.norm_at(first + i) : 0.0;
        shared.eta[i] = eta;
        shared.root[i] = root;
        if (eta > largest_eta) largest_eta = eta;
        if (root > largest_root) largest_root = root;
      }
      shared.largest_eta[thread] = largest_eta;
      shared.largest_root[thread] = largest_root;
    });
    block.each([&](int group) {
      double unit, root_unit, factor;
      choose_units(shared, unit, root_unit, factor);
      combine(shared, group, unit, root_unit, tile);
      double length = 0;
      for (int i = kGroup - 1; i >= 0; --i) length += shared.eta[group * kGroup + i];
      shared.length[group] = length;
      for (int i = group; i < Tile::kPadding; i += kThreads) tile.padding[i] = 0;
      if (group > 0) return;
      tile.unit = unit;
      tile.factor = factor;
    });
    block.each([&](int thread) {
      if (thread > 0) return;
      Accumulator length;
      for (int group = kGroups - 1; group >= 0; --group) length.add(shared.length[group]);
      tile.length = length.value();
    });
  }

 private:
  /// What steps and roots are multiplied by, and what sums are multiplied by after that.
  CVX_DEVICE static void choose_units(const Shared& shared, double& unit, double& root_unit,
                                      double& factor) {
    double largest_eta = 0, largest_root = 0;
    for (int i = 0; i < kThreads; ++i) {
      if (shared.largest_eta[i] > largest_eta) largest_eta = shared.largest_eta[i];
      if (shared.largest_root[i] > largest_root) largest_root = shared.largest_root[i];
    }
    const int e = exponent_above(largest_eta), r = exponent_above(largest_root);
    const bool in_range =
        largest_root < kInfinity && in_normal_range(e) && in_normal_range(r) && in_normal_range(2 * r - e);
    unit = in_range ? std::ldexp(1.0, -e) : 0.0;
    root_unit = in_range ? std::ldexp(1.0, -r) : 0.0;
    factor = largest_root > 0 ? in_range ? std::ldexp(1.0, 2 * r - e) : 1.0 : 0.0;
  }

  CVX_DEVICE static bool in_normal_range(int exponent) { return exponent > -1000 && exponent < 1000; }

  CVX_DEVICE static void combine(const Shared& shared, int group, double unit, double root_unit,
                                 Tile& tile) {
    vec num[kGroup + 1] = {}, den[kGroup + 1] = {}, y = 0.0;
    den[0] = 1.0;
    for (int done = 0; done < kGroup; ++done) {
      const int k = group * kGroup + kGroup - 1 - done;
      const vec root = shared.root[k] * root_unit;
      add_source(root * root, y, done, num, den);
      y += shared.eta[k] * unit;
    }
    for (int i = 0; i < kGroup; ++i) tile.power[group][i] = {num[i].lane, den[i].lane};
    tile.width[group] = y.lane;
  }
};

/// Targets of a tile; thread i has the targets i, i + kThreads, ... of it.
struct DirectLast {
  static constexpr int kThreads = 64, kTargets = kTile / kThreads;
  struct Shared {
    Tile tile[2];
  };
  struct Targets {
    double R[kTargets];    ///< at the beginning of their own tile
    double sum[kTargets];  ///< of root^2 / R
    Accumulator gap;       ///< from there to the end of the next tile of sources
  };

  Pairs pairs;
  std::int64_t first_item, items, tiles;
  const Tile* sources;  ///< [items, tiles]

  /// Targets with the most sources come first.
  CVX_DEVICE void operator()(const Block<kThreads>& block, Shared& shared) const {
    const std::int64_t item = block.index() % items, own = tiles - 1 - block.index() / items;
    const Row row = pairs.schedule(first_item + item);
    const Tile* source = sources + item * tiles;
    const std::int64_t targets_here = pairs.batch.steps - own * kTile;
    PerThread<Targets, kThreads> targets;
    block.each([&](int thread) {
      double words[kWords];
      read(source[own], thread, words);
      keep(words, thread, shared.tile[0]);
    });
    int half = 0;
    block.each([&](int thread) {
      double words[kWords];
      read(source[own > 0 ? own - 1 : 0], thread, words);
      if (thread < targets_here) begin(row, own, thread, shared.tile[0], targets[thread]);
      keep(words, thread, shared.tile[1]);
    });
    for (std::int64_t tile = own - 1; tile >= 0; --tile) {
      half = 1 - half;
      block.each([&](int thread) {
        double words[kWords];
        read(source[tile > 0 ? tile - 1 : 0], thread, words);
        if (thread < targets_here) add_tile(row, tile, shared.tile[half], targets[thread]);
        keep(words, thread, shared.tile[1 - half]);
      });
    }
    block.each([&](int thread) {
      const Targets& done = targets[thread];
      for (int v = 0; v < kTargets; ++v) {
        if (thread + v * kThreads >= targets_here) return;
        const std::int64_t k = own * kTile + thread + v * kThreads;
        const double R = done.R[v] + done.gap.value();
        pairs.write_last((first_item + item) * pairs.batch.steps + k, row, k + 1, R, done.sum[v], R);
      }
    });
  }

 private:
  /// Words of a tile for each thread; the next tile is read while one is at work.
  static constexpr int kWords = sizeof(Tile) / sizeof(double) / kThreads;
  static_assert(kWords * kThreads * sizeof(double) == sizeof(Tile), "all of a tile must be copied");

  CVX_DEVICE static void read(const Tile& tile, int thread, double* words) {
    const auto* all = reinterpret_cast<const double*>(&tile);
    for (int i = 0; i < kWords; ++i) words[i] = all[thread + i * kThreads];
  }

  CVX_DEVICE static void keep(const double* words, int thread, Tile& tile) {
    auto* all = reinterpret_cast<double*>(&tile);
    for (int i = 0; i < kWords; ++i) all[thread + i * kThreads] = words[i];
  }

  /// From the virtual last steps to the beginning of the targets' own tile. Where the last step is zero, R
  /// is what moved before it and the sum has no meaning.
  CVX_DEVICE void begin(const Row& row, std::int64_t own, int thread, const Tile& tile,
                        Targets& targets) const {
    const std::int64_t first = own * kTile, last = pairs.batch.steps - 1;
    const int inside = thread % kGroup, before = thread / kGroup;
    double unused = 0;
    for (int v = 0; v < kTargets; ++v) {
      const std::int64_t k = first + thread + v * kThreads;
      targets.R[v] = pairs.fixed_rho(row, (k < last ? k : last) + 1);
      targets.sum[v] = 0;
    }
    targets.gap = {};
    for (int back = 1; back <= inside; ++back) {
      for (int v = 0; v < kTargets; ++v) {
        const std::int64_t k = first + thread + v * kThreads - back;
        if (k > last) continue;
        Last::step<true>(row.eta[k], row.norm_at(k), targets.R[v], unused, targets.sum[v]);
      }
    }
    vec x[kTargets], part[kTargets];
    if (scale(targets.R, tile, x)) {
      add_groups<true>(tile, before, x, part);
      for (int v = 0; v < kTargets; ++v) {
        targets.R[v] = (x[v] / tile.unit).lane;
        targets.sum[v] = fma(tile.factor, part[v], targets.sum[v]).lane;
      }
    } else {
      divide(row, first, before * kGroup, kThreads, targets.R, targets.sum);
    }
  }

  /// Another tile of sources.
  CVX_DEVICE void add_tile(const Row& row, std::int64_t index, const Tile& tile, Targets& targets) const {
    const double gap = targets.gap.value();
    double R[kTargets];
    vec x[kTargets], part[kTargets];
    for (int v = 0; v < kTargets; ++v) R[v] = targets.R[v] + gap;
    targets.gap.add(tile.length);
    if (tile.factor == 0) return;
    if (scale(R, tile, x)) {
      add_groups<false>(tile, kGroups, x, part);
      for (int v = 0; v < kTargets; ++v) {
        targets.sum[v] = fma(tile.factor, part[v], targets.sum[v]).lane;
      }
    } else {
      divide(row, index * kTile, kTile, 0, R, targets.sum);
    }
  }

  /// Distances in the units of a tile; false where one is out of range.
  CVX_DEVICE static bool scale(const double* R, const Tile& tile, vec* x) {
    bool in_range = true;
    for (int v = 0; v < kTargets; ++v) {
      x[v] = R[v] * tile.unit;
      in_range &= x[v] >= kLow && x[v] <= kHigh;
    }
    return in_range;
  }

  /// Sums over the groups of a tile from distances x from its end, which become those from its beginning.
  /// Where the tile is the targets' own, only groups before `end` count, kThreads / kGroup more for each
  /// next target.
  template <bool kOwn>
  CVX_DEVICE static void add_groups(const Tile& tile, int end, vec* x, vec* part) {
    constexpr int kNext = kThreads / kGroup;
    for (int v = 0; v < kTargets; ++v) part[v] = 0.0;
    const int last = kOwn ? end + (kTargets - 1) * kNext : kGroups;
    for (int group = last; group-- > 0;) {
      vec top[kTargets], bottom[kTargets];
      evaluate(tile.power[group], x, top, bottom);
      const double width = tile.width[group];
      for (int v = 0; v < kTargets; ++v) {
        if (kOwn && group >= end + v * kNext) continue;
        part[v] = fma(top[v], reciprocal(bottom[v]), part[v]);
        x[v] += width;
      }
    }
  }

  CVX_DEVICE static void evaluate(const Tile::Power* powers, const vec* x, vec* top, vec* bottom) {
    const Tile::Power highest = powers[kGroup - 1];
    for (int v = 0; v < kTargets; ++v) {
      top[v] = highest.num;
      bottom[v] = x[v] + highest.den;
    }
    for (int i = kGroup - 2; i >= 0; --i) {
      const Tile::Power power = powers[i];
      for (int v = 0; v < kTargets; ++v) {
        top[v] = fma(top[v], x[v], power.num);
        bottom[v] = fma(bottom[v], x[v], power.den);
      }
    }
  }

  /// The same for any distance: the first `end` steps of a tile, `next` more for each next target.
  CVX_DEVICE void divide(const Row& row, std::int64_t first, int end, int next, double* R,
                         double* sum) const {
    const std::int64_t left = pairs.batch.steps - first, last = end + (kTargets - 1) * next;
    double unused = 0;
    for (std::int64_t k = (last < left ? last : left) - 1; k >= 0; --k) {
      const double eta = row.eta[first + k], norm = row.norm_at(first + k);
      for (int v = 0; v < kTargets; ++v) {
        if (k < end + v * next) Last::step<true>(eta, norm, R[v], unused, sum[v]);
      }
    }
  }
};

/// Items whose tiles are in the workspace at a time.
std::int64_t items_at_a_time(const Pairs& pairs) {
  const auto tiles = kMostWorkspace / static_cast<std::int64_t>(sizeof(Tile));
  return std::min(pairs.batch.items, tiles / (tiles_of(pairs.batch.steps) + 1) + 1);
}

}  // namespace

std::size_t direct_size(const Pairs& pairs) {
  return static_cast<std::size_t>(items_at_a_time(pairs) * tiles_of(pairs.batch.steps)) * sizeof(Tile);
}

void direct_last(const Pairs& pairs, void* workspace, Stream stream) {
  const std::int64_t tiles = tiles_of(pairs.batch.steps), most = items_at_a_time(pairs);
  auto* sources = static_cast<Tile*>(workspace);
  for (std::int64_t first = 0; first < pairs.batch.items; first += most) {
    const std::int64_t items = std::min(most, pairs.batch.items - first);
    launch_blocks("direct_last", items * tiles, MakeTile{pairs, first, tiles, sources}, stream);
    launch_blocks("direct_last", items * tiles, DirectLast{pairs, first, items, tiles, sources}, stream);
  }
}

}  // namespace cuda
}  // namespace cvxbound
