// Bounds of schedules that are made of segments, which are laid out a block at a time where they are.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "basis.hpp"
#include "cvxbound/cvxbound.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"
#include "schedule.hpp"
#include "segment_kernels.hpp"
#include "segment_split.hpp"

namespace cvxbound {
namespace {

/// Steps laid out at a time: they stay in the first-level cache.
constexpr std::int64_t kLaidOut = 2048;

/// Schedules handed to a thread at a time.
constexpr std::int64_t kChunk = 64;

/// The first `steps` learning rates of a schedule.
void lay_out_first(const Kernels& kernels, const Segment* segment, std::int64_t steps, double* eta) {
  for (; steps > 0; ++segment) {
    const std::int64_t size = std::min(steps, segment->steps);
    if (size > 0) kernels.segments->fill(*segment, 0, size, eta);
    eta += size;
    steps -= size;
  }
}

/// What SegmentBound needs, from the kernels of this processor.
struct Engine {
  const Kernels& kernels;
  Kind kind;

  double step(const Segment& segment, std::int64_t i) const {
    double value;
    kernels.segments->fill(segment, i, 1, &value);
    return value;
  }

  SegmentSums sums(const SegmentRow& row, std::int64_t steps, double rho) const {
    return kernels.segments->sums(row.segments, row.width, steps, rho, panel_rules());
  }

  SegmentSums walk(const SegmentRow& row, std::int64_t steps, double rho) const {
    double block[kLaidOut];
    double R = kind == Kind::average ? 0 : rho;
    const double start = R;
    Accumulator fractions, squares;
    const auto add = [&](const Segment& segment, std::int64_t begin, std::int64_t size) {
      kernels.segments->fill(segment, begin, size, block);
      const Walk walked = kernels.walk_last(block, nullptr, size, R);
      R = walked.distance;
      fractions.add(walked.sum);
      for (std::int64_t k = 0; kind == Kind::average && k < size; ++k) squares.add(block[k] * block[k]);
    };
    row.for_each_stretch(steps, kLaidOut, add);
    return {R - start, fractions.value(), squares.value()};
  }
};

class SegmentRunner {
 public:
  SegmentRunner(const Kernels& kernels, const SegmentBatch& batch, const Options& options)
      : kernels_(kernels), batch_(batch), options_(options) {}

  void run(const Terms& out) const {
    const int threads = options_.threads > 0 ? options_.threads : default_threads();
    const std::int64_t chunk = batch_.items < kChunk * threads ? 1 : kChunk;
    const int inner = batch_.items == 1 ? threads : 1;
    const std::function<void()> none;
    std::vector<std::vector<double>> scratch(threads);
    parallel_for((batch_.items + chunk - 1) / chunk, threads,
                 [&](std::int64_t i, int worker) {
                   const std::int64_t end = std::min((i + 1) * chunk, batch_.items);
                   const auto& interrupt = worker == 0 ? options_.interrupt : none;
                   for (std::int64_t item = i * chunk; item < end; ++item) {
                     run_item(item, out, scratch[worker], inner, interrupt);
                   }
                 },
                 options_.interrupt);
  }

 private:
  const Segment* segments(std::int64_t item) const { return batch_.segments + item * batch_.width; }

  [[noreturn]] static void refuse(std::int64_t item, const std::string& what) {
    throw std::invalid_argument(what + " in item " + std::to_string(item));
  }

  /// The base learning rate of an item, 0 for the best one.
  double gamma(std::int64_t item) const {
    if (!batch_.gamma) return 0;
    const double value = batch_.gamma[item];
    if (!(value > 0 && std::isfinite(value))) refuse(item, "a gamma that is not positive and finite");
    return value;
  }

  /// The number of steps of a schedule.
  std::int64_t check(std::int64_t item) const {
    std::int64_t steps = 0;
    for (std::int64_t i = 0; i < batch_.width; ++i) {
      const Segment& s = segments(item)[i];
      const auto form = static_cast<std::int64_t>(s.form);
      if (form < 0 || form > static_cast<std::int64_t>(Form::inverse_sqrt)) refuse(item, "unknown form");
      if (s.steps < 0 || s.steps > kMostSteps) refuse(item, "a segment of less than 0 or over 2^40 steps");
      const double sum = s.start + s.end + s.first + s.span + s.parameter;
      if (!(std::isfinite(sum) && s.start >= 0 && s.end >= 0 && s.first >= 0 && s.span >= 0)) {
        refuse(item, "a segment with a negative or infinite number");
      }
      steps += s.steps;
    }
    if (steps < 1) refuse(item, "no steps");
    return steps;
  }

