// The C functions, called with whatever may come: null and misaligned pointers, impossible sizes, unknown
// options, numbers of every kind, outputs over inputs. A call that is refused must leave its outputs alone,
// one that cannot be answered must be refused, and the sanitizers must find nothing.
//
// Usage: fuzz_abi [calls [seed [threads]]]
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>
#include <thread>
#include <vector>

#include "cvxbound/cvxbound.h"

namespace {

using Doubles = std::vector<double>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();

/// Sizes that no call may accept, whatever the others.
constexpr std::array<std::int64_t, 7> kSizes = {
    -1, kSmallest, kLargest, kLargest / 2 + 1, (std::int64_t{1} << 44) + 1, std::int64_t{1} << 61, -4096};

/// Ordinary extremes, and what is out of range for one argument or another.
constexpr std::array<double, 14> kNumbers = {0.0,   -0.0,  5e-324, 1e-300, 1e-160, 1e100, 1e101,
                                             1e160, 1e300, 1e301,  -1.0,   kInf,   -kInf, kNan};

enum Function { kBound, kCurve, kTerms, kTune, kGradient, kFunctions };

template <class T>
const T* misaligned(const T* pointer) {
  return reinterpret_cast<const T*>(reinterpret_cast<std::uintptr_t>(pointer) + 1);
}

/// The arguments of a call, and the memory behind them: no larger than it must be, so that
/// AddressSanitizer sees one element too far.
struct Call {
  Function function;
  Doubles eta, norm, gamma, weights, one, other;
  std::vector<std::int64_t> horizons;
  cvxbound_options options;
  cvxbound_schedules schedules;

  const cvxbound_schedules* schedules_at;
  const cvxbound_options* options_at;
  const double *gamma_at, *weights_at;
  const std::int64_t* horizons_at;
  std::int64_t count;
  double *one_at, *other_at;

  int run() const {
    switch (function) {
      case kBound:
        return cvxbound_bound(schedules_at, gamma_at, options_at, one_at);
      case kCurve:
        return cvxbound_curve(schedules_at, gamma_at, horizons_at, count, options_at, one_at);
      case kTerms:
        return cvxbound_terms(schedules_at, gamma_at, horizons_at, count, options_at, one_at, other_at);
      case kTune:
        return cvxbound_tune(schedules_at, horizons_at, count, options_at, one_at, other_at);
      default:
        return cvxbound_gradient(schedules_at, gamma_at, horizons_at, count, weights_at, options_at, one_at,
                                 other_at);
    }
  }
};

class Fuzzer {
 public:
  explicit Fuzzer(std::uint64_t seed) : state_(seed) {}

  /// False where a rule is broken.
  bool call(std::set<int>& seen) {
    Call call;
    fill(call);
    const bool hopeless = chance(3) && spoil(call);
    make_outputs(call);
    if (!hopeless && chance(20)) call.one_at = nullptr;
    const Doubles eta = call.eta, one = call.one, other = call.other;
    const int status = call.run();
    seen.insert(status);
    if (status < CVXBOUND_OK || status >= CVXBOUND_INTERNAL) return false;
    if (status == CVXBOUND_OK) return !hopeless && (!chance(200) || repeats(call));
    return same(eta, call.eta) && same(one, call.one) && same(other, call.other);
  }

 private:
  /// SplitMix64, which is seeded for nothing.
  std::uint64_t random() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  bool chance(int one_in) { return below(one_in) == 0; }
  std::int64_t below(std::int64_t end) { return std::int64_t(random() % std::uint64_t(end)); }
  template <class Values>
  auto one_of(const Values& values) {
    return values[std::size_t(below(std::int64_t(values.size())))];
  }

  /// NaN equals itself.
  static bool same(const Doubles& a, const Doubles& b) {
    return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
  }

