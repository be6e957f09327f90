#include "search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace cvxbound {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kPi = 3.14159265358979323846;

/// Walkers share a division where every distance lies between these.
constexpr double kSafeLow = 0x1p-240;
constexpr double kSafeHigh = 0x1p240;

/// Steps turned into a Chain at a time: small enough to stay in the first-level cache.
constexpr std::int64_t kChainBlock = 512;

struct ChainBuffer {
  std::vector<double> linear, square, noise;

  void append(double l, double s, double n) {
    linear.push_back(l);
    square.push_back(s);
    noise.push_back(n);
  }
  /// The walk runs from the last entry to the first.
  void reverse() {
    std::reverse(linear.begin(), linear.end());
    std::reverse(square.begin(), square.end());
    std::reverse(noise.begin(), noise.end());
  }
  Chain chain() const {
    return {linear.data(), square.data(), noise.data(), static_cast<std::int64_t>(linear.size())};
  }
};

/// Whether all distances met on the way from rho over steps of total length `length` stay in range.
bool is_safe(const Recursion& recursion, double rho, double length) {
  const double end = rho + length;
  const double farthest = recursion.square > 0 ? end * (end / rho) : end;
  return rho >= kSafeLow && farthest <= kSafeHigh;
}

/// Walks the schedule itself, a stretch at a time.
void walk_sources(const Kernels& kernels, const Recursion& recursion, const Sources& sources, bool safe,
                  Walkers& walkers) {
  double linear[kChainBlock], square[kChainBlock], noise[kChainBlock];
  for (std::int64_t end = sources.count; end > 0; end -= kChainBlock) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - kChainBlock);
    const std::int64_t length = end - begin;
    const double* eta = sources.eta + begin;
    const double* norm = sources.norm ? sources.norm + begin : nullptr;
    for (std::int64_t k = 0; k < length; ++k) {
      linear[k] = recursion.linear * eta[k];
      square[k] = recursion.square * (safe ? eta[k] * eta[k] : eta[k]);
    }
    for (std::int64_t k = 0; k < length; ++k) {
      const double root = norm ? eta[k] * norm[k] : eta[k];
      noise[k] = safe ? root * root : root;
    }
    kernels.walk_many({linear, square, noise, length}, safe, walkers);
  }
}

/// Distances and noise from kWalkers values of rho, over the schedule or a chain standing for it.
class Evaluator {
 public:
  Evaluator(const Kernels& kernels, const Recursion& recursion, const Sources& sources, double length)
      : kernels_(kernels), recursion_(recursion), sources_(sources), length_(length) {}

  /// `merged` may be null: the schedule itself. Repeats the last rho in unused lanes.
  void operator()(const ChainBuffer* merged, const double* rho, int count, double* distance,
                  double* noise) const {
    Walkers walkers = {};
    bool safe = true;
    for (int i = 0; i < kWalkers; ++i) {
      walkers.distance[i] = rho[std::min(i, count - 1)];
      safe = safe && is_safe(recursion_, walkers.distance[i], length_);
    }
    if (merged && safe) {
      kernels_.walk_many(merged->chain(), true, walkers);
    } else {
      walk_sources(kernels_, recursion_, sources_, safe, walkers);
    }
    const double last = sources_.last_norm;
    for (int i = 0; i < count; ++i) {
      distance[i] = 0.5 / (walkers.distance[i] + walkers.distance_low[i]);
      noise[i] = 0.5 * ((rho[i] * last) * last + (walkers.sum[i] + walkers.sum_low[i]));
    }
  }

 private:
  const Kernels& kernels_;
  const Recursion recursion_;
  const Sources sources_;
  const double length_;
};

double total(const Kernels& kernels, const Sources& sources) {
  return sources.count > 0 ? kernels.scan(sources.eta, sources.count).sum : 0.0;
}

/// How long a block of merged steps may be, as a part of its distance from the target: none at all
/// where walking every step is cheap, else so that there are about sixteen times fewer blocks than
/// steps, log(S / eta) / ratio. Merging changes the objective by about ratio^2 / 25, that is by 1e-6
/// for 1e5 steps and 1e-8 for 1e6.
double merge_ratio(std::int64_t steps) {
  constexpr std::int64_t kExactScan = 4096;
  return steps <= kExactScan ? 0 : std::min(1.0 / 32, 640.0 / static_cast<double>(steps));
}