  void run_item(std::int64_t item, const Terms& out, std::vector<double>& scratch, int threads,
                const std::function<void()>& interrupt) const {
    const std::int64_t steps = check(item), count = batch_.horizon_count;
    const std::int64_t* horizons = batch_.horizons + item * count;
    for (std::int64_t i = 0; i < count; ++i) {
      if (horizons[i] < 0 || horizons[i] > steps) refuse(item, "a horizon beyond the steps");
    }
    const SegmentRow row = {segments(item), batch_.width};
    const SegmentBound bound = {options_.kind, options_.last_step, options_.method};
    const bool walked = bound.is_walked(row);
    if (is_searched(options_.kind, options_.last_step)) {
      if (walked || !run_routes(item, out)) run_laid_out(item, out, scratch, threads, interrupt);
      return;
    }
    const Engine engine = {kernels_, options_.kind};
    for (std::int64_t i = 0; i < count; ++i) {
      const Split split =
          horizons[i] ? bound.split(engine, row, horizons[i], gamma(item), walked) : kNoSplit;
      write(out, item * count + i, split);
    }
  }

  static void write(const Terms& out, std::int64_t i, const Split& split) {
    if (out.distance) out.distance[i] = split.distance;
    if (out.noise) out.noise[i] = split.noise;
    if (out.rho) out.rho[i] = split.rho;
  }

  /// All horizons of a schedule whose last step is searched, by panels; false where one is too rough for
  /// that.
  bool run_routes(std::int64_t item, const Terms& out) const {
    const std::int64_t count = batch_.horizon_count;
    const std::int64_t* horizons = batch_.horizons + item * count;
    for (std::int64_t i = 0; i < count; ++i) {
      Split found = kNoSplit;
      if (horizons[i] > 0 && !kernels_.segments->best_split(segments(item), batch_.width, horizons[i] - 1,
                                                            options_.kind == Kind::tight, gamma(item),
                                                            panel_rules(), window_basis(), found)) {
        return false;
      }
      write(out, item * count + i, found);
    }
    return true;
  }

  /// The same where every step is visited: the schedule is laid out for the general engine.
  void run_laid_out(std::int64_t item, const Terms& out, std::vector<double>& scratch, int threads,
                    const std::function<void()>& interrupt) const {
    const std::int64_t count = batch_.horizon_count;
    const std::int64_t* horizons = batch_.horizons + item * count;
    std::vector<std::int64_t> wanted;
    std::copy_if(horizons, horizons + count, std::back_inserter(wanted), [](auto t) { return t > 0; });
    for (std::int64_t i = 0; i < count; ++i) write(out, item * count + i, kNoSplit);
    if (wanted.empty()) return;
    const std::int64_t steps = *std::max_element(wanted.begin(), wanted.end());
    scratch.resize(std::max<std::size_t>(scratch.size(), steps));
    lay_out_first(kernels_, segments(item), steps, scratch.data());
    Batch one;
    one.items = 1;
    one.steps = steps;
    one.eta = scratch.data();
    one.gamma = batch_.gamma ? batch_.gamma + item : nullptr;
    one.horizons = wanted.data();
    one.horizon_count = static_cast<std::int64_t>(wanted.size());
    Options options = options_;
    options.method = options_.method == Method::direct ? Method::direct : Method::automatic;
    options.threads = threads;
    options.interrupt = interrupt;
    std::vector<double> distance(wanted.size()), noise(wanted.size()), rho(wanted.size());
    terms(one, options, {distance.data(), noise.data(), rho.data(), nullptr});
    for (std::int64_t i = 0, found = 0; i < count; ++i) {
      if (horizons[i] == 0) continue;
      write(out, item * count + i, {distance[found], noise[found], rho[found]});
      ++found;
    }
  }

  static constexpr std::int64_t kMostSteps = std::int64_t{1} << 40;
  static constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
  static constexpr Split kNoSplit = {kNothing, kNothing, kNothing};

  const Kernels& kernels_;
  const SegmentBatch& batch_;
  const Options& options_;
};

}  // namespace

void terms(const SegmentBatch& batch, const Options& options, const Terms& out) {
  SegmentRunner(active_kernels(), batch, options).run(out);
}

void lay_out(const Segment* segments, std::int64_t count, double* eta) {
  std::int64_t steps = 0;
  for (std::int64_t i = 0; i < count; ++i) steps += segments[i].steps;
  lay_out_first(active_kernels(), segments, steps, eta);
}

}  // namespace cvxbound
