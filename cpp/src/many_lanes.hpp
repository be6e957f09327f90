// The vectors of simd.hpp in the lanes of a processor.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 8;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kLanes = 4;
#else
constexpr int kLanes = 2;
#endif

typedef double vec __attribute__((vector_size(sizeof(double) * kLanes)));

typedef std::int64_t bits __attribute__((vector_size(sizeof(double) * kLanes)));
typedef std::uint64_t ubits __attribute__((vector_size(sizeof(double) * kLanes)));

inline vec load(const double* p) {
  vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store(double* p, vec v) { std::memcpy(p, &v, sizeof v); }

inline vec broadcast(double x) {
#if defined(__AVX512F__)
  return _mm512_set1_pd(x);
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_set1_pd(x);
#else
  return vec{x, x};
#endif
}

/// a * b + c, rounded once where the hardware has a fused multiply-add.
inline vec fma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

inline vec sqrt(vec v) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_pd(0xff, v);  // GCC 12 warns of the plain one
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_sqrt_pd(v);
#elif defined(__aarch64__)
  return (vec)vsqrtq_f64((float64x2_t)v);
#else
  return vec{__builtin_sqrt(v[0]), __builtin_sqrt(v[1])};
#endif
}

/// Loads 4 * kLanes neighbours so that lane l of column i is p[4 l + i].
inline void load_columns(const double* p, vec* column) {
#if defined(__AVX512F__)
  const vec a = load(p), b = load(p + 8), c = load(p + 16), d = load(p + 24);
  const vec even_ab = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  const vec odd_ab = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  const vec even_cd = __builtin_shufflevector(c, d, 0, 2, 4, 6, 8, 10, 12, 14);
  const vec odd_cd = __builtin_shufflevector(c, d, 1, 3, 5, 7, 9, 11, 13, 15);
  column[0] = __builtin_shufflevector(even_ab, even_cd, 0, 2, 4, 6, 8, 10, 12, 14);
  column[1] = __builtin_shufflevector(odd_ab, odd_cd, 0, 2, 4, 6, 8, 10, 12, 14);
  column[2] = __builtin_shufflevector(even_ab, even_cd, 1, 3, 5, 7, 9, 11, 13, 15);
  column[3] = __builtin_shufflevector(odd_ab, odd_cd, 1, 3, 5, 7, 9, 11, 13, 15);
#elif defined(__AVX2__) && defined(__FMA__)
  // Halves come together on the load ports; only the last shuffle of each column uses port 5.
  const auto halves = [](const double* low, const double* high) -> vec {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(low)), _mm_loadu_pd(high), 1);
  };
  const vec a = halves(p, p + 8), b = halves(p + 2, p + 10);
  const vec c = halves(p + 4, p + 12), d = halves(p + 6, p + 14);
  column[0] = _mm256_unpacklo_pd(a, c);
  column[1] = _mm256_unpackhi_pd(a, c);
  column[2] = _mm256_unpacklo_pd(b, d);
  column[3] = _mm256_unpackhi_pd(b, d);
#else
  const vec a = load(p), b = load(p + 2), c = load(p + 4), d = load(p + 6);
  column[0] = __builtin_shufflevector(a, c, 0, 2);
  column[1] = __builtin_shufflevector(a, c, 1, 3);
  column[2] = __builtin_shufflevector(b, d, 0, 2);
  column[3] = __builtin_shufflevector(b, d, 1, 3);
#endif
}

/// Lane i becomes the sum of the lanes after it: (v1 + ... + v7, ..., v7, 0).
inline vec sum_of_later_lanes(vec v) {
  const vec zero = {};
#if defined(__AVX512F__)
  v = __builtin_shufflevector(v, zero, 1, 2, 3, 4, 5, 6, 7, 8);
  v += __builtin_shufflevector(v, zero, 1, 2, 3, 4, 5, 6, 7, 8);
  v += __builtin_shufflevector(v, zero, 2, 3, 4, 5, 6, 7, 8, 9);
  v += __builtin_shufflevector(v, zero, 4, 5, 6, 7, 8, 9, 10, 11);
  return v;
#elif defined(__AVX2__) && defined(__FMA__)
  const vec pairs = v + vec(_mm256_permute_pd(v, 0b0101));
  return vec(_mm256_unpackhi_pd(v, zero)) + vec(_mm256_permute2f128_pd(pairs, pairs, 0x81));
#else
  return __builtin_shufflevector(v, zero, 1, 2);
#endif
}

inline bool is_zero(bits v) {
  std::int64_t any = 0;
  for (int i = 0; i < kLanes; ++i) any |= v[i];
  return any == 0;
}

/// Loads kLanes rows, `stride` apart, so that lane l of column i is rows[l stride + i].
inline void load_transposed(const double* rows, int stride, vec* column) {
#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
  const vec a = load(rows), b = load(rows + stride), c = load(rows + 2 * stride),
            d = load(rows + 3 * stride);
  const vec ab_even = _mm256_unpacklo_pd(a, b), ab_odd = _mm256_unpackhi_pd(a, b);
  const vec cd_even = _mm256_unpacklo_pd(c, d), cd_odd = _mm256_unpackhi_pd(c, d);
  column[0] = _mm256_permute2f128_pd(ab_even, cd_even, 0x20);
  column[1] = _mm256_permute2f128_pd(ab_odd, cd_odd, 0x20);
  column[2] = _mm256_permute2f128_pd(ab_even, cd_even, 0x31);
  column[3] = _mm256_permute2f128_pd(ab_odd, cd_odd, 0x31);
#else
  for (int i = 0; i < kLanes; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) column[i][lane] = rows[lane * stride + i];
  }
#endif
}

/// (1, x, x^2, ...).
inline vec powers(double x) {
  const vec one = broadcast(1.0), first = broadcast(x), second = broadcast(x * x);
#if defined(__AVX512F__)
  const vec fourth = second * second;
  return __builtin_shufflevector(one, first, 0, 9, 2, 11, 4, 13, 6, 15) *
         __builtin_shufflevector(one, second, 0, 1, 10, 11, 4, 5, 14, 15) *
         __builtin_shufflevector(one, fourth, 0, 1, 2, 3, 12, 13, 14, 15);
#elif defined(__AVX2__) && defined(__FMA__)
  return __builtin_shufflevector(one, first, 0, 5, 2, 7) * __builtin_shufflevector(one, second, 0, 1, 6, 7);
#else
  (void)second;
  return __builtin_shufflevector(one, first, 0, 3);
#endif
}

/// Lane i is the sum of the lanes of rows[i].
inline vec sums_of_lanes(const vec* rows) {
#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
  const vec ab = _mm256_hadd_pd(rows[0], rows[1]), cd = _mm256_hadd_pd(rows[2], rows[3]);
  return vec(_mm256_permute2f128_pd(ab, cd, 0x21)) + vec(_mm256_blend_pd(ab, cd, 0b1100));
#else
  vec sums;
  for (int i = 0; i < kLanes; ++i) {
    sums[i] = 0;
    for (int lane = 0; lane < kLanes; ++lane) sums[i] += rows[i][lane];
  }
  return sums;
#endif
}

}  // namespace
