#include "schedule.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

namespace cvxbound {
namespace {

[[noreturn]] void refuse(const char* name, const double* x, std::int64_t n, double largest) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (x[i] >= 0 && x[i] <= largest) continue;
    throw std::invalid_argument(std::string(name) + " must lie in [0, " + std::to_string(largest) +
                                "]; found " + std::to_string(x[i]) + " at entry " + std::to_string(i));
  }
  throw std::invalid_argument(std::string("the sum of ") + name + " overflows");
}

Range checked_range(const Kernels& kernels, const char* name, const double* x, std::int64_t n,
                    double largest) {
  const Range range = kernels.scan(x, n);
  // A NaN can hide from the comparisons of a scan, not from its sum.
  if (!(range.low >= 0 && range.largest <= largest && std::isfinite(range.sum))) {
    refuse(name, x, n, largest);
  }
  return range;
}

}  // namespace

Ranges check(const Kernels& kernels, const Schedule& schedule) {
  const Range eta = checked_range(kernels, "eta", schedule.eta, schedule.steps, kLargestStep);
  if (!schedule.norm) return {eta, {1, 1, 1, static_cast<double>(schedule.steps)}};
  return {eta, checked_range(kernels, "norm", schedule.norm, schedule.steps, kLargestNorm)};
}

void check_batch(const Batch& batch) {
  if (batch.steps < 1) throw std::invalid_argument("a schedule needs at least one step");
  for (std::int64_t i = 0; i < batch.horizon_count && batch.horizons; ++i) {
    if (batch.horizons[i] < 1 || batch.horizons[i] > batch.steps) {
      throw std::invalid_argument("horizons must lie in 1.." + std::to_string(batch.steps) + "; found " +
                                  std::to_string(batch.horizons[i]) + " at entry " + std::to_string(i));
    }
  }
}

}  // namespace cvxbound
