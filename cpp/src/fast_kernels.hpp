// All horizons of one schedule in linear time: block maps and prefix functions.
//
// Walking back over a block of steps is a smooth map of the distance R at which the walk enters it,
// and so is walking back from some step to the very beginning (docs/fast.md). Both are stored as
// polynomials with a few coefficients:
//
//     block map         complete aligned blocks of leaf 2^level steps, for R >= width:
//                       sums of the block = root^2 / (R + kShift width) * polynomial(z),
//                       z = kScale width / (R + kShift width) - 1 in [-1, 1]
//     prefix function   all steps before an edge, for sqrt(R) in a piece [2^i, 2^{i+1}): sums =
//                       polynomial(z), z = (m - c) / (m + c) / kPieceZeta in [-1, 1], m = sqrt(R) / 2^i
//
// Singularities lie at R <= 0 only; in these variables the coefficients of a Chebyshev series fall like
// 11.7^-k for both.
#pragma once

#include <cstdint>

#include "basis.hpp"

namespace cvxbound {

/// Puts the singularities of a block map at |z| >= 3 + 2 sqrt(2).
constexpr double kShift = 0.41421356237309504880;  // sqrt(2) - 1
constexpr double kScale = 2.8284271247461900976;   // 2 sqrt(2)

/// Pieces of a prefix function are the binary exponents of sqrt(R), from kFirstPiece (biased) on.
constexpr int kFirstPiece = 512;
constexpr int kPieces = 1024;
constexpr double kPieceCentre = 1.4142135623730950488;
constexpr double kPieceZeta = 0.17157287525380990240;  // 3 - 2 sqrt(2)

/// The maps of all complete aligned blocks: level l holds records of blocks of leaf 2^l steps.
struct BlockTree {
  static constexpr int kMaxLevels = 48;
  std::int64_t leaves = 0;
  double* level[kMaxLevels] = {};
};

/// What is known of all steps before an edge, a multiple of a leaf's steps.
struct Before {
  double length;               ///< sum of the steps
  double largest_norm;         ///< 0 before the first step
  std::int64_t last_positive;  ///< index of the last step that is not zero, -1 for none
};

/// One schedule as the fast kernels read it.
struct FastSchedule {
  const double* eta;
  const double* norm;  ///< null: G = 1
  std::int64_t steps;
  const Basis* basis;
  const WindowBasis* window;
  BlockTree tree;
  Before* before;  ///< [leaves + 1]
  int leaf;        ///< steps in the smallest block that has a map
  int tile;        ///< horizons are processed this many at a time; a multiple of `leaf`
  int lag;         ///< steps from the edge that a tile hangs on to its first horizon
};

/// Prefix functions of the edges a walk from left to right still needs: one slot for each power of two
/// that divides the number of the edge's tile. Filled piece by piece, on demand; contents are a pure
/// function of the schedule, so what a thread finds here never changes its results.
struct PrefixCache {
  static constexpr int kSlots = 48;
  std::int64_t edge[kSlots];   ///< whose function a slot holds
  std::int64_t epoch[kSlots];  ///< when it was taken
  std::int64_t clock;
  std::int64_t* stamp;   ///< [slots][pieces], the slot's epoch where the piece has been filled
  double* coefficients;  ///< [slots][pieces][2 kMaxOrder]
};

/// Horizons in a tile where each of them is searched.
constexpr int kSearchTile = 32;

/// Largest leaf, and largest number of steps from the edge a tile hangs on to its end.
constexpr int kMaxLeaf = 64;
constexpr int kMaxReach = 160;

/// The results at the horizons of one tile, counted from its edge.
struct TileTerms {
  double distance[kMaxReach];
  double noise[kMaxReach];
  double rho[kMaxReach];
};

/// How the virtual last step is chosen.
struct FastOptions {
  bool free;
  bool repeat;   ///< eta_{t-1} in place of eta_t, where it is not free
  double gamma;  ///< 0: the best one
};

struct FastKernels {
  std::int64_t record;  ///< doubles a block map takes

  /// Maps of leaves [first, last), their own part of `before` in entry leaf + 1.
  void (*leaves)(const FastSchedule& schedule, std::int64_t first, std::int64_t last);

  /// Maps of blocks [first, last) of a level from those of the level below.
  void (*merge)(const FastSchedule& schedule, int level, std::int64_t first, std::int64_t last);

  /// Horizons first + 1 .. last of a tile, counted from its edge, after `edge` steps.
  void (*tile)(const FastSchedule& schedule, const FastOptions& options, std::int64_t edge, int first,
               int last, PrefixCache& cache, TileTerms& out);
};

/// The kernels for [tight][norms][order].
struct FastTable {
  FastKernels kernels[2][2][kOrderCount];
};

}  // namespace cvxbound
