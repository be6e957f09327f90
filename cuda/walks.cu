#include "launch.hpp"
#include "recursion.hpp"
#include "simd.hpp"
#include "walks.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// The steps before a horizon are cut into one stretch a thread; the last thread has the first steps. The
/// sums of the stretches say at which R each of them is entered.
struct WalkLast {
  static constexpr int kThreads = 256;
  struct Shared {
    double length[2][kThreads];  ///< of the stretches from a thread's back to the target, in two halves
    double length_low[2][kThreads];
    double sum[kThreads];
  };

  Pairs pairs;

  CVX_DEVICE void operator()(const Block<kThreads>& block, Shared& shared) const {
    const std::int64_t i = block.index(), t = pairs.horizon(i), steps = t - 1;
    const Row row = pairs.schedule(i / pairs.horizons());
    const std::int64_t stretch = (steps + kThreads - 1) / kThreads;
    const auto end_of = [&](int thread) {
      const std::int64_t end = steps - thread * stretch;
      return end > 0 ? end : 0;
    };
    const double rho = pairs.fixed_rho(row, t);
    block.each([&](int thread) {
      double length = 0, low = 0, rounding;
      for (std::int64_t k = end_of(thread) - 1; k >= end_of(thread + 1); --k) {
        length = two_sum(length, row.eta[k], rounding);
        low += rounding;
      }
      shared.length[0][thread] = length;
      shared.length_low[0][thread] = low;
    });
    int half = 0;
    for (int reach = 1; reach < kThreads; reach *= 2, half = 1 - half) {
      block.each([&](int thread) {
        double length = shared.length[half][thread], low = shared.length_low[half][thread], rounding;
        if (thread >= reach) {
          length = two_sum(length, shared.length[half][thread - reach], rounding);
          low += shared.length_low[half][thread - reach] + rounding;
        }
        shared.length[1 - half][thread] = length;
        shared.length_low[1 - half][thread] = low;
      });
    }
    const auto before = [&](int thread) {
      return thread < 0 ? 0.0 : shared.length[half][thread] + shared.length_low[half][thread];
    };
    block.each([&](int thread) {
      double R = (rho > 0 ? rho : 1.0) + before(thread - 1), sum = 0, unused = 0;
      for (std::int64_t k = end_of(thread) - 1; k >= end_of(thread + 1); --k) {
        Last::step<true>(row.eta[k], row.norm_at(k), R, unused, sum);
      }
      shared.sum[thread] = sum;
    });
    for (int reach = kThreads / 2; reach > 0; reach /= 2) {
      block.each([&](int thread) {
        if (thread < reach) shared.sum[thread] += shared.sum[thread + reach];
      });
    }
    block.each([&](int thread) {
      if (thread > 0) return;
      const double moved = before(kThreads - 1);
      pairs.write_last(i, row, t, rho + moved, shared.sum[0], moved);
    });
  }
};

}  // namespace

void walk_last(const Pairs& pairs, Stream stream) {
  launch_blocks("walk_last", pairs.count(), WalkLast{pairs}, stream);
}

}  // namespace cuda
}  // namespace cvxbound