/// The schedule with distant steps merged into blocks, all noise of a block at its centre of gravity.
ChainBuffer merge_distant_steps(const Recursion& recursion, const Sources& sources) {
  const double ratio = merge_ratio(sources.count);
  ChainBuffer merged;
  double distance = 0, width = 0, squares = 0, noise = 0, moment = 0;
  std::int64_t steps = 0;
  const auto flush = [&] {
    const double linear = recursion.linear * width, square = recursion.square * squares;
    if (steps > 1) {
      const double nearer = noise > 0 ? std::min(1.0, moment / noise / width) : 0.5;
      merged.append(nearer * linear, nearer * square, 0);
      merged.append((1 - nearer) * linear, (1 - nearer) * square, noise);
    } else if (steps == 1) {
      merged.append(linear, square, noise);
    }
    distance += width;
    width = squares = noise = moment = 0;
    steps = 0;
  };
  for (std::int64_t k = sources.count - 1; k >= 0; --k) {
    const double eta = sources.eta[k];
    if (eta == 0) continue;
    if (width + eta > ratio * distance) flush();
    const double root = sources.norm ? eta * sources.norm[k] : eta;
    moment += root * root * width;
    width += eta;
    squares += eta * eta;
    noise += root * root;
    ++steps;
  }
  flush();
  merged.reverse();
  return merged;
}

class RhoSearch {
 public:
  RhoSearch(const Kernels& kernels, const Recursion& recursion, const Sources& sources, double gamma,
            double length, std::int64_t last_positive)
      : tight_(recursion.square > 0),
        gamma_(gamma),
        length_(length),
        step_(sources.eta[last_positive]),
        last_norm_(sources.last_norm),
        step_norm_(sources.norm ? sources.norm[last_positive] : 1.0),
        largest_norm_(
            std::max(last_norm_, sources.norm ? kernels.scan(sources.norm, sources.count).largest : 1.0)),
        mirrored_(tight_ && step_norm_ < last_norm_),
        merged_(merge_distant_steps(recursion, sources)),
        evaluate_(kernels, recursion,
                  {sources.eta, sources.norm, sources.count, mirrored_ ? step_norm_ : last_norm_}, length) {
  }

  Split run() {
    scan_bracket();
    Split best = {kInf, kInf, step_};
    double best_value = kInf;
    for (const std::size_t i : candidates()) refine(grid_[i], best, best_value);
    return best;
  }

 private:
  /// Poles at distance pi let features between grid points be no deeper than exp(-pi^2 / 2 / spacing).
  static constexpr double kSpacing = 0.25;
  static constexpr int kMaxGrid = 8192;
  /// Covers the error of merging and that of a parabola through three grid points.
  static constexpr double kSlack = 1e-3;
  /// Minima closer in depth than this are one minimum, blurred by rounding.
  static constexpr double kRounding = 1e-12;
  /// With kWalkers = 32 nodes the interpolant's error is (w + sqrt(w^2 + 1))^-32, w = pi / half width:
  /// below rounding.
  static constexpr double kHalfWidth = 1.5;

  double log_objective(double distance, double noise) const {
    const double value = gamma_ > 0 ? std::log(distance / gamma_ + gamma_ * noise)
                                    : 0.5 * (std::log(distance) + std::log(noise)) + std::log(2.0);
    return std::isfinite(value) ? value : kInf;
  }

  /// `tight` sees rho only through rho + e^2 / rho and rho G_t^2 + e^2 G_m^2 / rho, with e = eta_m the
  /// last positive step. So v >= e is enough, multiplying the smaller of the two norms; where that is
  /// G_m, rho is e^2 / v. The search is over x = log(v / e).
  double rho_at(double x) const { return v_at(mirrored_ ? -x : x); }

  /// The exponential alone may overflow.
  double v_at(double x) const { return std::exp(std::log(step_) + x); }

  void evaluate(const ChainBuffer* chain, const double* x, int count, double* distance,
                double* noise) const {
    double v[kWalkers];
    for (int i = 0; i < count; ++i) v[i] = v_at(x[i]);
    evaluate_(chain, v, count, distance, noise);
    if (!mirrored_) return;
    // The walk from v multiplied e^2 / v by G_m^2; it is G_t^2 there.
    const double more = (last_norm_ - step_norm_) * (last_norm_ + step_norm_);
    for (int i = 0; i < count; ++i) noise[i] += 0.5 * rho_at(x[i]) * more;
  }

  /// Smallest log objective over a uniform grid on [low, high], kept in grid_ and values_.
  double scan(double low, double high, int count) {
    grid_.resize(count);
    values_.resize(count);
    double best = kInf, distance[kWalkers], noise[kWalkers];
    for (int i = 0; i < count; ++i) grid_[i] = low + (high - low) * i / (count - 1);
    for (int first = 0; first < count; first += kWalkers) {
      const int width = std::min(kWalkers, count - first);
      evaluate(&merged_, &grid_[first], width, distance, noise);
      for (int i = 0; i < width; ++i) {
        values_[first + i] = log_objective(distance[i], noise[i]);
        best = std::min(best, values_[first + i]);
      }
    }
    return best;
  }

