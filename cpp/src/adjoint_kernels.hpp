// Derivatives of weighted bounds at many horizons, in reverse through the block maps of fast_kernels.hpp.
//
// With J = sum_t weight_t Omega_t, a horizon that walks back through a block at distance R adds
//
//     noise_bar dA(R)/d eta_j + state_bar (linear + dB(R)/d eta_j),    A, B: the block's sums of (eta G)^2
//     / R
//                                                                       and eta^2 / R
//
// to dJ / d eta_j of each step j in it. As functions of R these derivatives are as smooth as the maps
// themselves, so what all horizons add is known from a few moments of their noise_bar and state_bar: the
// adjoint of a block map. Moments go down the tree, each block's to its children, and at the leaves to the
// steps. docs/gradients.md has the mathematics.
#pragma once

#include <cstdint>

#include "fast_kernels.hpp"

namespace cvxbound {

/// A stack of doubles in memory that `grow` provides for at least `capacity` of them; it may throw.
struct Stack {
  double* data;
  std::int64_t size, capacity;
  void (*grow)(Stack& stack, std::int64_t capacity);
};

/// Some neighbouring horizons and what is wanted of them. A weight of 0 leaves a horizon out.
struct AdjointTile {
  double rho[kSearchTile];      ///< the virtual last steps
  double weight[kSearchTile];   ///< in J
  double omega[kSearchTile];    ///< out: the bounds
  double rho_bar[kSearchTile];  ///< out: dJ / d rho
};

struct AdjointOptions {
  bool polish;   ///< whether Newton's step comes before, from rho near the best ones
  double gamma;  ///< 0: the best one
};

/// What a tile found, one after the other on a stack:
///     kStepsFound, first step, count, eta_bar [count], norm_bar [count] (with norms)
///     level, block, adjoint of a block map
constexpr double kStepsFound = -1;

struct AdjointKernels {
  std::int64_t record;  ///< doubles of the adjoint of a block map

  /// Horizons begin + 1 .. begin + count, with begin a multiple of kSearchTile. `trace` is scratch.
  void (*tile)(const FastSchedule& schedule, const AdjointOptions& options, std::int64_t begin, int count,
               AdjointTile& tile, Stack& trace, Stack& found);

  /// Adds the adjoints of blocks [first, last) of a level to those of their children.
  void (*push)(const FastSchedule& schedule, double* const* adjoint, int level, std::int64_t first,
               std::int64_t last);

  /// Adds the adjoints of leaves [first, last) to their steps; norm_bar is null without norms.
  void (*leaves)(const FastSchedule& schedule, const double* adjoint, std::int64_t first, std::int64_t last,
                 double* eta_bar, double* norm_bar);
};

/// The order of the maps that adjoints are taken of, as an index of kOrders.
constexpr int kAdjointOrder = kOrderCount - 1;

/// The kernels for [tight][norms].
struct AdjointTable {
  AdjointKernels kernels[2][2];
};

}  // namespace cvxbound
