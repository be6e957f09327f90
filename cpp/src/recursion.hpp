// The two recursions behind the bounds; every kernel walks one of them.
//
// At horizon t everything is one walk backwards from the target (Schaipp et al., ICML 2025, Theorem 1
// after Abel summation; Zamani & Glineur, arXiv 2307.11134):
//
//     R_{t-1} = rho,    R_{k-1} = R_k + linear eta_k + square eta_k^2 / R_k,    k = t-1 .. 1,
//     noise = 1/2 [ rho G_t^2 + sum_{k<t} eta_k^2 G_k^2 / R_k ],    distance = 1 / (2 R_0),
//     Omega = D^2 distance / gamma + gamma noise.
//
// `last` with rho = eta_t is the bound of the paper; `tight` holds for any rho > 0.
//
// Plain arithmetic on a type V that may be double or a vector of lanes, for any C++17 compiler, those of
// GPUs too.
#pragma once

#include "portable.hpp"

namespace cvxbound {

struct Recursion {
  double linear;
  double square;
};

constexpr Recursion kLast = {1, 0};
constexpr Recursion kTight = {2, 1};

/// One step back, for kernels that are compiled once for each recursion. `state` stands for R. `noise`
/// collects sum (eta G)^2 / R, and `grown` sum eta^2 / R where that is not the same: for `tight` with
/// norms. No square is formed before it is divided, so steps of any size survive.
///
/// `reverse` is its adjoint: from the derivative with respect to the state after the step and to `noise` it
/// makes those with respect to the state before it, given, to eta and to the norm.
struct Last {
  static constexpr Recursion recursion = kLast;
  /// The state is R itself.
  static constexpr bool kRooted = false;

  template <bool kNorms, class V>
  CVX_PORTABLE static void step(V eta, V norm, V& state, V& /*grown*/, V& noise) {
    const V root = kNorms ? eta * norm : eta;
    noise += root * (root / state);
    state += eta;
  }

  template <bool kNorms, class V>
  CVX_PORTABLE static void reverse(V eta, V norm, V state, V noise_bar, V& state_bar, V& eta_bar,
                                   V& norm_bar) {
    const V share = (kNorms ? eta * norm : eta) / state, pull = 2.0 * (noise_bar * share);
    eta_bar = state_bar + (kNorms ? pull * norm : pull);
    norm_bar = pull * eta;
    state_bar -= noise_bar * share * share;
  }
};

struct Tight {
  static constexpr Recursion recursion = kTight;
  /// The state is sqrt(R): R + 2 eta + eta^2 / R = (sqrt(R) + eta / sqrt(R))^2.
  static constexpr bool kRooted = true;

  template <bool kNorms, class V>
  CVX_PORTABLE static void step(V eta, V norm, V& state, V& grown, V& noise) {
    const V share = eta / state;
    if (kNorms) {
      const V part = share * norm;
      grown += share * share;
      noise += part * part;
    } else {
      noise += share * share;
    }
    state += share;
  }

  template <bool kNorms, class V>
  CVX_PORTABLE static void reverse(V eta, V norm, V state, V noise_bar, V& state_bar, V& eta_bar,
                                   V& norm_bar) {
    const V inverse = 1.0 / state, share = eta * inverse, part = kNorms ? share * norm : share;
    const V pull = 2.0 * (noise_bar * part);
    const V share_bar = state_bar + (kNorms ? pull * norm : pull);
    eta_bar = share_bar * inverse;
    norm_bar = pull * share;
    state_bar -= share_bar * share * inverse;
  }
};

/// One step back of either, chosen at run time, with R itself as the state: what it adds to R and to the
/// sum. Of a product of roots one is divided first, so that steps of any size survive.
CVX_PORTABLE inline void step_back(bool tight, double eta, double norm, double R, double& grown,
                                   double& sum) {
  const double share = eta / R;
  grown += tight ? eta * (2 + share) : eta;
  sum += (share * norm) * (eta * norm);
}

}  // namespace cvxbound
