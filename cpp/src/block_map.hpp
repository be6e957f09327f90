// Block maps (fast_kernels.hpp): how they are made, merged and applied. Compiled once per instruction set.
#pragma once

#include "fast_kernels.hpp"
#include "rational.hpp"
#include "recursion.hpp"
#include "simd.hpp"

namespace cvxbound {
namespace {

/// sqrt(a^2 + b^2) for a, b >= 0 of any size.
CVX_PORTABLE inline double hypotenuse(double a, double b) {
  const double large = a > b ? a : b, small = a > b ? b : a;
  if (!(large > 0)) return 0;
  const double ratio = small / large;
  return large * __builtin_sqrt(1 + ratio * ratio);
}

CVX_PORTABLE inline double square_of_ratio(double part, double whole) {
  if (!(whole > 0)) return 0;
  const double ratio = part / whole;
  return ratio * ratio;
}

/// The operations on the maps of one recursion; everything is static.
template <class Walked, bool kNorms, int kOrder>
struct BlockMap {
  static constexpr Recursion kRecursion = Walked::recursion;
  static constexpr bool kSquare = kRecursion.square > 0;
  /// Sums kept for a block: of eta^2 / R, which R grows by, and of (eta G)^2 / R, the noise; one where
  /// the first is not needed or is the second.
  static constexpr int kChannels = kSquare && kNorms ? 2 : 1;
  static constexpr int kNoise = kChannels - 1;
  /// Vectors that hold a value for each node, and coefficients.
  static constexpr int kVectors = (kOrder + kLanes - 1) / kLanes;
  static constexpr int kStride = kVectors * kLanes;
  static_assert(kStride <= kMaxOrder, "padding must fit");
  /// A record: width, roots of the sums of squares, coefficients.
  static constexpr int kRoot = 1;
  static constexpr int kCoefficients = 4;
  static constexpr int kRecord = kCoefficients + kChannels * kStride;

  /// Maps of leaves [first, last).
  static void leaves(const FastSchedule& s, std::int64_t first, std::int64_t last) {
    for (std::int64_t leaf = first; leaf < last; ++leaf) leaf_map(s, leaf);
  }

  /// Maps of blocks [first, last) of a level from those of the level below.
  static void merge(const FastSchedule& s, int level, std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const double* left = s.tree.level[level - 1] + 2 * i * kRecord;
      merged_map(*s.basis, left, left + kRecord, s.tree.level[level] + i * kRecord);
    }
  }

  CVX_PORTABLE static double norm_at(const FastSchedule& s, std::int64_t k) {
    return kNorms ? s.norm[k] : 1.0;
  }

  /// What a walk carries for R, and back.
  CVX_PORTABLE static vec state_of(vec R) { return Walked::kRooted ? sqrt(R) : R; }
  CVX_PORTABLE static vec distance_of(vec state) { return Walked::kRooted ? state * state : state; }

  /// Values at the nodes to coefficients of powers of z.
  CVX_PORTABLE static void transform(const Basis& basis, const double* value, double* coefficient) {
    double series[kStride];
    product(basis.to_chebyshev, value, series);
    product(basis.to_monomial, series, coefficient);
  }

  CVX_PORTABLE static void product(const double (*matrix)[kMaxOrder], const double* x, double* y) {
    vec sum[kVectors] = {};
    for (int i = 0; i < kOrder; ++i) {
      const vec xi = broadcast(x[i]);
      for (int v = 0; v < kVectors; ++v) sum[v] = fma(xi, load(matrix[i] + v * kLanes), sum[v]);
    }
    for (int v = 0; v < kVectors; ++v) store(y + v * kLanes, sum[v]);
  }

