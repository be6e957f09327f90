// The kernels for GPUs against exact walks and the core, run by the processor (launch.hpp) in both orders
// of threads and blocks.
//
// Built with sanitizers, this is where an access out of range would show: sizes straddle blocks and tiles.
#include <algorithm>
#include <string>
#include <vector>

#include "check.hpp"
#include "cvxbound_cuda.hpp"
#include "launch.hpp"

using namespace cvxbound;

namespace {

/// As `run` of test_core.cpp, with all that a GPU would have.
Result run(const Array& eta, const Array& norm, const Options& options,
           const std::vector<std::int64_t>& horizons = {}, double gamma = 0) {
  const Exact steps(eta), norms(norm);
  Batch batch;
  batch.items = 1;
  batch.steps = static_cast<std::int64_t>(eta.size());
  batch.eta = steps.data.get();
  batch.norm = norm.empty() ? nullptr : norms.data.get();
  batch.gamma = gamma > 0 ? &gamma : nullptr;
  if (!horizons.empty()) {
    batch.horizons = horizons.data();
    batch.horizon_count = static_cast<std::int64_t>(horizons.size());
  }
  static const std::vector<char> tables = [] {
    std::vector<char> made(cuda::tables_size());
    cuda::make_tables(made.data());
    return made;
  }();
  const std::unique_ptr<char[]> workspace(new char[cuda::workspace_size(batch, options)]);
  const std::size_t size = horizons.empty() ? eta.size() : horizons.size();
  Result result = {Array(size), Array(size), Array(size)};
  cuda::terms(batch, options, {result.distance.data(), result.noise.data(), result.rho.data()},
              {tables.data(), workspace.get(), nullptr});
  return result;
}

void test_every_horizon_of_last() {
  std::mt19937_64 rng(1);
  for (const std::size_t n : kSizes) {
    for (const double decades : {1.0, 8.0, 60.0, 290.0}) {
      for (const bool varying : {false, true}) {
        const Array eta = random_steps(n, rng, decades, n % 2);
        const Array norm = varying ? random_steps(n, rng, 4, false) : Array();
        Options options;
        check_every_horizon_of_last(eta, norm, run(eta, norm, options), 2e-14,
                                    "n=" + std::to_string(n) + " decades=" + std::to_string(decades));
      }
    }
  }
}

}  // namespace

int main() {
  for (const bool reversed : {false, true}) {
    cuda::reversed() = reversed;
    test_every_horizon_of_last();
  }
  std::printf("%d failed\n", failures);
  return failures > 0;
}