  Doubles numbers(std::int64_t size, int strange_one_in) {
    Doubles x(static_cast<std::size_t>(size));
    for (double& v : x) {
      v = std::ldexp(1.0 + double(below(1000)) / 1000, -int(below(10)));
      if (chance(strange_one_in)) v = one_of(kNumbers);
    }
    return x;
  }

  /// A call that may be answered, unless a number is out of range.
  void fill(Call& call) {
    call.function = Function(below(kFunctions));
    const std::int64_t rows = chance(2) ? 1 : 1 + below(3);
    const std::int64_t steps = 1 + below(chance(5000) ? 1000 : chance(100) ? 100 : 6);
    const int strange_one_in = chance(4) ? 10 : 100000;
    call.eta = numbers(rows * steps, strange_one_in);
    call.schedules = {call.eta.data(), rows, steps, nullptr, 0, 0};
    if (chance(2)) {
      call.schedules.norm_rows = chance(2) ? 1 : rows;
      call.schedules.norm_steps = chance(2) ? 1 : steps;
      call.norm = numbers(call.schedules.norm_rows * call.schedules.norm_steps, strange_one_in);
      call.schedules.norm = call.norm.data();
    }
    call.gamma = numbers(rows, strange_one_in);
    const bool may_lack_gamma = call.function == kTerms || call.function == kGradient;
    call.gamma_at = may_lack_gamma && chance(2) ? nullptr : call.gamma.data();
    call.count = chance(2) ? 0 : 1 + below(4);
    for (std::int64_t i = 0; i < call.count; ++i) call.horizons.push_back(1 + below(steps));
    call.horizons.shrink_to_fit();
    call.horizons_at = call.count ? call.horizons.data() : nullptr;
    if (call.count && chance(20)) call.horizons[0] = chance(2) ? steps + 1 : one_of(kSizes);
    call.schedules_at = &call.schedules;
    fill_options(call, strange_one_in);
  }

  void fill_options(Call& call, int strange_one_in) {
    cvxbound_default_options(&call.options, sizeof call.options);
    // Searches for last steps, block maps and threads take most of the time, and few of the paths.
    call.options.kind = chance(4) ? std::int32_t(below(3)) : chance(2) ? CVXBOUND_LAST : CVXBOUND_AVERAGE;
    call.options.last_step = chance(8) ? CVXBOUND_FREE : std::int32_t(below(2));
    call.options.method = chance(8) ? std::int32_t(below(3)) : CVXBOUND_DIRECT;
    call.options.nthreads = chance(200) ? 2 : 1;
    if (chance(3)) call.options.rtol = 1e-9;
    if (chance(3)) call.options.D = numbers(1, strange_one_in)[0];
    call.options_at = chance(4) ? nullptr : &call.options;
  }

  /// Makes the call one that must be refused, before any array is read.
  bool spoil(Call& call) {
    const bool has_horizons = call.function != kBound;
    const bool has_gamma = call.function != kTune;
    const auto unknown = [&] { return chance(2) ? 3 + std::int32_t(below(1 << 30)) : -1; };
    switch (below(14)) {
      case 0:
        call.schedules_at = chance(2) ? nullptr : misaligned(call.schedules_at);
        return true;
      case 1:
        call.schedules.eta = chance(2) ? nullptr : misaligned(call.schedules.eta);
        return true;
      case 2:
        call.schedules.rows = chance(3) ? 0 : one_of(kSizes);
        return true;
      case 3:
        call.schedules.steps = chance(3) ? 0 : one_of(kSizes);
        return true;
      case 4:
        (chance(2) ? call.schedules.norm_rows : call.schedules.norm_steps) = one_of(kSizes);
        return call.schedules.norm;
      case 5:
        if (call.schedules.norm) call.schedules.norm = misaligned(call.schedules.norm);
        return call.schedules.norm;
      case 6:
        if (call.gamma_at) call.gamma_at = misaligned(call.gamma_at);
        return has_gamma && call.gamma_at;
      case 7:
        call.count = call.horizons_at && chance(3) ? 0 : one_of(kSizes);
        return has_horizons;
      case 8:
        if (call.horizons_at) call.horizons_at = misaligned(call.horizons_at);
        return has_horizons && call.horizons_at;
      default:
        return spoil_options(call, unknown());
    }
  }

