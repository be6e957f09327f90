#include "fast_curve.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "parallel.hpp"

namespace cvxbound {
namespace {

/// Steps of a leaf where every horizon is searched.
constexpr int kSearchLeaf = 16;

/// Steps of a leaf and of a tile where last steps are given, and how far before its first horizon the edge
/// of a tile lies: distances at the edge then span few pieces of its prefix function.
constexpr int kGivenLeaf = 64, kGivenTile = 128, kGivenLag = 32;
static_assert(kGivenTile + kGivenLag <= kMaxReach && kGivenLeaf <= kMaxLeaf, "buffers must fit");

/// Steps whose horizons are one unit of work, between two looks for an interrupt; a unit fills its prefix
/// functions anew.
constexpr std::int64_t kGivenUnit = 16384, kSearchUnit = 2048;

}  // namespace

PrefixCache& FastWorkspace::Prefix::empty(int slots_needed) {
  if (slots_needed > slots) {
    slots = slots_needed;
    const std::int64_t pieces = std::int64_t{slots} * kPieces;
    cache.stamp = stamps.reserve(pieces);
    cache.coefficients = coefficients.reserve(pieces * 2 * kMaxOrder);
    std::fill_n(cache.stamp, pieces, std::int64_t{0});
  }
  std::fill_n(cache.edge, slots, std::int64_t{-1});
  return cache;
}

FastCurve::FastCurve(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
                     const FastOptions& options, double rtol, FastWorkspace& workspace)
    : kernels_(kernels.fast->kernels[recursion.square > 0][steps.norm != nullptr][order_index(rtol)]),
      options_(options),
      workspace_(workspace) {
  schedule_.eta = steps.eta;
  schedule_.norm = steps.norm;
  schedule_.steps = steps.steps;
  schedule_.basis = &basis_of(order_index(rtol));
  schedule_.window = &window_basis();
  schedule_.leaf = options.free ? kSearchLeaf : kGivenLeaf;
  schedule_.tile = options.free ? kSearchTile : kGivenTile;
  schedule_.lag = options.free ? 0 : kGivenLag;
}

bool FastCurve::covers(const Ranges& ranges) {
  return ranges.eta.smallest >= 1e-300 && ranges.eta.sum <= 1e304;
}

void FastCurve::run(const Targets& targets, const std::function<void()>& interrupt) {
  // No map is needed beyond the edge of the last tile.
  const std::int64_t tiles =
      std::max<std::int64_t>(schedule_.steps - 1 - schedule_.lag, 0) / schedule_.tile;
  build_maps(kernels_, tiles * (schedule_.tile / schedule_.leaf), schedule_, workspace_.maps_,
             workspace_.threads(), interrupt);
  evaluate(targets, interrupt);
}

void FastCurve::evaluate(const Targets& targets, const std::function<void()>& interrupt) {
  // Chosen horizons in rising order; each tile takes its share of them.
  std::vector<std::int64_t> order;
  if (targets.horizons) {
    order.resize(targets.count);
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return targets.horizons[a] < targets.horizons[b];
    });
  }
  const auto rank = [&](std::int64_t step) {  // how many horizons are at most `step`
    if (!targets.horizons) return std::min(step, targets.count);
    const auto after = [&](std::int64_t t, std::int64_t i) { return t < targets.horizons[i]; };
    return std::upper_bound(order.begin(), order.end(), step, after) - order.begin();
  };
  const std::int64_t tile = schedule_.tile, lag = schedule_.lag;
  const std::int64_t unit_steps = options_.free ? kSearchUnit : kGivenUnit;
  int slots = 1;
  for (std::int64_t n = schedule_.tree.leaves * schedule_.leaf / tile; n > 0; n /= 2) ++slots;
  parallel_for((schedule_.steps + unit_steps - 1) / unit_steps, workspace_.threads(),
               [&](std::int64_t unit, int worker) {
                 PrefixCache& cache = workspace_.prefixes_[worker].empty(slots);
                 const std::int64_t end = (unit + 1) * unit_steps;
                 for (std::int64_t edge = unit * unit_steps; edge < end; edge += tile) {
                   const std::int64_t from = rank(edge > 0 ? edge + lag : 0);
                   const std::int64_t to = rank(std::min(edge + lag + tile, schedule_.steps));
                   if (from < to) {
                     evaluate_tile(edge, targets, order.empty() ? nullptr : order.data(), from, to, cache);
                   }
                 }
               },
               interrupt);
}

/// Horizons of a tile, from rank `from` to `to`; `order` is null where all are wanted.
void FastCurve::evaluate_tile(std::int64_t edge, const Targets& targets, const std::int64_t* order,
                              std::int64_t from, std::int64_t to, PrefixCache& cache) const {
  const auto offset = [&](std::int64_t rank) {
    return (order ? targets.horizons[order[rank]] - 1 : rank) - edge;
  };
  TileTerms terms;
  kernels_.tile(schedule_, options_, edge, static_cast<int>(offset(from)),
                static_cast<int>(offset(to - 1) + 1), cache, terms);
  if (!order) {
    const std::int64_t i = offset(from);
    targets.write(from, to - from, terms.distance + i, terms.noise + i, terms.rho + i);
    return;
  }
  for (std::int64_t rank = from; rank < to; ++rank) {
    const std::int64_t i = offset(rank);
    targets.write(order[rank], {terms.distance[i], terms.noise[i], terms.rho[i]});
  }
}

}  // namespace cvxbound
