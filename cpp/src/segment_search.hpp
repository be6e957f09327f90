// The best last step of a schedule that is made of segments, without visiting every step: the way back is
// found once, as a route of single steps and panels, and then walked from many rho. Compiled once per
// instruction set, and for GPUs.
#pragma once

#include "recursion.hpp"
#include "rho_search.hpp"
#include "segment_walk.hpp"

namespace cvxbound {
namespace {

/// A way back from a horizon, as Walker goes it. Panels that are exact from a small rho are so from any
/// greater one, where everything is smoother. Anything may be in it before `find`.
class Route {
 public:
  static constexpr double kReach = 1;
  static constexpr bool kNodes = true;

  /// The way over the first `steps` steps of a schedule.
  CVX_PORTABLE CVX_NOINLINE void find(const Segment* segments, std::int64_t count, std::int64_t steps,
                                      const PanelRules& rules) {
    legs_ = values_ = 0;
    overflown_ = false;
    nearest_ = 0;
    Walker<Route> walker(0, rules, *this);
    walker.take(segments, count, steps);
    length_ = walker.sums().length;
  }

  /// False where steps are so rough, or segments so many, that there is no short way.
  CVX_PORTABLE bool is_short() const { return !overflown_; }

  /// Of a short one, the sum of all steps.
  CVX_PORTABLE double length() const { return length_; }

  /// The last step that is not zero, of those walked one by one.
  CVX_PORTABLE double nearest() const { return nearest_; }

  /// Calls steps(eta, count), the step nearest to the target first, and panel(level, eta, before).
  template <class Steps, class Panel>
  CVX_PORTABLE void follow(const Steps& steps, const Panel& panel) const {
    for (int i = 0; i < legs_; ++i) {
      const double* values = value_ + leg_[i].first;
      if (leg_[i].level == 0) {
        steps(values, leg_[i].count);
      } else {
        panel(leg_[i].level, values, values + kPanelNodes);
      }
    }
  }

  // For Walker.

  CVX_PORTABLE bool is_full() const { return overflown_; }

  /// Single steps, the one nearest to the target last.
  CVX_PORTABLE void steps(const double* eta, int count) {
    if (!has_room(count)) return;
    leg_[legs_++] = {0, values_, count};
    for (int k = count - 1; k >= 0; --k) {
      value_[values_++] = eta[k];
      if (nearest_ == 0) nearest_ = eta[k];
    }
  }

  /// A panel: the steps at its nodes, and the sums of those between its near edge and each node.
  CVX_PORTABLE void panel(int level, const double* eta, const double* before) {
    if (!has_room(2 * kPanelNodes)) return;
    leg_[legs_++] = {level, values_, 0};
    for (int i = 0; i < kPanelNodes; ++i) value_[values_++] = eta[i];
    for (int i = 0; i < kPanelNodes; ++i) value_[values_++] = before[i];
  }

 private:
  struct Leg {
    int level;  ///< 0 for single steps
    int first, count;
  };

  static constexpr int kMostLegs = 512, kMostValues = 8192;

  CVX_PORTABLE bool has_room(int count) {
    overflown_ = overflown_ || legs_ == kMostLegs || values_ + count > kMostValues;
    return !overflown_;
  }

  int legs_, values_;
  bool overflown_;
  double nearest_, length_;
  Leg leg_[kMostLegs];
  double value_[kMostValues];
};

/// What the search evaluates: walks of a route from kBeam values of rho, which a team divides.
template <class Walked, class Team>
struct RouteWalks {
  static constexpr Recursion kRecursion = Walked::recursion;
  static constexpr bool kSquare = kRecursion.square > 0;
  /// Vectors that one of a team walks with side by side.
  static constexpr int kAtOnce = kLanes == 1 ? 1 : kBeam / kLanes;

  const Route& route;
  const PanelRules& rules;
  const Team& team;

  CVX_PORTABLE void operator()(const double* rho, double last_norm, double* distance, double* noise) const {
    team.each(kBeam / (kAtOnce * kLanes), [&](int part) {
      const int first = part * kAtOnce * kLanes;
      walk(rho + first, last_norm, distance + first, noise + first);
    });
  }

 private:
  /// Values at the nodes of a panel.
  struct Nodes {
    vec at[kPanelNodes][kAtOnce];
  };

  CVX_PORTABLE void walk(const double* rho, double last_norm, double* distance, double* noise) const {
    vec R[kAtOnce], sum[kAtOnce] = {};
    for (int v = 0; v < kAtOnce; ++v) R[v] = load(rho + v * kLanes);
    route.follow([&](const double* eta, int count) { take_steps(eta, count, R, sum); },
                 [&](int level, const double* eta, const double* before) {
                   take_panel(level, eta, before, R, sum);
                 });
    for (int v = 0; v < kAtOnce; ++v) {
      const vec last = load(rho + v * kLanes) * broadcast(last_norm) * broadcast(last_norm);
      store(distance + v * kLanes, broadcast(0.5) / R[v]);
      store(noise + v * kLanes, broadcast(0.5) * (last + sum[v]));
    }
  }

