// The core against long double walks, for the instruction set CVXBOUND_FORCE_ISA names.
//
// Built with sanitizers, this is also where out-of-range accesses, undefined arithmetic and data races
// would show: sizes straddle every lane count, block and tile.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "cvxbound/cvxbound.hpp"
#include "parallel.hpp"

using namespace cvxbound;

namespace {

Result run(const Array& eta, const Array& norm, Kind kind, LastStep last_step,
           const std::vector<std::int64_t>& horizons = {}, double gamma = 0, int threads = 1,
           Method method = Method::direct, double rtol = 1e-12) {
  const One one(eta, norm, gamma, horizons);
  Options options;
  options.kind = kind;
  options.last_step = last_step;
  options.threads = threads;
  options.method = method;
  options.rtol = rtol;
  const std::size_t size = horizons.empty() ? eta.size() : horizons.size();
  Result result = {Array(size), Array(size), Array(size)};
  terms(one.batch(), options, {result.distance.data(), result.noise.data(), result.rho.data()});
  return result;
}

void test_every_horizon_of_last() {
  std::mt19937_64 rng(1);
  for (const std::size_t n : kSizes) {
    for (const double decades : {1.0, 8.0, 60.0, 290.0}) {  // the last two leave the rational groups
      for (const bool varying : {false, true}) {
        const Array eta = random_steps(n, rng, decades, n % 2);
        const Array norm = varying ? random_steps(n, rng, 4, false) : Array();
        const std::string name = "n=" + std::to_string(n) + " decades=" + std::to_string(decades);
        check_every_horizon_of_last(eta, norm, run(eta, norm, Kind::last, LastStep::given), 2e-14, name);
        for (const double rtol : {1e-12, 1e-9, 1e-6}) {
          const Result curve = run(eta, norm, Kind::last, LastStep::given, {}, 0, 1, Method::fast, rtol);
          check_every_horizon_of_last(eta, norm, curve, rtol, name);
        }
      }
    }
  }
}

void test_one_horizon_of_last() {
  std::mt19937_64 rng(2);
  for (const std::size_t n : kSizes) {
    for (const double decades : {1.0, 8.0, 290.0}) {
      Array eta = random_steps(n, rng, decades, true);
      eta[n - 1] = std::pow(10.0, -decades);
      const Array norm = n % 2 ? random_steps(n, rng, 4, false) : Array();
      const auto t = static_cast<std::int64_t>(n);
      const Result one = run(eta, norm, Kind::last, LastStep::given, {t});
      const Oracle expected = oracle(eta, norm, t, eta[n - 1], false);
      CHECK(close(one.distance[0], expected.distance, 5e-15), std::to_string(n));
      CHECK(close(one.noise[0], expected.noise, 1e-14), std::to_string(n));
    }
  }
}

/// A step that is no binary fraction, added a million times, drifts by 1e-11 in a plain running sum.
void test_equal_steps_do_not_drift() {
  const std::int64_t n = 1000000;
  const Array eta(n, 0.1);
  long double harmonic = 0;
  for (std::int64_t k = n - 1; k > 0; --k) harmonic += 1.0L / k;
  const Result last = run(eta, {}, Kind::last, LastStep::given, {n});
  CHECK(close(last.distance[0], 0.5L / (n * static_cast<long double>(0.1)), 2e-15), "");
  CHECK(close(last.noise[0], 0.5L * 0.1L * (1 + harmonic), 5e-15), "");
  const Array rho = {0.05, 0.1, 3.0};
  Array distance(3), noise(3);
  walk(Kind::tight, eta.data(), nullptr, n, rho.data(), 3, distance.data(), noise.data());
  Array tight_distance(3);
  for (int i = 0; i < 3; ++i) {
    // R in exact arithmetic for this schedule has no closed form; a compensated long double walk does.
    long double R = rho[i], low = 0;
    for (std::int64_t k = n - 2; k >= 0; --k) {
      const long double e = eta[k], add = 2 * e + e * (e / R) + low, sum = R + add;
      low = add - (sum - R);
      R = sum;
    }
    CHECK(close(distance[i], 0.5L / R, 1e-14), std::to_string(i));
  }
}

/// The split is that of a walk from the rho found, and no rho on a dense grid does better.
void check_free_last_step(const Array& eta, const Array& norm, double gamma, Kind kind, Method method) {
  const auto t = static_cast<std::int64_t>(eta.size());
  const Result best = run(eta, norm, kind, LastStep::free, {t}, gamma, 1, method);
  // A subnormal rho has too few digits to be walked from again.
  if (best.rho[0] < std::numeric_limits<double>::min()) return;
  const Oracle at = oracle(eta, norm, t, best.rho[0], kind == Kind::tight);
  const std::string where = "n=" + std::to_string(t) + " gamma=" + std::to_string(gamma) +
                            (kind == Kind::tight ? " tight" : " last") +
                            (method == Method::fast ? " fast" : " direct");
  CHECK(close(best.distance[0], at.distance, 1e-12), where);
  CHECK(close(best.noise[0], at.noise, 1e-12), where);
  const auto value = [&](long double a, long double b) {
    return gamma > 0 ? a / gamma + gamma * b : std::sqrt(a) * std::sqrt(b);
  };
  const long double found = value(best.distance[0], best.noise[0]);
  for (double x = -20; x < 20; x += 0.1) {
    const long double rho = best.rho[0] * std::exp(x);
    if (!(rho > 1e-305) || !(rho < 1e305)) continue;
    const Oracle other = oracle(eta, norm, t, rho, kind == Kind::tight);
    CHECK(found <= value(other.distance, other.noise) * (1 + 1e-12), where);
  }
}

void test_free_last_step() {
  std::mt19937_64 rng(3);
  for (const std::size_t n : {1, 2, 3, 8, 33, 100, 600}) {
    for (const double decades : {1.0, 6.0, 280.0}) {
      for (const double gamma : {0.0, 1e-3, 1.0, 1e3}) {
        for (const Kind kind : {Kind::last, Kind::tight}) {
          Array eta = random_steps(n, rng, decades, n > 8);
          if (n > 1) eta[n / 2 - (n == 2)] = 1;
          const Array norm = n % 2 ? random_steps(n, rng, 2, false) : Array();
          check_free_last_step(eta, norm, gamma, kind, Method::direct);
          check_free_last_step(eta, norm, gamma, kind, Method::fast);
        }
      }
    }
  }
}

void test_average() {
  const Array eta = {0, 1, 0.5, 0};
  const Result given = run(eta, {}, Kind::average, LastStep::given);
  CHECK(std::isinf(given.distance[0]) && given.noise[0] == 0, "");
  CHECK(given.distance[3] == 0.5 / 1.5 && given.noise[3] == 0.5 * 1.25 / 1.5, "");
  const Result repeat = run(eta, {}, Kind::average, LastStep::repeat);
  CHECK(repeat.distance[3] == 0.5 / 2 && repeat.noise[3] == 0.5 * 1.5 / 2, "");
  for (const double gamma : {0.0, 0.3}) {
    const Result best = run(eta, {}, Kind::average, LastStep::free, {4}, gamma);
    const auto value = [&](double a, double b) { return gamma > 0 ? a / gamma + gamma * b : a * b; };
    for (double rho = 0.01; rho < 100; rho *= 1.01) {
      const double S = 1.5 + rho, Q = 1.25 + rho * rho;
      CHECK(value(best.distance[0], best.noise[0]) <= value(0.5 / S, 0.5 * Q / S) * (1 + 1e-14), "");
    }
  }
}

void test_threads_do_not_change_results() {
  std::mt19937_64 rng(4);
  const Array eta = random_steps(3000, rng, 3, false), longer = random_steps(70000, rng, 3, true);
  const std::vector<std::int64_t> all = {}, some = {1, 7, 2999, 3000, 1500};
  const auto check = [](const Array& x, Kind kind, const std::vector<std::int64_t>& horizons,
                        Method method) {
    const Result one = run(x, {}, kind, LastStep::given, horizons, 0, 1, method);
    for (const int threads : {2, 3, 8}) {
      const Result many = run(x, {}, kind, LastStep::given, horizons, 0, threads, method);
      CHECK(one.noise == many.noise && one.distance == many.distance && one.rho == many.rho, "");
    }
  };
  check(eta, Kind::last, all, Method::direct);
  check(eta, Kind::tight, some, Method::direct);
  check(eta, Kind::tight, some, Method::fast);
  check(longer, Kind::last, all, Method::fast);
  check(longer, Kind::tight, all, Method::fast);
}

struct Slopes {
  Array omega, eta, norm, rho;
};

Slopes slopes(const Array& eta, const Array& norm, const Array& rho, const Array& weight, double gamma,
              Kind kind, Method method, int threads = 1, bool of_norm = true) {
  const One one(eta, norm, gamma);
  const Exact last(rho), weights(weight);
  Options options;
  options.kind = kind;
  options.method = method;
  options.threads = threads;
  Slopes found = {Array(eta.size()), Array(eta.size()), Array(norm.size()), Array(eta.size())};
  double* const by_norm = norm.empty() || !of_norm ? nullptr : found.norm.data();
  gradient(one.batch(), options, weights.data.get(), rho.empty() ? nullptr : last.data.get(),
           {found.omega.data(), found.eta.data(), by_norm, found.rho.data()});
  return found;
}

long double weighted_bounds(const Array& eta, const Array& norm, const Array& rho, const Array& weight,
                            double gamma, bool tight) {
  long double sum = 0;
  for (std::size_t i = 0; i < eta.size(); ++i) {
    const Oracle exact = oracle(eta, norm, static_cast<std::int64_t>(i) + 1, rho[i], tight);
    sum += weight[i] * (exact.distance / gamma + gamma * exact.noise);
  }
  return sum;
}

/// Derivatives along random directions in all arguments, against central differences.
void check_gradient(const Array& eta, const Array& norm, Kind kind, Method method) {
  std::mt19937_64 random(eta.size());
  std::normal_distribution<double> normal;
  const std::size_t size = eta.size();
  Array weight(size), rho(size);
  for (std::size_t i = 0; i < size; ++i) {
    weight[i] = i % 3 == 2 ? 0 : normal(random);
    rho[i] = std::exp(normal(random));
  }
  const double gamma = 0.7, h = 1e-6;
  const Slopes found = slopes(eta, norm, rho, weight, gamma, kind, method);
  CHECK(slopes(eta, norm, rho, weight, gamma, kind, method, 1, false).eta == found.eta, "without norms");
  Array up[3] = {eta, norm, rho}, down[3] = {eta, norm, rho};
  const Array* slope[3] = {&found.eta, &found.norm, &found.rho};
  long double expected = 0, size_of_terms = 1e-300L;
  for (int a = 0; a < 3; ++a) {
    for (std::size_t i = 0; i < up[a].size(); ++i) {
      const double change = h * up[a][i] * normal(random), now = up[a][i];
      up[a][i] = now + change;
      down[a][i] = now - change;
      expected += (*slope[a])[i] * (static_cast<long double>(up[a][i]) - down[a][i]);
      size_of_terms += std::abs((*slope[a])[i] * (up[a][i] - down[a][i]));
    }
  }
  const bool tight = kind == Kind::tight;
  const long double change = weighted_bounds(up[0], up[1], up[2], weight, gamma, tight) -
                             weighted_bounds(down[0], down[1], down[2], weight, gamma, tight);
  CHECK(std::abs(change - expected) <= 1e-8L * size_of_terms, std::to_string(size));
}

/// Any number of threads and both methods find the same, for the last steps that are best too.
void check_gradient_is_shared(const Array& eta, const Array& norm) {
  const Array weight(eta.size(), 1.0);
  for (const double gamma : {0.0, 0.5}) {
    if (gamma == 0 && eta.size() < 3) continue;  // two steps have no best gamma to lose by
    const Slopes one = slopes(eta, norm, {}, weight, gamma, Kind::tight, Method::fast);
    const Slopes many = slopes(eta, norm, {}, weight, gamma, Kind::tight, Method::fast, 3);
    const Slopes direct = slopes(eta, norm, {}, weight, gamma, Kind::tight, Method::direct);
    CHECK(one.eta == many.eta && one.norm == many.norm && one.omega == many.omega, "threads");
    double largest = 0, worst = 0;
    for (std::size_t i = 0; i < eta.size(); ++i) {
      largest = std::max(largest, std::abs(direct.eta[i]));
      worst = std::max(worst, std::abs(direct.eta[i] - one.eta[i]));
    }
    CHECK(worst <= 1e-8 * largest, std::to_string(eta.size()));
  }
}

void test_gradient() {
  std::mt19937_64 random(5);
  std::lognormal_distribution<double> steps(0, 1);
  for (const std::size_t size : {1, 2, 16, 17, 31, 32, 33, 64, 65, 100, 257, 600}) {
    Array eta(size), norm(size);
    for (std::size_t i = 0; i < size; ++i) {
      eta[i] = i % 7 == 3 ? 0 : steps(random);
      norm[i] = steps(random);
    }
    for (const Kind kind : {Kind::last, Kind::tight}) {
      for (const Method method : {Method::direct, Method::fast}) {
        check_gradient(eta, {}, kind, method);
        check_gradient(eta, norm, kind, method);
      }
    }
    check_gradient_is_shared(eta, norm);
  }
}

void test_batches() {
  std::mt19937_64 rng(5);
  const std::int64_t steps = 50, items = 40;
  const Array eta = random_steps(2 * steps, rng, 2, false), norm = random_steps(3 * steps, rng, 1, false);
  const Array gamma = {0.1, 1.0};
  std::vector<std::int64_t> eta_row, norm_row, gamma_row;
  for (std::int64_t i = 0; i < items; ++i) {
    eta_row.push_back(i % 2);
    norm_row.push_back(i % 3);
    gamma_row.push_back(i / 20);
  }
  const std::vector<std::int64_t> horizons = {steps, 3};
  Batch batch;
  batch.items = items;
  batch.steps = steps;
  batch.eta = eta.data();
  batch.norm = norm.data();
  batch.gamma = gamma.data();
  batch.eta_row = eta_row.data();
  batch.norm_row = norm_row.data();
  batch.gamma_row = gamma_row.data();
  batch.horizons = horizons.data();
  batch.horizon_count = 2;
  Options options;
  options.kind = Kind::tight;
  options.threads = 4;
  Array distance(2 * items), noise(2 * items), rho(2 * items);
  terms(batch, options, {distance.data(), noise.data(), rho.data()});
  for (std::int64_t i = 0; i < items; ++i) {
    const auto row = [&](const Array& x, std::int64_t r) {
      return Array(x.begin() + r * steps, x.begin() + (r + 1) * steps);
    };
    const Result one = run(row(eta, i % 2), row(norm, i % 3), Kind::tight, LastStep::given, horizons,
                           gamma[i / 20], 1, Method::automatic);
    CHECK(one.noise[0] == noise[2 * i] && one.distance[1] == distance[2 * i + 1], std::to_string(i));
  }
}

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void test_refusals() {
  for (const Kind kind : {Kind::last, Kind::tight, Kind::average}) {
    for (const double bad : {-1e-3, -kInf, kInf, std::nan(""), 2e300}) {
      for (const std::size_t n : {1, 5, 40, 300}) {
        for (const std::size_t place : {std::size_t{0}, n / 2, n - 1}) {
          for (const bool all : {false, true}) {
            Array eta(n, 1.0), norm(n, 1.0);
            const std::vector<std::int64_t> horizons =
                all ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{1};
            (n % 2 ? eta : norm)[place] = bad;
            const std::string message =
                message_of([&] { run(eta, norm, kind, LastStep::given, horizons); });
            const std::string entry = "at entry " + std::to_string(place);
            CHECK(message.find(entry) != std::string::npos, entry + ": '" + message + "'");
          }
        }
      }
    }
  }
  Batch none;  // no horizon at all is no work, and reads nothing
  const std::int64_t unread = 0;
  none.items = none.steps = 1;
  const Array unit = {1};
  none.eta = unit.data();
  none.horizons = &unread;
  terms(none, Options(), Terms());
  const auto horizon = [] { run({1, 2}, {}, Kind::last, LastStep::given, {3}); };
  CHECK(message_of(horizon).find("horizons must lie in 1..2; found 3") == 0, "");
  for (const double gamma : {1e-320, kInf}) {
    const auto rate = [&] { run({1, 2}, {}, Kind::tight, LastStep::given, {2}, gamma); };
    CHECK(message_of(rate).empty() == (gamma < 1), std::to_string(gamma));
  }
  const Array one = {1}, zero = {0};
  Array out(1);
  CHECK(!message_of([&] {
           walk(Kind::tight, one.data(), nullptr, 1, zero.data(), 1, out.data(), out.data());
         }).empty(),
        "");
}

/// Segments of all forms, the steps of which are also walked one by one.
void test_segments() {
  const std::int64_t sizes[] = {1, 7, 33, 200, 5000, 70001};
  for (const std::int64_t n : sizes) {
    const double span = static_cast<double>(n);
    std::vector<Segment> segments = {{n, Form::linear, 0, 1, 1, span + 1, 1},
                                     {n, Form::constant, 1, 0, 0, 1, 1},
                                     {0, Form::cosine, 1, 0, 0, 0, 1},
                                     {n, Form::inverse_sqrt, 1, 0, span, span, 1},
                                     {n, Form::power, 0.7, 0.5, 0, span, 2.5},
                                     {n, Form::cosine, 0.5, 0.3, 0, span, 1},
                                     {n, Form::exponential, 0.3, 0.1, 0, span, 1e-3},
                                     {n, Form::one_minus_sqrt, 0.1, 0, 0, span, 1}};
    const auto width = static_cast<std::int64_t>(segments.size()), steps = n * (width - 1);
    std::vector<double> eta(steps);
    lay_out(segments.data(), width, eta.data());
    CHECK(close(eta[n - 1], span / (span + 1), 1e-15) && eta[n] == 1, std::to_string(n));
    std::vector<Segment> twice = segments;
    twice.insert(twice.end(), segments.begin(), segments.end());
    const std::int64_t horizons[] = {steps, 0, (steps + 1) / 2, steps};
    SegmentBatch batch;
    batch.items = 2;
    batch.width = width;
    batch.segments = twice.data();
    batch.horizons = horizons;
    batch.horizon_count = 2;
    for (const Kind kind : {Kind::last, Kind::average, Kind::tight}) {
      for (const Method method : {Method::direct, Method::fast}) {
        Options options;
        options.kind = kind;
        options.method = method;
        options.threads = 2;
        double distance[4], noise[4];
        terms(batch, options, {distance, noise, nullptr, nullptr});
        CHECK(std::isnan(distance[1]) && distance[3] == distance[0] && noise[3] == noise[0], "");
        Batch laid_out;
        laid_out.items = 1;
        laid_out.steps = steps;
        laid_out.eta = eta.data();
        laid_out.horizons = horizons + 2;
        laid_out.horizon_count = 2;
        double d[2], b[2];
        terms(laid_out, options, {d, b, nullptr, nullptr});
        const double rtol = kind == Kind::tight ? 1e-9 : 1e-12;
        for (int i = 0; i < 2; ++i) {
          CHECK(close(distance[2 + i], d[i], rtol) && close(noise[2 + i], b[i], rtol), std::to_string(n));
        }
      }
    }
  }
  Segment bad{3, Form::constant, -1, 0, 0, 1, 1};
  const std::int64_t horizon = 3;
  SegmentBatch batch;
  batch.items = batch.width = batch.horizon_count = 1;
  batch.segments = &bad;
  batch.horizons = &horizon;
  CHECK(!message_of([&] { terms(batch, {}, {}); }).empty(), "");
}

void test_parallel_for() {
  for (const int threads : {1, 2, 5}) {
    std::vector<std::atomic<int>> seen(1000);
    parallel_for(1000, threads, [&](std::int64_t i, int) { ++seen[i]; }, nullptr);
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& x) { return x == 1; }), "");
    const auto failing = [&] {
      parallel_for(
          1000, threads,
          [](std::int64_t i, int) {
            if (i == 500) throw std::runtime_error("stop");
          },
          nullptr);
    };
    CHECK(message_of(failing) == "stop", std::to_string(threads));
  }
  // An interrupt reaches a long computation long before it would end.
  const std::int64_t n = 1000000;
  const Array eta(n, 1.0);
  Batch batch;
  batch.items = 1;
  batch.steps = n;
  batch.eta = eta.data();
  Options options;
  options.threads = 2;
  for (const Method method : {Method::direct, Method::fast}) {
    options.method = method;
    options.kind = method == Method::fast ? Kind::tight : Kind::last;
    int calls = 0;
    options.interrupt = [&] {
      if (++calls == 2) throw std::runtime_error("interrupted");
    };
    Array distance(n), noise(n), rho(n);
    CHECK(message_of([&] { terms(batch, options, {distance.data(), noise.data(), rho.data()}); }) ==
              "interrupted",
          "");
  }
}

}  // namespace

int main() {
  if (const char* forced = std::getenv("CVXBOUND_FORCE_ISA")) {
    const auto isas = available_isas();
    if (std::find(isas.begin(), isas.end(), forced) == isas.end()) {
      std::printf("skipped: this processor or build has no %s\n", forced);
      return 77;
    }
    CHECK(active_isa() == forced, forced);
  }
  test_every_horizon_of_last();
  test_one_horizon_of_last();
  test_equal_steps_do_not_drift();
  test_free_last_step();
  test_average();
  test_threads_do_not_change_results();
  test_gradient();
  test_batches();
  test_refusals();
  test_segments();
  test_parallel_for();
  std::printf("%s: %d failures\n", active_isa().c_str(), failures);
  return failures ? 1 : 0;
}
