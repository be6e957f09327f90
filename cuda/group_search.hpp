// What the kernels share that search a last step (rho_search.hpp): a group of threads searches, each of
// them walks from one of kBeam values of rho.
#pragma once

#include "launch.hpp"
#include "recursion.hpp"
#include "rho_search.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// Steps that a group reads or makes at a time, one a thread.
constexpr int kChunk = kBeam;

struct SearchShared {
  SearchMemory memory;
  double eta[kChunk], norm[kChunk];
};

/// The threads of a group as RhoSearch has them work.
struct Team {
  const Group<kBeam>& group;

  template <class Function>
  CVX_DEVICE void each(int count, const Function& function) const {
    group.each([&](int lane) {
      for (int i = lane; i < count; i += kBeam) function(i);
    });
  }
};

/// One walk by every step. What grows within a chunk is kept apart from what was there before, so that a
/// million equal steps do not drift.
class ChunkWalk {
 public:
  CVX_DEVICE void start(double rho) {
    distance_ = R_ = rho;
    grown_ = sum_ = part_ = 0;
  }

  CVX_DEVICE void take(bool tight, const double* eta, const double* norm, int count) {
    for (int k = count - 1; k >= 0; --k) {
      step_back(tight, eta[k], norm[k], R_, grown_, part_);
      R_ = distance_ + grown_;
    }
    double low;
    distance_ = two_sum(distance_, grown_, low);
    grown_ = low;
    sum_ = two_sum(sum_, part_, low);
    part_ = low;
  }

  CVX_DEVICE double distance() const { return R_; }
  CVX_DEVICE double sum() const { return sum_ + part_; }

 private:
  double distance_, grown_, R_;
  double sum_, part_;
};

/// Walks by every step before a horizon, for RhoSearch. Of Steps, stretches(visit) calls visit(begin, end,
/// load) for stretches of them, last to first, and load(k, eta, norm) is step k of that stretch.
template <class Steps>
class StepWalks {
 public:
  CVX_DEVICE StepWalks(const Steps& steps, bool tight, const Group<kBeam>& group, SearchShared& shared)
      : steps_(steps), tight_(tight), group_(group), shared_(shared) {}

  CVX_DEVICE void operator()(const double* rho, double last_norm, double* distance, double* noise) const {
    PerThread<ChunkWalk, kBeam> walk;
    group_.each([&](int lane) { walk[lane].start(rho[lane]); });
    for_each_chunk([&](int count) {
      group_.each([&](int lane) { walk[lane].take(tight_, shared_.eta, shared_.norm, count); });
    });
    group_.each([&](int lane) {
      distance[lane] = 0.5 / walk[lane].distance();
      noise[lane] = 0.5 * ((rho[lane] * last_norm) * last_norm + walk[lane].sum());
    });
  }

  CVX_DEVICE Landscape landscape(double gamma, double last_norm) const {
    Landscape seen = {tight_, gamma, 0, 0, last_norm, 1, last_norm};
    for_each_chunk([&](int count) {
      double length = 0;
      for (int k = count - 1; k >= 0; --k) {
        length += shared_.eta[k];
        if (shared_.norm[k] > seen.largest_norm) seen.largest_norm = shared_.norm[k];
        if (seen.step > 0 || !(shared_.eta[k] > 0)) continue;
        seen.step = shared_.eta[k];
        seen.step_norm = shared_.norm[k];
      }
      seen.length += length;
    });
    return seen;
  }

 private:
  /// Calls visit(count) for chunks of steps, last to first, when they are in shared memory.
  template <class Visit>
  CVX_DEVICE void for_each_chunk(const Visit& visit) const {
    steps_.stretches([&](std::int64_t begin, std::int64_t end, const auto& load) {
      while (end > begin) {
        const std::int64_t first = begin + (end - begin - 1) / kChunk * kChunk;
        const int count = static_cast<int>(end - first);
        group_.each([&](int lane) {
          if (lane < count) load(first + lane, shared_.eta[lane], shared_.norm[lane]);
        });
        visit(count);
        end = first;
      }
    });
  }

  const Steps& steps_;
  const bool tight_;
  const Group<kBeam>& group_;
  SearchShared& shared_;
};

/// Groups of a launch of `count` that are at work at a time: each has a slot of the workspace.
template <class Body>
std::int64_t slots_of(std::int64_t count) {
  const std::int64_t most = groups_at_once<Body>();
  return count < most ? count : most;
}

}  // namespace
}  // namespace cuda
}  // namespace cvxbound
