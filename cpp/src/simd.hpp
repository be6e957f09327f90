// One vector type per instruction set, chosen by the compiler's target flags; one lane for a thread of a
// GPU (CVXBOUND_ONE_LANE).
//
// Everything here has internal linkage and uses no standard templates: this header is compiled once
// per instruction set, and a shared inline function compiled for a newer processor could otherwise be
// picked by the linker for an older one.
#pragma once

#include "portable.hpp"

#if defined(CVXBOUND_ONE_LANE)
#include "one_lane.hpp"
#else
#include "many_lanes.hpp"
#endif

namespace {

CVX_PORTABLE inline vec min(vec a, vec b) { return a < b ? a : b; }
CVX_PORTABLE inline vec max(vec a, vec b) { return a > b ? a : b; }

CVX_PORTABLE inline double sum_of_lanes(vec v) {
  double total = 0;
  for (int i = 0; i < kLanes; ++i) total += v[i];
  return total;
}

CVX_PORTABLE inline double smallest_lane(vec v) {
  double low = v[0];
  for (int i = 1; i < kLanes; ++i) low = v[i] < low ? v[i] : low;
  return low;
}

CVX_PORTABLE inline double largest_lane(vec v) {
  double high = v[0];
  for (int i = 1; i < kLanes; ++i) high = v[i] > high ? v[i] : high;
  return high;
}

/// sum + low is a + b exactly (Knuth's TwoSum), for doubles and vectors alike.
template <class V>
CVX_PORTABLE inline V two_sum(V a, V b, V& low) {
  const V sum = a + b;
  const V part = sum - a;
  low = (a - (sum - part)) + (b - part);
  return sum;
}

}  // namespace
