// The kernels of fast_kernels.hpp. Compiled once per instruction set, with CVXBOUND_FAST_KERNELS naming the
// table it defines; nothing else may leave this translation unit (see simd.hpp).
#include "fast_kernels.hpp"

#include "block_map.hpp"
#include "rational.hpp"
#include "recursion.hpp"
#include "rho_search.hpp"
#include "simd.hpp"

namespace cvxbound {
namespace {

constexpr double kInf = __builtin_inf();

inline int trailing_zeros(std::int64_t n) { return __builtin_ctzll(static_cast<unsigned long long>(n)); }

constexpr int kMantissaBits = 52;

/// 2^i for a piece.
inline double piece_unit(int piece) {
  const std::uint64_t bits = static_cast<std::uint64_t>(kFirstPiece + piece) << kMantissaBits;
  double unit;
  std::memcpy(&unit, &bits, sizeof unit);
  return unit;
}

template <class Walked, bool kNorms, int kOrder>
class Engine {
  using Map = BlockMap<Walked, kNorms, kOrder>;
  static constexpr Recursion kRecursion = Map::kRecursion;
  static constexpr bool kSquare = Map::kSquare;
  static constexpr int kChannels = Map::kChannels, kNoise = Map::kNoise;
  static constexpr int kVectors = Map::kVectors, kStride = Map::kStride;
  /// By how many more powers of two than the block just walked an edge has to be divisible for a walk to
  /// go on with its prefix function: more make fewer functions with longer walks to them.
  static constexpr int kAhead = 2;

 public:
  static void tile(const FastSchedule& s, const FastOptions& options, std::int64_t begin, int first,
                   int last, PrefixCache& cache, TileTerms& out) {
    const Engine engine(s, cache);
    if (options.free) {
      engine.free_tile(options, begin, first, last, out);
    } else if constexpr (!kSquare) {
      engine.fixed_tile(options, begin, first, last, out);
    }
  }

 private:
  Engine(const FastSchedule& schedule, PrefixCache& cache)
      : s_(schedule), basis_(*schedule.basis), cache_(cache), tile_leaves_(schedule.tile / schedule.leaf) {}

  // --- prefix functions ------------------------------------------------------------------------

  const double* block(int level, std::int64_t index) const {
    return s_.tree.level[level] + index * Map::kRecord;
  }

  /// Walks back from an edge to an earlier one that has a prefix function, and returns it. The lanes go
  /// together, through the largest blocks that the smallest R allows.
  std::int64_t walk_to_prefix(std::int64_t edge, vec* R, vec (*sum)[kVectors]) const {
    for (;;) {
      vec lows = R[0];
      for (int v = 1; v < kVectors; ++v) lows = min(lows, R[v]);
      const double low = smallest_lane(lows);
      int level = 0;
      if (block(0, edge - 1)[0] <= low) {
        const int highest = trailing_zeros(edge);
        while (level < highest && block(level + 1, (edge >> (level + 1)) - 1)[0] <= low) ++level;
        Map::jump(block(level, (edge >> level) - 1), R, sum);
        edge -= std::int64_t{1} << level;
      } else {
        walk_leaf(--edge, R, sum);
      }
      if (edge == 0 || (edge % tile_leaves_ == 0 && trailing_zeros(edge) >= level + kAhead)) return edge;
    }
  }

  /// Out of line, as leap_leaf is: fill_piece recurses, and their frames are large.
  __attribute__((noinline)) void walk_leaf(std::int64_t leaf, vec* R, vec (*sum)[kVectors]) const {
    if (!kSquare && leap_leaf(leaf, R, sum[0])) return;
    vec state[kVectors];
    for (int v = 0; v < kVectors; ++v) state[v] = Map::state_of(R[v]);
    for (std::int64_t k = (leaf + 1) * s_.leaf - 1; k >= leaf * s_.leaf; --k) {
      const vec eta = broadcast(s_.eta[k]), norm = broadcast(Map::norm_at(s_, k));
      for (int v = 0; v < kVectors; ++v) {
        Walked::template step<kNorms>(eta, norm, state[v], sum[0][v], sum[kNoise][v]);
      }
    }
    for (int v = 0; v < kVectors; ++v) R[v] = Map::distance_of(state[v]);
  }

