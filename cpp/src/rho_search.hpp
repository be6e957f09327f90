// The global minimum over the free virtual last step, for kernels: included by units that are compiled
// once per instruction set, so internal linkage and no std templates (see simd.hpp).
//
// In x = log rho both terms of the bound change by at most a factor e^|dx| and are free of poles in
// |Im x| < pi, and the objective F obeys F'' <= F. Single terms bound F from below, which brackets the
// minimum; a grid of spacing h misses no feature deeper than about exp(-pi^2 / 2 h) F; and Chebyshev
// interpolation in a window of half width w converges like (pi / w + sqrt(1 + (pi / w)^2))^-nodes.
#pragma once

#include <cstdint>
#include <cstring>

#include "basis.hpp"
#include "simd.hpp"
#include "split.hpp"

namespace cvxbound {
namespace {

/// Values of rho evaluated at once, in the lanes of a few vectors.
constexpr int kBeam = kWindowOrder;

/// What a horizon sees of the steps before it.
struct Landscape {
  bool tight;
  double gamma;         ///< 0: the best one
  double length;        ///< sum of the steps before
  double step;          ///< the last of them that is not zero
  double last_norm;     ///< G_t
  double step_norm;     ///< G of that step
  double largest_norm;  ///< of all steps up to t
};

struct Minimum {
  double distance;
  double noise;
  double rho;
  double value;    ///< the bound
  bool contested;  ///< whether another minimum comes within kContest of it
};

/// Minima that differ by more do not change places within a few smooth steps.
constexpr double kContest = 0.1;

/// Arrays of a search, shared by all that work on it.
struct alignas(64) SearchMemory {
  static constexpr int kSamples = 64;
  double v[kBeam], distance[kBeam], noise[kBeam], value[kBeam];
  double d_series[kBeam], n_series[kBeam], d[kBeam], n[kBeam];
  double at[kSamples], sampled[kSamples];
};

/// Numbers of the grid of a search.
constexpr int kMaxGrid = 4096;

/// Who works on a search: one thread. A team of several runs all of it together, and `each` divides its
/// calls function(0) .. function(count - 1) among them, between barriers.
struct Alone {
  template <class Function>
  CVX_PORTABLE void each(int count, const Function& function) const {
    for (int i = 0; i < count; ++i) function(i);
  }
};

/// Minimises distance / gamma + gamma noise, or 2 sqrt(distance noise) without gamma, over rho > 0. The
/// objective is the bound itself, or its square without gamma: a relative difference counts twice there.
///
/// evaluate(rho, norm, distance, noise) walks from kBeam values of rho with `norm` as G_t; all of the team
/// call it. `grid` has kMaxGrid entries.
template <class Evaluate, class Team>
class RhoSearch {
 public:
  CVX_PORTABLE RhoSearch(const Landscape& landscape, const WindowBasis& window, const Evaluate& evaluate,
                         const Team& team, SearchMemory& memory, double* grid)
      : l_(landscape),
        window_(window),
        evaluate_(evaluate),
        team_(team),
        m_(memory),
        grid_(grid),
        mirrored_(l_.tight && l_.step_norm < l_.last_norm),
        held_(mirrored_ ? l_.step_norm : l_.last_norm),
        swapped_(l_.tight && !mirrored_ ? l_.last_norm : l_.step_norm),
        log_step_(__builtin_log(l_.step)),
        log_length_(__builtin_log(l_.length) - log_step_),
        degree_(l_.gamma > 0 ? 1 : 2) {
    team_.each(kSamples, [&](int i) { m_.at[i] = sample_at(i); });
  }

  /// `guess` is about what the minimum will be, 0 for no idea; it saves work, and decides nothing unless
  /// minima are as good as equal.
  CVX_PORTABLE Minimum run(double guess) {
    if (!(guess > 0 && guess < kInfinite)) guess = rough();
    for (int attempt = 0; attempt < 4; ++attempt) {
      const double limit = guess * (1 + kSlack);
      const Range range = bracket(limit);
      scan(range.low, range.high);
      const double found = bound_of(grid_[lowest_]);
      if (found <= limit) break;
      guess = found < kInfinite ? found : rough();
    }
    return refine();
  }

