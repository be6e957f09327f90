// Chebyshev interpolation in the variables of fast_kernels.hpp: nodes, and the way from values there to
// coefficients. Computed once, in long double.
#pragma once

namespace cvxbound {

/// Most coefficients of a polynomial.
constexpr int kMaxOrder = 16;

/// The nodes of one order, where R lies for them, and the way from values to coefficients.
struct Basis {
  int order;
  double block_node[kMaxOrder];               ///< R / width
  double piece_node[kMaxOrder];               ///< sqrt(R) / 2^i
  double to_chebyshev[kMaxOrder][kMaxOrder];  ///< [node][k]
  double to_monomial[kMaxOrder][kMaxOrder];   ///< [k][power]
  double to_nodes[kMaxOrder][kMaxOrder];      ///< [k][node], the transpose of to_chebyshev
};

/// Nodes of a window over log rho, in which the free last step is searched, and the same ways.
constexpr int kWindowOrder = 16;
constexpr double kWindowHalfWidth = 0.75;

struct WindowBasis {
  double factor[kWindowOrder];  ///< exp(kWindowHalfWidth z) at the nodes z, falling
  double to_chebyshev[kWindowOrder][kWindowOrder];
  double to_monomial[kWindowOrder][kWindowOrder];
};

/// Orders that are compiled.
constexpr int kOrders[] = {8, 12, 14};
constexpr int kOrderCount = 3;

/// Which of them keeps the relative error below rtol (tests/test_fast.py, docs/fast.md).
int order_index(double rtol);

const Basis& basis_of(int order_index);
const WindowBasis& window_basis();

}  // namespace cvxbound