  /// The same for `last`, if steps and distances do not span too many decades.
  __attribute__((noinline)) bool leap_leaf(std::int64_t leaf, vec* R, vec* sum) const {
    const std::int64_t begin = leaf * s_.leaf;
    RationalSteps steps;
    if (!steps.load_steps(s_.eta + begin, kNorms ? s_.norm + begin : nullptr, s_.leaf)) return false;
    vec x[kVectors], total[kVectors] = {};
    for (int v = 0; v < kVectors; ++v) {
      x[v] = R[v] / broadcast(steps.unit);
      for (int i = 0; i < kLanes; ++i) {
        if (!(x[v][i] >= RationalSteps::kLow && x[v][i] <= RationalSteps::kHigh)) return false;
      }
    }
    Map::add_groups(steps, s_.leaf / kGroup, x, total);
    const vec unit = broadcast(steps.unit), root = broadcast(steps.root_unit);
    for (int v = 0; v < kVectors; ++v) {
      R[v] = x[v] * unit;
      sum[v] += root * (total[v] * (root / unit));
    }
    return true;
  }

  std::int64_t* stamps(int slot) const { return cache_.stamp + std::int64_t{slot} * kPieces; }
  double* coefficients(int slot, int piece) const {
    return cache_.coefficients + (std::int64_t{slot} * kPieces + piece) * (2 * kMaxOrder);
  }

  /// The slot of an edge, emptied if it held another one.
  int claim(std::int64_t edge) const {
    const int slot = trailing_zeros(edge / tile_leaves_);
    if (cache_.edge[slot] != edge) {
      cache_.edge[slot] = edge;
      cache_.epoch[slot] = ++cache_.clock;
    }
    return slot;
  }

  /// Coefficients of a piece of the prefix function of an edge, computed where they are not there.
  const double* prefix_piece(std::int64_t edge, int piece) const {
    const int slot = claim(edge);
    if (__builtin_expect(stamps(slot)[piece] != cache_.epoch[slot], 0)) fill_piece(edge, piece);
    return coefficients(slot, piece);
  }

  __attribute__((noinline)) void fill_piece(std::int64_t edge, int piece) const {
    vec R[kVectors], sum[kChannels][kVectors] = {};
    const vec unit = broadcast(piece_unit(piece));
    for (int v = 0; v < kVectors; ++v) {
      const vec root = load(basis_.piece_node + v * kLanes) * unit;
      R[v] = root * root;
    }
    const std::int64_t reached = walk_to_prefix(edge, R, sum);
    vec root[kVectors];
    for (int v = 0; v < kVectors; ++v) root[v] = sqrt(R[v]);
    add_prefix<kVectors>(reached, root, sum);
    // The walk may have come by edges that share the slot.
    const int slot = claim(edge);
    for (int c = 0; c < kChannels; ++c) {
      double value[kStride], *coefficient = coefficients(slot, piece) + c * kStride;
      for (int v = 0; v < kVectors; ++v) store(value + v * kLanes, sum[c][v]);
      Map::transform(basis_, value, coefficient);
      saturate(coefficient);
    }
    stamps(slot)[piece] = cache_.epoch[slot];
  }

  /// A piece in which a sum leaves the range of a double is infinite, not a NaN.
  static void saturate(double* coefficient) {
    double sum = 0;
    for (int i = 0; i < kStride; ++i) sum += coefficient[i];
    if (sum - sum == 0) return;
    for (int i = 0; i < kStride; ++i) coefficient[i] = i == 0 ? kInf : 0;
  }

  /// Adds the sums over all steps before an edge, entered at R, given its square root.
  template <int kCount>
  void add_prefix(std::int64_t edge, const vec* root, vec (*sum)[kCount]) const {
    if (edge == 0) return;
    const bits mantissa_mask = bits{} + ((std::int64_t{1} << kMantissaBits) - 1);
    const bits one = bits{} + (std::int64_t{1023} << kMantissaBits);
    const vec centre = broadcast(kPieceCentre);
    const bits first = (bits)root[0] >> kMantissaBits;
    const std::int64_t common = first[0];
    bits other = {};
    vec z[kCount];
    for (int v = 0; v < kCount; ++v) {
      const vec mantissa = (vec)(((bits)root[v] & mantissa_mask) | one);
      z[v] = (mantissa - centre) / ((mantissa + centre) * broadcast(kPieceZeta));
      other |= ((bits)root[v] >> kMantissaBits) ^ common;
    }
    if (is_zero(other)) {
      const double* coefficient = prefix_piece(edge, piece_of(common));
      for (int c = 0; c < kChannels; ++c) {
        vec value[kCount];
        Map::template horner<kCount>(coefficient + c * kStride, z, value);
        for (int v = 0; v < kCount; ++v) sum[c][v] += value[v];
      }
      return;
    }
    for (int v = 0; v < kCount; ++v) {
      const bits exponent = (bits)root[v] >> kMantissaBits;
      vec part[kChannels][kLanes];
      for (int i = 0; i < kLanes; ++i) scatter(edge, piece_of(exponent[i]), z[v][i], i, part);
      for (int c = 0; c < kChannels; ++c) sum[c][v] += sums_of_lanes(part[c]);
    }
  }

