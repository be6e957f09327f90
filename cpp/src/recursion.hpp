// The two recursions behind the bounds, written once for scalars, SIMD vectors and (later) devices.
//
// At horizon t everything is one walk backwards from the target (Schaipp et al., ICML 2025, Theorem 1
// after Abel summation; Zamani & Glineur, arXiv 2307.11134):
//
//     R_{t-1} = rho,    noise = 1/2 [ rho G_t^2 + sum_{k<t} eta_k^2 G_k^2 / R_k ],
//     distance = 1 / (2 R_0),    Omega = D^2 distance / gamma + gamma noise,
//
//     last :  R_{k-1} = R_k + eta_k                       rho = eta_t in the paper
//     tight:  R_{k-1} = R_k + 2 eta_k + eta_k^2 / R_k     any rho > 0
//
// A recursion is the pair of coefficients in R_{k-1} = R_k + linear + square / R_k.
#pragma once

namespace cvxbound {

struct LastRecursion {
  static constexpr double kLinear = 1.0;
  static constexpr double kSquare = 0.0;
};

struct TightRecursion {
  static constexpr double kLinear = 2.0;
  static constexpr double kSquare = 1.0;
};

}  // namespace cvxbound
