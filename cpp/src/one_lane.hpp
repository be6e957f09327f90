// The vectors of simd.hpp for a thread of a GPU: one lane. Also compiled for processors, where kernels for
// GPUs are tested; fma is rounded once on both, so that results agree.
#pragma once

#include <cstdint>
#include <cstring>

#include "portable.hpp"

namespace {

constexpr int kLanes = 1;

typedef std::int64_t bits;
typedef unsigned long long ubits;

struct vec {
  double lane;

  vec() = default;
  CVX_PORTABLE vec(double x) : lane(x) {}
  /// Bit for bit, as for vectors.
  CVX_PORTABLE explicit vec(ubits pattern) { std::memcpy(&lane, &pattern, sizeof lane); }
  CVX_PORTABLE explicit operator ubits() const {
    ubits pattern;
    std::memcpy(&pattern, &lane, sizeof lane);
    return pattern;
  }

  CVX_PORTABLE double& operator[](int) { return lane; }
  CVX_PORTABLE double operator[](int) const { return lane; }

  CVX_PORTABLE vec& operator+=(vec v) { return lane += v.lane, *this; }
  CVX_PORTABLE vec& operator-=(vec v) { return lane -= v.lane, *this; }
  CVX_PORTABLE vec& operator*=(vec v) { return lane *= v.lane, *this; }
  CVX_PORTABLE vec& operator/=(vec v) { return lane /= v.lane, *this; }

  CVX_PORTABLE friend vec operator-(vec v) { return -v.lane; }
  CVX_PORTABLE friend vec operator+(vec a, vec b) { return a.lane + b.lane; }
  CVX_PORTABLE friend vec operator-(vec a, vec b) { return a.lane - b.lane; }
  CVX_PORTABLE friend vec operator*(vec a, vec b) { return a.lane * b.lane; }
  CVX_PORTABLE friend vec operator/(vec a, vec b) { return a.lane / b.lane; }
  CVX_PORTABLE friend bool operator<(vec a, vec b) { return a.lane < b.lane; }
  CVX_PORTABLE friend bool operator>(vec a, vec b) { return a.lane > b.lane; }
  CVX_PORTABLE friend bool operator<=(vec a, vec b) { return a.lane <= b.lane; }
  CVX_PORTABLE friend bool operator>=(vec a, vec b) { return a.lane >= b.lane; }
};

CVX_PORTABLE inline vec load(const double* p) { return *p; }
CVX_PORTABLE inline void store(double* p, vec v) { *p = v.lane; }
CVX_PORTABLE inline vec broadcast(double x) { return x; }
CVX_PORTABLE inline vec fma(vec a, vec b, vec c) { return __builtin_fma(a.lane, b.lane, c.lane); }
CVX_PORTABLE inline vec sqrt(vec v) { return __builtin_sqrt(v.lane); }
CVX_PORTABLE inline void load_transposed(const double* row, int, vec* column) { *column = load(row); }
CVX_PORTABLE inline vec powers(double) { return 1.0; }

}  // namespace
