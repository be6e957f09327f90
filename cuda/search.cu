#include "launch.hpp"
#include "map_walk.hpp"
#include "maps.hpp"
#include "rho_search.hpp"
#include "search.hpp"
#include "segment_split.hpp"
#include "segment_walk.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// Groups at a time: each needs a grid, and no GPU runs many more together.
constexpr std::int64_t kManyGroups = 8192;

/// Steps that a group reads or makes at a time, one a thread.
constexpr int kChunk = kBeam;

/// Where steps come from. One kernel serves all, so that the search is compiled once.
enum class Source { steps, maps, segments };

/// One walk by every step. What grows within a chunk is kept apart from what was there before, so that a
/// million equal steps do not drift.
class ChunkWalk {
 public:
  CVX_DEVICE void start(double rho) {
    distance_ = R_ = rho;
    grown_ = sum_ = part_ = 0;
  }

  CVX_DEVICE void take(bool tight, const double* eta, const double* norm, int count) {
    for (int k = count - 1; k >= 0; --k) {
      step_back(tight, eta[k], norm[k], R_, grown_, part_);
      R_ = distance_ + grown_;
    }
    double low;
    distance_ = two_sum(distance_, grown_, low);
    grown_ = low;
    sum_ = two_sum(sum_, part_, low);
    part_ = low;
  }

  CVX_DEVICE double distance() const { return R_; }
  CVX_DEVICE double sum() const { return sum_ + part_; }

 private:
  double distance_, grown_, R_;
  double sum_, part_;
};

struct Shared {
  SearchMemory memory;
  double eta[kChunk], norm[kChunk];
};

/// What a group searches: the steps before one horizon.
class Horizon {
 public:
  using Threads = Group<kBeam>;

  CVX_DEVICE Horizon(Source source, bool tight, const Threads& group, Shared& shared, const Row& row,
                     const SegmentRow& segments, const MapWalk& maps, std::int64_t steps)
      : source_(source),
        tight_(tight),
        group_(group),
        shared_(shared),
        row_(row),
        segments_(segments),
        maps_(maps),
        steps_(steps) {}

  /// The terms from kBeam values of rho, for RhoSearch.
  CVX_DEVICE CVX_NOINLINE void operator()(const double* rho, double last_norm, double* distance,
                                          double* noise) const {
    const auto finish = [&](int lane, double R, double sum) {
      distance[lane] = 0.5 / R;
      noise[lane] = 0.5 * ((rho[lane] * last_norm) * last_norm + sum);
    };
    if (source_ == Source::maps) {
      group_.each([&](int lane) {
        double R = rho[lane], sum = 0;
        maps_.walk(steps_, R, sum);
        finish(lane, R, sum);
      });
      return;
    }
    PerThread<ChunkWalk, kBeam> walk;
    group_.each([&](int lane) { walk[lane].start(rho[lane]); });
    for_each_chunk([&](std::int64_t, int count) {
      group_.each([&](int lane) { walk[lane].take(tight_, shared_.eta, shared_.norm, count); });
    });
    group_.each([&](int lane) { finish(lane, walk[lane].distance(), walk[lane].sum()); });
  }

  CVX_DEVICE CVX_NOINLINE Landscape landscape(double gamma, double last_norm) const {
    Landscape seen = {tight_, gamma, 0, 0, last_norm, 1, last_norm};
    if (source_ == Source::maps) {
      const auto [length, extent] = maps_.survey(steps_);
      seen.length = length;
      note(seen, extent.largest_norm);
      if (extent.last_positive >= 0) {
        seen.step = row_.eta[extent.last_positive];
        seen.step_norm = row_.norm_at(extent.last_positive);
      }
      return seen;
    }
    for_each_chunk([&](std::int64_t, int count) {
      double length = 0;
      for (int k = count - 1; k >= 0; --k) {
        length += shared_.eta[k];
        note(seen, shared_.norm[k]);
        if (seen.step > 0 || !(shared_.eta[k] > 0)) continue;
        seen.step = shared_.eta[k];
        seen.step_norm = shared_.norm[k];
      }
      seen.length += length;
    });
    return seen;
  }

 private:
  CVX_DEVICE static void note(Landscape& seen, double norm) {
    if (norm > seen.largest_norm) seen.largest_norm = norm;
  }

  /// Calls visit(begin, count) for chunks of steps, last to first, when they are in shared memory.
  template <class Visit>
  CVX_DEVICE void for_each_chunk(const Visit& visit) const {
    if (source_ == Source::steps) {
      return chunks_of(0, steps_, visit, [&](int lane, std::int64_t begin) {
        shared_.eta[lane] = row_.eta[begin + lane];
        shared_.norm[lane] = row_.norm_at(begin + lane);
      });
    }
    segments_.for_each_stretch(steps_, steps_,
                               [&](const Segment& segment, std::int64_t begin, std::int64_t size) {
                                 const Formula formula(segment);
                                 chunks_of(begin, begin + size, visit, [&](int lane, std::int64_t first) {
                                   const vec back = -static_cast<double>(lane);
                                   vec eta;
                                   formula.at<1>(static_cast<double>(first), &back, &eta);
                                   shared_.eta[lane] = eta[0];
                                   shared_.norm[lane] = 1;
                                 });
                               });
  }