  /// One lane's polynomials, lanes over neighbouring powers, yet to be summed.
  void scatter(std::int64_t edge, int piece, double z, int lane, vec (*part)[kLanes]) const {
    const double* coefficient = prefix_piece(edge, piece);
    const vec power = powers(z), next = broadcast(power[kLanes - 1] * z);
    for (int c = 0; c < kChannels; ++c) {
      const double* mine = coefficient + c * kStride;
      vec value = load(mine + (kVectors - 1) * kLanes);
      for (int v = kVectors - 2; v >= 0; --v) value = fma(value, next, load(mine + v * kLanes));
      part[c][lane] = value * power;
    }
  }

  static int piece_of(std::int64_t exponent) {
    const std::int64_t piece = exponent - kFirstPiece;
    return static_cast<int>(piece < 0 ? 0 : piece < kPieces ? piece : kPieces - 1);
  }

  // --- horizons whose last step is given -------------------------------------------------------

  /// Targets and sources are counted from the edge at step `begin`; bands of targets are computed whole.
  void fixed_tile(const FastOptions& options, std::int64_t begin, int first, int last,
                  TileTerms& out) const {
    first -= first % kBand;
    const int end = (last + kBand - 1) / kBand * kBand;
    alignas(64) double R[kMaxReach], sum[kMaxReach];
    for (int i = first; i < end; ++i) {
      const std::int64_t k = begin + i - (options.repeat && begin + i > 0);
      out.rho[i] = i < last ? s_.eta[k] : 0;
      R[i] = out.rho[i] > 0 ? out.rho[i] : 1;
    }
    if (!near_groups(begin, first, last, R, sum)) near_field(begin, first, last, R, sum);
    const std::int64_t edge = begin / s_.leaf;
    const double before = kRecursion.linear * s_.before[edge].length;
    for (int i = first; i < last; i += kBand) {
      vec root[kBandVectors], total[1][kBandVectors];
      for (int v = 0; v < kBandVectors; ++v) {
        const vec distance = load(R + i + v * kLanes);
        root[v] = sqrt(distance);
        total[0][v] = load(sum + i + v * kLanes);
        store(out.distance + i + v * kLanes, 0.5 / (distance + broadcast(before)));
      }
      add_prefix<kBandVectors>(edge, root, total);
      for (int v = 0; v < kBandVectors; ++v) store(sum + i + v * kLanes, total[0][v]);
    }
    double moved = before;
    for (int i = 0; i < last; ++i) {
      if (i >= first) {
        const double norm = Map::norm_at(s_, begin + i);
        out.noise[i] = 0.5 * ((out.rho[i] * norm) * norm + sum[i]);
        if (!(out.rho[i] > 0)) {  // a zero after any movement makes the noise infinite
          out.distance[i] = moved > 0 ? 0.5 / moved : kInf;
          out.noise[i] = moved > 0 ? kInf : 0;
        }
      }
      moved += s_.eta[begin + i];
    }
  }

  /// Targets of two groups at a time.
  static constexpr int kBand = 2 * kGroup;
  static constexpr int kGroupVectors = kGroup / kLanes;
  static constexpr int kBandVectors = kBand / kLanes;

