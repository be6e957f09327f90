// The kernels of adjoint_kernels.hpp. Compiled once per instruction set, with CVXBOUND_ADJOINT_KERNELS
// naming the table it defines; nothing else may leave this translation unit (see simd.hpp).
#include "adjoint_kernels.hpp"

#include "block_map.hpp"
#include "jet.hpp"
#include "recursion.hpp"
#include "simd.hpp"

namespace cvxbound {
namespace {

constexpr int kTileVectors = kSearchTile / kLanes;

inline double* push_to(Stack& stack, std::int64_t count) {
  if (stack.size + count > stack.capacity) stack.grow(stack, stack.size + count);
  double* place = stack.data + stack.size;
  stack.size += count;
  return place;
}

/// 1 in the lanes of the horizons of vector v that have a source with this offset in their tile, else 0.
inline vec has_source(int v, int offset) {
  constexpr double kLane[] = {0, 1, 2, 3, 4, 5, 6, 7};
  return load(kLane) > broadcast(offset - v * kLanes) ? broadcast(1.0) : vec{};
}

template <class Walked, bool kNorms>
class Adjoint {
  using Map = BlockMap<Walked, kNorms, kOrders[kAdjointOrder]>;
  static constexpr int kOrder = kOrders[kAdjointOrder];
  static constexpr int kChannels = Map::kChannels, kNoise = Map::kNoise;
  static constexpr int kVectors = Map::kVectors, kStride = Map::kStride;
  /// An adjoint: the sum of state_bar, then the Chebyshev moments for each channel.
  static constexpr int kMoments = 1;

 public:
  static constexpr int kRecord = kMoments + kChannels * kStride;

  static void tile(const FastSchedule& s, const AdjointOptions& options, std::int64_t begin, int count,
                   AdjointTile& tile, Stack& trace, Stack& found) {
    if (options.polish) polish(s, options, begin, count, tile);
    trace.size = 0;
    Tracer tracer(s, begin, count, tile, trace);
    tracer.near();
    walk_back(s, begin, tracer);
    tracer.weigh(options, tile);
    tracer.reverse(found);
    tracer.own_step(tile, found);
  }

  static void push(const FastSchedule& s, double* const* adjoint, int level, std::int64_t first,
                   std::int64_t last) {
    const double* const* maps = s.tree.level;
    for (std::int64_t i = first; i < last; ++i) {
      const double* right = maps[level - 1] + (2 * i + 1) * Map::kRecord;
      double* right_bar = adjoint[level - 1] + (2 * i + 1) * kRecord;
      split(*s.basis, maps[level][i * Map::kRecord], adjoint[level] + i * kRecord, right - Map::kRecord,
            right, right_bar - kRecord, right_bar);
    }
  }

  static void leaves(const FastSchedule& s, const double* adjoint, std::int64_t first, std::int64_t last,
                     double* eta_bar, double* norm_bar) {
    for (std::int64_t leaf = first; leaf < last; ++leaf) {
      leaf_steps(s, leaf, adjoint + leaf * kRecord, eta_bar, norm_bar);
    }
  }

 private:
  // --- walking back ----------------------------------------------------------------------------

  /// Takes a visitor from the edge at step `begin` to the first step, the lanes together, through the
  /// largest blocks that the smallest R allows.
  template <class Visitor>
  static void walk_back(const FastSchedule& s, std::int64_t begin, Visitor& visitor) {
    const auto width = [&](int level, std::int64_t index) {
      return s.tree.level[level][index * Map::kRecord];
    };
    for (std::int64_t edge = begin / s.leaf; edge > 0;) {
      const double low = visitor.smallest();
      if (!(width(0, edge - 1) <= low)) {
        visitor.leaf(--edge);
        continue;
      }
      int level = 0;
      while (!(edge >> level & 1) && width(level + 1, (edge >> (level + 1)) - 1) <= low) ++level;
      visitor.block(level, (edge >> level) - 1);
      edge -= std::int64_t{1} << level;
    }
  }

  // --- Newton's step for the last step ---------------------------------------------------------