  bool spoil_options(Call& call, std::int32_t unknown) {
    call.options_at = &call.options;
    switch (below(7)) {
      case 0:
        call.options_at = misaligned(call.options_at);
        break;
      case 1:
        call.options.size = std::size_t(one_of(kSizes));
        break;
      case 2:
        call.options.kind = unknown;
        break;
      case 3:
        call.options.last_step = unknown;
        break;
      case 4:
        call.options.method = unknown;
        break;
      case 5:
        call.options.nthreads = chance(2) ? -1 : 4097 + std::int32_t(below(1 << 30));
        break;
      default:
        (chance(2) ? call.options.rtol : call.options.D) = one_of(std::array<double, 4>{0, -1, kInf, kNan});
    }
    return true;
  }

  /// Exactly as large as the results, and sometimes where the learning rates are.
  void make_outputs(Call& call) {
    const auto sane = [](std::int64_t size) { return size > 0 && size <= 1000 ? size : 1; };
    const std::int64_t rows = sane(call.schedules.rows), steps = sane(call.schedules.steps);
    const std::int64_t horizons = call.horizons_at ? sane(call.count) : steps;
    call.weights = numbers(rows * horizons, chance(4) ? 10 : 100000);
    call.weights_at = chance(2) ? nullptr : call.weights.data();
    const std::int64_t columns = call.function == kBound      ? 1
                                 : call.function == kGradient ? steps
                                                              : horizons;
    call.one = numbers(rows * columns, 10);
    call.other = numbers(rows * columns, 10);
    const bool fits = call.one.size() <= call.eta.size() && call.schedules.eta == call.eta.data();
    call.one_at = fits && chance(8) ? call.eta.data() : call.one.data();
    call.other_at = chance(4) ? nullptr : call.other.data();
  }

  /// Whether another number of threads gives the same bits; not where the inputs are gone.
  static bool repeats(Call& call) {
    if (call.one_at != call.one.data()) return true;
    const Doubles one = call.one, other = call.other;
    call.options.nthreads = 3;
    return call.run() == CVXBOUND_OK && same(one, call.one) && same(other, call.other);
  }

  std::uint64_t state_;
};

/// Statuses that the calls above must have met: all but those of the machine.
bool saw_enough(const std::set<int>& seen) {
  for (int status = CVXBOUND_OK; status <= CVXBOUND_NO_DERIVATIVE; ++status) {
    if (status != CVXBOUND_BAD_ENVIRONMENT && !seen.count(status)) {
      std::fprintf(stderr, "no call had the status %d, %s\n", status, cvxbound_strerror(status));
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, long otherwise) { return argc > i ? std::atol(argv[i]) : otherwise; };
  const long calls = argument(1, 20000), seed = argument(2, 1), threads = argument(3, 1);
  std::atomic<long> broken{-1};
  std::vector<std::set<int>> seen(static_cast<std::size_t>(threads));
  std::vector<std::thread> workers;
  for (long worker = 0; worker < threads; ++worker) {
    workers.emplace_back([&, worker] {
      for (long i = worker; i < calls && broken < 0; i += threads) {
        if (!Fuzzer(std::uint64_t(seed) * 1000003 + std::uint64_t(i)).call(seen[std::size_t(worker)])) {
          broken = i;
        }
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  if (broken >= 0) std::fprintf(stderr, "call %ld of seed %ld broke a rule\n", broken.load(), seed);
  for (std::size_t i = 1; i < seen.size(); ++i) seen[0].insert(seen[i].begin(), seen[i].end());
  return broken < 0 && saw_enough(seen[0]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
