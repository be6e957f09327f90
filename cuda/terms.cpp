// The entry points: what is computed by which kernel, and how the workspace is cut.
#include <cstring>
#include <stdexcept>

#include "cvxbound_cuda.hpp"
#include "schedules.hpp"
#include "tables.hpp"
#include "walks.hpp"

namespace cvxbound {
namespace cuda {

std::size_t tables_size() { return sizeof(Tables); }

void make_tables(void* host) {
  auto* tables = static_cast<Tables*>(host);
  tables->basis = basis_of(kOrderCount - 1);
  tables->window = window_basis();
  tables->panels = panel_rules();
}

std::size_t workspace_size(const Batch&, const Options&) { return 0; }

void terms(const Batch& batch, const Options& options, const Terms& out, const Resources& on) {
  const Pairs pairs = {batch, out, options.last_step == LastStep::repeat};
  walk_last(pairs, on.stream);
}

}  // namespace cuda
}  // namespace cvxbound