  /// Walks jets over log rho.
  struct Polisher {
    const FastSchedule& s;
    Jet<vec> R[kTileVectors], sum[kChannels][kTileVectors] = {};

    double smallest() const {
      vec low = R[0].value;
      for (int v = 1; v < kTileVectors; ++v) low = min(low, R[v].value);
      return smallest_lane(low);
    }

    void step(std::int64_t k, int v, Jet<vec>& state, vec mask) {
      Walked::template step<kNorms>(constant(broadcast(s.eta[k]) * mask),
                                    constant(broadcast(Map::norm_at(s, k))), state, sum[0][v],
                                    sum[kNoise][v]);
    }

    void near(std::int64_t begin, int count) {
      for (int v = 0; v < kTileVectors; ++v) {
        Jet<vec> state = state_of(R[v]);
        for (int k = min_of(count, (v + 1) * kLanes) - 2; k >= 0; --k) {
          step(begin + k, v, state, has_source(v, k));
        }
        R[v] = distance_of(state);
      }
    }

    void leaf(std::int64_t index) {
      for (int v = 0; v < kTileVectors; ++v) {
        Jet<vec> state = state_of(R[v]);
        for (int k = s.leaf - 1; k >= 0; --k) step(index * s.leaf + k, v, state, broadcast(1.0));
        R[v] = distance_of(state);
      }
    }

    void block(int level, std::int64_t index) {
      const double* record = s.tree.level[level] + index * Map::kRecord;
      const vec width = broadcast(record[0]);
      for (int v = 0; v < kTileVectors; ++v) {
        const Jet<vec> shifted = R[v] + constant(broadcast(kShift) * width);
        const Jet<vec> inverse = constant(broadcast(1.0)) / shifted;
        const Jet<vec> z = constant(broadcast(kScale) * width) * inverse + constant(broadcast(-1.0));
        Jet<vec> grown = {};
        for (int c = 0; c < kChannels; ++c) {
          const double root = record[Map::kRoot + c];
          const double* coefficient = record + Map::kCoefficients + c * kStride;
          Jet<vec> value = constant(broadcast(coefficient[kOrder - 1]));
          for (int i = kOrder - 2; i >= 0; --i) value = value * z + constant(broadcast(coefficient[i]));
          value = value * (inverse * constant(broadcast(root * root)));
          sum[c][v] += value;
          if (Map::kSquare && c == 0) grown = value;
        }
        R[v] = R[v] + constant(width) + grown;
      }
    }

    static Jet<vec> state_of(const Jet<vec>& R) {
      return Walked::kRooted ? square_root(R, sqrt(R.value)) : R;
    }
    static Jet<vec> distance_of(const Jet<vec>& state) { return Walked::kRooted ? state * state : state; }
  };

  static int min_of(int a, int b) { return a < b ? a : b; }

  static void polish(const FastSchedule& s, const AdjointOptions& options, std::int64_t begin, int count,
                     AdjointTile& tile) {
    Polisher walk = {s, {}, {}};
    for (int v = 0; v < kTileVectors; ++v) {
      const vec rho = load(tile.rho + v * kLanes);
      walk.R[v] = {rho, rho, rho};
    }
    walk.near(begin, count);
    walk_back(s, begin, walk);
    for (int v = 0; v < kTileVectors; ++v) {
      const vec rho = load(tile.rho + v * kLanes), norm = own_norms(s, begin, count, v);
      const vec last = rho * norm * norm;
      const Jet<vec> half = constant(broadcast(0.5)), twice = half * (Jet<vec>{last, last, last});
      const Jet<vec> step_from = half / walk.R[v], noise = half * walk.sum[kNoise][v] + twice;
      const vec step = newton_step(step_from, noise, options.gamma);
      for (int lane = 0; lane < kLanes; ++lane) {
        const double x = step[lane];
        if (x > -kLargestPolish && x < kLargestPolish) tile.rho[v * kLanes + lane] *= __builtin_exp(x);
      }
    }
  }