 private:
  static constexpr double kInfinite = __builtin_inf();
  /// Terms beyond these have lost digits, or will: no minimum is looked for there.
  static constexpr double kSmallest = 1e-305, kLargest = 1e305;
  static constexpr double kLogRange = 690;
  static constexpr double kSpacing = 0.25;
  static constexpr int kSamples = SearchMemory::kSamples;
  /// How much lower than the samples around it a minimum can be, by F'' <= F, and some.
  static constexpr double kBetween = 1e-3;
  static constexpr int kMaxMoves = 4;
  /// How much higher than elsewhere in a window an end of it may be that leads to something lower.
  static constexpr double kFall = 0.05;
  /// By how much a guess may be too low.
  static constexpr double kSlack = 2e-3;
  /// Values closer than this are equal, blurred by rounding and interpolation.
  static constexpr double kBlur = 1e-11;

  static constexpr double kHalfPiSquared = 4.934802200544679;

  struct Range {
    double low, high;
  };

  /// `tight` sees rho only through rho + e^2 / rho and rho G_t^2 + e^2 G_m^2 / rho, with e = eta_m the
  /// last positive step. So v >= e is enough, multiplying the smaller of the two norms; where that is
  /// G_m, rho is e^2 / v. The search is over x = log(v / e).
  CVX_PORTABLE void evaluate(double* value) const {
    evaluate_(m_.v, held_, m_.distance, m_.noise);
    // Where mirrored, the walk from v multiplied e^2 / v by G_m^2; it is G_t^2 there.
    const vec more = broadcast(0.5 * (l_.last_norm - held_) * (l_.last_norm + held_));
    const vec inverse = broadcast(1 / l_.gamma), gamma = broadcast(l_.gamma), step = broadcast(l_.step);
    const vec smallest = broadcast(smallest_distance());
    team_.each(kBeam / kLanes, [&](int i) {
      const vec d = load(m_.distance + i * kLanes);
      vec n = load(m_.noise + i * kLanes);
      if (mirrored_) {
        n += step * (step / load(m_.v + i * kLanes)) * more;
        store(m_.noise + i * kLanes, n);
      }
      const vec f = l_.gamma > 0 ? d * inverse + gamma * n : broadcast(4.0) * d * n;
      const vec infinite = broadcast(kInfinite);
      const vec kept = d >= smallest ? f : infinite;
      store(value + i * kLanes, n <= broadcast(kLargest) ? kept : infinite);
    });
  }

  /// A lost term does no harm beside another, only as a factor.
  CVX_PORTABLE double smallest_distance() const { return l_.gamma > 0 ? 0 : kSmallest; }

  CVX_PORTABLE double objective(double d, double n) const {
    if (!(d >= smallest_distance() && n <= kLargest)) return kInfinite;
    return l_.gamma > 0 ? d / l_.gamma + l_.gamma * n : 4 * d * n;
  }

  /// The exponential alone may overflow.
  CVX_PORTABLE double rho_at(double x) const { return __builtin_exp(log_step_ + x); }

  CVX_PORTABLE double bound_of(double value) const { return l_.gamma > 0 ? value : __builtin_sqrt(value); }

  /// How much the objective differs where the bound differs by a small `relative` amount.
  CVX_PORTABLE double times(double relative) const { return 1 + degree_ * relative; }

  /// Evaluates count points from `low` on, `spacing` apart, and finds the lowest.
  CVX_PORTABLE CVX_NOINLINE void sample(double low, double spacing, int count) {
    low_ = low;
    spacing_ = spacing;
    count_ = count;
    lowest_ = 0;
    const double ratio = __builtin_exp(spacing);
    double leap = ratio;
    for (int i = 1; i < kLanes; i *= 2) leap *= leap;
    vec next = powers(ratio) * broadcast(rho_at(low));
    for (int first = 0; first < count; first += kBeam) {
      team_.each(1, [&](int) {
        for (int i = 0; i < kBeam; i += kLanes) {
          store(m_.v + i, next);
          next *= broadcast(leap);
        }
      });
      evaluate(grid_ + first);
    }
    for (int i = 1; i < count; ++i) {
      if (grid_[i] < grid_[lowest_]) lowest_ = i;
    }
  }

