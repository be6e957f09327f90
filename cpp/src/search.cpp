#include "search.hpp"

#include <algorithm>
#include <cmath>

#include "basis.hpp"
#include "rho_search.hpp"

namespace cvxbound {
namespace {

/// Walkers share a division where every distance lies between these.
constexpr double kSafeLow = 0x1p-240;
constexpr double kSafeHigh = 0x1p240;

/// Steps turned into a Chain at a time: small enough to stay in the first-level cache.
constexpr std::int64_t kChainBlock = 512;

/// Whether all distances met on the way from rho over steps of total length `length` stay in range.
bool is_safe(const Recursion& recursion, double rho, double length) {
  const double end = rho + length;
  const double farthest = recursion.square > 0 ? end * (end / rho) : end;
  return rho >= kSafeLow && farthest <= kSafeHigh;
}

/// Walks the schedule itself, a stretch at a time.
void walk_sources(const Kernels& kernels, const Recursion& recursion, const Sources& sources, bool safe,
                  Walkers& walkers) {
  double linear[kChainBlock], square[kChainBlock], noise[kChainBlock];
  for (std::int64_t end = sources.count; end > 0; end -= kChainBlock) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - kChainBlock);
    const std::int64_t length = end - begin;
    const double* eta = sources.eta + begin;
    const double* norm = sources.norm ? sources.norm + begin : nullptr;
    for (std::int64_t k = 0; k < length; ++k) {
      linear[k] = recursion.linear * eta[k];
      square[k] = recursion.square * (safe ? eta[k] * eta[k] : eta[k]);
    }
    for (std::int64_t k = 0; k < length; ++k) {
      const double root = norm ? eta[k] * norm[k] : eta[k];
      noise[k] = safe ? root * root : root;
    }
    kernels.walk_many({linear, square, noise, length}, safe, walkers);
  }
}

/// distance and noise from up to kWalkers values of rho; unused lanes repeat the last one.
void walk_together(const Kernels& kernels, const Recursion& recursion, const Sources& sources,
                   double length, const double* rho, int count, double* distance, double* noise) {
  Walkers walkers = {};
  bool safe = true;
  for (int i = 0; i < kWalkers; ++i) {
    walkers.distance[i] = rho[std::min(i, count - 1)];
    safe = safe && is_safe(recursion, walkers.distance[i], length);
  }
  walk_sources(kernels, recursion, sources, safe, walkers);
  const double last = sources.last_norm;
  for (int i = 0; i < count; ++i) {
    distance[i] = 0.5 / (walkers.distance[i] + walkers.distance_low[i]);
    noise[i] = 0.5 * ((rho[i] * last) * last + (walkers.sum[i] + walkers.sum_low[i]));
  }
}

double total(const Kernels& kernels, const Sources& sources) {
  return sources.count > 0 ? kernels.scan(sources.eta, sources.count).sum : 0.0;
}

/// What the search evaluates: walks of the schedule itself.
struct Walks {
  const Kernels& kernels;
  const Recursion& recursion;
  const Sources& sources;
  double length;

  void operator()(const double* rho, double last_norm, double* distance, double* noise) const {
    const Sources seen = {sources.eta, sources.norm, sources.count, last_norm};
    walk_together(kernels, recursion, seen, length, rho, kBeam, distance, noise);
  }
};

Landscape landscape_of(const Kernels& kernels, const Recursion& recursion, const Sources& sources,
                       double gamma) {
  std::int64_t m = sources.count - 1;
  while (m >= 0 && sources.eta[m] == 0) --m;
  const bool norms = sources.norm && m >= 0;
  const double largest = norms ? kernels.scan(sources.norm, sources.count).largest : 1.0;
  return {recursion.square > 0,
          gamma,
          total(kernels, sources),
          m >= 0 ? sources.eta[m] : 0.0,
          sources.last_norm,
          norms ? sources.norm[m] : 1.0,
          std::max(sources.last_norm, largest)};
}

}  // namespace

void walk_from(const Kernels& kernels, const Recursion& recursion, const Sources& sources,
               const double* rho, std::int64_t count, double* distance, double* noise) {
  const double length = total(kernels, sources);
  for (std::int64_t first = 0; first < count; first += kWalkers) {
    const int width = static_cast<int>(std::min<std::int64_t>(kWalkers, count - first));
    walk_together(kernels, recursion, sources, length, rho + first, width, distance + first, noise + first);
  }
}

Split best_rho(const Kernels& kernels, const Recursion& recursion, const Sources& sources, double gamma) {
  const Landscape landscape = landscape_of(kernels, recursion, sources, gamma);
  const Walks walks = {kernels, recursion, sources, landscape.length};
  const Minimum found = lowest_bound(landscape, window_basis(), walks, 0);
  // The terms were interpolated; a walk from the rho found leaves no error but its own.
  if (found.rho > kSmallestRho && found.rho < 1 / kSmallestRho) {
    Split best = {0, 0, found.rho};
    walk_together(kernels, recursion, sources, landscape.length, &best.rho, 1, &best.distance, &best.noise);
    if (std::isfinite(best.distance) && std::isfinite(best.noise)) return best;
  }
  return {found.distance, found.noise, found.rho};
}

}  // namespace cvxbound
