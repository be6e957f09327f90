// The best last step of a schedule that is made of segments, without visiting every step: the way back is
// found once, as a route of single steps and panels, and then walked from many rho. Compiled once per
// instruction set.
#pragma once

#include "recursion.hpp"
#include "rho_search.hpp"
#include "segment_walk.hpp"

namespace cvxbound {
namespace {

/// A way back from a horizon, as Walker goes it. Panels that are exact from a small rho are so from any
/// greater one, where everything is smoother.
class Route {
 public:
  static constexpr double kReach = 1;
  static constexpr bool kNodes = true;

  /// Single steps, the one nearest to the target last.
  void steps(const double* eta, int count) {
    if (!has_room(count)) return;
    leg_[legs_++] = {0, values_, count};
    for (int k = count - 1; k >= 0; --k) {
      value_[values_++] = eta[k];
      if (nearest_ == 0) nearest_ = eta[k];
    }
  }

  /// A panel: the steps at its nodes, and the sums of those between its near edge and each node.
  void panel(int level, const double* eta, const double* before) {
    if (!has_room(2 * kPanelNodes)) return;
    leg_[legs_++] = {level, values_, 0};
    for (int i = 0; i < kPanelNodes; ++i) value_[values_++] = eta[i];
    for (int i = 0; i < kPanelNodes; ++i) value_[values_++] = before[i];
  }

  /// False where the steps are so rough that most of them would be walked one by one.
  bool is_short() const { return !overflown_; }

  /// The last step that is not zero, of those walked one by one.
  double nearest() const { return nearest_; }

  /// Calls steps(eta, count), the step nearest to the target first, and panel(level, eta, before).
  template <class Steps, class Panel>
  void follow(const Steps& steps, const Panel& panel) const {
    for (int i = 0; i < legs_; ++i) {
      const double* values = value_ + leg_[i].first;
      if (leg_[i].level == 0) {
        steps(values, leg_[i].count);
      } else {
        panel(leg_[i].level, values, values + kPanelNodes);
      }
    }
  }

 private:
  struct Leg {
    int level;  ///< 0 for single steps
    int first, count;
  };

  static constexpr int kMostLegs = 512, kMostValues = 8192;

  bool has_room(int count) {
    overflown_ = overflown_ || legs_ == kMostLegs || values_ + count > kMostValues;
    return !overflown_;
  }

  int legs_ = 0, values_ = 0;
  bool overflown_ = false;
  double nearest_ = 0;
  Leg leg_[kMostLegs];
  double value_[kMostValues];
};

/// What the search evaluates: walks of a route from kBeam values of rho.
template <class Walked>
struct RouteWalks {
  static constexpr Recursion kRecursion = Walked::recursion;
  static constexpr bool kSquare = kRecursion.square > 0;
  static constexpr int kBeamVectors = kBeam / kLanes;

  const Route& route;
  const PanelRules& rules;

  void operator()(const double* rho, double last_norm, double* distance, double* noise) const {
    vec R[kBeamVectors], sum[kBeamVectors] = {};
    for (int v = 0; v < kBeamVectors; ++v) R[v] = load(rho + v * kLanes);
    route.follow([&](const double* eta, int count) { take_steps(eta, count, R, sum); },
                 [&](int level, const double* eta, const double* before) {
                   take_panel(level, eta, before, R, sum);
                 });
    for (int v = 0; v < kBeamVectors; ++v) {
      const vec last = load(rho + v * kLanes) * broadcast(last_norm) * broadcast(last_norm);
      store(distance + v * kLanes, broadcast(0.5) / R[v]);
      store(noise + v * kLanes, broadcast(0.5) * (last + sum[v]));
    }
  }

 private:
  static void take_steps(const double* eta, int count, vec* R, vec* sum) {
    vec unused = {};
    for (int v = 0; v < kBeamVectors; ++v) R[v] = Walked::kRooted ? sqrt(R[v]) : R[v];
    for (int k = 0; k < count; ++k) {
      for (int v = 0; v < kBeamVectors; ++v) {
        Walked::template step<false>(broadcast(eta[k]), vec{}, R[v], unused, sum[v]);
      }
    }
    for (int v = 0; v < kBeamVectors; ++v) R[v] = Walked::kRooted ? R[v] * R[v] : R[v];
  }

  /// Where R grows by its fractions, they are found by iteration, node after node. Each round wins a
  /// factor of about four times the steps of the panel, as these fractions are that much smaller than R.
  void take_panel(int level, const double* eta, const double* before, vec* R, vec* sum) const {
    const PanelRule& rule = rules.rule[level];
    vec given[kPanelNodes][kBeamVectors], fraction[kPanelNodes][kBeamVectors];
    for (int i = 0; i < kPanelNodes; ++i) {
      const vec length = broadcast(kRecursion.linear * before[i]), step = broadcast(eta[i]);
      for (int v = 0; v < kBeamVectors; ++v) {
        given[i][v] = R[v] + length;
        fraction[i][v] = step * (step / given[i][v]);
      }
    }
    const int rounds = kSquare ? 55 / (level + 2) : 0;
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < kPanelNodes; ++i) {
        vec at[kBeamVectors];
        for (int v = 0; v < kBeamVectors; ++v) at[v] = given[i][v];
        for (int k = 0; k < kPanelNodes; ++k) {
          const vec weight = broadcast(rule.before[k][i]);
          for (int v = 0; v < kBeamVectors; ++v) at[v] = fma(weight, fraction[k][v], at[v]);
        }
        const vec step = broadcast(eta[i]);
        for (int v = 0; v < kBeamVectors; ++v) fraction[i][v] = step * (step / at[v]);
      }
    }
    vec total[kBeamVectors] = {};
    double length = 0;
    for (int k = 0; k < kPanelNodes; ++k) {
      const vec weight = broadcast(rule.weight[k]);
      length += rule.weight[k] * eta[k];
      for (int v = 0; v < kBeamVectors; ++v) total[v] = fma(weight, fraction[k][v], total[v]);
    }
    for (int v = 0; v < kBeamVectors; ++v) {
      sum[v] += total[v];
      R[v] += broadcast(kRecursion.linear * length);
      if (kSquare) R[v] += total[v];
    }
  }
};

template <class Walked>
Split best_of(const Route& route, double length, double gamma, const PanelRules& rules,
              const WindowBasis& window) {
  const RouteWalks<Walked> walks = {route, rules};
  const Landscape landscape = {RouteWalks<Walked>::kSquare, gamma, length, route.nearest(), 1, 1, 1};
  const Minimum found = lowest_bound(landscape, window, walks, 0);
  if (!(found.rho > 0 && found.rho < __builtin_inf())) return {found.distance, found.noise, found.rho};
  // The terms were interpolated; a walk from the rho found leaves no error but its own.
  double rho[kBeam], distance[kBeam], noise[kBeam];
  for (double& each : rho) each = found.rho;
  walks(rho, 1, distance, noise);
  return {distance[0], noise[0], found.rho};
}

bool best_split(const Segment* segments, std::int64_t count, std::int64_t steps, bool tight, double gamma,
                const PanelRules& rules, const WindowBasis& window, Split& found) {
  Route route;
  Walker<Route> walker(0, rules, route);
  walker.take(segments, count, steps);
  if (!route.is_short()) return false;
  const double length = walker.sums().length;
  found = tight ? best_of<Tight>(route, length, gamma, rules, window)
                : best_of<Last>(route, length, gamma, rules, window);
  return true;
}

}  // namespace
}  // namespace cvxbound