  CVX_PORTABLE double rough() {
    const double far =
        l_.gamma > 0 ? log_max(log_length_, __builtin_log(2 / l_.gamma) - log_step_) : log_length_;
    const double near = l_.tight ? 0.0 : -10.0;
    const double high = far > near + 1 && far < kInfinite ? far : near + 1;
    sample(near, (high - near) / (kBeam - 1), kBeam);
    return bound_of(grid_[lowest_]);
  }

  CVX_PORTABLE static double log_max(double a, double b) { return a > b ? a : b; }

  CVX_PORTABLE void scan(double low, double high) {
    const double cells = (high - low) / kSpacing;
    int count = kBeam;
    while (count - 1 < cells && count < kMaxGrid) count += kBeam;
    sample(low, (high - low) / (count - 1), count);
  }

  /// Where the minimum must lie, from an upper bound F on it. H is the norm that v multiplies, G the
  /// largest norm there is.
  /// For fixed gamma each single term bounds the objective from below: v H^2 and e^2 G_m^2 / v.
  /// Without gamma, R_0 <= (v + S)^2 / v (`tight`) or v + S (`last`) gives 4 distance noise >=
  /// H^2 (v / (v + S))^2 or H^2 v / (v + S), and for `last` also e^2 G_m^2 / (v (v + S)); and the
  /// product rises for all v > 4 S (G / H)^2.
  /// Below 2^-60 of the last step `last` is flat where G_m = 0.
  CVX_PORTABLE CVX_NOINLINE Range bracket(double best) const {
    constexpr double kLog2 = 0.69314718055994530942;
    double low = swapped_ > 0 ? -kInfinite : -60 * kLog2, high;
    if (l_.gamma > 0) {
      high = __builtin_log(2 * best / l_.gamma) - 2 * __builtin_log(held_) - log_step_;
      low = log_max(low, __builtin_log(l_.gamma / (2 * best)) + 2 * __builtin_log(swapped_) + log_step_);
    } else {
      const double ratio = l_.tight ? best / held_ : (best / held_) * (best / held_);
      const double norms = l_.largest_norm > held_ ? l_.largest_norm / held_ : 1;
      high = log_length_ + 2 * (kLog2 + __builtin_log(norms));
      if (ratio < 1) {
        const double sharper = log_length_ + __builtin_log(ratio / (1 - ratio));
        high = sharper < high ? sharper : high;
      }
      if (!l_.tight) {
        const double c = (swapped_ / best) * (swapped_ / best), relative = __builtin_exp(log_length_);
        const double root = __builtin_log(2 * c / (relative + __builtin_sqrt(relative * relative + 4 * c)));
        low = log_max(low, root);
      }
    }
    if (l_.tight) low = log_max(low, 0.0);
    if (!(low > -kInfinite && low < kInfinite)) low = 0;
    if (!(high > -kInfinite && high < kInfinite)) high = low + 60 * kLog2;
    // Beyond, v is no ordinary number.
    low = log_max(low, -kLogRange - log_step_);
    high = high < kLogRange - log_step_ ? high : kLogRange - log_step_;
    return {low, high > low + kSpacing ? high : low + kSpacing};
  }

  /// Solves a window around every grid point from which something lower than the lowest may be within
  /// reach: around minima of the grid, and where the difference is less than what a grid can hide.
  CVX_PORTABLE CVX_NOINLINE Minimum refine() const {
    Minimum best = {kInfinite, kInfinite, l_.step, kInfinite, false};
    const Range first = solve(lowest_, best);
    double reached = low_ - 1;
    // F'' <= F: a minimum lies at most so far below the grid point next to it.
    const double depth = 0.5 * (__builtin_exp(0.5 * spacing_) + __builtin_exp(-0.5 * spacing_));
    const double limit = best.value * (degree_ == 2 ? depth * depth : depth);
    const double hidden = best.value * times(__builtin_exp(-kHalfPiSquared / spacing_));
    const double contest = best.value * times(kContest);
    for (int i = 0; i < count_; ++i) {
      const double x = low_ + i * spacing_;
      if (grid_[i] > contest || x < reached || (x > first.low && x < first.high)) continue;
      const bool minimum = is_minimum(i);
      if (minimum) best.contested = true;
      if (grid_[i] > (minimum ? limit : hidden) || is_flat(i, best.value)) continue;
      best.contested = true;
      reached = solve(i, best).high;
    }
    best.value = bound_of(best.value);
    return best;
  }