  template <class Visit, class Load>
  CVX_DEVICE void chunks_of(std::int64_t begin, std::int64_t end, const Visit& visit,
                            const Load& load) const {
    while (end > begin) {
      const std::int64_t first = begin + (end - begin - 1) / kChunk * kChunk;
      const int count = static_cast<int>(end - first);
      group_.each([&](int lane) {
        if (lane < count) load(lane, first);
      });
      visit(first, count);
      end = first;
    }
  }

  const Source source_;
  const bool tight_;
  const Threads& group_;
  Shared& shared_;
  const Row& row_;
  const SegmentRow& segments_;
  const MapWalk& maps_;
  const std::int64_t steps_;
};

/// The threads of a group as RhoSearch has them work.
struct Team {
  const Group<kBeam>& group;

  template <class Function>
  CVX_DEVICE void each(int count, const Function& function) const {
    group.each([&](int lane) {
      for (int i = lane; i < count; i += kBeam) function(i);
    });
  }
};

/// A rho outside of this and its inverse may have lost digits.
constexpr double kSmallestRho = 1e-290;

CVX_DEVICE inline bool is_finite(double x) { return x - x == 0; }

struct Search {
  static constexpr int kThreads = kBeam;
  using Shared = cuda::Shared;

  Source source;
  bool tight;
  Pairs pairs;  ///< with segments, only where results go
  SegmentBatch segments;
  Maps maps;
  const WindowBasis* window;
  double* grids;
  std::int64_t first;  ///< pair of group 0

  CVX_DEVICE void operator()(const Group<kThreads>& group, Shared& shared) const {
    const std::int64_t i = first + group.index();
    const bool made = source == Source::segments;
    const std::int64_t item = i / (made ? segments.horizon_count : pairs.horizons());
    const std::int64_t t = made ? segments.horizons[i] : pairs.horizon(i);
    const Row row = made ? Row{nullptr, nullptr} : pairs.schedule(item);
    const SegmentRow segment_row = {segments.segments + item * segments.width, segments.width};
    const double gamma = made ? (segments.gamma ? segments.gamma[item] : 0.0) : pairs.gamma(item);
    Minimum found = {__builtin_nan(""), __builtin_nan(""), __builtin_nan(""), 0, false};
    if (t > 0) {
      const MapWalk walk(maps, row, item);
      const Horizon horizon(source, tight, group, shared, row, segment_row, walk, t - 1);
      found = solve(horizon, gamma, made ? 1.0 : row.norm_at(t - 1), group, shared);
    }
    group.each([&](int lane) {
      if (lane == 0) pairs.write(i, {found.distance, found.noise, found.rho});
    });
  }

  CVX_DEVICE CVX_NOINLINE Minimum solve(const Horizon& horizon, double gamma, double last_norm,
                                        const Group<kThreads>& group, Shared& shared) const {
    const Landscape landscape = horizon.landscape(gamma, last_norm);
    SearchMemory& memory = shared.memory;
    Minimum found =
        lowest_bound(landscape, *window, horizon, 0, Team{group}, memory, grids + group.slot() * kMaxGrid);
    if (!(found.rho > kSmallestRho && found.rho < 1 / kSmallestRho)) return found;
    // The terms were interpolated; a walk from the rho found leaves no error but its own.
    group.each([&](int lane) { memory.v[lane] = found.rho; });
    horizon(memory.v, last_norm, memory.distance, memory.noise);
    if (is_finite(memory.distance[0]) && is_finite(memory.noise[0])) {
      found.distance = memory.distance[0];
      found.noise = memory.noise[0];
    }
    return found;
  }
};

void run(const Search& body, std::int64_t count, Stream stream) {
  launch_groups("search", count, kManyGroups, body, stream);
}

}  // namespace

std::size_t search_size(std::int64_t count) {
  const std::int64_t groups = count < kManyGroups ? count : kManyGroups;
  return static_cast<std::size_t>(groups) * kMaxGrid * sizeof(double);
}

void search(const Pairs& pairs, Kind kind, void* workspace, const Tables* tables, Stream stream) {
  run({Source::steps,
       kind == Kind::tight,
       pairs,
       {},
       {},
       &tables->window,
       static_cast<double*>(workspace),
       0},
      pairs.count(), stream);
}

void fast_search(const Pairs& pairs, Kind kind, void* workspace, const Tables* tables, Stream stream,
                 std::int64_t most) {
  auto* grids = static_cast<double*>(workspace);
  void* maps = static_cast<char*>(workspace) + search_size(pairs.count());
  const bool tight = kind == Kind::tight;
  for (std::int64_t item = 0; item < pairs.batch.items;) {
    const Mapped mapped = make_maps(pairs, tight, item, maps, tables, stream, most);
    run({Source::maps, tight, pairs, {}, mapped.maps, &tables->window, grids, item * pairs.horizons()},
        mapped.items * pairs.horizons(), stream);
    item += mapped.items;
  }
}

void search(const SegmentBatch& batch, const Options& options, const Terms& out, const Resources& on) {
  Pairs pairs = {};
  pairs.out = {out.distance, out.noise, out.rho, nullptr};
  const auto* tables = static_cast<const Tables*>(on.tables);
  run({Source::segments,
       options.kind == Kind::tight,
       pairs,
       batch,
       {},
       &tables->window,
       static_cast<double*>(on.workspace),
       0},
      batch.items * batch.horizon_count, on.stream);
}

}  // namespace cuda
}  // namespace cvxbound
