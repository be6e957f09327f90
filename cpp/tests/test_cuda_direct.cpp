// `last` with a fixed last step, directly: all horizons and chosen ones.
#include "cuda_run.hpp"

namespace {

constexpr double kTolerance = 2e-14;

Options direct(LastStep last_step = LastStep::given) {
  Options options;
  options.method = Method::direct;
  options.last_step = last_step;
  return options;
}

/// Results of one item among those of a batch.
Result slice(const Result& all, std::size_t item, std::size_t size) {
  const auto part = [&](const Array& x) {
    return Array(x.begin() + item * size, x.begin() + (item + 1) * size);
  };
  return {part(all.distance), part(all.noise), part(all.rho)};
}

void test_all_horizons() {
  std::mt19937_64 rng(2);
  const std::vector<std::size_t> sizes = {1, 2, 7, 8, 9, 63, 64, 65, 255, 256, 257, 511, 513, 1023, 1025};
  for (const std::size_t n : sizes) {
    for (const double decades : {1.0, 8.0, 60.0, 290.0}) {
      for (const bool varying : {false, true}) {
        const Array eta = random_steps(n, rng, decades, n % 2);
        const Array norm =
            varying ? random_steps(n, rng, decades == 1 ? 100 : 4, n % 2 && decades < 100) : Array();
        check_every_horizon_of_last(eta, norm, run(eta, norm, direct()), kTolerance,
                                    "n=" + std::to_string(n) + " decades=" + std::to_string(decades));
      }
    }
  }
}

/// Steps that grow or decay over many decades, and those at the ends of the range.
void test_wide_ranges() {
  const std::size_t n = 900;
  struct Range {
    double decades_a_step, largest;
  };
  const std::vector<Range> ranges = {{0.3, 1}, {0.3, 1e250}, {0.05, 1}, {0.05, 1e-240}, {0.05, 1e300}};
  for (const Range& range : ranges) {
    for (const bool growing : {false, true}) {
      Array eta(n), norm(n);
      for (std::size_t i = 0; i < n; ++i) {
        const double away = static_cast<double>(growing ? n - 1 - i : i);
        eta[i] = range.largest * std::pow(10.0, -range.decades_a_step * away);
        norm[i] = 1e-3 + 1 / (1 + away);
      }
      const std::string name = std::to_string(range.decades_a_step) + (growing ? " grow" : " decay");
      check_every_horizon_of_last(eta, norm, run(eta, norm, direct()), kTolerance, name);
      check_every_horizon_of_last(eta, {}, run(eta, {}, direct()), kTolerance, name);
    }
  }
  const Array huge(700, 1e300), small(700, 1e-300), tiny(700, 5e-324), low(700, 1e-200);
  check_every_horizon_of_last(huge, low, run(huge, low, direct()), kTolerance, "huge");
  check_every_horizon_of_last(small, {}, run(small, {}, direct()), kTolerance, "small");
  for (const double distance : run(tiny, {}, direct()).distance) CHECK(distance == kInf, "tiny");
}

/// Rounding does not add up, of equal steps neither.
void test_long_schedule() {
  std::mt19937_64 rng(3);
  const std::size_t n = 5000;
  const Array norm = random_steps(n, rng, 2, false);
  Array cosine(n);
  for (std::size_t i = 0; i < n; ++i) cosine[i] = 0.5 * (1 + std::cos(M_PI * i / n));
  check_every_horizon_of_last(cosine, norm, run(cosine, norm, direct()), kTolerance, "cosine");
  const Array constant(n, 0.1);
  check_every_horizon_of_last(constant, {}, run(constant, {}, direct()), kTolerance, "constant");
}

void test_zeros() {
  for (const std::size_t n : {300, 1024}) {
    Array eta(n, 0.0);
    check_every_horizon_of_last(eta, {}, run(eta, {}, direct()), kTolerance, "zeros");
    for (std::size_t i = 130; i < 270; ++i) eta[i] = 0.5;
    check_every_horizon_of_last(eta, {}, run(eta, {}, direct()), kTolerance, "zeros around");
    eta.back() = 1;
    check_every_horizon_of_last(eta, {}, run(eta, {}, direct()), kTolerance, "last step after zeros");
    const Array norm(n, 0.0);
    check_every_horizon_of_last(eta, norm, run(eta, norm, direct()), kTolerance, "zero norms");
  }
}

/// Steps that add up to more than a double holds are infinitely long, not a number that is none.
void test_infinite_lengths() {
  const Array eta(3000, 1e307);
  const Result all = run(eta, {}, direct()), one = run(eta, {}, direct(), {3000});
  for (const auto& [distance, noise] :
       {std::pair{all.distance[2999], all.noise[2999]}, std::pair{one.distance[0], one.noise[0]}}) {
    CHECK(distance == 0, "");
    CHECK(noise > 1e307 && noise < kInf, "");
  }
}

void test_repeated_last_step() {
  std::mt19937_64 rng(4);
  const Array eta = random_steps(600, rng, 3, false), norm = random_steps(600, rng, 1, false);
  const Result curve = run(eta, norm, direct(LastStep::repeat));
  for (std::size_t t = 1; t <= eta.size(); ++t) {
    const double rho = eta[t > 1 ? t - 2 : t - 1];
    const Oracle expected = oracle(eta, norm, t, rho, false);
    CHECK(close(curve.distance[t - 1], expected.distance, kTolerance), std::to_string(t));
    CHECK(close(curve.noise[t - 1], expected.noise, kTolerance), std::to_string(t));
    CHECK(curve.rho[t - 1] == rho, std::to_string(t));
  }
}

/// Items that pair rows in any way, all horizons and chosen ones.
void test_batches() {
  std::mt19937_64 rng(5);
  for (const std::int64_t steps : {1, 40, 257, 1100}) {
    std::vector<Array> etas, norms;
    Array eta, norm;
    for (int row = 0; row < 3; ++row) {
      etas.push_back(random_steps(steps, rng, row == 1 ? 200 : 3, row == 2));
      norms.push_back(random_steps(steps, rng, 2, false));
      eta.insert(eta.end(), etas[row].begin(), etas[row].end());
      norm.insert(norm.end(), norms[row].begin(), norms[row].end());
    }
    const Exact all_steps(eta), all_norms(norm);
    const std::vector<std::int64_t> eta_row = {2, 0, 1, 1, 2}, norm_row = {0, 1, 2, 0, 2};
    const Array gamma = {0.5, 2, 1e-3, 1, 7};
    Batch batch;
    batch.items = 5;
    batch.steps = steps;
    batch.eta = all_steps.data.get();
    batch.norm = all_norms.data.get();
    batch.gamma = gamma.data();
    batch.eta_row = eta_row.data();
    batch.norm_row = norm_row.data();
    const Result all = run(batch, direct());
    std::vector<std::int64_t> horizons;
    for (std::int64_t t = steps; t > 0; t -= 1 + t / 3) horizons.push_back(t);
    batch.horizons = horizons.data();
    batch.horizon_count = static_cast<std::int64_t>(horizons.size());
    const Result chosen = run(batch, direct());
    for (std::size_t item = 0; item < 5; ++item) {
      const std::string name = "item " + std::to_string(item) + " of " + std::to_string(steps) + " steps";
      const Result curve = slice(all, item, steps);
      check_every_horizon_of_last(etas[eta_row[item]], norms[norm_row[item]], curve, kTolerance, name);
      for (std::size_t i = 0; i < horizons.size(); ++i) {
        const std::size_t at = item * horizons.size() + i, t = horizons[i] - 1;
        CHECK(close(chosen.distance[at], curve.distance[t], kTolerance), name);
        CHECK(close(chosen.noise[at], curve.noise[t], kTolerance), name);
        CHECK(chosen.rho[at] == curve.rho[t], name);
      }
    }
  }
}

/// More items than fit the workspace at a time.
void test_many_items() {
  const Exact eta({1, 0.5, 3, 0.25});
  std::vector<std::int64_t> eta_row(16000);
  for (std::size_t i = 0; i < eta_row.size(); ++i) eta_row[i] = i % 2;
  Batch batch;
  batch.items = static_cast<std::int64_t>(eta_row.size());
  batch.steps = 2;
  batch.eta = eta.data.get();
  batch.eta_row = eta_row.data();
  const Result all = run(batch, direct());
  for (std::size_t i = 0; i < eta_row.size(); ++i) {
    const double first = i % 2 ? 3 : 1, last = i % 2 ? 0.25 : 0.5;
    CHECK(close(all.distance[2 * i + 1], 0.5L / (first + last), 1e-15), std::to_string(i));
    CHECK(close(all.noise[2 * i + 1], 0.5L * (last + first * first / last), 1e-15), std::to_string(i));
  }
}

/// One horizon each, at sizes around the threads and chunks of a walk.
void test_single_horizons() {
  std::mt19937_64 rng(6);
  for (const std::size_t n : {1, 2, 255, 256, 257, 1023, 1024, 1025, 2047, 2049, 5000, 40000}) {
    for (const double decades : {1.0, 60.0, 290.0}) {
      for (const bool varying : {false, true}) {
        Array eta = random_steps(n, rng, decades, true);
        eta.back() = 0.3;
        const Array norm = varying ? random_steps(n, rng, 3, false) : Array();
        const Result result = run(eta, norm, direct(), {static_cast<std::int64_t>(n)});
        const Oracle expected = oracle(eta, norm, n, eta.back(), false);
        const std::string name = "n=" + std::to_string(n) + " decades=" + std::to_string(decades);
        CHECK(close(result.distance[0], expected.distance, 2e-15), name);
        CHECK(close(result.noise[0], expected.noise, 5e-15), name);
      }
    }
  }
  const Array constant(100000, 0.1);
  const Result result = run(constant, {}, direct(), {100000, 77777});
  const Oracle expected = oracle(constant, {}, 77777, 0.1, false);
  CHECK(close(result.distance[1], expected.distance, 2e-15), "constant");
  CHECK(close(result.noise[1], expected.noise, 5e-15), "constant");
}

}  // namespace

int main() {
  return run_in_both_orders({test_all_horizons, test_wide_ranges, test_long_schedule, test_zeros,
                             test_infinite_lengths, test_repeated_last_step, test_batches, test_many_items,
                             test_single_horizons});
}
