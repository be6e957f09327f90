#include "panels.hpp"

#include <array>
#include <cmath>
#include <memory>

namespace cvxbound {
namespace {

using Real = long double;
constexpr int kOrder = kPanelNodes + 1;  ///< of an indefinite sum of what has kPanelNodes coefficients
using Series = std::array<Real, kOrder>;

/// P_0(x) .. P_{kOrder-1}(x).
Series legendre(Real x) {
  Series p{};
  p[0] = 1;
  p[1] = x;
  for (int m = 1; m + 1 < kOrder; ++m) p[m + 1] = ((2 * m + 1) * x * p[m] - m * p[m - 1]) / (m + 1);
  return p;
}

Real evaluate(const Series& series, Real x) {
  const Series p = legendre(x);
  Real sum = 0;
  for (int m = 0; m < kOrder; ++m) sum += series[m] * p[m];
  return sum;
}

Series derivative(const Series& series) {
  Series result{};
  for (int m = 1; m < kOrder; ++m) {
    for (int j = m - 1; j >= 0; j -= 2) result[j] += (2 * j + 1) * series[m];
  }
  return result;
}

Series integral(const Series& series) {
  Series result{};
  for (int m = 0; m + 1 < kOrder; ++m) {
    result[m + 1] += series[m] / (2 * m + 1);
    if (m > 0) result[m - 1] -= series[m] / (2 * m + 1);
  }
  return result;
}

/// g with g(x + h/2) - g(x - h/2) = f(x): of the operator 1 / (2 sinh(hD/2)), whose series ends.
Series indefinite_sum(const Series& f, Real h) {
  // (z/2) / sinh(z/2) = sum_m c_m z^2m, from the reciprocal of the series of sinh(z/2) / (z/2).
  constexpr int kTerms = kOrder / 2 + 1;
  Real c[kTerms] = {1}, s[kTerms] = {1};
  for (int m = 1; m < kTerms; ++m) {
    s[m] = s[m - 1] / (4 * (2 * m) * (2 * m + 1));
    c[m] = 0;
    for (int j = 1; j <= m; ++j) c[m] -= s[j] * c[m - j];
  }
  Series sum{}, term = integral(f);
  Real power = 1 / h;
  for (int m = 0; m < kTerms; ++m) {
    for (int j = 0; j < kOrder; ++j) sum[j] += c[m] * power * term[j];
    term = derivative(derivative(term));
    power *= h * h;
  }
  return sum;
}

std::unique_ptr<const PanelRules> make_rules() {
  auto rules = std::make_unique<PanelRules>();
  Real x[kPanelNodes], gauss[kPanelNodes];
  for (int i = 0; i < kPanelNodes; ++i) {
    Real root = -std::cos(std::acos(Real(-1)) * (i + Real(0.75)) / (kPanelNodes + Real(0.5)));
    Real slope = 0;
    for (int iteration = 0; iteration < 20; ++iteration) {
      const Series p = legendre(root);
      slope = kPanelNodes * (p[kPanelNodes - 1] - root * p[kPanelNodes]) / (1 - root * root);
      root -= p[kPanelNodes] / slope;
    }
    x[i] = root;
    gauss[i] = 2 / ((1 - root * root) * slope * slope);
    rules->node[i] = static_cast<double>((root + 1) / 2);
  }
  for (int k = 0; k < kPanelNodes; ++k) {
    const Series p = legendre(x[k]);
    Series basis{};  // 1 at node k, 0 at the others
    for (int m = 0; m < kPanelNodes; ++m) basis[m] = (2 * m + 1) * gauss[k] * p[m] / 2;
    for (int i = 0; i < 2; ++i) rules->tail[i][k] = static_cast<double>(basis[kPanelNodes - 1 - i]);
    for (int level = kSmallestLevel; level <= kLargestLevel; ++level) {
      const Real h = std::ldexp(Real(2), -level);
      const Series sum = indefinite_sum(basis, h);
      const Real start = evaluate(sum, -1);
      PanelRule& rule = rules->rule[level];
      rule.weight[k] = static_cast<double>(evaluate(sum, 1) - start);
      for (int i = 0; i < kPanelNodes; ++i) {
        rule.before[k][i] = static_cast<double>(evaluate(sum, x[i] - h / 2) - start);
      }
    }
  }
  return rules;
}

}  // namespace

const PanelRules& panel_rules() {
  static const std::unique_ptr<const PanelRules> rules = make_rules();
  return *rules;
}

}  // namespace cvxbound
