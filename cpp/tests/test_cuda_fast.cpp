// Block maps and the search of the free last step: the kernels for GPUs against exact walks and the core.
#include "cuda_run.hpp"
#include "maps.hpp"
#include "search.hpp"

namespace {

/// Steps around multiples of a leaf and of twice one.
const std::vector<std::size_t> kLengths = {1,  2,  3,  16, 17, 31,  32,  33, 34,
                                           63, 64, 65, 66, 97, 129, 257, 700};

/// What the fast method covers, of what random_steps makes.
const double kDecades[] = {1.0, 8.0, 60.0, 290.0};

std::string name_of(const Array& eta, const Array& norm, const Options& options, double gamma) {
  return "n=" + std::to_string(eta.size()) + (norm.empty() ? "" : " norms") +
         " first=" + std::to_string(eta[0]) + " kind " + std::to_string(int(options.kind)) + " method " +
         std::to_string(int(options.method)) + " gamma=" + std::to_string(gamma);
}

void test_every_horizon_of_last() {
  std::mt19937_64 rng(1);
  for (const std::size_t n : kLengths) {
    for (const double decades : kDecades) {
      for (const bool varying : {false, true}) {
        const Array eta = random_steps(n, rng, decades, n % 2);
        const Array norm = varying ? random_steps(n, rng, 4, false) : Array();
        Options options;
        options.method = Method::fast;
        check_every_horizon_of_last(eta, norm, run(eta, norm, options), 1e-12,
                                    name_of(eta, norm, options, 0) + " " + std::to_string(decades));
      }
    }
  }
}

/// Warm-up, plateau, decay: every horizon from the first on, and long blocks.
void test_long_schedules() {
  for (const std::size_t n : {2048u, 3001u}) {
    Array eta(n), norm(n);
    for (std::size_t k = 0; k < n; ++k) {
      const double x = (k + 1.0) / n;
      eta[k] = x < 0.1 ? 10 * x : x < 0.6 ? 1.0 : (1 + std::cos(M_PI * (x - 0.6) / 0.4)) / 2 + 1e-9;
      norm[k] = 1 + std::exp(-5 * x);
    }
    Options options;
    options.method = Method::fast;
    check_every_horizon_of_last(eta, norm, run(eta, norm, options), 1e-13, "long");
    check_every_horizon_of_last(eta, {}, run(eta, {}, options), 1e-13, "long");
  }
}

Result run_core(const Array& eta, const Array& norm, const Options& options,
                const std::vector<std::int64_t>& horizons, double gamma) {
  Batch batch;
  batch.items = 1;
  batch.steps = static_cast<std::int64_t>(eta.size());
  batch.eta = eta.data();
  batch.norm = norm.empty() ? nullptr : norm.data();
  batch.gamma = gamma > 0 ? &gamma : nullptr;
  if (!horizons.empty()) {
    batch.horizons = horizons.data();
    batch.horizon_count = static_cast<std::int64_t>(horizons.size());
  }
  Options direct = options;
  direct.method = Method::direct;
  const std::size_t size = horizons.empty() ? eta.size() : horizons.size();
  Result result = {Array(size), Array(size), Array(size)};
  terms(batch, direct, {result.distance.data(), result.noise.data(), result.rho.data()});
  return result;
}

double bound(const Result& x, std::size_t i, double gamma) {
  return gamma > 0 ? x.distance[i] / gamma + gamma * x.noise[i]
                   : 2 * std::sqrt(x.distance[i]) * std::sqrt(x.noise[i]);
}

/// The largest errors met, for whoever wants to see them.
double worst_value = 0, worst_split = 0;

double error(double value, long double expected) {
  return value == expected ? 0 : std::abs(static_cast<double>((value - expected) / expected));
}

/// The lowest bound as the core finds it, and terms that belong to the rho they come with.
void check_search(const Array& eta, const Array& norm, const Options& options,
                  const std::vector<std::int64_t>& horizons, double gamma) {
  const Result found = run(eta, norm, options, horizons, gamma);
  const Result expected = run_core(eta, norm, options, horizons, gamma);
  for (std::size_t i = 0; i < found.rho.size(); ++i) {
    const std::int64_t t = horizons.empty() ? static_cast<std::int64_t>(i) + 1 : horizons[i];
    const std::string where = name_of(eta, norm, options, gamma) + " t=" + std::to_string(t) +
                              " rho=" + std::to_string(found.rho[i]) + " not " +
                              std::to_string(expected.rho[i]);
    const double value = bound(found, i, gamma), wanted = bound(expected, i, gamma);
    CHECK(close(value, wanted, 1e-12), where + " " + std::to_string(error(value, wanted) * 1e12));
    worst_value = std::max(worst_value, error(value, wanted));
    const double rho = found.rho[i];
    if (!(rho > 1e-290 && rho < 1e290)) {
      CHECK(rho >= 0, where);  // anything in the range of the smallest numbers may be as good
      continue;
    }
    const Oracle split = oracle(eta, norm, t, rho, options.kind == Kind::tight);
    CHECK(close(found.distance[i], split.distance, 1e-12), where);
    CHECK(close(found.noise[i], split.noise, 1e-12), where);
    worst_split = std::max(
        {worst_split, error(found.distance[i], split.distance), error(found.noise[i], split.noise)});
  }
}

Options free_step(Kind kind, Method method) {
  Options options;
  options.kind = kind;
  options.last_step = LastStep::free;
  options.method = method;
  return options;
}

/// Every horizon of hostile lists, where several minima compete over many decades.
void test_search() {
  std::mt19937_64 rng(2);
  for (const std::size_t n : {1u, 2u, 3u, 5u, 32u, 33u, 34u, 65u, 98u}) {
    for (const double decades : {1.0, 4.0, 30.0, 140.0, 290.0}) {
      for (const bool varying : {false, true}) {
        const Array eta = random_steps(n, rng, decades, n % 2);
        const Array norm = varying ? random_steps(n, rng, 3, n % 4 == 1) : Array();
        for (const Kind kind : {Kind::tight, Kind::last}) {
          for (const double gamma : {0.0, 1e-3, 1.0, 1e3}) {
            if (n > 64 && (gamma == 1 || decades == 30)) continue;  // for the sake of time
            for (const Method method : {Method::direct, Method::fast}) {
              check_search(eta, norm, free_step(kind, method), {}, gamma);
            }
          }
        }
      }
    }
  }
}

/// Chosen horizons of long schedules; the automatic choice is between both ways.
void test_long_search() {
  std::mt19937_64 rng(3);
  for (const std::size_t n : {1000u, 1024u, 3000u}) {
    for (const double decades : {0.1, 3.0}) {
      const Array eta = random_steps(n, rng, decades, false), norm = random_steps(n, rng, 0.5, false);
      const auto last = static_cast<std::int64_t>(n);
      for (const Kind kind : {Kind::tight, Kind::last}) {
        for (const Method method : {Method::direct, Method::fast, Method::automatic}) {
          check_search(eta, norm, free_step(kind, method), {last, 1, 33, 500, last - 1, 2}, 0);
          check_search(eta, {}, free_step(kind, method), {last - 7, 65}, 0.1);
        }
      }
    }
  }
}

/// Rows of a batch are found through its indices.
void test_batches() {
  std::mt19937_64 rng(4);
  const std::int64_t n = 77, items = 5;
  const Array eta = random_steps(3 * n, rng, 2, false), norm = random_steps(2 * n, rng, 1, false);
  const Array gamma = {0.5, 20};
  const std::int64_t eta_row[] = {2, 0, 1, 2, 0}, norm_row[] = {1, 1, 0, 0, 1},
                     gamma_row[] = {0, 1, 1, 0, 0};
  const std::vector<std::int64_t> horizons = {77, 3, 40};
  Batch batch;
  batch.items = items;
  batch.steps = n;
  batch.eta = eta.data();
  batch.norm = norm.data();
  batch.gamma = gamma.data();
  batch.eta_row = eta_row;
  batch.norm_row = norm_row;
  batch.gamma_row = gamma_row;
  for (const bool chosen : {false, true}) {
    batch.horizons = chosen ? horizons.data() : nullptr;
    batch.horizon_count = chosen ? 3 : 0;
    const std::size_t count = chosen ? 3 : n;
    for (const Kind kind : {Kind::tight, Kind::last}) {
      for (const LastStep last_step : {LastStep::free, LastStep::repeat}) {
        for (const Method method : {Method::direct, Method::fast}) {
          Options options = free_step(kind, method);
          options.last_step = last_step;
          const Result found = run(batch, options);
          Result expected = {Array(items * count), Array(items * count), Array(items * count)};
          options.method = Method::direct;
          terms(batch, options, {expected.distance.data(), expected.noise.data(), expected.rho.data()});
          for (std::size_t i = 0; i < items * count; ++i) {
            const double weight = gamma[gamma_row[i / count]];
            CHECK(close(bound(found, i, weight), bound(expected, i, weight), 1e-12), std::to_string(i));
            CHECK(close(found.rho[i], expected.rho[i], 1e-4), std::to_string(i));
          }
        }
      }
    }
  }
}

/// A million equal steps, summed one by one or as blocks, do not drift.
void test_many_equal_steps() {
  const Array eta(300000, 0.1);
  for (const Method method : {Method::direct, Method::fast}) {
    const Options options = free_step(Kind::tight, method);
    const Result found = run(eta, {}, options, {300000});
    const Oracle split = oracle(eta, {}, 300000, found.rho[0], true);
    CHECK(close(found.distance[0], split.distance, 2e-14), std::to_string(int(method)));
    CHECK(close(found.noise[0], split.noise, 2e-14), std::to_string(int(method)));
  }
}

/// More items than maps that fit, and more pairs than are searched at a time.
void test_items_in_turns() {
  std::mt19937_64 rng(5);
  const std::int64_t items = 90, steps = 100;
  const Array eta = random_steps(items * steps, rng, 1, false);
  Batch batch;
  batch.items = items;
  batch.steps = steps;
  batch.eta = eta.data();
  const Result expected = run(batch, free_step(Kind::tight, Method::direct));
  const Result given = run(batch, {});
  const auto* tables = static_cast<const cuda::Tables*>(device_tables());
  const std::size_t count = items * steps;
  for (const std::int64_t most : {std::int64_t{1}, std::int64_t{8000}, std::int64_t{1} << 20}) {
    Array distance(count), noise(count);
    const cuda::Pairs pairs = {batch, {distance.data(), noise.data()}, false};
    const std::size_t grids = cuda::search_size(pairs.count());
    std::unique_ptr<char[]> maps(new char[cuda::maps_size(batch, false, most)]);
    cuda::fast_last(pairs, maps.get(), tables, nullptr, most);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(close(noise[i], given.noise[i], 1e-13), std::to_string(i));
    }
    maps.reset(new char[grids + cuda::maps_size(batch, true, most)]);
    cuda::fast_search(pairs, Kind::tight, maps.get(), tables, nullptr, most);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(close(distance[i] * noise[i], expected.distance[i] * expected.noise[i], 1e-12),
            std::to_string(i));
    }
  }
}

}  // namespace

int main() {
  const int failed =
      run_in_both_orders({test_every_horizon_of_last, test_long_schedules, test_search, test_long_search,
                          test_batches, test_many_equal_steps, test_items_in_turns});
  std::printf("largest errors: bound %.1e, split %.1e\n", worst_value, worst_split);
  return failed;
}
