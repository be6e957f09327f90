#include "group_search.hpp"
#include "map_walk.hpp"
#include "maps.hpp"
#include "search.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// The first steps of a schedule, for StepWalks.
struct RowSteps {
  const Row& row;
  std::int64_t count;

  template <class Visit>
  CVX_DEVICE void stretches(const Visit& visit) const {
    visit(0, count, [&](std::int64_t k, double& eta, double& norm) {
      eta = row.eta[k];
      norm = row.norm_at(k);
    });
  }
};

/// What a group searches: the steps before one horizon, walked by block maps or one by one.
class Horizon {
 public:
  CVX_DEVICE Horizon(bool mapped, bool tight, const Group<kBeam>& group, SearchShared& shared,
                     const Row& row, const MapWalk& maps, std::int64_t steps)
      : mapped_(mapped),
        tight_(tight),
        group_(group),
        row_(row),
        maps_(maps),
        steps_{row, steps},
        walks_(steps_, tight, group, shared) {}

  /// The terms from kBeam values of rho, for RhoSearch.
  CVX_DEVICE CVX_NOINLINE void operator()(const double* rho, double last_norm, double* distance,
                                          double* noise) const {
    if (!mapped_) return walks_(rho, last_norm, distance, noise);
    group_.each([&](int lane) {
      double R = rho[lane], sum = 0;
      maps_.walk(steps_.count, R, sum);
      distance[lane] = 0.5 / R;
      noise[lane] = 0.5 * ((rho[lane] * last_norm) * last_norm + sum);
    });
  }

  CVX_DEVICE CVX_NOINLINE Landscape landscape(double gamma, double last_norm) const {
    if (!mapped_) return walks_.landscape(gamma, last_norm);
    const auto [length, extent] = maps_.survey(steps_.count);
    Landscape seen = {tight_, gamma, length, 0, last_norm, 1, last_norm};
    if (extent.largest_norm > seen.largest_norm) seen.largest_norm = extent.largest_norm;
    if (extent.last_positive >= 0) {
      seen.step = row_.eta[extent.last_positive];
      seen.step_norm = row_.norm_at(extent.last_positive);
    }
    return seen;
  }

 private:
  const bool mapped_, tight_;
  const Group<kBeam>& group_;
  const Row& row_;
  const MapWalk& maps_;
  const RowSteps steps_;
  const StepWalks<RowSteps> walks_;
};

struct Search {
  static constexpr int kThreads = kBeam;
  using Shared = SearchShared;

  bool mapped, tight;
  Pairs pairs;
  Maps maps;
  const WindowBasis* window;
  double* grids;
  std::int64_t first;  ///< pair of group 0

  CVX_DEVICE void operator()(const Group<kThreads>& group, Shared& shared) const {
    const std::int64_t i = first + group.index(), item = i / pairs.horizons(), t = pairs.horizon(i);
    const Row row = pairs.schedule(item);
    const MapWalk walk(maps, row, item);
    const Horizon horizon(mapped, tight, group, shared, row, walk, t - 1);
    const Minimum found = solve(horizon, pairs.gamma(item), row.norm_at(t - 1), group, shared);
    group.each([&](int lane) {
      if (lane == 0) pairs.write(i, {found.distance, found.noise, found.rho});
    });
  }

  CVX_DEVICE CVX_NOINLINE Minimum solve(const Horizon& horizon, double gamma, double last_norm,
                                        const Group<kThreads>& group, Shared& shared) const {
    return walked_bound(horizon.landscape(gamma, last_norm), *window, horizon, Team{group}, shared.memory,
                        grids + group.slot() * kMaxGrid);
  }
};

void run(const Search& body, std::int64_t count, Stream stream) {
  launch_groups("search", count, groups_at_once<Search>(), body, stream);
}

}  // namespace

std::size_t search_size(std::int64_t count) {
  return static_cast<std::size_t>(slots_of<Search>(count)) * kMaxGrid * sizeof(double);
}

void search(const Pairs& pairs, Kind kind, void* workspace, const Tables* tables, Stream stream) {
  auto* grids = static_cast<double*>(workspace);
  run({false, kind == Kind::tight, pairs, {}, &tables->window, grids, 0}, pairs.count(), stream);
}

void fast_search(const Pairs& pairs, Kind kind, void* workspace, const Tables* tables, Stream stream,
                 std::int64_t most) {
  auto* grids = static_cast<double*>(workspace);
  void* maps = static_cast<char*>(workspace) + search_size(pairs.count());
  const bool tight = kind == Kind::tight;
  for (std::int64_t item = 0; item < pairs.batch.items;) {
    const Mapped mapped = make_maps(pairs, tight, item, maps, tables, stream, most);
    run({true, tight, pairs, mapped.maps, &tables->window, grids, item * pairs.horizons()},
        mapped.items * pairs.horizons(), stream);
    item += mapped.items;
  }
}

}  // namespace cuda
}  // namespace cvxbound