  void scan_bracket() {
    const double far = std::max(length_ / step_, gamma_ > 0 ? 2 / gamma_ / step_ : 0.0);
    const double near = tight_ ? 0.0 : -10.0;
    const double high = std::isfinite(far) ? std::max(std::log(far), near + 1) : near + 1;
    const double rough = scan(near, high, kWalkers) + kSlack;
    const Bracket found = bracket(rough);
    const double cells = std::ceil((found.high - found.low) / kSpacing);
    scan(found.low, found.high, static_cast<int>(std::min<double>(kMaxGrid, std::max(8.0, cells + 1))));
  }

  struct Bracket {
    double low, high;
  };

  /// Where the minimum must lie, from an upper bound F on it. H is the norm that v multiplies, G the
  /// largest norm there is.
  /// For fixed gamma each single term bounds the objective from below: v H^2 and e^2 G_m^2 / v.
  /// Without gamma, R_0 <= (v + S)^2 / v (`tight`) or v + S (`last`) gives 4 distance noise >=
  /// H^2 (v / (v + S))^2 or H^2 v / (v + S), and for `last` also e^2 G_m^2 / (v (v + S)); and the
  /// product rises for all v > 4 S (G / H)^2.
  /// Below 2^-60 of the last step `last` is flat where G_m = 0.
  Bracket bracket(double log_best) const {
    const double best = std::exp(log_best);
    const double held = tight_ ? std::min(last_norm_, step_norm_) : last_norm_;
    const double swapped = tight_ ? std::max(last_norm_, step_norm_) : step_norm_;
    const double log_step = std::log(step_), log_length = std::log(length_) - log_step;
    double low = -60 * std::log(2.0), high;
    if (gamma_ > 0) {
      high = std::log(2 * best / gamma_) - 2 * std::log(held) - log_step;
      low = std::max(low, std::log(gamma_ / (2 * best)) + 2 * std::log(swapped) + log_step);
    } else {
      const double ratio = tight_ ? best / held : (best / held) * (best / held);
      high = log_length + std::log(4.0) + 2 * std::log(std::max(1.0, largest_norm_ / held));
      if (ratio < 1) high = std::min(high, log_length + std::log(ratio) - std::log1p(-ratio));
      const double c = (swapped / best) * (swapped / best), relative = std::exp(log_length);
      if (!tight_)
        low = std::max(low, std::log(2 * c / (relative + std::sqrt(relative * relative + 4 * c))));
    }
    if (tight_) low = std::max(low, 0.0);
    if (!std::isfinite(low)) low = 0;
    return {low, std::isfinite(high) ? std::max(high, low + kSpacing) : low + 60 * std::log(2.0)};
  }

  /// Grid minima that could be the global one, best first. Those about equally deep must be told apart
  /// on the true schedule.
  std::vector<std::size_t> candidates() const {
    const std::size_t n = values_.size();
    const auto at = [&](std::size_t i) { return i < n ? values_[i] : kInf; };
    std::vector<std::size_t> minima;
    for (std::size_t i = 0; i < n; ++i) {
      if (at(i) <= at(i - 1) && at(i) <= at(i + 1)) minima.push_back(i);  // at(-1) is inf
    }
    std::stable_sort(minima.begin(), minima.end(),
                     [&](std::size_t a, std::size_t b) { return at(a) < at(b); });
    std::vector<std::size_t> found;
    for (const std::size_t i : minima) {
      if (floor_of(i) > at(minima[0]) + kSlack) continue;
      const auto separate = [&](std::size_t j) {
        const auto barrier =
            std::max_element(values_.begin() + std::min(i, j), values_.begin() + std::max(i, j) + 1);
        return *barrier > at(i) + kRounding;
      };
      if (std::all_of(found.begin(), found.end(), separate)) found.push_back(i);
    }
    return found;
  }

  /// Lowest point of the parabola through a grid minimum and its neighbours.
  double floor_of(std::size_t i) const {
    if (i == 0 || i + 1 == values_.size()) return values_[i] - kSpacing * kSpacing;
    const double slope = values_[i + 1] - values_[i - 1];
    const double bend = values_[i + 1] - 2 * values_[i] + values_[i - 1];
    return bend > 0 ? values_[i] - slope * slope / (8 * bend) : values_[i];
  }

