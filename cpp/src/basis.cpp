#include "basis.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "fast_kernels.hpp"

namespace cvxbound {
namespace {

constexpr long double kPi = 3.14159265358979323846264338327950288L;

long double chebyshev_node(int i, int order) { return std::cos(kPi * (i + 0.5L) / order); }

/// Values at the nodes to a Chebyshev series.
template <std::size_t N>
void fill_to_chebyshev(int order, double (&matrix)[N][N]) {
  for (int i = 0; i < order; ++i) {
    for (int k = 0; k < order; ++k) {
      matrix[i][k] =
          static_cast<double>((k > 0 ? 2.0L : 1.0L) / order * std::cos(kPi * k * (i + 0.5L) / order));
    }
  }
}

/// T_{k+1} = 2 z T_k - T_{k-1}, as rows of coefficients.
template <std::size_t N>
void fill_to_monomial(int order, double (&matrix)[N][N]) {
  matrix[0][0] = 1;
  matrix[1][1] = 1;
  for (int k = 2; k < order; ++k) {
    for (int power = 0; power < order; ++power) {
      const double shifted = power > 0 ? matrix[k - 1][power - 1] : 0;
      matrix[k][power] = 2 * shifted - matrix[k - 2][power];
    }
  }
}

Basis make_basis(int order) {
  Basis basis = {};
  basis.order = order;
  for (int i = 0; i < kMaxOrder; ++i) {  // what pads a vector repeats the last node
    const long double z = chebyshev_node(std::min(i, order - 1), order);
    basis.block_node[i] = static_cast<double>(kScale / (z + 1) - kShift);
    basis.piece_node[i] = static_cast<double>(kPieceCentre * (1 + kPieceZeta * z) / (1 - kPieceZeta * z));
  }
  fill_to_chebyshev(order, basis.to_chebyshev);
  fill_to_monomial(order, basis.to_monomial);
  for (int i = 0; i < order; ++i) {
    for (int k = 0; k < order; ++k) basis.to_nodes[k][i] = basis.to_chebyshev[i][k];
  }
  return basis;
}

WindowBasis make_window() {
  WindowBasis window = {};
  for (int i = 0; i < kWindowOrder; ++i) {
    const long double z = chebyshev_node(i, kWindowOrder);
    window.factor[i] = static_cast<double>(std::exp(kWindowHalfWidth * z));
  }
  fill_to_chebyshev(kWindowOrder, window.to_chebyshev);
  fill_to_monomial(kWindowOrder, window.to_monomial);
  return window;
}

}  // namespace

int order_index(double rtol) { return rtol >= 1e-6 ? 0 : rtol >= 1e-9 ? 1 : 2; }

const Basis& basis_of(int index) {
  static const Basis bases[] = {make_basis(kOrders[0]), make_basis(kOrders[1]), make_basis(kOrders[2])};
  return bases[index];
}

const WindowBasis& window_basis() {
  static const WindowBasis window = make_window();
  return window;
}

}  // namespace cvxbound