  /// Walks a leaf from the nodes, with everything in units of its width and roots.
  CVX_PORTABLE static void leaf_map(const FastSchedule& s, std::int64_t leaf) {
    const std::int64_t begin = leaf * s.leaf;
    const double* eta = s.eta + begin;
    double root[kMaxLeaf] = {}, length = 0, norm = kNorms ? 0 : 1;
    std::int64_t last_positive = -1;
    for (int k = 0; k < s.leaf; ++k) {
      root[k] = eta[k] * norm_at(s, begin + k);
      length += eta[k];
      if (eta[k] > 0) last_positive = begin + k;
      if (kNorms && s.norm[begin + k] > norm) norm = s.norm[begin + k];
    }
    s.before[leaf + 1] = {length, norm, last_positive};
    double* record = s.tree.level[0] + leaf * kRecord;
    record[0] = kRecursion.linear * length;
    if (kChannels == 2) record[kRoot] = root_of_squares(eta, s.leaf);
    record[kRoot + kNoise] = root_of_squares(root, s.leaf);
    vec sum[kChannels][kVectors] = {};
    bool walked = !(length > 0);
    if constexpr (!kSquare && kLanes > 1) walked = walked || walk_rational(s, eta, record, sum);
    if (!walked) walk_in_units(s, eta, root, record, sum);
    finish_map(*s.basis, sum, record);
  }

  CVX_PORTABLE static double root_of_squares(const double* x, int count) {
    double largest = 0, sum = 0;
    for (int k = 0; k < count; ++k) largest = x[k] > largest ? x[k] : largest;
    if (!(largest > 1e-305)) return 0;  // what such roots add is lost beside anything
    const double inverse = 1 / largest;
    for (int k = 0; k < count; ++k) sum += (x[k] * inverse) * (x[k] * inverse);
    return largest * __builtin_sqrt(sum);
  }

  /// Sums over a leaf from the nodes: steps in units of the width, sums in units of root^2 / width.
  CVX_PORTABLE static void walk_in_units(const FastSchedule& s, const double* eta, const double* root,
                                         const double* record, vec (*sum)[kVectors]) {
    const double width = record[0];
    double unit[kChannels];  // of eta, in a sum that is one of eta^2
    for (int c = 0; c < kChannels; ++c) unit[c] = record[kRoot + c] > 0 ? width / record[kRoot + c] : 0;
    const double root_unit = record[kRoot + kNoise];
    vec state[kVectors];
    for (int v = 0; v < kVectors; ++v) state[v] = state_of(load(s.basis->block_node + v * kLanes));
    for (int k = s.leaf - 1; k >= 0; --k) {
      const double step = eta[k] / width;
      const double norm = kNorms ? (step > 0 && root[k] > 0 ? root[k] / root_unit / step : 0) : 1.0;
      for (int v = 0; v < kVectors; ++v) {
        Walked::template step<kNorms>(broadcast(step), broadcast(norm), state[v], sum[0][v],
                                      sum[kNoise][v]);
      }
    }
    for (int c = 0; c < kChannels; ++c) {
      if (kNorms && c == kNoise) continue;
      for (int v = 0; v < kVectors; ++v) sum[c][v] *= broadcast(unit[c] * unit[c]);
    }
  }

  /// The same for `last`, if steps do not span too many decades.
  static bool walk_rational(const FastSchedule& s, const double* eta, const double* record,
                            vec (*sum)[kVectors]) {
    RationalSteps steps;
    if (!steps.load_steps(eta, kNorms ? s.norm + (eta - s.eta) : nullptr, s.leaf)) return false;
    const double width = record[0] / steps.unit;
    const double root = record[kRoot] > 0 ? steps.root_unit / record[kRoot] : 0;
    vec R[kVectors];
    for (int v = 0; v < kVectors; ++v) R[v] = load(s.basis->block_node + v * kLanes) * broadcast(width);
    add_groups(steps, s.leaf / kGroup, R, sum[0]);
    for (int v = 0; v < kVectors; ++v) sum[0][v] *= broadcast(width * root * root);
    return true;
  }

  static void add_groups(const RationalSteps& steps, int groups, vec* R, vec* sum) {
    for (int g = groups - 1; g >= 0; --g) add_group<kVectors>(steps, g, R, sum);
  }

  /// Sums from the nodes, in units of root^2 / width, to the coefficients of a map.
  CVX_PORTABLE static void finish_map(const Basis& basis, const vec (*sum)[kVectors], double* record) {
    double value[kStride];
    for (int c = 0; c < kChannels; ++c) {
      for (int v = 0; v < kVectors; ++v) {
        const vec shifted = load(basis.block_node + v * kLanes) + broadcast(kShift);
        store(value + v * kLanes, sum[c][v] * shifted);
      }
      transform(basis, value, record + kCoefficients + c * kStride);
    }
  }

