// Division where range is known.
#pragma once

#include <cstdint>
#include <cstring>

#include "simd.hpp"

namespace cvxbound {
namespace cuda {

/// 1 / x to 19 bits at least.
CVX_DEVICE inline double rough_reciprocal(double x) {
#if defined(__CUDA_ARCH__)
  double result;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(result) : "d"(x));
  return result;
#else
  const auto upper_half = [](double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bits &= 0xffffffff00000000;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  };
  return upper_half(1 / upper_half(x));
#endif
}

/// 1 / x within two units in the last place, where both are in the normal range: three operations in place
/// of a division's nine and its branch.
CVX_DEVICE inline vec reciprocal(vec x) {
  const vec rough = rough_reciprocal(x.lane), error = fma(-x, rough, 1.0);
  return fma(rough, fma(error, error, error), rough);
}

}  // namespace cuda
}  // namespace cvxbound