  /// The norms at the horizons of a vector, 1 beyond the last.
  static vec own_norms(const FastSchedule& s, std::int64_t begin, int count, int v) {
    vec norm = broadcast(1.0);
    for (int lane = 0; lane < kLanes; ++lane) {
      if (kNorms && v * kLanes + lane < count) norm[lane] = s.norm[begin + v * kLanes + lane];
    }
    return norm;
  }

  // --- forward, keeping what the way back needs ------------------------------------------------

  /// On the trace: for each step that is walked, the states before it; for each block, R before it; after
  /// these, [first step, count, kStepsFound] or [block, 0, level].
  class Tracer {
   public:
    vec bar[kTileVectors] = {};  // dJ / dR

    Tracer(const FastSchedule& s, std::int64_t begin, int count, const AdjointTile& tile, Stack& trace)
        : s_(s), begin_(begin), count_(count), trace_(trace) {
      for (int v = 0; v < kTileVectors; ++v) R_[v] = load(tile.rho + v * kLanes);
    }

    double smallest() const {
      vec low = R_[0];
      for (int v = 1; v < kTileVectors; ++v) low = min(low, R_[v]);
      return smallest_lane(low);
    }

    void near() {
      if (count_ > 1) steps(begin_, count_ - 1, true);
    }

    void leaf(std::int64_t index) { steps(index * s_.leaf, s_.leaf, false); }

    void block(int level, std::int64_t index) {
      const double* record = s_.tree.level[level] + index * Map::kRecord;
      double* kept = push_to(trace_, kSearchTile);
      for (int v = 0; v < kTileVectors; ++v) store(kept + v * kLanes, R_[v]);
      for (int v = 0; v < kTileVectors; ++v) {
        vec value[kChannels];
        evaluate(record, R_[v], value, nullptr);
        R_[v] += broadcast(record[0]);
        if (Map::kSquare) R_[v] += value[0];
        noise_[v] += value[kNoise];
      }
      mark(static_cast<double>(index), 0, level);
    }

    /// Bounds, and what each of their terms counts in J.
    void weigh(const AdjointOptions& options, AdjointTile& tile) {
      for (int v = 0; v < kTileVectors; ++v) {
        const vec rho = load(tile.rho + v * kLanes), weight = load(tile.weight + v * kLanes);
        const vec norm = own_norms(s_, begin_, count_, v);
        const vec distance = 0.5 / R_[v], noise = 0.5 * (rho * norm * norm + noise_[v]);
        vec gamma = broadcast(options.gamma);
        if (!(options.gamma > 0)) gamma = weight == 0.0 ? broadcast(1.0) : sqrt(distance / noise);
        store(tile.omega + v * kLanes, distance / gamma + gamma * noise);
        bar[v] = -(weight / gamma) * distance / R_[v];
        noise_bar_[v] = 0.5 * gamma * weight;
      }
    }

    void reverse(Stack& found) {
      while (trace_.size > 0) {
        const double* end = trace_.data + trace_.size;
        const double first = end[-3], count = end[-2], level = end[-1];
        trace_.size -= kMark;
        if (level == kStepsFound) {
          reverse_steps(static_cast<std::int64_t>(first), static_cast<int>(count), found);
        } else {
          reverse_block(static_cast<int>(level), static_cast<std::int64_t>(first), found);
        }
      }
    }

    /// dJ / dG_t and dJ / d rho through the virtual last step itself.
    void own_step(AdjointTile& tile, Stack& found) const {
      double* out = kNorms ? push_to(found, 3 + 2 * count_) : nullptr;
      if (out) {
        out[0] = kStepsFound;
        out[1] = static_cast<double>(begin_);
        out[2] = count_;
      }
      for (int v = 0; v < kTileVectors; ++v) {
        const vec norm = own_norms(s_, begin_, count_, v), rho = load(tile.rho + v * kLanes);
        const vec norm_bar = 2.0 * noise_bar_[v] * rho * norm;
        store(tile.rho_bar + v * kLanes, bar[v] + noise_bar_[v] * norm * norm);
        for (int lane = 0; out && lane < kLanes && v * kLanes + lane < count_; ++lane) {
          out[3 + v * kLanes + lane] = 0;
          out[3 + count_ + v * kLanes + lane] = norm_bar[lane];
        }
      }
    }