  /// z of a block map and 1 / (R + kShift width) for it.
  CVX_PORTABLE static vec block_variable(vec width, vec R, vec& inverse) {
    inverse = 1.0 / fma(broadcast(kShift), width, R);
    return fma(broadcast(kScale) * width, inverse, broadcast(-1.0));
  }

  template <int kCount>
  CVX_PORTABLE static void horner(const double* coefficient, const vec* z, vec* value) {
    for (int v = 0; v < kCount; ++v) value[v] = broadcast(coefficient[kOrder - 1]);
    for (int power = kOrder - 2; power >= 0; --power) {
      const vec c = broadcast(coefficient[power]);
      for (int v = 0; v < kCount; ++v) value[v] = fma(value[v], z[v], c);
    }
  }

  /// Right child, then left child, from the nodes of the parent, in units of its width and roots.
  CVX_PORTABLE static void merged_map(const Basis& basis, const double* left, const double* right,
                                      double* record) {
    const double width = left[0] + right[0];
    record[0] = width;
    for (int c = 0; c < kChannels; ++c) {
      record[kRoot + c] = hypotenuse(left[kRoot + c], right[kRoot + c]);
    }
    vec sum[kChannels][kVectors] = {};
    if (width > 0) {
      vec R[kVectors];
      for (int v = 0; v < kVectors; ++v) R[v] = load(basis.block_node + v * kLanes);
      const double* const children[] = {right, left};
      for (const double* child : children) {
        double share[kChannels];
        for (int c = 0; c < kChannels; ++c) {
          share[c] = square_of_ratio(child[kRoot + c], record[kRoot + c]);
        }
        through(child, child[0] / width, share, square_of_ratio(record[kRoot], width), R, sum);
      }
    }
    finish_map(basis, sum, record);
  }

  /// Takes R through a block: sums += share / (R + kShift width) * polynomial, R += width + the part
  /// from squares, which is `growth` times the first sum.
  CVX_PORTABLE static void through(const double* record, double width, const double* share, double growth,
                                   vec* R, vec (*sum)[kVectors]) {
    vec z[kVectors], inverse[kVectors], value[kVectors], grown[kVectors] = {};
    for (int v = 0; v < kVectors; ++v) z[v] = block_variable(broadcast(width), R[v], inverse[v]);
    for (int c = 0; c < kChannels; ++c) {
      horner<kVectors>(record + kCoefficients + c * kStride, z, value);
      for (int v = 0; v < kVectors; ++v) {
        value[v] *= broadcast(share[c]) * inverse[v];
        sum[c][v] += value[v];
        if (c == 0) grown[v] = value[v];
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      R[v] += broadcast(width);
      if (kSquare) R[v] = fma(grown[v], broadcast(growth), R[v]);
    }
  }

  /// Takes R through a block in the units of the schedule: a root is multiplied at a time, so that its
  /// square need not be in range.
  CVX_PORTABLE static void jump(const double* record, vec* R, vec (*sum)[kVectors]) {
    const vec width = broadcast(record[0]);
    vec z[kVectors], inverse[kVectors], value[kVectors];
    for (int v = 0; v < kVectors; ++v) z[v] = block_variable(width, R[v], inverse[v]);
    for (int c = 0; c < kChannels; ++c) {
      const vec root = broadcast(record[kRoot + c]);
      horner<kVectors>(record + kCoefficients + c * kStride, z, value);
      for (int v = 0; v < kVectors; ++v) {
        value[v] = root * value[v] * (root * inverse[v]);
        sum[c][v] += value[v];
        if (kSquare && c == 0) R[v] += value[v];
      }
    }
    for (int v = 0; v < kVectors; ++v) R[v] += width;
  }

  template <int kCount>
  static void add_group(const RationalSteps& steps, int g, vec* x, vec* sum) {
    add_rational<kCount>(steps.num[0] + g, steps.den[0] + g, RationalSteps::kMaxGroups, x, sum);
    for (int v = 0; v < kCount; ++v) x[v] += broadcast(steps.width[g]);
  }
};

}  // namespace
}  // namespace cvxbound
