// The kernels for GPUs against exact walks and the core.
#include "cuda_run.hpp"

namespace {

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

int main() { return run_in_both_orders({test_every_horizon_of_last}); }
