#include "launch.hpp"
#include "segment_split.hpp"
#include "segment_walk.hpp"
#include "segments.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// What SegmentBound needs, from a thread that is by itself.
struct Engine {
  const PanelRules& rules;

  CVX_DEVICE double step(const Segment& segment, std::int64_t i) const {
    double value;
    fill(segment, i, 1, &value);
    return value;
  }

  CVX_DEVICE SegmentSums sums(const SegmentRow& row, std::int64_t steps, double rho) const {
    return cvxbound::sums(row.segments, row.width, steps, rho, rules);
  }

  /// Few steps at a time, which divide side by side.
  CVX_DEVICE SegmentSums walk(const SegmentRow& row, std::int64_t steps, double rho) const {
    constexpr int kFew = 4;
    vec back[kFew];
    for (int v = 0; v < kFew; ++v) back[v] = v;
    const double start = rho > 0 ? rho : 1.0;
    Accumulator length, fractions, squares;
    const auto add = [&](const Segment& segment, std::int64_t, std::int64_t size) {
      const Formula formula(segment);
      for (std::int64_t end = size; end > 0; end -= kFew) {
        vec eta[kFew];
        formula.at<kFew>(static_cast<double>(end - 1), back, eta);
        const double R = start + length.value();
        double moved = 0, fraction = 0, square = 0;
        for (int v = 0; v < kFew && v < end; ++v) {
          const double step = eta[v][0];
          fraction += step * (step / (R + moved));
          square += step * step;
          moved += step;
        }
        length.add(moved);
        fractions.add(fraction);
        squares.add(square);
      }
    };
    row.for_each_stretch(steps, steps, add);
    return {length.value(), fractions.value(), squares.value()};
  }
};

struct Segmented {
  static constexpr int kBlocks = 2;
  SegmentBatch batch;
  SegmentBound bound;
  Terms out;
  const PanelRules* rules;

  CVX_DEVICE void operator()(std::int64_t i) const {
    const SegmentRow row = {batch.segments + i / batch.horizon_count * batch.width, batch.width};
    const std::int64_t t = batch.horizons[i];
    const double gamma = batch.gamma ? batch.gamma[i / batch.horizon_count] : 0.0;
    const double nothing = __builtin_nan("");
    const Split split = t > 0 ? bound.split(Engine{*rules}, row, t, gamma, bound.is_walked(row))
                              : Split{nothing, nothing, nothing};
    if (out.distance) out.distance[i] = split.distance;
    if (out.noise) out.noise[i] = split.noise;
    if (out.rho) out.rho[i] = split.rho;
  }
};

}  // namespace

void bound_segments(const SegmentBatch& batch, const Options& options, const Terms& out,
                    const PanelRules* rules, Stream stream) {
  const SegmentBound bound = {options.kind, options.last_step, options.method};
  launch("bound_segments", batch.items * batch.horizon_count, Segmented{batch, bound, out, rules}, stream);
}

}  // namespace cuda
}  // namespace cvxbound