  CVX_PORTABLE static void take_steps(const double* eta, int count, vec* R, vec* sum) {
    vec unused = {};
    for (int v = 0; v < kAtOnce; ++v) R[v] = Walked::kRooted ? sqrt(R[v]) : R[v];
    for (int k = 0; k < count; ++k) {
      for (int v = 0; v < kAtOnce; ++v) {
        Walked::template step<false>(broadcast(eta[k]), vec{}, R[v], unused, sum[v]);
      }
    }
    for (int v = 0; v < kAtOnce; ++v) R[v] = Walked::kRooted ? R[v] * R[v] : R[v];
  }

  /// Where R grows by its fractions, they are found by iteration, node after node. Each round wins a
  /// factor of about four times the steps of the panel, as these fractions are that much smaller than R.
  /// Never inlined: processors would take a tenth to a quarter longer.
  CVX_PORTABLE __attribute__((noinline)) void take_panel(int level, const double* eta, const double* before,
                                                         vec* R, vec* sum) const {
    const PanelRule& rule = rules.rule[level];
    Nodes given, fraction;
    for (int i = 0; i < kPanelNodes; ++i) {
      const vec length = broadcast(kRecursion.linear * before[i]), step = broadcast(eta[i]);
      for (int v = 0; v < kAtOnce; ++v) {
        given.at[i][v] = R[v] + length;
        fraction.at[i][v] = step * (step / given.at[i][v]);
      }
    }
    const int rounds = kSquare ? 55 / (level + 2) : 0;
    for (int round = 0; round < rounds; ++round) improve(rule, eta, given, fraction);
    vec total[kAtOnce] = {};
    double length = 0;
    for (int k = 0; k < kPanelNodes; ++k) {
      const vec weight = broadcast(rule.weight[k]);
      length += rule.weight[k] * eta[k];
      for (int v = 0; v < kAtOnce; ++v) total[v] = fma(weight, fraction.at[k][v], total[v]);
    }
    for (int v = 0; v < kAtOnce; ++v) {
      sum[v] += total[v];
      R[v] += broadcast(kRecursion.linear * length);
      if (kSquare) R[v] += total[v];
    }
  }

  /// A round of the iteration: the fractions from R that the others and themselves leave at each node.
  /// Apart, as a GPU's compiler would have all of `before` in registers for all rounds.
  CVX_PORTABLE CVX_NOINLINE static void improve(const PanelRule& rule, const double* eta,
                                                const Nodes& given, Nodes& fraction) {
    for (int i = 0; i < kPanelNodes; ++i) {
      vec at[kAtOnce];
      for (int v = 0; v < kAtOnce; ++v) at[v] = given.at[i][v];
      for (int k = 0; k < kPanelNodes; ++k) {
        const vec weight = broadcast(rule.before[k][i]);
        for (int v = 0; v < kAtOnce; ++v) at[v] = fma(weight, fraction.at[k][v], at[v]);
      }
      const vec step = broadcast(eta[i]);
      for (int v = 0; v < kAtOnce; ++v) fraction.at[i][v] = step * (step / at[v]);
    }
  }
};

/// What a horizon sees of a route, where all norms are 1.
CVX_PORTABLE inline Landscape landscape_of(const Route& route, bool tight, double gamma) {
  return {tight, gamma, route.length(), route.nearest(), 1, 1, 1};
}

template <class Walked>
Split best_of(const Route& route, double gamma, const PanelRules& rules, const WindowBasis& window) {
  const Alone alone;
  const RouteWalks<Walked, Alone> walks = {route, rules, alone};
  SearchMemory memory;
  double grid[kMaxGrid];
  const Landscape landscape = landscape_of(route, Walked::recursion.square > 0, gamma);
  const Minimum found = walked_bound(landscape, window, walks, alone, memory, grid);
  return {found.distance, found.noise, found.rho};
}

inline bool best_split(const Segment* segments, std::int64_t count, std::int64_t steps, bool tight,
                       double gamma, const PanelRules& rules, const WindowBasis& window, Split& found) {
  Route route;
  route.find(segments, count, steps, rules);
  if (!route.is_short()) return false;
  found = tight ? best_of<Tight>(route, gamma, rules, window) : best_of<Last>(route, gamma, rules, window);
  return true;
}

}  // namespace
}  // namespace cvxbound
