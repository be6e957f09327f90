// The public entry points: checks, prepares a schedule, and hands its horizons to the kernels.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "average.hpp"
#include "cvxbound/cvxbound.hpp"
#include "direct.hpp"
#include "dispatch.hpp"
#include "fast_curve.hpp"
#include "parallel.hpp"
#include "schedule.hpp"

namespace cvxbound {
namespace {

/// Below this much work, in nanoseconds, threads cost more than they save; only an explicit number of
/// them is obeyed all the same.
constexpr double kSerialWork = 1e6;

/// An item that takes longer, in nanoseconds, is shared between threads, and can be interrupted.
constexpr double kLongItem = 2e7;

/// Measured times on one thread, in nanoseconds; only the choice of method and threads rests on them.
struct Cost {
  double horizon;  ///< of one done directly, besides its steps
  double walk;     ///< of each of its steps where it is walked alone
  double pair;     ///< and where all horizons are
  double build;    ///< block maps, a step
  double single;   ///< of a horizon far from others, after that
  double tile;     ///< of one among others
};
constexpr Cost kGiven = {50, 0.35, 0.07, 10, 3000, 25};
constexpr Cost kFree = {2e4, 30, 15, 15, 4e4, 350};

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
    const bool many_short = item_time() < kLongItem && batch_.items >= 2 * threads;
    const bool by_item = many_short || horizons == 1 || options_.kind == Kind::average;
    const int outer = by_item ? threads : 1, inner = by_item ? 1 : threads;
    std::vector<FastWorkspace> workspaces;
    for (int i = 0; i < outer; ++i) workspaces.emplace_back(inner);
    parallel_for(
        batch_.items, outer,
        [&](std::int64_t i, int worker) {
          const auto at = [&](double* x) { return x ? x + i * horizons : nullptr; };
          const Targets targets = {batch_.horizons,
                                   horizons,
                                   {at(out.distance), at(out.noise), at(out.rho), at(out.omega)},
                                   gamma(i)};
          run_item(i, targets, workspaces[worker], outer > 1 ? nullptr : options_.interrupt);
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

  double horizon_count() const {
    return static_cast<double>(batch_.horizons ? batch_.horizon_count : batch_.steps);
  }

  const Cost& cost() const { return is_free() ? kFree : kGiven; }

  /// Rough times for one item on one thread, in nanoseconds.
  double direct_time() const {
    const double steps = static_cast<double>(batch_.steps), horizons = horizon_count();
    if (batch_.horizons) return horizons * (cost().horizon + cost().walk * steps);
    return horizons * (cost().horizon + cost().pair * steps);
  }
  double fast_time() const {
    const double steps = static_cast<double>(batch_.steps), horizons = horizon_count();
    return cost().build * steps + std::min(horizons * cost().single, steps * cost().tile);
  }

  bool is_fast() const {
    if (options_.kind == Kind::average || options_.method == Method::direct) return false;
    return options_.method == Method::fast ||
           (options_.rtol >= kBestTolerance && fast_time() < direct_time());
  }

  double item_time() const {
    if (options_.kind == Kind::average) return static_cast<double>(batch_.steps) * 4;
    return is_fast() ? fast_time() : direct_time();
  }

  double work() const { return static_cast<double>(batch_.items) * item_time(); }

  double gamma(std::int64_t item) const {
    if (!batch_.gamma) return kBest;
    const double gamma = batch_.gamma[row(batch_.gamma_row, item)];
    if (gamma > 0 && gamma < kInfinity) return gamma;
    throw std::invalid_argument("gamma, in units of D/G, must be positive and finite; found " +
                                std::to_string(gamma) + " for item " + std::to_string(item));
  }

  void run_item(std::int64_t item, const Targets& targets, FastWorkspace& workspace,
                const std::function<void()>& interrupt) const {
    const Schedule steps = schedule(item);
    const Recursion& recursion = options_.kind == Kind::tight ? kTight : kLast;
    const int threads = workspace.threads();
    if (options_.kind == Kind::average) {
      average(kernels_, steps, options_.last_step, targets);
    } else if (is_fast() && FastCurve::covers(check(kernels_, steps))) {
      const FastOptions fast = {is_free(), options_.last_step == LastStep::repeat, targets.gamma};
      FastCurve(kernels_, recursion, targets.seen(steps), fast, options_.rtol, workspace)
          .run(targets, interrupt);
    } else if (is_free()) {
      direct_free(kernels_, recursion, steps, targets, threads, interrupt);
    } else {
      direct_last(kernels_, steps, options_.last_step, targets, threads, interrupt);
    }
  }

  /// What stands for the best base learning rate.
  static constexpr double kBest = 0;

  const Kernels& kernels_;
  const Batch& batch_;
  const Options& options_;
};

}  // namespace

void terms(const Batch& batch, const Options& options, const Terms& out) {
  check_batch(batch);
  if (options.method == Method::fast && !(options.rtol >= kBestTolerance)) {
    throw std::invalid_argument("rtol of the fast method must be at least 1e-12, got " +
                                std::to_string(options.rtol));
  }
  Runner(active_kernels(), batch, options).run(out);
}

void walk(Kind kind, const double* eta, const double* norm, std::int64_t steps, const double* rho,
          std::int64_t count, double* distance, double* noise) {
  if (kind == Kind::average) throw std::invalid_argument("walk takes kind last or tight");
  if (steps < 1) throw std::invalid_argument("a schedule needs at least one step");
  for (std::int64_t i = 0; i < count; ++i) {
    if (!(rho[i] > 0 && rho[i] < kInfinity)) {
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
