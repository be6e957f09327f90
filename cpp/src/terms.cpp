// The public entry points: checks, prepares a schedule, and hands its horizons to the kernels.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "cvxbound/cvxbound.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"
#include "recursion.hpp"
#include "search.hpp"

namespace cvxbound {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kLargestStep = 1e300;
constexpr double kLargestNorm = 1e100;

/// Below this much work, in nanoseconds, threads cost more than they save; only an explicit number of
/// them is obeyed all the same.
constexpr double kSerialWork = 1e6;

/// An item's curve is long enough here to be worth sharing between threads, and to be interruptible.
constexpr std::int64_t kLongSchedule = 16384;

/// The rational groups multiply eight distances and a ninth factor; see kernels.hpp. With steps in
/// [2^-100, 2^50] and norms in [2^-30, 2^30] all such products stay between 2^-960 and 2^960.
constexpr double kGroupStepLow = 0x1p-100, kGroupStepHigh = 0x1p50;
constexpr double kGroupNormLow = 0x1p-30, kGroupNormHigh = 0x1p30;

/// One item: a schedule with its norms.
struct Schedule {
  const double* eta;
  const double* norm;
  std::int64_t steps;

  double norm_at(std::int64_t t) const { return norm ? norm[t - 1] : 1.0; }
  Sources sources(std::int64_t t) const { return {eta, norm, t - 1, norm_at(t)}; }
};

[[noreturn]] void refuse(const char* name, const double* x, std::int64_t n, double largest) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (x[i] >= 0 && x[i] <= largest) continue;
    throw std::invalid_argument(std::string(name) + " must lie in [0, " + std::to_string(largest) +
                                "]; found " + std::to_string(x[i]) + " at entry " + std::to_string(i));
  }
  throw std::invalid_argument(std::string("the sum of ") + name + " overflows");
}

Range checked_range(const Kernels& kernels, const char* name, const double* x, std::int64_t n,
                    double largest) {
  const Range range = kernels.scan(x, n);
  // A NaN can hide from the comparisons of a scan, not from its sum.
  if (!(range.low >= 0 && range.largest <= largest && std::isfinite(range.sum))) {
    refuse(name, x, n, largest);
  }
  return range;
}

struct Ranges {
  Range eta, norm;
};

/// Throws std::invalid_argument for a step or norm out of range.
Ranges check(const Kernels& kernels, const Schedule& schedule) {
  const Range eta = checked_range(kernels, "eta", schedule.eta, schedule.steps, kLargestStep);
  if (!schedule.norm) return {eta, {1, 1, 1, static_cast<double>(schedule.steps)}};
  return {eta, checked_range(kernels, "norm", schedule.norm, schedule.steps, kLargestNorm)};
}

/// The virtual last step of horizon t where it is not free.
double fixed_rho(const Schedule& schedule, LastStep last_step, std::int64_t t) {
  return schedule.eta[last_step == LastStep::repeat && t > 1 ? t - 2 : t - 1];
}

/// `last` where the virtual step is zero: infinite noise after any movement, else no bound at all.
Split zero_last_step(double moved) { return moved > 0 ? Split{0.5 / moved, kInf, 0} : Split{kInf, 0, 0}; }

Split last_from(double distance, double sum, double rho, double norm) {
  return {0.5 / distance, 0.5 * ((rho * norm) * norm + sum), rho};
}