   private:
    static constexpr int kMark = 3;

    void mark(double first, double count, double level) {
      double* end = push_to(trace_, kMark);
      end[0] = first;
      end[1] = count;
      end[2] = level;
    }

    /// Walks the steps [first, first + count); in their own tile, those after a horizon are not its
    /// sources.
    void steps(std::int64_t first, int count, bool own) {
      vec state[kTileVectors], unused = {};
      for (int v = 0; v < kTileVectors; ++v) state[v] = Map::state_of(R_[v]);
      for (int k = count - 1; k >= 0; --k) {
        double* kept = push_to(trace_, kSearchTile);
        const vec norm = broadcast(Map::norm_at(s_, first + k));
        for (int v = 0; v < kTileVectors; ++v) {
          store(kept + v * kLanes, state[v]);
          vec eta = broadcast(s_.eta[first + k]);
          if (own) eta *= has_source(v, k);
          Walked::template step<kNorms>(eta, norm, state[v], unused, noise_[v]);
        }
      }
      for (int v = 0; v < kTileVectors; ++v) R_[v] = Map::distance_of(state[v]);
      mark(static_cast<double>(first), count, kStepsFound);
    }

    void reverse_steps(std::int64_t first, int count, Stack& found) {
      double* out = push_to(found, 3 + (kNorms ? 2 : 1) * count);
      out[0] = kStepsFound;
      out[1] = static_cast<double>(first);
      out[2] = count;
      out += 3;
      // The states after the last of the steps are R of now; bars are of states in between.
      vec state_bar[kTileVectors];
      for (int v = 0; v < kTileVectors; ++v) {
        state_bar[v] = Walked::kRooted ? 2.0 * bar[v] * sqrt(R_[v]) : bar[v];
      }
      const double* kept = nullptr;
      for (int k = 0; k < count; ++k) {
        trace_.size -= kSearchTile;
        kept = trace_.data + trace_.size;
        const vec norm = broadcast(Map::norm_at(s_, first + k));
        vec eta_sum = {}, norm_sum = {};
        for (int v = 0; v < kTileVectors; ++v) {
          vec eta = broadcast(s_.eta[first + k]), mask = broadcast(1.0), eta_bar, norm_bar;
          if (first == begin_) mask = has_source(v, k);
          eta *= mask;
          Walked::template reverse<kNorms>(eta, norm, load(kept + v * kLanes), noise_bar_[v], state_bar[v],
                                           eta_bar, norm_bar);
          eta_sum += mask * eta_bar;
          norm_sum += norm_bar;
        }
        out[k] = sum_of_lanes(eta_sum);
        if (kNorms) out[count + k] = sum_of_lanes(norm_sum);
      }
      for (int v = 0; v < kTileVectors; ++v) {
        const vec state = load(kept + v * kLanes);
        R_[v] = Map::distance_of(state);
        bar[v] = Walked::kRooted ? 0.5 * state_bar[v] / state : state_bar[v];
      }
    }

    void reverse_block(int level, std::int64_t index, Stack& found) {
      double* out = push_to(found, 2 + kRecord);
      out[0] = level;
      out[1] = static_cast<double>(index);
      const double* record = s_.tree.level[level] + index * Map::kRecord;
      trace_.size -= kSearchTile;
      const double* kept = trace_.data + trace_.size;
      for (int v = 0; v < kTileVectors; ++v) R_[v] = load(kept + v * kLanes);
      reverse_through<kTileVectors>(record, R_, noise_bar_, bar, out + 2);
    }

    const FastSchedule& s_;
    const std::int64_t begin_;
    const int count_;
    Stack& trace_;
    vec R_[kTileVectors], noise_[kTileVectors] = {};
    vec noise_bar_[kTileVectors];  // dJ / d sum (eta G)^2 / R
  };

  // --- a block ---------------------------------------------------------------------------------