  /// Whether the objective is nowhere near grid point i lower than `best`, but for rounding. Between points
  /// it falls by less than five of them differ: a parabola by an eighth of what three do, and what waves
  /// faster is not deep.
  CVX_PORTABLE bool is_flat(int i, double best) const {
    double low = grid_[i], high = low;
    for (int j = i > 1 ? i - 2 : 0; j <= i + 2 && j < count_; ++j) {
      low = grid_[j] < low ? grid_[j] : low;
      high = grid_[j] > high ? grid_[j] : high;
    }
    return low - (high - low) >= best * (1 - kBlur);
  }

  CVX_PORTABLE bool is_minimum(int i) const {
    return (i == 0 || grid_[i] <= grid_[i - 1]) && (i + 1 == count_ || grid_[i] <= grid_[i + 1]);
  }

  /// Vertex of the parabola through a grid minimum and its neighbours, or the grid point itself.
  CVX_PORTABLE double vertex_of(int i) const {
    const double x = low_ + i * spacing_;
    if (i == 0 || i + 1 == count_ || !is_minimum(i)) return x;
    const double bend = grid_[i + 1] - 2 * grid_[i] + grid_[i - 1];
    return bend > 0 ? x - spacing_ * 0.5 * (grid_[i + 1] - grid_[i - 1]) / bend : x;
  }

  /// On which sides of a window the objective is about as low as inside, and falls.
  struct Falls {
    bool low, high;
  };

  /// Minimises in a window around a grid point, and in those beside it to which the objective falls;
  /// returns the range in which nothing lower is left.
  CVX_PORTABLE Range solve(int grid, Minimum& best) const {
    const double centre = vertex_of(grid);
    Range solved = {centre - kWindowHalfWidth, centre + kWindowHalfWidth};
    const Falls first = solve_window(centre, best);
    bool falls = first.low;
    for (int i = 0; i < kMaxMoves && falls; ++i, solved.low -= kWindowHalfWidth) {
      falls = solve_window(solved.low, best).low;
    }
    falls = first.high;
    for (int i = 0; i < kMaxMoves && falls; ++i, solved.high += kWindowHalfWidth) {
      falls = solve_window(solved.high, best).high;
    }
    return solved;
  }

  CVX_PORTABLE CVX_NOINLINE Falls solve_window(double centre, Minimum& best) const {
    const double middle = rho_at(centre);
    team_.each(kBeam / kLanes, [&](int i) {
      store(m_.v + i * kLanes, broadcast(middle) * load(window_.factor + i * kLanes));
    });
    evaluate(m_.value);
    const Units units = transform();
    const double lowest = sample_window(units);
    const double* const sampled = m_.sampled;
    Point found = {0, 0, 0, kInfinite};
    for (int i = 0; i < kSamples; ++i) {
      const double below = i > 0 ? sampled[i - 1] : kInfinite;
      const double above = i + 1 < kSamples ? sampled[i + 1] : kInfinite;
      if (!(sampled[i] <= below && sampled[i] < above && sampled[i] <= times(kBetween) * lowest)) continue;
      const Point point = newton(sample_at(i), units);
      if (point.value < found.value) found = point;
    }
    if (found.value < best.value) {
      const double x = centre + kWindowHalfWidth * found.z;
      best = {found.distance, found.noise, rho_at(mirrored_ ? -x : x), found.value, best.contested};
    }
    const double* const value = m_.value;
    double low = kInfinite;
    for (int i = 0; i < kBeam; ++i) low = value[i] < low ? value[i] : low;
    low *= times(kFall);
    return {value[kBeam - 1] < value[kBeam - 2] && value[kBeam - 1] < low,
            value[0] < value[1] && value[0] < low};
  }

  struct Point {
    double z, distance, noise, value;
  };

  /// What the coefficients of a window count in: powers of two about as large as the terms there. Else
  /// coefficients of small terms are subnormal, with which many processors take a hundred times as long.
  struct Units {
    double d, n;
  };

