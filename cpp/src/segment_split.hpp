// One horizon of a schedule that is made of segments, for processors and GPUs alike, which differ in how
// they make steps and sums.
#pragma once

#include <cstdint>

#include "cvxbound/cvxbound.hpp"
#include "segment_kernels.hpp"
#include "split.hpp"

namespace cvxbound {

/// The segments of one schedule.
struct SegmentRow {
  const Segment* segments;
  std::int64_t width;

  CVX_PORTABLE std::int64_t steps() const {
    std::int64_t total = 0;
    for (std::int64_t i = 0; i < width; ++i) total += segments[i].steps;
    return total;
  }

  /// Calls visit(segment, begin, size) for stretches of at most `most` of the first `steps` steps, last to
  /// first.
  template <class Visit>
  CVX_PORTABLE void for_each_stretch(std::int64_t steps, std::int64_t most, const Visit& visit) const {
    std::int64_t begin = this->steps();
    for (std::int64_t i = width - 1; i >= 0; --i) {
      std::int64_t end = begin < steps ? begin : steps;
      begin -= segments[i].steps;
      while (end > begin) {
        const std::int64_t size = most < end - begin ? most : end - begin;
        end -= size;
        visit(segments[i], end - begin, size);
      }
    }
  }
};

/// Whether the best last step has to be searched; for `average` it has a closed form.
CVX_PORTABLE inline bool is_searched(Kind kind, LastStep last_step) {
  return kind == Kind::tight || (kind == Kind::last && last_step == LastStep::free);
}

/// A bound without a search.
struct SegmentBound {
  Kind kind;
  LastStep last_step;
  Method method;

  /// Shorter schedules are walked: panels would not be shorter, or for `tight`, which solves an equation in
  /// each of them, not faster.
  static constexpr std::int64_t kFewSteps = 1024, kFewTightSteps = 4096;

  CVX_PORTABLE bool is_walked(const SegmentRow& row) const {
    const std::int64_t few = kind == Kind::tight ? kFewTightSteps : kFewSteps;
    return method == Method::direct || (method == Method::automatic && row.steps() < few);
  }

  /// The split at horizon t >= 1; gamma, 0 for the best one, matters where the last step is free. Of an
  /// Engine,
  ///   step(segment, i)        is the learning rate of step i of a segment,
  ///   sums(row, steps, rho)   are the sums before a horizon by panels, for rho > 0, and
  ///   walk(row, steps, rho)   from every step; without a last step the fractions mean nothing, and of the
  ///                           others only those that the kind needs are there.
  template <class Engine>
  CVX_PORTABLE Split split(const Engine& engine, const SegmentRow& row, std::int64_t t, double gamma,
                           bool walked) const {
    double rho = step(engine, row, last_step == LastStep::repeat && t > 1 ? t - 1 : t);
    const SegmentSums sums =
        walked ? engine.walk(row, t - 1, rho) : engine.sums(row, t - 1, rho > 0 ? rho : 1.0);
    if (kind == Kind::average) {
      if (last_step == LastStep::free) rho = best_average_rho(sums.length, sums.squares, 1.0, gamma);
      return average_split(sums.length, sums.squares, 1.0, rho);
    }
    if (rho > 0) return {0.5 / (rho + sums.length), 0.5 * (rho + sums.fractions), rho};
    return zero_last_step(sums.length);
  }

 private:
  template <class Engine>
  CVX_PORTABLE static double step(const Engine& engine, const SegmentRow& row, std::int64_t t) {
    const Segment* segment = row.segments;
    while (t > segment->steps) t -= (segment++)->steps;
    return engine.step(*segment, t - 1);
  }
};

}  // namespace cvxbound