  /// As near_field, with a division for eight sources, if steps and distances do not span too many decades.
  bool near_groups(std::int64_t begin, int first, int last, double* R, double* sum) const {
    RationalSteps steps;
    if (!steps.load_steps(s_.eta + begin, kNorms ? s_.norm + begin : nullptr, last)) return false;
    const double unit = steps.unit;
    vec low = load(R + first), high = low;
    for (int i = first; i < last; i += kLanes) {
      low = min(low, load(R + i));
      high = max(high, load(R + i));
    }
    if (!(smallest_lane(low) >= RationalSteps::kLow * unit)) return false;
    if (!(largest_lane(high) <= RationalSteps::kHigh * unit)) return false;
    for (; first < last; first += kBand) {
      vec x[kBandVectors], total[kBandVectors];
      for (int v = 0; v < kBandVectors; ++v) x[v] = load(R + first + v * kLanes) / broadcast(unit);
      int g = first / kGroup;
      within_group(steps, g, x, total);
      within_group(steps, g + 1, x + kGroupVectors, total + kGroupVectors);
      Map::template add_group<kGroupVectors>(steps, g, x + kGroupVectors, total + kGroupVectors);
      while (--g >= 0) Map::template add_group<kBandVectors>(steps, g, x, total);
      const vec root = broadcast(steps.root_unit), share = broadcast(steps.root_unit / unit);
      for (int v = 0; v < kBandVectors; ++v) {
        store(R + first + v * kLanes, x[v] * broadcast(unit));
        store(sum + first + v * kLanes, root * (total[v] * share));
      }
    }
    return true;
  }

  /// Sources in the group of their targets; x becomes the distance from its start.
  static void within_group(const RationalSteps& steps, int g, vec* x, vec* sum) {
    for (int v = 0; v < kGroupVectors; ++v) {
      const double* eta = steps.eta[g] + kGroup + v * kLanes;
      const double* root = steps.root[g] + kGroup + v * kLanes;
      sum[v] = vec{};
      for (int back = 1; back < kGroup; back += 4) {
        vec q[4], distance[4];
        for (int i = 0; i < 4; ++i) {
          distance[i] = x[v];
          const vec r = load(root - back - i);
          q[i] = r * r;
          x[v] += load(eta - back - i);
        }
        sum[v] += four_fractions(q, distance);
      }
    }
  }

  /// Sources inside the tile, nearest first, a division a pair. On return R is the distance of each
  /// target from the start of its tile.
  void near_field(std::int64_t begin, int first, int last, double* R, double* sum) const {
    // Steps before the edge are replaced by zeros: they belong to the prefix function.
    double eta[2 * kMaxReach] = {}, norm[2 * kMaxReach] = {};
    for (int i = 0; i < last; ++i) {
      eta[kMaxReach + i] = s_.eta[begin + i];
      norm[kMaxReach + i] = Map::norm_at(s_, begin + i);
    }
    for (; first < last; first += kLanes) {
      vec distance = load(R + first), total = {}, unused = {};
      for (int back = 1; back < first + kLanes; ++back) {
        const int source = kMaxReach + first - back;
        Last::step<true>(load(eta + source), load(norm + source), distance, unused, total);
      }
      store(R + first, distance);
      store(sum + first, total);
    }
  }

  // --- horizons whose last step is free --------------------------------------------------------

  /// Walks from kBeam values of rho back to the beginning, for the horizon after `inside` steps of a tile.
  struct Beam {
    const Engine& engine;
    std::int64_t begin;
    int inside;

    void operator()(const double* rho, double last_norm, double* distance, double* noise) const {
      constexpr int kBeamVectors = kBeam / kLanes;
      vec state[kBeamVectors], near[kChannels][kBeamVectors] = {};
      for (int v = 0; v < kBeamVectors; ++v) state[v] = Map::state_of(load(rho + v * kLanes));
      for (std::int64_t k = begin + inside - 1; k >= begin; --k) {
        const vec eta = broadcast(engine.s_.eta[k]), norm = broadcast(Map::norm_at(engine.s_, k));
        for (int v = 0; v < kBeamVectors; ++v) {
          Walked::template step<kNorms>(eta, norm, state[v], near[0][v], near[kNoise][v]);
        }
      }
      vec terms[2][kBeamVectors];
      engine.template finish<kBeamVectors>(begin, state, near[kNoise], terms[0], terms[1]);
      for (int v = 0; v < kBeamVectors; ++v) {
        const vec last = load(rho + v * kLanes) * broadcast(last_norm) * broadcast(last_norm);
        store(distance + v * kLanes, terms[0][v]);
        store(noise + v * kLanes, terms[1][v] + 0.5 * last);
      }
    }
  };

