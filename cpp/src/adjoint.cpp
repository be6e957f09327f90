// The entry point for derivatives: checks, finds the virtual last steps, and chooses the method.
#include "adjoint.hpp"

#include <algorithm>
#include <limits>

#include "average.hpp"
#include "direct_adjoint.hpp"
#include "dispatch.hpp"
#include "fast_adjoint.hpp"
#include "parallel.hpp"

namespace cvxbound {
namespace {

/// Measured times on one thread, in nanoseconds; only the choice of method and threads rests on them.
constexpr double kDirectTime = 25, kFastTime = 500;

class Runner {
 public:
  Runner(const Batch& batch, const Options& options, const double* weight, const double* rho,
         const Gradients& out)
      : batch_(batch),
        options_(options),
        weight_(weight),
        rho_(rho),
        out_(out),
        count_(batch.horizons ? batch.horizon_count : batch.steps) {}

  void run() {
    if (is_free() && !rho_) find_rho();
    const bool many = batch_.items > 1;
    const double work = kFastTime * static_cast<double>(batch_.items * batch_.steps);
    const int threads = options_.threads > 0 ? options_.threads : work < 1e6 ? 1 : default_threads();
    const std::function<void()> none;
    parallel_for(
        batch_.items, many ? threads : 1,
        [&](std::int64_t item, int) {
          run_item(item, many ? 1 : threads, many ? none : options_.interrupt);
        },
        options_.interrupt);
  }

 private:
  bool is_free() const { return options_.kind == Kind::tight || options_.last_step == LastStep::free; }

  /// The best last steps of the horizons that count in some item.
  void find_rho() {
    std::vector<std::int64_t> horizons, index;
    for (std::int64_t i = 0; i < count_; ++i) {
      bool counts = false;
      for (std::int64_t item = 0; item < batch_.items; ++item) counts |= weight_[item * count_ + i] != 0;
      if (!counts) continue;
      horizons.push_back(batch_.horizons ? batch_.horizons[i] : i + 1);
      index.push_back(i);
    }
    if (horizons.empty()) return;
    Batch wanted = batch_;
    wanted.horizons = horizons.data();
    wanted.horizon_count = static_cast<std::int64_t>(horizons.size());
    std::vector<double> rho(static_cast<std::size_t>(batch_.items * wanted.horizon_count));
    Terms found;
    found.rho = rho.data();
    terms(wanted, options_, found);
    found_rho_.assign(static_cast<std::size_t>(batch_.items * count_), 0.0);
    for (std::int64_t item = 0; item < batch_.items; ++item) {
      for (std::size_t j = 0; j < index.size(); ++j) {
        found_rho_[item * count_ + index[j]] = rho[item * index.size() + j];
      }
    }
  }

  static std::int64_t row(const std::int64_t* index, std::int64_t item) {
    return index ? index[item] : item;
  }

  void run_item(std::int64_t item, int threads, const std::function<void()>& interrupt) const {
    const double* eta = batch_.eta + row(batch_.eta_row, item) * batch_.steps;
    const double* norm = batch_.norm ? batch_.norm + row(batch_.norm_row, item) * batch_.steps : nullptr;
    const Schedule schedule = {eta, norm, batch_.steps};
    const Ranges ranges = check(active_kernels(), schedule);
    const Objective objective = make_objective(item, schedule);
    std::fill_n(objective.out.eta, batch_.steps, 0.0);
    if (objective.out.norm) std::fill_n(objective.out.norm, batch_.steps, 0.0);
    if (objective.horizons.empty()) return;
    const Recursion& recursion = options_.kind == Kind::tight ? kTight : kLast;
    if (options_.kind == Kind::average) {
      average_adjoint(schedule, objective);
    } else if (is_fast(objective) && fast_adjoint_covers(ranges)) {
      fast_adjoint(active_kernels(), recursion, schedule, objective, threads, interrupt);
    } else {
      direct_adjoint(recursion, schedule, objective, interrupt);
    }
  }

  bool is_fast(const Objective& objective) const {
    if (options_.method != Method::automatic) return options_.method == Method::fast;
    double walked = 0;
    for (const Weighted& horizon : objective.horizons) walked += static_cast<double>(horizon.step);
    return kDirectTime * walked > kFastTime * static_cast<double>(objective.horizons.back().step);
  }

  Objective make_objective(std::int64_t item, const Schedule& schedule) const {
    const auto at = [&](double* x, std::int64_t size) { return x ? x + item * size : nullptr; };
    Objective objective = {{},
                           batch_.gamma ? batch_.gamma[row(batch_.gamma_row, item)] : 0,
                           options_.last_step,
                           rho_ != nullptr,
                           is_free(),
                           {at(out_.omega, count_), at(out_.eta, batch_.steps), at(out_.norm, batch_.steps),
                            at(out_.rho, count_)}};
    const double* rho = rho_ ? rho_ : found_rho_.empty() ? nullptr : found_rho_.data();
    objective.horizons.reserve(static_cast<std::size_t>(count_));
    for (std::int64_t i = 0; i < count_; ++i) {
      const double weight = weight_[item * count_ + i];
      const std::int64_t step = batch_.horizons ? batch_.horizons[i] : i + 1;
      if (objective.out.omega) objective.out.omega[i] = std::numeric_limits<double>::quiet_NaN();
      if (objective.out.rho) objective.out.rho[i] = 0;
      if (weight == 0) continue;
      const double last = rho ? rho[item * count_ + i] : fixed_rho(schedule, options_.last_step, step);
      check_horizon(step, weight, last);
      objective.horizons.push_back({step, i, weight, last});
    }
    const auto earlier = [](const Weighted& a, const Weighted& b) { return a.step < b.step; };
    if (!std::is_sorted(objective.horizons.begin(), objective.horizons.end(), earlier)) {
      std::stable_sort(objective.horizons.begin(), objective.horizons.end(), earlier);
    }
    return objective;
  }

  static void check_horizon(std::int64_t step, double weight, double rho) {
    if (std::isfinite(weight) && rho > 0 && rho < kInfinity) return;
    const std::string bound = "the bound after step " + std::to_string(step);
    throw std::invalid_argument(!std::isfinite(weight) ? "the weight of " + bound + " is not finite"
                                : rho > 0 ? bound + " has no derivative: its last step is best at infinity"
                                          : bound + " has no derivative: its last step is zero");
  }

  const Batch& batch_;
  const Options& options_;
  const double* weight_;
  const double* rho_;
  const Gradients& out_;
  const std::int64_t count_;
  std::vector<double> found_rho_;
};

}  // namespace

void gradient(const Batch& batch, const Options& options, const double* weight, const double* rho,
              const Gradients& out) {
  check_batch(batch);
  if (!out.eta) throw std::invalid_argument("gradient needs a place for the derivatives of eta");
  if (out.norm && !batch.norm) throw std::invalid_argument("derivatives of norms need norms");
  Runner(batch, options, weight, rho, out).run();
}

}  // namespace cvxbound
