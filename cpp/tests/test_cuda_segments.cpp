// Schedules made of segments: the kernels for GPUs against the core.
#include "cuda_run.hpp"

namespace {

/// Schedules of one width, and of each its own horizons.
struct Segmented {
  std::vector<Segment> segments;
  std::vector<std::int64_t> horizons;
  SegmentBatch batch;

  Segmented(const std::vector<std::vector<Segment>>& rows, std::int64_t count) {
    for (const auto& row : rows) {
      segments.insert(segments.end(), row.begin(), row.end());
      std::int64_t steps = 0;
      for (const Segment& segment : row) steps += segment.steps;
      // The last step and its neighbours, the first ones, and none.
      const std::int64_t few[] = {steps, 0, steps / 2, 1, steps - 1, 2, steps / 3};
      for (std::int64_t i = 0; i < count; ++i)
        horizons.push_back(std::clamp<std::int64_t>(few[i], 0, steps));
    }
    batch.items = static_cast<std::int64_t>(rows.size());
    batch.width = static_cast<std::int64_t>(rows[0].size());
    batch.segments = segments.data();
    batch.horizons = horizons.data();
    batch.horizon_count = count;
  }
};

/// Schedules of all forms; `n` steps in each segment. The steepest exponential falls to `lowest`.
std::vector<std::vector<Segment>> families(std::int64_t n, double lowest = 1e-200) {
  const double span = static_cast<double>(n);
  const Segment ramp = {n, Form::linear, 0, 1, 1, span + 1, 1}, none = {0, Form::cosine, 1, 0, 0, 0, 1};
  const Segment flat = {n, Form::constant, 1, 0, 0, 1, 1}, off = {n, Form::constant, 0, 0, 0, 1, 1};
  std::vector<std::vector<Segment>> rows = {{ramp, flat, off}, {off, off, off}, {off, ramp, flat}};
  for (const double end : {0.0, 0.1, 1e-9}) {
    rows.push_back({ramp, flat, {n, Form::linear, 1, end, 0, span, 1}});
    rows.push_back({none, flat, {n, Form::one_minus_sqrt, 1, end, 0, span, 1}});
    rows.push_back({ramp, none, {n, Form::cosine, 1, end, 0, span, 1}});
    rows.push_back({flat, {n, Form::power, 1, end, 0, span, 2.5}, none});
    rows.push_back({flat, off, {n, Form::power, 1, end, 0, 1.5 * span, 0.3}});
    rows.push_back({none, none, {n, Form::exponential, 1, end, 0, span, 1e-3}});
    rows.push_back({none, none, {n, Form::exponential, 1, end, 0, span, lowest}});
    rows.push_back({ramp, {n, Form::inverse_sqrt, 1, 0, span, span, 1}, none});
  }
  return rows;
}

/// As `run`, of segments.
Result run(const SegmentBatch& batch, const Options& options) {
  const auto size = static_cast<std::size_t>(batch.items * batch.horizon_count);
  Result result = {Array(size), Array(size), Array(size)};
  const std::unique_ptr<char[]> workspace(new char[cuda::workspace_size(batch, options)]);
  cuda::terms(batch, options, {result.distance.data(), result.noise.data(), result.rho.data(), nullptr},
              {device_tables(), workspace.get(), nullptr});
  return result;
}

Result run_core(const SegmentBatch& batch, const Options& options) {
  const auto size = static_cast<std::size_t>(batch.items * batch.horizon_count);
  Result result = {Array(size), Array(size), Array(size)};
  terms(batch, options, {result.distance.data(), result.noise.data(), result.rho.data(), nullptr});
  return result;
}

bool same(double value, double expected, double rtol) {
  return std::isnan(expected) ? std::isnan(value) : close(value, expected, rtol);
}

void check_same(const Result& found, const Result& expected, double rtol, const std::string& name) {
  for (std::size_t i = 0; i < expected.distance.size(); ++i) {
    const std::string where = name + " entry " + std::to_string(i);
    CHECK(same(found.distance[i], expected.distance[i], rtol), where);
    CHECK(same(found.noise[i], expected.noise[i], rtol), where);
    CHECK(same(found.rho[i], expected.rho[i], rtol), where);
  }
}

/// A walk against the core's, panels against the core's, and one against the other.
void test_fixed_last_steps() {
  for (const std::int64_t n : {1, 2, 3, 4, 5, 31, 33, 64, 341, 342, 1000, 20011}) {
    const Segmented cells(families(n), 7);
    for (const Kind kind : {Kind::last, Kind::average}) {
      for (const LastStep last_step : {LastStep::given, LastStep::repeat}) {
        Options options;
        options.kind = kind;
        options.last_step = last_step;
        options.method = Method::direct;
        const Result walked = run_core(cells.batch, options);
        for (const Method method : {Method::direct, Method::fast, Method::automatic}) {
          options.method = method;
          const Result found = run(cells.batch, options);
          const std::string name = "n=" + std::to_string(n) + " kind " + std::to_string(int(kind)) +
                                   " method " + std::to_string(int(method));
          check_same(found, run_core(cells.batch, options), 3e-14, name);
          check_same(found, walked, 1e-12, name + " walked");
        }
      }
    }
  }
}

/// The bound where the last step is the best one, at a given or at the best base learning rate. The minimum
/// is flat, so where it is says less than its value.
void check_bounds(Segmented& cells, const Options& options, double gamma, const std::string& name) {
  const Array rates(cells.batch.items, gamma);
  cells.batch.gamma = gamma > 0 ? rates.data() : nullptr;
  const Result found = run(cells.batch, options), expected = run_core(cells.batch, options);
  for (std::size_t i = 0; i < expected.noise.size(); ++i) {
    const auto bound = [&](const Result& of) {
      return gamma > 0 ? of.distance[i] / gamma + gamma * of.noise[i] : of.distance[i] * of.noise[i];
    };
    CHECK(same(bound(found), bound(expected), 1e-12),
          name + " kind " + std::to_string(int(options.kind)) + " entry " + std::to_string(i));
  }
}

/// Walks and routes, of long schedules routes alone.
void test_free_last_steps() {
  const auto check = [](std::int64_t n, Method method, double lowest = 1e-200) {
    Segmented cells(families(n, lowest), 3);
    for (const double gamma : {0.0, 0.03}) {
      for (const Kind kind : {Kind::tight, Kind::last, Kind::average}) {
        Options options;
        options.kind = kind;
        options.last_step = LastStep::free;
        options.method = method;
        check_bounds(cells, options, gamma, "n=" + std::to_string(n));
      }
    }
  };
  for (const std::int64_t n : {1, 2, 5, 33, 400}) check(n, Method::direct);
  for (const std::int64_t n : {1, 2, 33, 400}) check(n, Method::fast);
  for (const std::int64_t n : {2003, 1'000'000, 30'000'000}) check(n, Method::automatic, 1e-9);
}

/// Where panels would be as short as the segments, the way is too long to be kept; a walk is not.
void test_ways_that_are_not_short() {
  const Segment fall = {40, Form::cosine, 1, 0.1, 0, 40, 1};
  Segmented cells({std::vector<Segment>(300, fall)}, 3);
  Options options;
  options.kind = Kind::tight;
  const Result found = run(cells.batch, options);
  CHECK(std::isnan(found.distance[0]) && std::isnan(found.noise[0]) && std::isnan(found.rho[0]), "");
  CHECK(found.distance[2] > 0, "half of it is short");
  options.method = Method::direct;
  check_bounds(cells, options, 0, "walked");
}

void test_what_is_not_wanted() {
  const Segmented cells(families(50), 1);
  Array noise(cells.batch.items, -1);
  cuda::terms(cells.batch, {}, {nullptr, noise.data(), nullptr, nullptr},
              {device_tables(), nullptr, nullptr});
  CHECK(noise == run(cells.batch, {}).noise, "");
  SegmentBatch none = cells.batch;
  none.items = 0;
  cuda::terms(none, {}, {}, {device_tables(), nullptr, nullptr});
  none = cells.batch;
  none.horizon_count = 0;
  cuda::terms(none, {}, {}, {device_tables(), nullptr, nullptr});
}

}  // namespace

int main() {
  return run_in_both_orders(
      {test_fixed_last_steps, test_free_last_steps, test_ways_that_are_not_short, test_what_is_not_wanted});
}
