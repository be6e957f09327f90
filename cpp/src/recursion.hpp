// The two recursions behind the bounds.
//
// At horizon t everything is one walk backwards from the target (Schaipp et al., ICML 2025, Theorem 1
// after Abel summation; Zamani & Glineur, arXiv 2307.11134):
//
//     R_{t-1} = rho,    R_{k-1} = R_k + linear eta_k + square eta_k^2 / R_k,    k = t-1 .. 1,
//     noise = 1/2 [ rho G_t^2 + sum_{k<t} eta_k^2 G_k^2 / R_k ],    distance = 1 / (2 R_0),
//     Omega = D^2 distance / gamma + gamma noise.
//
// `last` with rho = eta_t is the bound of the paper; `tight` holds for any rho > 0.
#pragma once

namespace cvxbound {

struct Recursion {
  double linear;
  double square;
};

constexpr Recursion kLast = {1, 0};
constexpr Recursion kTight = {2, 1};

}  // namespace cvxbound