/// `last` at one horizon; the walk checks what it reads, so that one pass over eta is enough.
Split last_at(const Kernels& kernels, const Schedule& schedule, LastStep last_step, std::int64_t t) {
  const double rho = fixed_rho(schedule, last_step, t), norm = schedule.norm_at(t);
  const bool positive = rho > 0;
  const Walk walk = kernels.walk_last(schedule.eta, schedule.norm, t - 1, positive ? rho : 1.0);
  const double last = schedule.eta[t - 1];
  const bool ok = !walk.sign && walk.distance <= kLargestStep && walk.sum < kInf && last >= 0 &&
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

/// Horizons of one item, and where their results go.
struct Targets {
  const std::int64_t* horizons;  ///< null: 1 .. count
  std::int64_t count;
  Terms out;

  std::int64_t horizon(std::int64_t i) const { return horizons ? horizons[i] : i + 1; }
  void write(std::int64_t i, const Split& split) const {
    out.distance[i] = split.distance;
    out.noise[i] = split.noise;
    out.rho[i] = split.rho;
  }
};

/// Sums with one extra double, so that a million equal steps do not drift.
struct Accumulator {
  double high = 0, low = 0;

  void add(double x) {
    const double sum = high + x, part = sum - high;
    low += (high - (sum - part)) + (x - part);
    high = sum;
  }
  double value() const { return high + low; }
};

class Runner {
 public:
  Runner(const Kernels& kernels, const Batch& batch, const Options& options)
      : kernels_(kernels), batch_(batch), options_(options) {}

  void run(const Terms& out) const {
    const std::int64_t horizons = batch_.horizons ? batch_.horizon_count : batch_.steps;
    if (horizons == 0) return;
    const int threads = options_.threads > 0   ? options_.threads
                        : work() < kSerialWork ? 1
                                               : default_threads();
    const bool many_short = batch_.steps < kLongSchedule && batch_.items >= 2 * threads;
    const bool by_item = many_short || horizons == 1 || options_.kind == Kind::average;
    const int outer = by_item ? threads : 1, inner = by_item ? 1 : threads;
    parallel_for(
        batch_.items, outer,
        [&](std::int64_t i) {
          const Targets targets = {
              batch_.horizons,
              horizons,
              {out.distance + i * horizons, out.noise + i * horizons, out.rho + i * horizons}};
          run_item(i, targets, inner, outer > 1 ? nullptr : options_.interrupt);
        },
        options_.interrupt);
  }

 private:
  bool is_free() const { return options_.kind == Kind::tight || options_.last_step == LastStep::free; }

  static std::int64_t row(const std::int64_t* index, std::int64_t item) {
    return index ? index[item] : item;
  }

  Schedule schedule(std::int64_t item) const {
    const double* eta = batch_.eta + row(batch_.eta_row, item) * batch_.steps;
    const double* norm = batch_.norm ? batch_.norm + row(batch_.norm_row, item) * batch_.steps : nullptr;
    return {eta, norm, batch_.steps};
  }

  /// Rough time on one thread in nanoseconds.
  double work() const {
    const double steps = static_cast<double>(batch_.steps), items = static_cast<double>(batch_.items);
    const double horizons = batch_.horizons ? static_cast<double>(batch_.horizon_count) : steps / 2;
    if (options_.kind == Kind::average) return items * steps * 4;
    return items * horizons * (is_free() ? 2e4 + 30 * steps : 0.3 * steps);
  }

  void run_item(std::int64_t item, const Targets& targets, int threads,
                const std::function<void()>& interrupt) const {
    const Schedule steps = schedule(item);
    const double gamma = batch_.gamma ? batch_.gamma[row(batch_.gamma_row, item)] : kBest;
    if (batch_.gamma && !(gamma > 0 && gamma < kInf)) {
      throw std::invalid_argument("gamma, in units of D/G, must be positive and finite; found " +
                                  std::to_string(gamma) + " for item " + std::to_string(item));
    }
    if (options_.kind == Kind::average) {
      average(steps, gamma, targets);
    } else if (is_free()) {
      check(kernels_, steps);
      const Recursion& recursion = options_.kind == Kind::tight ? kTight : kLast;
      parallel_for(
          targets.count, threads,
          [&](std::int64_t i) {
            const Sources sources = steps.sources(targets.horizon(i));
            targets.write(i, best_rho(kernels_, recursion, sources, gamma));
          },
          interrupt);
    } else if (5 * targets.count > steps.steps && steps.steps > kTile / 4) {
      last_tiles(steps, targets, threads, interrupt);
    } else {
      const bool all_read = targets.horizon(targets.count - 1) == steps.steps;
      if (!all_read) check(kernels_, steps);
      parallel_for(
          targets.count, threads,
          [&](std::int64_t i) {
            targets.write(i, last_at(kernels_, steps, options_.last_step, targets.horizon(i)));
          },
          interrupt);
    }
  }

  /// All horizons of `last`, a tile of targets at a time.
  void last_tiles(const Schedule& steps, const Targets& targets, int threads,
                  const std::function<void()>& interrupt) const {
    const Tiles tiles(steps, check(kernels_, steps));
    std::vector<double> distance(tiles.count() * kTile), noise(tiles.count() * kTile);
    std::vector<double> rho(tiles.count() * kTile, 1.0);
    parallel_for(
        tiles.count(), threads,
        [&](std::int64_t tile) {
          const std::int64_t first = tile * kTile;
          const std::int64_t end = std::min(first + kTile, steps.steps);
          for (std::int64_t k = first; k < end; ++k) {
            const double step = fixed_rho(steps, options_.last_step, k + 1);
            rho[k] = step > 0 ? step : 1.0;
          }
          kernels_.last_tile(tiles.view(), tile, &rho[first], &distance[first], &noise[first]);
        },
        interrupt);
    const std::vector<double> moved = distance_moved(steps);
    for (std::int64_t i = 0; i < targets.count; ++i) {
      const std::int64_t t = targets.horizon(i);
      const double step = fixed_rho(steps, options_.last_step, t);
      targets.write(i, step > 0 ? last_from(distance[t - 1], noise[t - 1], step, steps.norm_at(t))
                                : zero_last_step(moved[t - 1]));
    }
  }

  /// S_{t-1} for every horizon t.
  static std::vector<double> distance_moved(const Schedule& steps) {
    std::vector<double> moved(steps.steps);
    Accumulator length;
    for (std::int64_t k = 0; k < steps.steps; ++k) {
      moved[k] = length.value();
      length.add(steps.eta[k]);
    }
    return moved;
  }

  /// Textbook bound of the weighted average. Its last weight is as free as the last step of the other
  /// kinds; the best one has a closed form.
  void average(const Schedule& steps, double gamma, const Targets& targets) const {
    check(kernels_, steps);
    std::vector<Split> splits(steps.steps);
    Accumulator length, squares;
    for (std::int64_t t = 1; t <= steps.steps; ++t) {
      const double norm = steps.norm_at(t), S = length.value(), Q = squares.value();
      splits[t - 1] = average_at(S, Q, norm, average_rho(steps, t, gamma, S, Q));
      const double root = steps.eta[t - 1] * norm;
      length.add(steps.eta[t - 1]);
      squares.add(root * root);
    }
    for (std::int64_t i = 0; i < targets.count; ++i) {
      targets.write(i, splits[targets.horizon(i) - 1]);
    }
  }

  /// The weight of x_t, given S_{t-1} and Q_{t-1}. The best one minimises
  /// (1/gamma + gamma (Q + rho^2 G^2)) / (S + rho), or (Q + rho^2 G^2) / (S + rho)^2 without gamma.
  double average_rho(const Schedule& steps, std::int64_t t, double gamma, double S, double Q) const {
    if (options_.last_step != LastStep::free) return fixed_rho(steps, options_.last_step, t);
    const double norm = steps.norm_at(t);
    if (norm == 0) return kInf;
    if (gamma > 0) {
      const double ratio = (1 / gamma + gamma * Q) / (gamma * norm * norm);
      return ratio / (S + std::sqrt(S * S + ratio));
    }
    return S > 0 ? Q / (S * norm * norm) : 1.0;
  }

  static Split average_at(double S, double Q, double norm, double rho) {
    if (std::isinf(rho)) return {0, 0, rho};
    const double total = S + rho, root = rho * norm;
    if (!(total > 0)) return {kInf, 0, rho};
    return {0.5 / total, 0.5 * (Q + root * root) / total, rho};
  }

  /// What best_rho takes for the best base learning rate.
  static constexpr double kBest = 0;

  const Kernels& kernels_;
  const Batch& batch_;
  const Options& options_;
};

void check_shape(const Batch& batch) {
  if (batch.steps < 1) throw std::invalid_argument("a schedule needs at least one step");
  for (std::int64_t i = 0; i < batch.horizon_count && batch.horizons; ++i) {
    if (batch.horizons[i] < 1 || batch.horizons[i] > batch.steps) {
      throw std::invalid_argument("horizons must lie in 1.." + std::to_string(batch.steps) + "; found " +
                                  std::to_string(batch.horizons[i]) + " at entry " + std::to_string(i));
    }
  }
}

}  // namespace

void terms(const Batch& batch, const Options& options, const Terms& out) {
  check_shape(batch);
  Runner(active_kernels(), batch, options).run(out);
}

void walk(Kind kind, const double* eta, const double* norm, std::int64_t steps, const double* rho,
          std::int64_t count, double* distance, double* noise) {
  if (kind == Kind::average) throw std::invalid_argument("walk takes kind last or tight");
  if (steps < 1) throw std::invalid_argument("a schedule needs at least one step");
  for (std::int64_t i = 0; i < count; ++i) {
    if (!(rho[i] > 0 && rho[i] < kInf)) {
      throw std::invalid_argument("rho must be positive and finite; found " + std::to_string(rho[i]) +
                                  " at entry " + std::to_string(i));
    }
  }
  const Kernels& kernels = active_kernels();
  const Schedule schedule = {eta, norm, steps};
  check(kernels, schedule);
  walk_from(kernels, kind == Kind::tight ? kTight : kLast, schedule.sources(steps), rho, count, distance,
            noise);
}

}  // namespace cvxbound
