// The free virtual last step: the lowest bound at each horizon.
#pragma once

#include <cstddef>

#include "cvxbound_cuda.hpp"
#include "maps.hpp"
#include "schedules.hpp"
#include "tables.hpp"

namespace cvxbound {
namespace cuda {

/// Bytes of workspace for the search at `count` pairs of an item and a horizon, without maps.
std::size_t search_size(std::int64_t count);

/// `tight`, or `last` with a free last step, at each pair: a group of threads a pair, a value of rho each
/// (rho_search.hpp). Every evaluation walks all steps: O(t) a pair.
void search(const Pairs& pairs, Kind kind, void* workspace, const Tables* tables, Stream stream);

/// The same by block maps, O(log t) a pair after them; `workspace` has search_size bytes, then maps_size.
void fast_search(const Pairs& pairs, Kind kind, void* workspace, const Tables* tables, Stream stream,
                 std::int64_t most = kMostMaps);

}  // namespace cuda
}  // namespace cvxbound
