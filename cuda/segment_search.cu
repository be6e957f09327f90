#include "group_search.hpp"
#include "segment_search.hpp"
#include "segment_split.hpp"
#include "segments.hpp"
#include "tables.hpp"

namespace cvxbound {
namespace cuda {
namespace {

/// The first steps of segments, which are made anew for every walk, for StepWalks.
struct MadeSteps {
  const SegmentRow& row;
  std::int64_t count;

  template <class Visit>
  CVX_DEVICE void stretches(const Visit& visit) const {
    row.for_each_stretch(count, count, [&](const Segment& segment, std::int64_t begin, std::int64_t size) {
      const Formula formula(segment);
      visit(begin, begin + size, [&](std::int64_t k, double& eta, double& norm) {
        const vec here = {};
        vec value;
        formula.at<1>(static_cast<double>(k), &here, &value);
        eta = value[0];
        norm = 1;
      });
    });
  }
};

/// What a group searches: the steps before one horizon, walked by a route, or one by one without one.
class Horizon {
 public:
  CVX_DEVICE Horizon(const Route* route, const PanelRules& rules, bool tight, const Group<kBeam>& group,
                     SearchShared& shared, const SegmentRow& row, std::int64_t steps)
      : route_(route),
        rules_(rules),
        tight_(tight),
        team_{group},
        steps_{row, steps},
        walks_(steps_, tight, group, shared) {}

  /// The terms from kBeam values of rho, for RhoSearch.
  CVX_DEVICE CVX_NOINLINE void operator()(const double* rho, double last_norm, double* distance,
                                          double* noise) const {
    if (!route_) return walks_(rho, last_norm, distance, noise);
    tight_ ? RouteWalks<Tight, Team>{*route_, rules_, team_}(rho, last_norm, distance, noise)
           : RouteWalks<Last, Team>{*route_, rules_, team_}(rho, last_norm, distance, noise);
  }

  CVX_DEVICE CVX_NOINLINE Landscape landscape(double gamma) const {
    return route_ ? landscape_of(*route_, tight_, gamma) : walks_.landscape(gamma, 1);
  }

 private:
  const Route* const route_;
  const PanelRules& rules_;
  const bool tight_;
  const Team team_;
  const MadeSteps steps_;
  const StepWalks<MadeSteps> walks_;
};

/// What a group has in the workspace.
struct Workspace {
  double grid[kMaxGrid];
  Route route;
};

struct SegmentSearch {
  static constexpr int kThreads = kBeam;
  using Shared = SearchShared;

  SegmentBatch batch;
  SegmentBound bound;
  Terms out;
  const Tables* tables;
  Workspace* workspaces;

  CVX_DEVICE void operator()(const Group<kThreads>& group, Shared& shared) const {
    const std::int64_t i = group.index(), item = i / batch.horizon_count, t = batch.horizons[i];
    const SegmentRow row = {batch.segments + item * batch.width, batch.width};
    Workspace& mine = workspaces[group.slot()];
    const bool by_route = !bound.is_walked(row);
    if (by_route && t > 0) {
      group.each([&](int lane) {
        if (lane == 0) mine.route.find(row.segments, row.width, t - 1, tables->panels);
      });
    }
    Minimum found = {__builtin_nan(""), __builtin_nan(""), __builtin_nan(""), 0, false};
    if (t > 0 && (!by_route || mine.route.is_short())) {
      const Horizon horizon(by_route ? &mine.route : nullptr, tables->panels, bound.kind == Kind::tight,
                            group, shared, row, t - 1);
      found = solve(horizon, batch.gamma ? batch.gamma[item] : 0.0, group, shared, mine.grid);
    }
    group.each([&](int lane) {
      if (lane == 0) write(i, {found.distance, found.noise, found.rho});
    });
  }

  CVX_DEVICE CVX_NOINLINE Minimum solve(const Horizon& horizon, double gamma, const Group<kThreads>& group,
                                        Shared& shared, double* grid) const {
    return walked_bound(horizon.landscape(gamma), tables->window, horizon, Team{group}, shared.memory,
                        grid);
  }

  CVX_DEVICE void write(std::int64_t i, const Split& split) const {
    if (out.distance) out.distance[i] = split.distance;
    if (out.noise) out.noise[i] = split.noise;
    if (out.rho) out.rho[i] = split.rho;
  }
};

}  // namespace

std::size_t segment_search_size(const SegmentBatch& batch) {
  return static_cast<std::size_t>(slots_of<SegmentSearch>(batch.items * batch.horizon_count)) *
         sizeof(Workspace);
}

void search_segments(const SegmentBatch& batch, const Options& options, const Terms& out, void* workspace,
                     const Tables* tables, Stream stream) {
  const SegmentBound bound = {options.kind, options.last_step, options.method};
  launch_groups("search_segments", batch.items * batch.horizon_count, groups_at_once<SegmentSearch>(),
                SegmentSearch{batch, bound, out, tables, static_cast<Workspace*>(workspace)}, stream);
}

}  // namespace cuda
}  // namespace cvxbound
