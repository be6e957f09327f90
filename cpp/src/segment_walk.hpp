// The steps of segments, and the sums over them without visiting every one (segment_kernels.hpp). Compiled
// once per instruction set, and for GPUs.
#pragma once

#include "segment_kernels.hpp"
#include "simd.hpp"
#include "vector_math.hpp"

namespace cvxbound {
namespace {

constexpr int kVectors = kPanelNodes / kLanes;

CVX_PORTABLE inline vec lane_numbers() {
  vec v;
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

/// A segment with what its formula needs at every step.
class Formula {
 public:
  CVX_PORTABLE explicit Formula(const Segment& s)
      : form_(s.form),
        start_(broadcast(s.start)),
        end_(broadcast(s.end)),
        first_(s.first),
        length_(s.span),
        span_(broadcast(s.span)),
        inverse_(broadcast(1 / s.span)),
        parameter_(broadcast(s.parameter)) {
    if (form_ == Form::exponential) {
      const double rate = __builtin_log(s.parameter);
      parameter_ = broadcast(rate);
      scale_ = broadcast(1 / __builtin_expm1(rate));
    }
  }

  /// The learning rates at real steps edge - back[v]. What is left of the span is not found as a small
  /// difference of rounded steps.
  template <int kCount>
  CVX_NOINLINE CVX_PORTABLE void at(double edge, const vec* back, vec* eta) const {
    const vec done = broadcast(first_ + edge), to_go = broadcast(length_ - first_ - edge);
    const auto each = [&](auto value) {
      for (int v = 0; v < kCount; ++v) eta[v] = value(done - back[v], to_go + back[v]);
    };
    const auto decay = [&](auto fraction_left) {
      each([&](vec i, vec j) {
        const vec left = fraction_left(i * inverse_, j * inverse_);
        return start_ * left + end_ * (broadcast(1.0) - left);
      });
    };
    const vec one = broadcast(1.0), zero = {};
    switch (form_) {  // the decays as in `fraction_left` of the Python package
      case Form::constant:
        return each([&](vec, vec) { return start_; });
      case Form::linear:
        return each([&](vec i, vec j) { return start_ * (j * inverse_) + end_ * (i * inverse_); });
      case Form::inverse_sqrt:
        return each([&](vec i, vec) { return start_ * sqrt(span_ / i); });
      case Form::one_minus_sqrt:
        return decay([&](vec x, vec y) { return y / (one + sqrt(x)); });
      case Form::cosine:
        return decay([&](vec, vec y) {
          const vec root = sine(broadcast(1.5707963267948966) * y);
          return root * root;
        });
      case Form::power:
        return decay([&](vec x, vec y) { return x > zero ? -expm1(parameter_ * log(x, y)) : one; });
      default:  // exponential
        return decay([&](vec x, vec y) {
          const vec left = exp(parameter_ * x) * (expm1(parameter_ * y) * scale_);
          return min(left, one);  // which rounding may exceed at x = 0
        });
    }
  }

 private:
  Form form_;
  vec start_, end_;
  double first_, length_;
  vec span_, inverse_, parameter_, scale_ = {};
};

CVX_PORTABLE inline void fill(const Segment& segment, std::int64_t begin, std::int64_t count, double* eta) {
  const Formula formula(segment);
  constexpr int kStride = 4 * kLanes;
  vec back[4], value[4];
  for (int v = 0; v < 4; ++v) back[v] = -(lane_numbers() + broadcast(v * kLanes));
  for (std::int64_t k = 0; k < count; k += kStride) {
    formula.at<4>(static_cast<double>(begin + k), back, value);
    if (k + kStride <= count) {
      for (int v = 0; v < 4; ++v) store(eta + k + v * kLanes, value[v]);
    } else {
      for (int i = 0; k + i < count; ++i) eta[k + i] = value[i / kLanes][i % kLanes];
    }
  }
}

/// Steps taken one by one at a time.
constexpr int kSingle = 16;
constexpr int kSmallestPanel = 1 << kSmallestLevel;

constexpr double kTolerance = 1e-14;

/// What a walk is for: its sums alone.
struct SumsOnly {
  /// How many times as long as the way from the target to its near edge a panel may be.
  static constexpr double kReach = 3;
  /// Whether eta^2 / R has to be exact at every node of a panel, not only in sum.
  static constexpr bool kNodes = false;

  /// Whether nothing more is wanted.
  CVX_PORTABLE static bool is_full() { return false; }
  CVX_PORTABLE void steps(const double*, int) {}
  CVX_PORTABLE void panel(int, const double*, const double*) {}
};

CVX_PORTABLE inline double magnitude(double x) { return x < 0 ? -x : x; }

/// The greatest level whose panel is not longer than `steps`, 0 where that is below the smallest one.
CVX_PORTABLE inline int level_below(double steps) {
  if (!(steps >= kSmallestPanel)) return 0;
  const int level = 63 - __builtin_clzll(static_cast<unsigned long long>(steps < 0x1p62 ? steps : 0x1p62));
  return level < kLargestLevel ? level : kLargestLevel;
}

/// Walks back from R = rho, and tells a Record of every step and panel on the way.
template <class Record>
class Walker {
 public:
  CVX_PORTABLE Walker(double rho, const PanelRules& rules, Record& record)
      : rho_(rho), rules_(rules), record_(record) {}

  /// The first `steps` steps of a schedule, last to first.
  CVX_PORTABLE void take(const Segment* segments, std::int64_t count, std::int64_t steps) {
    std::int64_t begin = 0;
    for (std::int64_t i = 0; i < count; ++i) begin += segments[i].steps;
    for (std::int64_t i = count - 1; i >= 0; --i) {
      const std::int64_t end = begin < steps ? begin : steps;
      begin -= segments[i].steps;
      if (end > begin && !is_zero(segments[i])) take(segments[i], end - begin);
    }
  }

  CVX_PORTABLE SegmentSums sums() const { return sums_; }

 private:
  /// The first `steps` steps of a segment, last to first.
  CVX_PORTABLE void take(const Segment& segment, std::int64_t steps) {
    const Formula formula(segment);
    const vec here = {};
    vec nearest;
    formula.at<1>(static_cast<double>(steps - 1), &here, &nearest);
    const double edge = nearest[0];
    // Where R would vanish if the steps went on towards the target as they are here.
    const double before = edge > 0 ? (rho_ + sums_.length) / edge : 0x1p62;
    const bool singular = segment.form == Form::one_minus_sqrt || segment.form == Form::power ||
                          segment.form == Form::inverse_sqrt;
    double limit = 0x1p62;
    for (std::int64_t left = steps; left > 0 && !record_.is_full();) {
      const double far = static_cast<double>(left);
      double reach = Record::kReach * (before + static_cast<double>(steps - left));
      if (singular) reach = lesser(reach, 0.5 * (far + segment.first));
      int level = level_below(lesser(lesser(reach, limit), far));
      while (level > 0 && !panel(formula, level, left)) limit = size_of(--level);
      if (level < kSmallestLevel) {
        const std::int64_t single = left < kSmallestPanel ? left : kSingle;
        walk(segment, left - single, single);
        left -= single;
        limit = 0x1p62;
      } else {
        left -= std::int64_t{1} << level;
        limit *= 2;
      }
    }
  }

  /// Where R is 0, no panel of zeros could tell what it gets wrong.
  CVX_PORTABLE static bool is_zero(const Segment& segment) {
    return segment.start == 0 && segment.end == 0;
  }

  /// Steps of a panel.
  CVX_PORTABLE static double size_of(int level) { return static_cast<double>(std::int64_t{1} << level); }

  CVX_PORTABLE static double lesser(double a, double b) { return a < b ? a : b; }

  CVX_PORTABLE void walk(const Segment& segment, std::int64_t begin, std::int64_t count) {
    double eta[kSmallestPanel];
    fill(segment, begin, count, eta);
    record_.steps(eta, static_cast<int>(count));
    for (std::int64_t k = count - 1; k >= 0; --k) {
      const double step = eta[k], R = rho_ + sums_.length;
      if (step == 0) continue;
      if (R > 0) sums_.fractions += step * (step / R);
      sums_.squares += step * step;
      sums_.length += step;
    }
  }

  /// Adds the 2^level steps before step `left`, unless their sums would not be exact enough.
  CVX_NOINLINE CVX_PORTABLE bool panel(const Formula& formula, int level, std::int64_t left) {
    if (level < kSmallestLevel) return false;
    const PanelRule& rule = rules_.rule[level];
    const double size = size_of(level);
    const double R = rho_ + sums_.length;
    vec back[kVectors], eta[kVectors], before[kVectors] = {};
    double value[kPanelNodes];
    for (int v = 0; v < kVectors; ++v) back[v] = broadcast(size) * load(rules_.node + v * kLanes);
    formula.at<kVectors>(static_cast<double>(left) - 0.5, back, eta);
    for (int v = 0; v < kVectors; ++v) store(value + v * kLanes, eta[v]);
    CVX_ROLLED
    for (int k = 0; k < kPanelNodes; ++k) {
      for (int v = 0; v < kVectors; ++v) {
        before[v] = fma(load(rule.before[k] + v * kLanes), broadcast(value[k]), before[v]);
      }
    }
    vec fraction[kVectors], length = {}, fractions = {}, squares = {};
    CVX_ROLLED
    for (int v = 0; v < kVectors; ++v) {
      const vec weight = load(rule.weight + v * kLanes);
      fraction[v] = eta[v] * (eta[v] / (broadcast(R) + before[v]));
      length = fma(weight, eta[v], length);
      fractions = fma(weight, fraction[v], fractions);
      squares = fma(weight, eta[v] * eta[v], squares);
    }
    const double sum = sum_of_lanes(fractions);
    // What interpolation gets wrong: of R; of the fractions, in the slopes at the edges, by which a sum
    // differs from an integral; and in the integral, where Gauss quadrature squares it; and where R grows
    // by them, in the sums up to a node.
    const double tail = size * tail_of(fraction), all = sum + sums_.fractions;
    const double slopes = tail * kPanelNodes * kPanelNodes / (12 * size * size);
    if (!(size * tail_of(eta) <= kPanelNodes * kTolerance * R) || !(slopes <= 10 * kTolerance * all) ||
        !(tail * tail <= kTolerance * sum * all) ||
        (Record::kNodes && !(tail <= kPanelNodes * kTolerance * R))) {
      return false;
    }
    double length_before[kPanelNodes];
    for (int v = 0; v < kVectors; ++v) store(length_before + v * kLanes, before[v]);
    record_.panel(level, value, length_before);
    sums_.length += sum_of_lanes(length);
    sums_.fractions += sum;
    sums_.squares += sum_of_lanes(squares);
    return true;
  }

  /// The size of the last two coefficients of a Legendre series.
  CVX_PORTABLE double tail_of(const vec* values) const {
    vec last = {}, before = {};
    for (int v = 0; v < kVectors; ++v) {
      last = fma(load(rules_.tail[0] + v * kLanes), values[v], last);
      before = fma(load(rules_.tail[1] + v * kLanes), values[v], before);
    }
    return magnitude(sum_of_lanes(last)) + magnitude(sum_of_lanes(before));
  }

  double rho_;
  const PanelRules& rules_;
  Record& record_;
  SegmentSums sums_ = {};
};

CVX_PORTABLE inline SegmentSums sums(const Segment* segments, std::int64_t count, std::int64_t steps,
                                     double rho, const PanelRules& rules) {
  SumsOnly record;
  Walker<SumsOnly> walker(rho, rules, record);
  walker.take(segments, count, steps);
  return walker.sums();
}

}  // namespace
}  // namespace cvxbound
