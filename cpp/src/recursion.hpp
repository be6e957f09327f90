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
// Plain arithmetic on a type V that may be double or a vector of lanes; any C++17 compiler can read it,
// those of GPUs too.
#pragma once

namespace cvxbound {

struct Recursion {
  double linear;
  double square;
};

constexpr Recursion kLast = {1, 0};
constexpr Recursion kTight = {2, 1};

/// The same two, for kernels that are compiled once for each.
struct Last {
  static constexpr Recursion value = kLast;
};
struct Tight {
  static constexpr Recursion value = kTight;
};

/// One step back. `grown` collects the part of R that comes from squares, sum eta^2 / R, and `noise`
/// sum (eta G)^2 / R; root is eta G. Where norms are all one these are the same sum: pass it as `noise`
/// and kNorms = false. Survives steps of any size: no square is formed before it is divided.
template <class R_, bool kNorms, class V>
#if defined(__CUDACC__)
__host__ __device__
#endif
    inline void step_back(V eta, V root, V& R, V& grown, V& noise) {
  constexpr Recursion recursion = R_::value;
  const V inverse = 1.0 / R;
  if constexpr (kNorms || recursion.square == 0) noise += root * (root * inverse);
  if constexpr (recursion.square > 0) {
    const V square = eta * (eta * inverse);
    if constexpr (kNorms) {
      grown += square;
    } else {
      noise += square;
    }
    R += recursion.linear * eta + square;
  } else {
    R += recursion.linear * eta;
  }
}

}  // namespace cvxbound
