// The entry points: what is computed by which kernel, and how the workspace is cut.
#include <cstring>
#include <memory>
#include <stdexcept>

#include "cvxbound_cuda.hpp"
#include "direct.hpp"
#include "maps.hpp"
#include "schedules.hpp"
#include "search.hpp"
#include "segment_split.hpp"
#include "tables.hpp"
#include "walks.hpp"

namespace cvxbound {
namespace cuda {

std::size_t tables_size() { return sizeof(Tables); }

void make_tables(void* host) {
  // The memory need not be aligned as kernels want theirs.
  const auto tables = std::make_unique<Tables>();
  tables->basis = basis_of(kOrderCount - 1);
  tables->window = window_basis();
  tables->panels = panel_rules();
  std::memcpy(host, tables.get(), sizeof *tables);
}

namespace {

/// By an estimate, from so many steps on block maps are the quicker way where every horizon is searched,
/// and where the last steps of so many horizons are given.
constexpr std::int64_t kLongSearch = 1024, kLongGiven = 32768, kManyGiven = 32;

bool is_fast(const Batch& batch, const Options& options) {
  if (options.method != Method::automatic) return options.method == Method::fast;
  if (is_searched(options.kind, options.last_step)) return batch.steps >= kLongSearch;
  return batch.steps >= kLongGiven && (!batch.horizons || batch.horizon_count >= kManyGiven);
}

}  // namespace

bool is_emulated() {
#if defined(CVXBOUND_EMULATED)
  return true;
#else
  return false;
#endif
}

std::size_t workspace_size(const Batch& batch, const Options& options) {
  const Pairs pairs = {batch, {}, false};
  const bool fast = is_fast(batch, options);
  const std::size_t maps = fast ? maps_size(batch, options.kind == Kind::tight) : 0;
  if (is_searched(options.kind, options.last_step)) return search_size(pairs.count()) + maps;
  if (fast) return maps;
  return batch.horizons ? 0 : direct_size(pairs);
}

void terms(const Batch& batch, const Options& options, const Terms& out, const Resources& on) {
  if (options.kind == Kind::average) throw std::invalid_argument("an average needs no kernel: add up");
  const Pairs pairs = {batch, out, options.last_step == LastStep::repeat};
  const auto* tables = static_cast<const Tables*>(on.tables);
  const bool fast = is_fast(batch, options);
  if (is_searched(options.kind, options.last_step)) {
    if (fast) return fast_search(pairs, options.kind, on.workspace, tables, on.stream);
    return search(pairs, options.kind, on.workspace, tables, on.stream);
  }
  if (fast) return fast_last(pairs, on.workspace, tables, on.stream);
  if (!batch.horizons) return direct_last(pairs, on.workspace, on.stream);
  walk_last(pairs, on.stream);
}

}  // namespace cuda
}  // namespace cvxbound