  CVX_PORTABLE static double unit_of(const double* values) {
    double largest = 0;
    for (int i = 0; i < kBeam; ++i) largest = values[i] > largest ? values[i] : largest;
    if (!(largest >= kSmallest && largest <= kLargest)) return 1;
    std::uint64_t pattern;
    std::memcpy(&pattern, &largest, sizeof pattern);
    pattern &= std::uint64_t{0x7ff} << 52;
    std::memcpy(&largest, &pattern, sizeof pattern);
    return largest;
  }

  /// Values at the nodes to coefficients of powers of z.
  CVX_PORTABLE Units transform() const {
    const Units units = {unit_of(m_.distance), unit_of(m_.noise)};
    product(window_.to_chebyshev, m_.distance, m_.noise, m_.d_series, m_.n_series,
            {1 / units.d, 1 / units.n});
    product(window_.to_monomial, m_.d_series, m_.n_series, m_.d, m_.n, {1, 1});
    return units;
  }

  CVX_PORTABLE void product(const double (*matrix)[kBeam], const double* x0, const double* x1, double* y0,
                            double* y1, Units scale) const {
    constexpr int kVectors = kBeam / kLanes;
    constexpr int kAtOnce = kLanes == 1 ? 1 : kVectors < 4 ? kVectors : 4;
    team_.each(kVectors / kAtOnce, [&](int part) {
      const int first = part * kAtOnce;
      vec sum0[kAtOnce] = {}, sum1[kAtOnce] = {};
      for (int i = 0; i < kBeam; ++i) {
        for (int v = 0; v < kAtOnce; ++v) {
          const vec row = load(matrix[i] + (first + v) * kLanes);
          sum0[v] = fma(broadcast(x0[i] * scale.d), row, sum0[v]);
          sum1[v] = fma(broadcast(x1[i] * scale.n), row, sum1[v]);
        }
      }
      for (int v = 0; v < kAtOnce; ++v) {
        store(y0 + (first + v) * kLanes, sum0[v]);
        store(y1 + (first + v) * kLanes, sum1[v]);
      }
    });
  }

  /// A polynomial, its derivative and half its second derivative.
  struct Jet {
    double value, slope, bend;
  };

  CVX_PORTABLE static Jet jet_of(const double* coefficient, double z) {
    Jet jet = {coefficient[kBeam - 1], 0, 0};
    for (int power = kBeam - 2; power >= 0; --power) {
      jet.bend = jet.bend * z + jet.slope;
      jet.slope = jet.slope * z + jet.value;
      jet.value = jet.value * z + coefficient[power];
    }
    return jet;
  }

  CVX_PORTABLE static double sample_at(int i) { return (2 * i + 1 - kSamples) * (1.0 / kSamples); }

  /// The objective, but for a constant factor, at points so dense that two minima between them differ by
  /// less than anyone asks for; returns the lowest value.
  CVX_PORTABLE double sample_window(Units units) const {
    constexpr int kAtOnce = 4;
    const double d_weight = units.d / l_.gamma, n_weight = l_.gamma * units.n;
    const double *const d = m_.d, *const n = m_.n;
    team_.each(kSamples / (kAtOnce * kLanes), [&](int part) {
      const int first = part * kAtOnce * kLanes;
      vec z[kAtOnce], p[kAtOnce], q[kAtOnce];
      for (int v = 0; v < kAtOnce; ++v) {
        z[v] = load(m_.at + first + v * kLanes);
        p[v] = broadcast(d[kBeam - 1]);
        q[v] = broadcast(n[kBeam - 1]);
      }
      for (int power = kBeam - 2; power >= 0; --power) {
        const vec dp = broadcast(d[power]), np = broadcast(n[power]);
        for (int v = 0; v < kAtOnce; ++v) {
          p[v] = fma(p[v], z[v], dp);
          q[v] = fma(q[v], z[v], np);
        }
      }
      for (int v = 0; v < kAtOnce; ++v) {
        const vec f = l_.gamma > 0 ? p[v] * broadcast(d_weight) + broadcast(n_weight) * q[v] : p[v] * q[v];
        store(m_.sampled + first + v * kLanes, f);
      }
    });
    vec lowest = broadcast(kInfinite);
    for (int i = 0; i < kSamples; i += kLanes) lowest = min(lowest, load(m_.sampled + i));
    return smallest_lane(lowest);
  }