  /// The sums of a block entered at R, and their slopes with respect to R if wanted.
  static void evaluate(const double* record, vec R, vec* value, vec* slope) {
    vec inverse;
    const vec z = Map::block_variable(broadcast(record[0]), R, inverse);
    for (int c = 0; c < kChannels; ++c) {
      const double* coefficient = record + Map::kCoefficients + c * kStride;
      vec p = broadcast(coefficient[kOrder - 1]), dp = {};
      for (int i = kOrder - 2; i >= 0; --i) {
        if (slope) dp = fma(dp, z, p);
        p = fma(p, z, broadcast(coefficient[i]));
      }
      const vec root = broadcast(record[Map::kRoot + c]);
      value[c] = root * p * (root * inverse);
      if (slope) slope[c] = -(root * inverse) * (root * inverse) * (p + (z + 1.0) * dp);
    }
  }

  /// From dJ / dR after a block to that before it, and what the block's adjoint gets, written to `out`.
  template <int kCount>
  static void reverse_through(const double* record, const vec* R, const vec* noise_bar, vec* bar,
                              double* out) {
    vec total = {}, moment[kChannels][kCount];
    for (int v = 0; v < kCount; ++v) {
      vec value[kChannels], slope[kChannels];
      evaluate(record, R[v], value, slope);
      total += bar[v];
      moment[kNoise][v] = noise_bar[v];
      if (Map::kSquare) moment[0][v] = kChannels == 2 ? bar[v] : bar[v] + noise_bar[v];
      for (int c = 0; c < kChannels; ++c) bar[v] += moment[c][v] * slope[c];
    }
    out[0] = sum_of_lanes(total);
    for (int c = 0; c < kChannels; ++c)
      moments<kCount>(record[0], R, moment[c], out + kMoments + c * kStride);
  }

  /// sum of weight T_m(z) / (R + kShift width) over all lanes, m = 0, 1, ...
  template <int kCount>
  static void moments(double width, const vec* R, const vec* weight, double* out) {
    vec z[kCount], now[kCount], before[kCount];
    for (int v = 0; v < kCount; ++v) {
      vec inverse;
      z[v] = Map::block_variable(broadcast(width), R[v], inverse);
      before[v] = weight[v] * inverse;
      now[v] = before[v] * z[v];
    }
    for (int m = 0; m < kOrder; ++m) {
      vec sum = before[0];
      for (int v = 1; v < kCount; ++v) sum += before[v];
      out[m] = sum_of_lanes(sum);
      for (int v = 0; v < kCount; ++v) {
        const vec next = fma(z[v] + z[v], now[v], -before[v]);
        before[v] = now[v];
        now[v] = next;
      }
    }
    for (int m = kOrder; m < kStride; ++m) out[m] = 0;
  }

  // --- down the tree ---------------------------------------------------------------------------

  /// The weights at the nodes of a block of this width that stand for its moments.
  static void node_weights(const Basis& basis, double width, const double* moment, vec* weight) {
    double value[kStride];
    Map::product(basis.to_nodes, moment, value);
    for (int v = 0; v < kVectors; ++v) {
      const vec node = load(basis.block_node + v * kLanes);
      weight[v] = load(value + v * kLanes) * (broadcast(width) * (node + broadcast(kShift)));
    }
  }

