// The hot loops: one table of them per instruction set, all instances of kernels.cpp.
#pragma once

#include <cstdint>

namespace cvxbound {

/// What one pass over an array finds. A NaN anywhere makes `sum` NaN.
struct Range {
  double low;       ///< smallest entry
  double smallest;  ///< smallest positive entry, +inf where there is none
  double largest;   ///< largest entry
  double sum;
};

/// Where one backward walk ended.
struct Walk {
  double distance;      ///< R_0
  double sum;           ///< sum_k eta_k^2 G_k^2 / R_k
  double largest_norm;  ///< 0 without norms
  bool sign;            ///< whether a step or norm had its sign bit set: negative, -0 or some NaN
};

/// The recursion over a stretch of steps, walked from the last entry to the first:
///     sum += noise[k] / R,    R += linear[k] + square[k] / R.
struct Chain {
  const double* linear;
  const double* square;
  const double* noise;
  std::int64_t length;
};

/// Virtual steps rho walked side by side, in the lanes of a few SIMD vectors.
constexpr int kWalkers = 16;

/// kWalkers running values, each an unevaluated sum value + low, so that a million additions of the
/// same step do not drift.
struct Walkers {
  alignas(64) double distance[kWalkers];
  alignas(64) double distance_low[kWalkers];
  alignas(64) double sum[kWalkers];
  alignas(64) double sum_low[kWalkers];
};

/// Targets of the all-horizons kernel are processed a tile at a time, and so are their sources.
constexpr int kTile = 256;

/// The sources of a far tile are added eight at a time as one rational function of the distance x
/// from the end of their tile: sum_i q_i / (x + y_i) = num(x) / den(x), with y_i the offset of source
/// i inside its tile. All coefficients are non-negative, so nothing cancels, and the eight sources
/// cost sixteen multiply-adds and one division.
constexpr int kGroup = 8;

struct RationalGroup {
  double den[kGroup];  ///< ascending powers of x; the coefficient of x^8 is 1
  double num[kGroup];  ///< ascending powers of x
};

/// One schedule as the all-horizons kernel reads it, padded with zero steps to whole tiles.
struct TiledSteps {
  const double* eta;
  const double* norm;           ///< gradient norms, null for G = 1
  const double* offset;         ///< y_i
  const double* width;          ///< [tiles] sum of the steps of a tile
  const RationalGroup* groups;  ///< null where some product of eight distances would leave the range
};

struct Kernels {
  const char* name;

  Range (*scan)(const double* x, std::int64_t n);

  /// `last` at one horizon: from R = rho > 0 backwards over eta[steps-1 .. 0]; norm may be null.
  /// One read of eta, about one operation of the divider for four steps.
  Walk (*walk_last)(const double* eta, const double* norm, std::int64_t steps, double rho);

  /// Either recursion from kWalkers starting points. `safe`: every product of two R is in range, so
  /// that one division serves two walkers.
  void (*walk_many)(const Chain& chain, bool safe, Walkers& walkers);

  /// `last` at the targets of one tile from their virtual steps rho > 0, [kTile]: R_0 and
  /// sum_k q_k / R_k.
  void (*last_tile)(const TiledSteps& steps, std::int64_t tile, const double* rho, double* distance,
                    double* sum);

  /// All horizons in linear time; see fast_kernels.hpp.
  const struct FastTable* fast;

  /// Derivatives at many horizons; see adjoint_kernels.hpp.
  const struct AdjointTable* adjoint;

  /// Schedules made of segments; see segment_kernels.hpp.
  const struct SegmentKernels* segments;
};

}  // namespace cvxbound