  /// The stationary point next to a sample that is lower than its neighbours.
  CVX_PORTABLE Point newton(double z, Units units) const {
    const double d_weight = units.d / l_.gamma, n_weight = l_.gamma * units.n;
    double low = z - 2.0 / kSamples, high = z + 2.0 / kSamples;
    for (int iteration = 0;; ++iteration) {
      const auto [d0, d1, d2] = jet_of(m_.d, z);
      const auto [n0, n1, n2] = jet_of(m_.n, z);
      const bool sum = l_.gamma > 0;
      const double slope = sum ? d_weight * d1 + n_weight * n1 : d1 * n0 + d0 * n1;
      const double bend = sum ? 2 * (d_weight * d2 + n_weight * n2) : 2 * (d2 * n0 + d1 * n1 + d0 * n2);
      (slope > 0 ? high : low) = z;
      const double next = bend > 0 ? z - slope / bend : low - 1;
      const bool inside = next > low && next < high;
      const double step = inside ? next - z : 0.5 * (low + high) - z;
      const bool end = !(high - low > 1e-7) || iteration == 60;
      if (end || (inside && step < kTaylor && step > -kTaylor)) {
        const double last = end ? 0 : step;
        const double distance = units.d * (d0 + last * (d1 + last * d2));
        const double noise = units.n * (n0 + last * (n1 + last * n2));
        return {z + last, distance, noise, objective(distance, noise)};
      }
      z += step;
    }
  }

  /// The third-order term of a step this long is below rounding.
  static constexpr double kTaylor = 1e-4;

  const Landscape& l_;
  const WindowBasis& window_;
  const Evaluate& evaluate_;
  const Team& team_;
  SearchMemory& m_;
  double* const grid_;
  const bool mirrored_;
  const double held_, swapped_, log_step_, log_length_;
  const int degree_;
  double low_ = 0, spacing_ = 0;
  int count_ = 0, lowest_ = 0;
};

/// The best last step, also where there is nothing to search for. `guess` as for RhoSearch::run.
template <class Evaluate, class Team>
CVX_PORTABLE Minimum lowest_bound(const Landscape& landscape, const WindowBasis& window,
                                  const Evaluate& evaluate, double guess, const Team& team,
                                  SearchMemory& memory, double* grid) {
  const double norm = landscape.last_norm, gamma = landscape.gamma;
  if (norm == 0) return {0, 0, __builtin_inf(), 0, true};  // a zero gradient at x_t means f(x_t) = f*
  if (landscape.step == 0) {  // nothing has moved: f(x_1) - f* <= D G_1, whatever gamma
    const double rho = gamma > 0 ? 1 / (gamma * norm) : 1;
    return {0.5 / rho, 0.5 * rho * norm * norm, rho, 0, true};
  }
  // The same at the last point that a step was taken from.
  if (landscape.tight && landscape.step_norm == 0) return {0, 0, 0, 0, true};
  return RhoSearch<Evaluate, Team>(landscape, window, evaluate, team, memory, grid).run(guess);
}

/// A rho outside of this and its inverse may have lost digits.
constexpr double kSmallestRho = 1e-290;

/// The same with terms from a walk from the rho that was found, without the error of interpolation.
template <class Evaluate, class Team>
CVX_PORTABLE Minimum walked_bound(const Landscape& landscape, const WindowBasis& window,
                                  const Evaluate& evaluate, const Team& team, SearchMemory& memory,
                                  double* grid) {
  Minimum found = lowest_bound(landscape, window, evaluate, 0, team, memory, grid);
  if (!(found.rho > kSmallestRho && found.rho < 1 / kSmallestRho)) return found;
  team.each(kBeam, [&](int i) { memory.v[i] = found.rho; });
  evaluate(memory.v, landscape.last_norm, memory.distance, memory.noise);
  if (memory.distance[0] < kInfinity && memory.noise[0] < kInfinity) {
    found.distance = memory.distance[0];
    found.noise = memory.noise[0];
  }
  return found;
}

template <class Evaluate>
Minimum lowest_bound(const Landscape& landscape, const WindowBasis& window, const Evaluate& evaluate,
                     double guess) {
  SearchMemory memory;
  double grid[kMaxGrid];
  return lowest_bound(landscape, window, evaluate, guess, Alone{}, memory, grid);
}

}  // namespace
}  // namespace cvxbound
