// Sums over many neighbouring steps from a few of them: exact for polynomials.
//
// A panel is N = 2^level steps, counted j = 0 .. N - 1 from the near edge (the target's side). A function f
// of the step is known at kPanelNodes real positions j, the Gauss-Legendre nodes of the panel; then
//     sum_{j < N} f(j) = sum_k weight[k] f_k,    sum_{j < j_i} f(j) = sum_k before[k][i] f_k,
// the second one for real j_i through the function whose differences are f (Euler-Maclaurin, which ends for
// polynomials). The error of the first falls like that of Gauss quadrature, of the second like that of
// interpolation at the nodes.
#pragma once

#include <cstdint>

namespace cvxbound {

constexpr int kPanelNodes = 16;
constexpr int kSmallestLevel = 5;
constexpr int kLargestLevel = 40;

struct PanelRule {
  alignas(64) double weight[kPanelNodes];
  alignas(64) double before[kPanelNodes][kPanelNodes];
};

struct PanelRules {
  /// Nodes as fractions of the panel: j = N node - 1/2.
  alignas(64) double node[kPanelNodes];
  /// Rows that give the last two Legendre coefficients of what has the values f_k.
  alignas(64) double tail[2][kPanelNodes];
  PanelRule rule[kLargestLevel + 1];  ///< by level, from kSmallestLevel
};

/// The rules, made once.
const PanelRules& panel_rules();

}  // namespace cvxbound