  /// A block's adjoint becomes that of its right child, which a walk enters first, and of its left one.
  static void split(const Basis& basis, double width, const double* adjoint, const double* left,
                    const double* right, double* left_bar, double* right_bar) {
    left_bar[0] += adjoint[0];
    right_bar[0] += adjoint[0];
    if (!(width > 0)) return;  // zero steps: no moment matters
    vec weight[kChannels][kVectors], R[kVectors], between[kVectors], bar[kVectors] = {};
    for (int c = 0; c < kChannels; ++c) {
      node_weights(basis, width, adjoint + kMoments + c * kStride, weight[c]);
    }
    for (int v = 0; v < kVectors; ++v) {
      vec value[kChannels];
      R[v] = load(basis.block_node + v * kLanes) * broadcast(width);
      between[v] = R[v] + broadcast(right[0]);
      if (!Map::kSquare) continue;
      evaluate(right, R[v], value, nullptr);
      between[v] += value[0];
    }
    for (int v = 0; v < kVectors; ++v) {
      vec value[kChannels], slope[kChannels];
      evaluate(left, between[v], value, slope);
      for (int c = 0; c < kChannels; ++c) bar[v] += weight[c][v] * slope[c];
    }
    double moment[kStride];
    const auto add = [&](double width_of_child, const vec* at, const vec* of, double* out) {
      moments<kVectors>(width_of_child, at, of, moment);
      for (int m = 0; m < kOrder; ++m) out[m] += moment[m];
    };
    for (int c = 0; c < kChannels; ++c) {
      add(left[0], between, weight[c], left_bar + kMoments + c * kStride);
    }
    vec total = {};
    for (int v = 0; v < kVectors; ++v) {
      total += bar[v];
      if (Map::kSquare) weight[0][v] += bar[v];
    }
    right_bar[0] += sum_of_lanes(total);
    for (int c = 0; c < kChannels; ++c) add(right[0], R, weight[c], right_bar + kMoments + c * kStride);
  }

  /// The steps of a leaf, walked from its nodes.
  static void leaf_steps(const FastSchedule& s, std::int64_t leaf, const double* adjoint, double* eta_bar,
                         double* norm_bar) {
    const std::int64_t first = leaf * s.leaf;
    const double width = s.tree.level[0][leaf * Map::kRecord];
    double linear = Map::kRecursion.linear * adjoint[0];
    vec noise_bar[kVectors] = {}, state_bar[kVectors] = {}, state[kMaxLeaf + 1][kVectors];
    if (width > 0) {
      node_weights(*s.basis, width, adjoint + kMoments + kNoise * kStride, noise_bar);
      if (kChannels == 2) node_weights(*s.basis, width, adjoint + kMoments, state_bar);
    }
    vec unused = {}, total = {};
    for (int v = 0; v < kVectors; ++v) {
      const vec node = load(s.basis->block_node + v * kLanes);
      vec now = Map::state_of(node * broadcast(width > 0 ? width : 1.0));
      for (int k = s.leaf - 1; k >= 0; --k) {
        state[k][v] = now;
        Walked::template step<kNorms>(broadcast(s.eta[first + k]), broadcast(Map::norm_at(s, first + k)),
                                      now, unused, unused);
      }
      // Weights are those of the sum of squares, to which R adds the steps themselves.
      total += state_bar[v];
      if (Walked::kRooted) state_bar[v] *= 2.0 * now;
    }
    linear -= Map::kRecursion.linear * sum_of_lanes(total);
    for (int k = 0; k < s.leaf; ++k) {
      const vec eta = broadcast(s.eta[first + k]), norm = broadcast(Map::norm_at(s, first + k));
      vec eta_sum = {}, norm_sum = {};
      for (int v = 0; v < kVectors; ++v) {
        vec of_eta, of_norm;
        Walked::template reverse<kNorms>(eta, norm, state[k][v], noise_bar[v], state_bar[v], of_eta,
                                         of_norm);
        eta_sum += of_eta;
        norm_sum += of_norm;
      }
      eta_bar[first + k] += sum_of_lanes(eta_sum) + linear;
      if (kNorms && norm_bar) norm_bar[first + k] += sum_of_lanes(norm_sum);
    }
  }
};

template <class Walked, bool kNorms>
constexpr AdjointKernels kernels_of() {
  using Chosen = Adjoint<Walked, kNorms>;
  return {Chosen::kRecord, Chosen::tile, Chosen::push, Chosen::leaves};
}

}  // namespace

extern const AdjointTable CVXBOUND_ADJOINT_KERNELS;
const AdjointTable CVXBOUND_ADJOINT_KERNELS = {{{kernels_of<Last, false>(), kernels_of<Last, true>()},
                                                {kernels_of<Tight, false>(), kernels_of<Tight, true>()}}};

}  // namespace cvxbound