  /// Minimises on the true schedule in a window around x, following a minimum that lies at its edge.
  void refine(double centre, Split& best, double& best_value) const {
    for (int attempt = 0; attempt < 4; ++attempt) {
      Split split;
      const double x = minimise_window(centre, split);
      const double value = log_objective(split.distance, split.noise);
      if (value < best_value) {
        best_value = value;
        best = split;
      }
      if (std::abs(x - centre) < 0.95 * kHalfWidth) return;
      centre = x;
    }
  }

  double minimise_window(double centre, Split& split) const {
    std::array<double, kWalkers> node, weight, distance, noise;
    for (int j = 0; j < kWalkers; ++j) {
      const double angle = kPi * (j + 0.5) / kWalkers;
      node[j] = centre + kHalfWidth * std::cos(angle);
      weight[j] = (j % 2 ? -1 : 1) * std::sin(angle);
    }
    evaluate(nullptr, node.data(), kWalkers, distance.data(), noise.data());
    const auto interpolate = [&](double x) {  // barycentric formula of the second kind
      double bottom = 0, top_distance = 0, top_noise = 0;
      for (int j = 0; j < kWalkers; ++j) {
        const double gap = x - node[j];
        if (gap == 0) return Split{distance[j], noise[j], rho_at(x)};
        const double w = weight[j] / gap;
        bottom += w;
        top_distance += w * distance[j];
        top_noise += w * noise[j];
      }
      return Split{top_distance / bottom, top_noise / bottom, rho_at(x)};
    };
    const auto objective = [&](double x) {
      const Split at = interpolate(x);
      return log_objective(at.distance, at.noise);
    };
    std::array<double, kWalkers> value;
    for (int j = 0; j < kWalkers; ++j) value[j] = log_objective(distance[j], noise[j]);
    // F'' <= F: between nodes 0.15 apart F may be lower than at both by a factor of 1.003.
    const double limit = *std::min_element(value.begin(), value.end()) + 0.01;
    double best_x = centre, best_value = kInf;
    for (int j = 0; j < kWalkers; ++j) {  // nodes are in falling order
      const int above = std::max(j - 1, 0), below = std::min(j + 1, kWalkers - 1);
      if (value[j] > limit || value[j] > value[above] || value[j] > value[below]) continue;
      const double x = golden_section(objective, node[below], node[above]);
      const double found = objective(x);
      if (found < best_value) {
        best_value = found;
        best_x = x;
      }
    }
    split = interpolate(best_x);
    return best_x;
  }

  /// The minimum is flat: x to 1e-7 gives the value to rounding.
  template <class F>
  static double golden_section(const F& f, double low, double high) {
    constexpr double kGolden = 0.6180339887498949;
    double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
    double fa = f(a), fb = f(b);
    while (high - low > 1e-7) {
      if (fa <= fb) {
        high = b;
        b = a;
        fb = fa;
        a = high - kGolden * (high - low);
        fa = f(a);
      } else {
        low = a;
        a = b;
        fa = fb;
        b = low + kGolden * (high - low);
        fb = f(b);
      }
    }
    return fa <= fb ? a : b;
  }

  const bool tight_;
  const double gamma_, length_, step_, last_norm_, step_norm_, largest_norm_;
  const bool mirrored_;
  const ChainBuffer merged_;
  const Evaluator evaluate_;
  std::vector<double> grid_, values_;
};

}  // namespace

void walk_from(const Kernels& kernels, const Recursion& recursion, const Sources& sources,
               const double* rho, std::int64_t count, double* distance, double* noise) {
  const Evaluator evaluate(kernels, recursion, sources, total(kernels, sources));
  for (std::int64_t first = 0; first < count; first += kWalkers) {
    const int width = static_cast<int>(std::min<std::int64_t>(kWalkers, count - first));
    evaluate(nullptr, rho + first, width, distance + first, noise + first);
  }
}

Split best_rho(const Kernels& kernels, const Recursion& recursion, const Sources& sources, double gamma) {
  std::int64_t m = sources.count - 1;
  while (m >= 0 && sources.eta[m] == 0) --m;
  // A zero gradient at x_t, or for `tight` at the last point a step was taken from, means f(x_t) = f*.
  if (sources.last_norm == 0) return {0, 0, kInf};
  if (m < 0) {  // nothing has moved: f(x_1) - f* <= D G_1, whatever gamma
    const double rho = gamma > 0 ? 1 / (gamma * sources.last_norm) : 1;
    return {0.5 / rho, 0.5 * rho * sources.last_norm * sources.last_norm, rho};
  }
  if (recursion.square > 0 && sources.norm && sources.norm[m] == 0) return {0, 0, 0};
  RhoSearch search(kernels, recursion, sources, gamma, total(kernels, sources), m);
  return search.run();
}

}  // namespace cvxbound
