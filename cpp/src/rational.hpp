// Sums of fractions over fewer divisions, for `last`, whose distances do not depend on the sums. All terms
// are positive, so nothing cancels. For kernels: see simd.hpp.
#pragma once

#include "kernels.hpp"
#include "simd.hpp"

namespace cvxbound {
namespace {

/// q0/a + q1/b + q2/c + q3/d over one division.
CVX_PORTABLE inline vec four_fractions(const vec* q, const vec* R) {
  const vec ab = R[0] * R[1], cd = R[2] * R[3];
  const vec front = fma(q[0], R[1], q[1] * R[0]);
  const vec back = fma(q[2], R[3], q[3] * R[2]);
  return fma(front, cd, back * ab) / (ab * cd);
}

/// Adds num(x) / den(x), the sum over kGroup sources (see RationalGroup), for a few vectors that share each
/// load of a coefficient. Coefficients lie `stride` apart.
template <int kVectors>
CVX_PORTABLE inline void add_rational(const double* num, const double* den, int stride, const vec* x,
                                      vec* sum) {
  vec top[kVectors], bottom[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    top[v] = broadcast(num[(kGroup - 1) * stride]);
    bottom[v] = x[v] + broadcast(den[(kGroup - 1) * stride]);
  }
  for (int power = kGroup - 2; power >= 0; --power) {
    const vec n = broadcast(num[power * stride]), d = broadcast(den[power * stride]);
    for (int v = 0; v < kVectors; ++v) {
      top[v] = fma(top[v], x[v], n);
      bottom[v] = fma(bottom[v], x[v], d);
    }
  }
  for (int v = 0; v < kVectors; ++v) sum[v] += top[v] / bottom[v];
}

/// num / den + q / (x + y), where num / den has `done` sources: num <- num (x + y) + q den.
CVX_PORTABLE inline void add_source(vec q, vec y, int done, vec* num, vec* den) {
#pragma GCC unroll 8
  for (int power = done + 1; power > 0; --power) {
    num[power] = fma(num[power], y, fma(q, den[power], num[power - 1]));
    den[power] = fma(den[power], y, den[power - 1]);
  }
  num[0] = fma(num[0], y, q * den[0]);
  den[0] *= y;
}

/// A few groups of neighbouring steps, each as one rational function of the distance from its end. Steps
/// and roots are in units of their largest.
struct RationalSteps {
  static constexpr int kMaxGroups = 24;
  double unit;       ///< of steps and distances
  double root_unit;  ///< of eta G
  /// Each group with as many zeros before it: sources that a target of the same group does not have.
  alignas(64) double eta[kMaxGroups][2 * kGroup];
  alignas(64) double root[kMaxGroups][2 * kGroup];
  alignas(64) double num[kGroup][kMaxGroups];
  alignas(64) double den[kGroup][kMaxGroups];
  alignas(64) double width[kMaxGroups];

  /// Between these, in units of the largest, products of nine steps, distances and squared roots stay far
  /// from the ends of the range.
  static constexpr double kLow = 0x1p-60, kHigh = 0x1p30;

  /// `length` steps, at most kMaxGroups * kGroup; norm may be null. False where they span too many decades.
  bool load_steps(const double* steps, const double* norm, int length) {
    const int groups = (length + kGroup - 1) / kGroup;
    const int padded = (groups + kLanes - 1) / kLanes * kLanes;
    for (int g = 0; g < padded; ++g) {
      const int inside = length - g * kGroup < kGroup ? length - g * kGroup : kGroup;
      place(steps + g * kGroup, inside, eta[g]);
      if (norm) place(norm + g * kGroup, inside, root[g]);
    }
    unit = scale(eta, padded);
    if (norm) {
      for (int g = 0; g < groups; ++g) {
        for (int i = kGroup; i < 2 * kGroup; i += kLanes) {
          store(root[g] + i, load(root[g] + i) * load(eta[g] + i));
        }
      }
      root_unit = scale(root, padded) * unit;
    } else {
      std::memcpy(root, eta, sizeof *eta * padded);
      root_unit = unit;
    }
    if (!(unit > 0 && root_unit > 0 && root_unit < __builtin_inf())) return false;
    for (int first = 0; first < padded; first += kLanes) combine(first);
    return true;
  }

 private:
  static void place(const double* x, int count, double* group) {
    std::memset(group, 0, 2 * kGroup * sizeof *group);
    if (count == kGroup) {
      std::memcpy(group + kGroup, x, kGroup * sizeof *group);
    } else {
      for (int i = 0; i < count; ++i) group[kGroup + i] = x[i];
    }
  }

  /// Divides by the largest entry and returns it; 0 where the others are too small, or there is none.
  static double scale(double (*x)[2 * kGroup], int groups) {
    const vec zero = {}, infinite = broadcast(__builtin_inf());
    vec low = infinite, high = zero;
    for (int g = 0; g < groups; ++g) {
      for (int i = kGroup; i < 2 * kGroup; i += kLanes) {
        const vec v = load(x[g] + i);
        low = min(low, v > zero ? v : infinite);
        high = max(high, v);
      }
    }
    const double largest = largest_lane(high), inverse = 1 / largest;
    if (!(smallest_lane(low) >= kLow * largest && inverse < __builtin_inf() && inverse > 0)) return 0;
    for (int g = 0; g < groups; ++g) {
      for (int i = kGroup; i < 2 * kGroup; i += kLanes) {
        store(x[g] + i, load(x[g] + i) * broadcast(inverse));
      }
    }
    return largest;
  }

  /// num / den of kLanes groups, one source of each at a time.
  void combine(int first) {
    vec e[kGroup], r[kGroup];
    for (int i = 0; i < kGroup; i += kLanes) {
      load_transposed(eta[first] + kGroup + i, 2 * kGroup, e + i);
      load_transposed(root[first] + kGroup + i, 2 * kGroup, r + i);
    }
    vec top[kGroup + 1] = {}, bottom[kGroup + 1] = {}, y = {};
    bottom[0] = broadcast(1.0);
#pragma GCC unroll 8
    for (int done = 0; done < kGroup; ++done) {
      const vec q = r[kGroup - 1 - done] * r[kGroup - 1 - done];
      add_source(q, y, done, top, bottom);
      y += e[kGroup - 1 - done];
    }
    for (int power = 0; power < kGroup; ++power) {
      store(num[power] + first, top[power]);
      store(den[power] + first, bottom[power]);
    }
    store(width + first, y);
  }
};

}  // namespace
}  // namespace cvxbound