  /// Distance and noise, but for that of the last step, of walks that have come to the edge at step
  /// `begin`.
  template <int kCount>
  void finish(std::int64_t begin, const vec* state, const vec* near, vec* distance, vec* noise) const {
    const std::int64_t edge = begin / s_.leaf;
    const vec before = broadcast(kRecursion.linear * s_.before[edge].length);
    vec root[kCount], far[kChannels][kCount] = {};
    for (int v = 0; v < kCount; ++v) root[v] = Walked::kRooted ? state[v] : sqrt(state[v]);
    add_prefix<kCount>(edge, root, far);
    for (int v = 0; v < kCount; ++v) {
      vec end = Map::distance_of(state[v]) + before;
      if (kSquare) end += far[0][v];
      distance[v] = 0.5 / end;
      noise[v] = 0.5 * (near[v] + far[kNoise][v]);
    }
  }

  void free_tile(const FastOptions& options, std::int64_t begin, int first, int last,
                 TileTerms& out) const {
    Landscape landscape[kMaxReach];
    survey(options, begin, last, landscape);
    double guess = 0;
    const auto solve = [&](int i) {
      const Minimum found = lowest_bound(landscape[i], *s_.window, Beam{*this, begin, i}, guess);
      if (found.value > 0) guess = found.value;
      out.distance[i] = found.distance;
      out.noise[i] = found.noise;
      out.rho[i] = found.rho;
      return !found.contested && found.rho > 0 && found.rho < kInf;
    };
    if (first > 0 || last < kSearchTile || !is_smooth(begin)) {
      for (int i = first; i < last; ++i) solve(i);
      return;
    }
    Track track;
    bool clear = true;
    for (int a = 0; a < kAnchors; ++a) {
      clear = solve(kAnchor[a]) && clear;
      track.log_rho[a] = __builtin_log(out.rho[kAnchor[a]]);
    }
    for (int i = 0; i < last; i += kLanes) {
      bool good[kLanes] = {};
      if (clear) follow(options, begin, i, landscape, track, out, good);
      for (int j = i; j < i + kLanes; ++j) {
        if (!good[j - i] && !is_anchor(j)) solve(j);
      }
    }
  }

  /// What each horizon of a tile sees of the steps before it.
  void survey(const FastOptions& options, std::int64_t begin, int last, Landscape* landscape) const {
    const Before& before = s_.before[begin / s_.leaf];
    double length = before.length, largest_norm = before.largest_norm;
    std::int64_t last_positive = before.last_positive;
    for (int i = 0; i < last; ++i) {
      const double norm = Map::norm_at(s_, begin + i);
      largest_norm = norm > largest_norm ? norm : largest_norm;
      landscape[i] = {kSquare,     options.gamma,
                      length,      last_positive >= 0 ? s_.eta[last_positive] : 0.0,
                      norm,        last_positive >= 0 ? Map::norm_at(s_, last_positive) : 1.0,
                      largest_norm};
      if (s_.eta[begin + i] > 0) last_positive = begin + i;
      length += s_.eta[begin + i];
    }
  }

  // Where steps and norms change slowly, so does the best rho. It is searched at a few horizons of a
  // tile, the anchors, and interpolated between them; lanes are then horizons, and four points around
  // each interpolated rho tell whether it is good enough.

  static constexpr int kAnchors = 4;
  static constexpr int kAnchor[kAnchors] = {1, 10, 21, 30};

  struct Track {
    double log_rho[kAnchors];

    /// The cubic through the anchors.
    double at(double i) const {
      double value = 0;
      for (int a = 0; a < kAnchors; ++a) {
        double weight = 1;
        for (int b = 0; b < kAnchors; ++b) {
          if (b != a) weight *= (i - kAnchor[b]) / (kAnchor[a] - kAnchor[b]);
        }
        value += weight * log_rho[a];
      }
      return value;
    }
  };

  static bool is_anchor(int i) {
    for (int a = 0; a < kAnchors; ++a) {
      if (i == kAnchor[a]) return true;
    }
    return false;
  }

  /// Whether steps and norms stay within a quarter of each other in a tile and in the one before.
  bool is_smooth(std::int64_t begin) const {
    if (begin < kSearchTile) return false;
    const auto smooth = [&](const double* x) {
      vec low = broadcast(kInf), high = {};
      for (int i = -kSearchTile; i < kSearchTile; i += kLanes) {
        low = min(low, load(x + begin + i));
        high = max(high, load(x + begin + i));
      }
      return largest_lane(high) <= 1.25 * smallest_lane(low);
    };
    return smooth(s_.eta) && (!kNorms || smooth(s_.norm));
  }

