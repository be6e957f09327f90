// Compiled once per instruction set, with CVXBOUND_KERNELS naming the table it defines. Nothing else
// may leave this translation unit: no std templates, internal linkage throughout (see simd.hpp).
#include "kernels.hpp"

#include "rational.hpp"
#include "recursion.hpp"
#include "simd.hpp"

namespace cvxbound {
namespace {

constexpr double kInf = __builtin_inf();

/// Between these, a product of four distances and the numerators over it neither overflow nor lose
/// digits that matter next to the rest of the sum.
constexpr double kSafeLow = 0x1p-120;
constexpr double kSafeHigh = 0x1p120;

Range scan(const double* x, std::int64_t n) {
  const vec zero = {}, inf = broadcast(kInf);
  vec low = inf, smallest = inf, largest = -inf, sum = zero;
  const auto take = [&](vec v) {
    low = min(low, v);
    smallest = min(smallest, v > zero ? v : inf);
    largest = max(largest, v);
    sum += v;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) take(load(x + i));
  Range range{kInf, kInf, -kInf, sum_of_lanes(sum)};
  const auto merge = [&](double l, double s, double h) {
    if (l < range.low) range.low = l;
    if (s < range.smallest) range.smallest = s;
    if (h > range.largest) range.largest = h;
  };
  for (int j = 0; j < kLanes; ++j) merge(low[j], smallest[j], largest[j]);
  for (; i < n; ++i) {
    merge(x[i], x[i] > 0 ? x[i] : kInf, x[i]);
    range.sum += x[i];
  }
  return range;
}

// ---------------------------------------------------------------------------------------------
// `last` at one horizon. A lane holds four neighbouring steps; distances inside a block of lanes are
// formed in the block and then added to the distance of the block from the target.

constexpr int kBlock = 4 * kLanes;
constexpr int kBlocksPerFlush = 64;

/// Asks the second-level cache for the lines of a block a thousand steps before this one: left to
/// itself, the hardware follows a backward stream at two thirds of the speed. The address may lie before
/// the array.
inline void prefetch_before(const double* block) {
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(block) - 1024 * sizeof(double);
  for (std::uintptr_t line = 0; line < kBlock * sizeof(double); line += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(first + line), 0, 2);
  }
}

/// sum of root^2 / R for roots = eta G of any size: x * (x / R) survives where x * x does not.
inline vec any_fractions(const vec* root, const vec* R) {
  vec sum = {};
  for (int i = 0; i < 4; ++i) sum += root[i] * (root[i] / R[i]);
  return sum;
}

/// The first steps of the run, with zeros before them, which add nothing.
inline void pad_front(const double* x, std::int64_t count, double* block) {
  for (int i = 0; i < kBlock; ++i) {
    const std::int64_t k = count - kBlock + i;
    block[i] = k < 0 ? 0 : x[k];
  }
}

template <bool kNorms>
Walk walk_last(const double* eta, const double* norm, std::int64_t steps, double rho) {
  double distance = rho, distance_low = 0, sum = 0, sum_low = 0;
  vec part = {}, largest_norm = {};
  bits signs = {};
  double first_eta[kBlock], first_norm[kBlock];
  int blocks = 0;
  for (std::int64_t end = steps; end > 0; end -= kBlock) {
    const double* e = eta + end - kBlock;
    const double* g = kNorms ? norm + end - kBlock : nullptr;
    if (end < kBlock) {
      pad_front(eta, end, first_eta);
      e = first_eta;
      if (kNorms) pad_front(norm, end, first_norm), g = first_norm;
    }
    prefetch_before(e);
    if constexpr (kNorms) prefetch_before(g);
    vec root[4], R[4];
    load_columns(e, root);
    const vec two = root[3] + root[2], three = two + root[1], four = three + root[0];
    const vec later = sum_of_later_lanes(four);
    const double width = later[0] + four[0];
    R[3] = broadcast(distance) + later;
    R[2] = R[3] + root[3];
    R[1] = R[3] + two;
    R[0] = R[3] + three;
    signs |= (bits)root[0] | (bits)root[1] | (bits)root[2] | (bits)root[3];
    if constexpr (kNorms) {
      vec norms[4];
      load_columns(g, norms);
      for (int i = 0; i < 4; ++i) {
        signs |= (bits)norms[i];
        largest_norm = max(largest_norm, norms[i]);
        root[i] *= norms[i];
      }
    }
    if (__builtin_expect(distance > kSafeLow && distance + width < kSafeHigh, 1)) {
      const vec q[4] = {root[0] * root[0], root[1] * root[1], root[2] * root[2], root[3] * root[3]};
      part += four_fractions(q, R);
    } else {
      part += any_fractions(root, R);
    }
    double rounding;
    distance = two_sum(distance, width, rounding);
    distance_low += rounding;
    if (++blocks == kBlocksPerFlush) {
      sum = two_sum(sum, sum_of_lanes(part), rounding);
      sum_low += rounding;
      distance = two_sum(distance, distance_low, distance_low);
      part = vec{};
      blocks = 0;
    }
  }
  Walk walk{distance + distance_low, sum + (sum_low + sum_of_lanes(part)), 0, false};
  for (int i = 0; i < kLanes; ++i) {
    walk.sign |= signs[i] < 0;
    if (largest_norm[i] > walk.largest_norm) walk.largest_norm = largest_norm[i];
  }
  return walk;
}

Walk walk_last(const double* eta, const double* norm, std::int64_t steps, double rho) {
  return norm ? walk_last<true>(eta, norm, steps, rho) : walk_last<false>(eta, norm, steps, rho);
}

// ---------------------------------------------------------------------------------------------
// Either recursion from many rho at once. Lanes are starting points; each step of the chain is one
// dependent division, so kWalkers / kLanes vectors are kept in flight.

/// Steps between two normalisations of the running values. Inside, increments are collected apart
/// from the value they belong to, which bounds the drift of equal increments to 64 roundings.
constexpr int kStretch = 64;

template <bool kSafe>
void walk_many(const Chain& chain, Walkers& walkers) {
  constexpr int kVectors = kWalkers / kLanes;
  vec start[kVectors], grown[kVectors], R[kVectors], part[kVectors];
  for (std::int64_t end = chain.length; end > 0; end -= kStretch) {
    const std::int64_t begin = end > kStretch ? end - kStretch : 0;
    for (int v = 0; v < kVectors; ++v) {
      start[v] = load(walkers.distance + v * kLanes);
      grown[v] = load(walkers.distance_low + v * kLanes);
      R[v] = start[v] + grown[v];
      part[v] = load(walkers.sum_low + v * kLanes);
    }
    for (std::int64_t k = end - 1; k >= begin; --k) {
      const vec linear = broadcast(chain.linear[k]);
      const vec square = broadcast(chain.square[k]);
      const vec noise = broadcast(chain.noise[k]);
      if constexpr (kSafe) {
        for (int v = 0; v < kVectors; v += 2) {
          const vec both = broadcast(1.0) / (R[v] * R[v + 1]);
          const vec inverse[2] = {both * R[v + 1], both * R[v]};
          for (int w = 0; w < 2; ++w) {
            // All but one multiply-add of the next R is ready before the division is.
            const vec next = grown[v + w] + linear;
            part[v + w] = fma(noise, inverse[w], part[v + w]);
            R[v + w] = fma(square, inverse[w], start[v + w] + next);
            grown[v + w] = fma(square, inverse[w], next);
          }
        }
      } else {
        for (int v = 0; v < kVectors; ++v) {
          // noise and square are given as roots here: x * (x / R) survives where x * x does not.
          part[v] += noise * (noise / R[v]);
          grown[v] += linear + square * (square / R[v]);
          R[v] = start[v] + grown[v];
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      vec low;
      store(walkers.distance + v * kLanes, two_sum(start[v], grown[v], low));
      store(walkers.distance_low + v * kLanes, low);
      store(walkers.sum + v * kLanes, two_sum(load(walkers.sum + v * kLanes), part[v], low));
      store(walkers.sum_low + v * kLanes, low);
    }
  }
}

void walk_many(const Chain& chain, bool safe, Walkers& walkers) {
  safe ? walk_many<true>(chain, walkers) : walk_many<false>(chain, walkers);
}

// ---------------------------------------------------------------------------------------------
// `last` at all targets of a tile. Lanes are targets.

/// Vectors of targets that share each load of a coefficient: enough independent chains of
/// multiply-adds to fill two pipes of latency four.
constexpr int kShared = 4;

/// Sources inside the target tile, nearest first. On return R is the distance of each target from
/// the start of its tile.
void near_field(const double* eta, const double* norm, double* R, double* sum) {
  // Steps before the tile are replaced by zeros: they belong to the far field.
  double step[2 * kTile] = {}, weight[2 * kTile];
  for (int i = 0; i < kTile; ++i) {
    step[kTile + i] = eta[i];
    weight[i] = weight[kTile + i] = norm ? norm[i] : 1.0;
  }
  for (int first = 0; first < kTile; first += kLanes) {
    vec distance = load(R + first), total = {}, unused = {};
    for (int back = 1; back < first + kLanes; ++back) {
      const int source = kTile + first - back;
      Last::step<true>(load(step + source), load(weight + source), distance, unused, total);
    }
    store(R + first, distance);
    store(sum + first, total);
  }
}

void far_tile(const RationalGroup* groups, const vec* x, vec* sum) {
  for (int g = 0; g < kTile / kGroup; ++g) add_rational<kShared>(groups[g].num, groups[g].den, 1, x, sum);
}

/// The same for any range of steps: a division a pair.
void far_tile_unsafe(const TiledSteps& steps, std::int64_t tile, const vec* x, vec* sum) {
  for (std::int64_t k = tile * kTile; k < (tile + 1) * kTile; ++k) {
    const vec offset = broadcast(steps.offset[k]);
    const vec root = broadcast(steps.norm ? steps.eta[k] * steps.norm[k] : steps.eta[k]);
    for (int v = 0; v < kShared; ++v) sum[v] += root * (root / (x[v] + offset));
  }
}

void last_tile(const TiledSteps& steps, std::int64_t tile, const double* rho, double* distance,
               double* sum) {
  constexpr int kStride = kShared * kLanes;
  const std::int64_t first = tile * kTile;
  double start[kTile];
  std::memcpy(start, rho, sizeof start);
  near_field(steps.eta + first, steps.norm ? steps.norm + first : nullptr, start, sum);
  double gap = 0, gap_low = 0;
  for (std::int64_t source = tile - 1; source >= 0; --source) {
    for (int t = 0; t < kTile; t += kStride) {
      vec x[kShared], total[kShared];
      for (int v = 0; v < kShared; ++v) {
        x[v] = load(start + t + v * kLanes) + broadcast(gap + gap_low);
        total[v] = load(sum + t + v * kLanes);
      }
      if (steps.groups) {
        far_tile(steps.groups + source * (kTile / kGroup), x, total);
      } else {
        far_tile_unsafe(steps, source, x, total);
      }
      for (int v = 0; v < kShared; ++v) store(sum + t + v * kLanes, total[v]);
    }
    double rounding;
    gap = two_sum(gap, steps.width[source], rounding);
    gap_low += rounding;
  }
  for (int t = 0; t < kTile; ++t) distance[t] = start[t] + (gap + gap_low);
}

}  // namespace

extern const FastTable CVXBOUND_FAST_KERNELS;
extern const AdjointTable CVXBOUND_ADJOINT_KERNELS;
extern const SegmentKernels CVXBOUND_SEGMENT_KERNELS;
extern const Kernels CVXBOUND_KERNELS;
const Kernels CVXBOUND_KERNELS = {CVXBOUND_KERNELS_NAME,
                                  scan,
                                  walk_last,
                                  walk_many,
                                  last_tile,
                                  &CVXBOUND_FAST_KERNELS,
                                  &CVXBOUND_ADJOINT_KERNELS,
                                  &CVXBOUND_SEGMENT_KERNELS};

}  // namespace cvxbound
