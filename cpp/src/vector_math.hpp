// Elementary functions of vectors, for kernels: included by units that are compiled once per instruction
// set, so internal linkage and no std templates (see simd.hpp). Relative errors of a few ulp.
#pragma once

#include "simd.hpp"

namespace {

/// Adding it leaves a number, rounded to an integer, in the lowest bits of the mantissa.
constexpr double kToInteger = 0x1.8p52;

/// sin(z) for |z| <= 1.64: z + z^3 p(z^2), p interpolating at Chebyshev nodes.
CVX_PORTABLE inline vec sine(vec z) {
  constexpr double kCoefficients[] = {
      -0x1.5555555555555p-3,  0x1.11111111110fep-7,  -0x1.a01a01a017b65p-13, 0x1.71de3a53b931ep-19,
      -0x1.ae645542690ddp-26, 0x1.6123e3da5209ep-33, -0x1.ae483b57271f6p-41, 0x1.88927a3596277p-49};
  const vec square = z * z;
  vec sum = broadcast(kCoefficients[7]);
  for (int i = 6; i >= 0; --i) sum = fma(sum, square, broadcast(kCoefficients[i]));
  return fma(z * square, sum, z);
}

/// z = k log 2 + r for z in [-700, 700]: returns e^r - 1, and 2^k as `scale`.
CVX_PORTABLE inline vec reduced_expm1(vec z, vec& scale) {
  constexpr double kInverse[] = {1.0,
                                 1.0 / 2,
                                 1.0 / 6,
                                 1.0 / 24,
                                 1.0 / 120,
                                 1.0 / 720,
                                 1.0 / 5040,
                                 1.0 / 40320,
                                 1.0 / 362880,
                                 1.0 / 3628800,
                                 1.0 / 39916800,
                                 1.0 / 479001600,
                                 1.0 / 6227020800.0,
                                 1.0 / 87178291200.0};
  z = max(min(z, broadcast(700.0)), broadcast(-700.0));
  const vec shifted = fma(z, broadcast(1.4426950408889634), broadcast(kToInteger));
  const vec k = shifted - broadcast(kToInteger);
  scale = (vec)(((ubits)shifted + 1023) << 52);
  vec r = fma(k, broadcast(-0x1.62e42fee00000p-1), z);
  r = fma(k, broadcast(-0x1.a39ef35793c76p-33), r);
  vec sum = broadcast(kInverse[13]);
  for (int i = 12; i >= 0; --i) sum = fma(sum, r, broadcast(kInverse[i]));
  return sum * r;
}

/// e^z - 1.
CVX_PORTABLE inline vec expm1(vec z) {
  vec scale;
  const vec part = reduced_expm1(z, scale);
  return fma(scale, part, scale - broadcast(1.0));
}

CVX_PORTABLE inline vec exp(vec z) {
  vec scale;
  const vec part = reduced_expm1(z, scale);
  return fma(scale, part, scale);
}

/// log(x) for x = 1 - y > 0 of ordinary size, given both.
CVX_PORTABLE inline vec log(vec x, vec y) {
  constexpr int kTerms = 11;
  const ubits pattern = (ubits)x;
  vec e = (vec)((pattern >> 52) | (ubits)broadcast(0x1p52)) - broadcast(0x1p52 + 1022);
  vec m = (vec)((pattern & 0xfffffffffffffull) | 0x3fe0000000000000ull);
  const vec root = broadcast(0.7071067811865476), one = broadcast(1.0), zero = {};
  const auto low = m < root;
  e = low ? e - one : e;
  m = low ? m + m : m;
  // Next to 1 the distance from it is known better than x.
  const auto near = (bits)(x >= root) & (bits)(x < broadcast(1.4));
  const vec top = near ? -y : m - one, bottom = near ? one + x : m + one;
  const vec s = top / bottom, square = s * s;
  vec sum = broadcast(1.0 / (2 * kTerms + 1));
  for (int i = kTerms - 1; i >= 0; --i) sum = fma(sum, square, broadcast(1.0 / (2 * i + 1)));
  return fma(near ? zero : e, broadcast(0.6931471805599453), (s + s) * sum);
}

}  // namespace
