// Values with their first two derivatives, so that a walk of them finds slope and bend of what it computes.
// V is double or a vector of lanes. Internal linkage, as in simd.hpp.
#pragma once

namespace cvxbound {
namespace {

template <class V>
struct Jet {
  V value, slope, bend;

  Jet& operator+=(const Jet& other) { return *this = *this + other; }

  friend Jet operator+(const Jet& a, const Jet& b) {
    return {a.value + b.value, a.slope + b.slope, a.bend + b.bend};
  }
  friend Jet operator*(const Jet& a, const Jet& b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope,
            a.bend * b.value + 2.0 * (a.slope * b.slope) + a.value * b.bend};
  }
  friend Jet operator/(const Jet& a, const Jet& b) {
    const V inverse = 1.0 / b.value, value = a.value * inverse;
    const V slope = (a.slope - value * b.slope) * inverse;
    return {value, slope, (a.bend - 2.0 * (slope * b.slope) - value * b.bend) * inverse};
  }
};

template <class V>
inline Jet<V> constant(V value) {
  return {value, V{}, V{}};
}

/// The square root, given that of the value.
template <class V>
inline Jet<V> square_root(const Jet<V>& x, V root) {
  const V slope = 0.5 * x.slope / root;
  return {root, slope, 0.5 * (x.bend - 2.0 * (slope * slope)) / root};
}

/// A step of log rho that is larger is none that polishes.
constexpr double kLargestPolish = 0.05;

/// Newton's step in log rho towards the minimum of distance / gamma + gamma noise, or of distance * noise
/// where gamma is 0; not a number where there is none.
template <class V>
inline V newton_step(const Jet<V>& distance, const Jet<V>& noise, double gamma) {
  if (gamma > 0) {
    const V slope = distance.slope / gamma + gamma * noise.slope;
    const V bend = distance.bend / gamma + gamma * noise.bend;
    return -slope / bend;
  }
  const V d = distance.slope / distance.value, n = noise.slope / noise.value;
  const V bend = distance.bend / distance.value - d * d + noise.bend / noise.value - n * n;
  return -(d + n) / bend;
}

}  // namespace
}  // namespace cvxbound