  /// Horizons i .. i + kLanes of a tile at their interpolated rho; `good` where that is all but the best.
  void follow(const FastOptions& options, std::int64_t begin, int i, const Landscape* landscape,
              const Track& track, TileTerms& out, bool* good) const {
    constexpr int kPoints = 4;  // in log rho one step of 0.05 below, at, one and two steps above
    constexpr double kFactor[kPoints] = {0.95122942450071400910, 1, 1.0512710963760240397,
                                         1.1051709180756476248};
    double rho[kLanes], last_norm[kLanes];
    for (int j = 0; j < kLanes; ++j) {
      rho[j] = __builtin_exp(track.at(i + j));
      last_norm[j] = landscape[i + j].last_norm;
    }
    vec state[kPoints], near[kChannels][kPoints] = {};
    for (int p = 0; p < kPoints; ++p) state[p] = Map::state_of(load(rho) * broadcast(kFactor[p]));
    // Steps before the tile are replaced by zeros: they belong to the prefix function.
    double eta[2 * kSearchTile] = {}, norm[2 * kSearchTile] = {};
    std::memcpy(eta + kSearchTile, s_.eta + begin, kSearchTile * sizeof *eta);
    if (kNorms) std::memcpy(norm + kSearchTile, s_.norm + begin, kSearchTile * sizeof *norm);
    for (int back = 1; back < i + kLanes; ++back) {
      const vec e = load(eta + kSearchTile + i - back), g = load(norm + kSearchTile + i - back);
      for (int p = 0; p < kPoints; ++p) {
        Walked::template step<kNorms>(e, g, state[p], near[0][p], near[kNoise][p]);
      }
    }
    vec distance[kPoints], noise[kPoints], value[kPoints];
    finish<kPoints>(begin, state, near[kNoise], distance, noise);
    for (int p = 0; p < kPoints; ++p) {
      noise[p] += 0.5 * load(rho) * broadcast(kFactor[p]) * load(last_norm) * load(last_norm);
      value[p] = options.gamma > 0 ? distance[p] / options.gamma + options.gamma * noise[p]
                                   : distance[p] * noise[p];
    }
    // Newton's step from here would lower the value by slope^2 / (2 bend).
    const vec slope = 6.0 * value[2] - 2.0 * value[0] - 3.0 * value[1] - value[3];  // times 6 steps
    const vec bend = value[0] - 2.0 * value[1] + value[2];                          // times a step^2
    const vec excess = slope * slope * (1 / 72.0);                                  // times bend
    for (int j = 0; j < kLanes; ++j) {
      if (!(bend[j] > 0 && excess[j] <= kGoodEnough * value[1][j] * bend[j])) continue;
      good[j] = true;
      if (is_anchor(i + j)) continue;
      out.distance[i + j] = distance[1][j];
      out.noise[i + j] = noise[1][j];
      out.rho[i + j] = rho[j];
    }
  }

  /// How far above its minimum, relatively, a bound may be.
  static constexpr double kGoodEnough = 2e-10;

  const FastSchedule& s_;
  const Basis& basis_;
  PrefixCache& cache_;
  const std::int64_t tile_leaves_;
};

template <class Walked, bool kNorms, int kOrder>
constexpr FastKernels kernels_of() {
  using Map = BlockMap<Walked, kNorms, kOrder>;
  return {Map::kRecord, Map::leaves, Map::merge, Engine<Walked, kNorms, kOrder>::tile};
}

}  // namespace

extern const FastTable CVXBOUND_FAST_KERNELS;
const FastTable CVXBOUND_FAST_KERNELS = {
    {{{kernels_of<Last, false, 8>(), kernels_of<Last, false, 12>(), kernels_of<Last, false, 14>()},
      {kernels_of<Last, true, 8>(), kernels_of<Last, true, 12>(), kernels_of<Last, true, 14>()}},
     {{kernels_of<Tight, false, 8>(), kernels_of<Tight, false, 12>(), kernels_of<Tight, false, 14>()},
      {kernels_of<Tight, true, 8>(), kernels_of<Tight, true, 12>(), kernels_of<Tight, true, 14>()}}}};

}  // namespace cvxbound
