#include "units.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace cvxbound {
namespace {

/// Norms whose largest is within so many powers of two are left as they are.
constexpr int kOrdinary = 8;

Norms constant_norms(const NormArray& norms, std::int64_t steps) {
  Norms split;
  if (std::find(norms.data, norms.data + norms.rows, 0.0) == norms.data + norms.rows) {
    split.scale.assign(norms.data, norms.data + norms.rows);
    return split;
  }
  // No factor can be taken out of a zero.
  split.made.reserve(static_cast<std::size_t>(norms.rows * steps));
  for (std::int64_t row = 0; row < norms.rows; ++row) {
    split.made.insert(split.made.end(), static_cast<std::size_t>(steps), norms.data[row]);
  }
  split.per_step = split.made.data();
  return split;
}

}  // namespace

Norms split_norms(const NormArray& norms, std::int64_t steps) {
  if (norms.steps == 1 && steps != 1) return constant_norms(norms, steps);
  Norms split;
  split.per_step = norms.data;
  const std::int64_t size = norms.rows * norms.steps;
  int exponent;
  std::frexp(*std::max_element(norms.data, norms.data + size), &exponent);
  if (std::abs(exponent) <= kOrdinary) return split;
  split.made.resize(static_cast<std::size_t>(size));
  std::transform(norms.data, norms.data + size, split.made.begin(),
                 [exponent](double norm) { return std::ldexp(norm, -exponent); });
  split.per_step = split.made.data();
  split.scale = {std::ldexp(1.0, exponent)};
  return split;
}

}  // namespace cvxbound
