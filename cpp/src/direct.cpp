#include "direct.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel.hpp"

namespace cvxbound {
namespace {

/// The rational groups multiply eight distances and a ninth factor; see kernels.hpp. With steps in
/// [2^-100, 2^50] and norms in [2^-30, 2^30] all such products stay between 2^-960 and 2^960.
constexpr double kGroupStepLow = 0x1p-100, kGroupStepHigh = 0x1p50;
constexpr double kGroupNormLow = 0x1p-30, kGroupNormHigh = 0x1p30;

Split last_from(double distance, double sum, double rho, double norm) {
  return {0.5 / distance, 0.5 * ((rho * norm) * norm + sum), rho};
}

/// `last` at one horizon; the walk checks what it reads, so that one pass over eta is enough.
Split last_at(const Kernels& kernels, const Schedule& schedule, LastStep last_step, std::int64_t t) {
  const double rho = fixed_rho(schedule, last_step, t), norm = schedule.norm_at(t);
  const bool positive = rho > 0;
  const Walk walk = kernels.walk_last(schedule.eta, schedule.norm, t - 1, positive ? rho : 1.0);
  const double last = schedule.eta[t - 1];
  const bool ok = !walk.sign && walk.distance <= kLargestStep && walk.sum < kInfinity && last >= 0 &&
                  last <= kLargestStep && norm >= 0 && norm <= kLargestNorm &&
                  walk.largest_norm <= kLargestNorm;
  if (!ok) check(kernels, {schedule.eta, schedule.norm, t});
  if (positive) return last_from(walk.distance, walk.sum, rho, norm);
  return zero_last_step(t > 1 ? kernels.scan(schedule.eta, t - 1).sum : 0.0);
}

/// Steps, offsets and rational groups of one schedule, padded to whole tiles.
class Tiles {
 public:
  Tiles(const Schedule& schedule, const Ranges& ranges) : count_((schedule.steps + kTile - 1) / kTile) {
    const std::int64_t padded = count_ * kTile;
    eta_.assign(padded, 0.0);
    std::copy(schedule.eta, schedule.eta + schedule.steps, eta_.begin());
    if (schedule.norm) {
      norm_.assign(padded, 0.0);
      std::copy(schedule.norm, schedule.norm + schedule.steps, norm_.begin());
    }
    offset_.resize(padded);
    width_.resize(count_);
    for (std::int64_t tile = 0; tile < count_; ++tile) measure(tile);
    if (count_ > 1 && in_range(ranges)) {
      groups_.resize(padded / kGroup);
      for (std::size_t g = 0; g < groups_.size(); ++g) groups_[g] = group(g * kGroup);
    }
  }

  std::int64_t count() const { return count_; }

  TiledSteps view() const {
    return {eta_.data(), norm_.empty() ? nullptr : norm_.data(), offset_.data(), width_.data(),
            groups_.empty() ? nullptr : groups_.data()};
  }

 private:
  void measure(std::int64_t tile) {
    double later = 0;
    for (std::int64_t k = (tile + 1) * kTile - 1; k >= tile * kTile; --k) {
      offset_[k] = later;
      later += eta_[k];
    }
    width_[tile] = later;
  }

  static bool in_range(const Ranges& ranges) {
    return ranges.eta.smallest >= kGroupStepLow && ranges.eta.largest <= kGroupStepHigh &&
           ranges.norm.smallest >= kGroupNormLow && ranges.norm.largest <= kGroupNormHigh;
  }

  /// num / den of sum_i q_i / (x + y_i), one source at a time: num <- num (x + y) + q den.
  RationalGroup group(std::int64_t first) const {
    double num[kGroup + 1] = {}, den[kGroup + 1] = {1};
    for (std::int64_t k = first; k < first + kGroup; ++k) {
      const double root = norm_.empty() ? eta_[k] : eta_[k] * norm_[k];
      const double q = root * root, y = offset_[k];
      for (int power = kGroup; power > 0; --power) {
        num[power] = num[power] * y + num[power - 1] + q * den[power];
        den[power] = den[power] * y + den[power - 1];
      }
      num[0] = num[0] * y + q * den[0];
      den[0] *= y;
    }
    RationalGroup result;
    std::copy(num, num + kGroup, result.num);
    std::copy(den, den + kGroup, result.den);
    return result;
  }

  std::int64_t count_;
  std::vector<double> eta_, norm_, offset_, width_;
  std::vector<RationalGroup> groups_;
};

/// S_{t-1} for every horizon t.
std::vector<double> distance_moved(const Schedule& steps) {
  std::vector<double> moved(steps.steps);
  Accumulator length;
  for (std::int64_t k = 0; k < steps.steps; ++k) {
    moved[k] = length.value();
    length.add(steps.eta[k]);
  }
  return moved;
}

/// All horizons of `last`, a tile of targets at a time.
void last_tiles(const Kernels& kernels, const Schedule& steps, LastStep last_step, const Targets& targets,
                int threads, const std::function<void()>& interrupt) {
  const Tiles tiles(steps, check(kernels, steps));
  std::vector<double> distance(tiles.count() * kTile), noise(tiles.count() * kTile);
  std::vector<double> rho(tiles.count() * kTile, 1.0);
  parallel_for(
      tiles.count(), threads,
      [&](std::int64_t tile, int) {
        const std::int64_t first = tile * kTile;
        const std::int64_t end = std::min(first + kTile, steps.steps);
        for (std::int64_t k = first; k < end; ++k) {
          const double step = fixed_rho(steps, last_step, k + 1);
          rho[k] = step > 0 ? step : 1.0;
        }
        kernels.last_tile(tiles.view(), tile, &rho[first], &distance[first], &noise[first]);
      },
      interrupt);
  const std::vector<double> moved = distance_moved(steps);
  for (std::int64_t i = 0; i < targets.count; ++i) {
    const std::int64_t t = targets.horizon(i);
    const double step = fixed_rho(steps, last_step, t);
    targets.write(i, step > 0 ? last_from(distance[t - 1], noise[t - 1], step, steps.norm_at(t))
                              : zero_last_step(moved[t - 1]));
  }
}

}  // namespace

void direct_last(const Kernels& kernels, const Schedule& steps, LastStep last_step, const Targets& targets,
                 int threads, const std::function<void()>& interrupt) {
  if (5 * targets.count > steps.steps && steps.steps > kTile / 4) {
    last_tiles(kernels, steps, last_step, targets, threads, interrupt);
    return;
  }
  const bool all_read = targets.horizon(targets.count - 1) == steps.steps;
  if (!all_read) check(kernels, steps);
  parallel_for(
      targets.count, threads,
      [&](std::int64_t i, int) {
        targets.write(i, last_at(kernels, steps, last_step, targets.horizon(i)));
      },
      interrupt);
}

void direct_free(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
                 const Targets& targets, int threads, const std::function<void()>& interrupt) {
  check(kernels, steps);
  parallel_for(
      targets.count, threads,
      [&](std::int64_t i, int) {
        const Sources sources = steps.sources(targets.horizon(i));
        targets.write(i, best_rho(kernels, recursion, sources, targets.gamma));
      },
      interrupt);
}

}  // namespace cvxbound
