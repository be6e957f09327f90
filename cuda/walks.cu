#include "launch.hpp"
#include "recursion.hpp"
#include "simd.hpp"
#include "walks.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// The steps before a horizon are taken a chunk at a time, the last ones first; each thread has a few
/// neighbours of a chunk, and sums over those of the threads before it say at which R it enters them.
struct WalkLast {
  static constexpr int kThreads = 256, kItems = 8, kChunk = kThreads * kItems;
  /// Threads whose lengths are added one after another; there are as many such rows.
  static constexpr int kRow = 16, kRows = kThreads / kRow;
  struct Shared {
    double length[kRows][kRow + 1];  ///< of a thread's steps, then of those in its row before it
    double row[kRows];
    double sum[kThreads];
  };
  struct State {
    double eta[kItems], norm[kItems];
    Accumulator length;  ///< of the chunks that are done
    double sum;
  };

  Pairs pairs;

  CVX_DEVICE void operator()(const Block<kThreads>& block, Shared& shared) const {
    const std::int64_t i = block.index(), t = pairs.horizon(i);
    const Row row = pairs.schedule(i / pairs.horizons());
    const double rho = pairs.fixed_rho(row, t);
    PerThread<State, kThreads> states;
    block.each([&](int thread) {
      State& state = states[thread];
      state.length = {};
      state.sum = 0;
    });
    for (std::int64_t end = t - 1; end > 0; end -= kChunk) {
      block.each([&](int thread) {
        shared.length[thread / kRow][thread % kRow] = load(row, end - thread * kItems, states[thread]);
      });
      block.each([&](int thread) {
        if (thread < kRows) shared.row[thread] = sums_before(shared.length[thread]);
      });
      block.each([&](int thread) { walk(shared, thread, rho > 0 ? rho : 1.0, states[thread]); });
    }
    block.each([&](int thread) { shared.sum[thread] = states[thread].sum; });
    for (int reach = kThreads / 2; reach > 0; reach /= 2) {
      block.each([&](int thread) {
        if (thread < reach) shared.sum[thread] += shared.sum[thread + reach];
      });
    }
    block.each([&](int thread) {
      if (thread > 0) return;
      const double moved = states[thread].length.value();
      pairs.write_last(i, row, t, rho + moved, shared.sum[0], moved);
    });
  }

 private:
  /// The steps before `end`, zeros where there are none; their sum.
  CVX_DEVICE static double load(const Row& row, std::int64_t end, State& state) {
    double length = 0;
    for (int i = 0; i < kItems; ++i) {
      const std::int64_t k = end - 1 - i;
      state.eta[i] = k >= 0 ? row.eta[k] : 0.0;
      state.norm[i] = k >= 0 ? row.norm_at(k) : 0.0;
      length += state.eta[i];
    }
    return length;
  }

  /// Replaces the entries of a row by the sums of those before them and returns the sum of all.
  CVX_DEVICE static double sums_before(double* length) {
    double sum = 0;
    for (int i = 0; i < kRow; ++i) {
      const double next = length[i];
      length[i] = sum;
      sum += next;
    }
    return sum;
  }

  CVX_DEVICE static void walk(const Shared& shared, int thread, double start, State& state) {
    double before = 0, chunk = 0, unused = 0;
    for (int i = 0; i < kRows; ++i) {
      if (i == thread / kRow) before = chunk;
      chunk += shared.row[i];
    }
    before += shared.length[thread / kRow][thread % kRow];
    double R = start + (state.length.value() + before);
    for (int i = 0; i < kItems; ++i) {
      Last::step<true>(state.eta[i], state.norm[i], R, unused, state.sum);
    }
    state.length.add(chunk);
  }
};

}  // namespace

void walk_last(const Pairs& pairs, Stream stream) {
  launch_blocks("walk_last", pairs.count(), WalkLast{pairs}, stream);
}

}  // namespace cuda
}  // namespace cvxbound
