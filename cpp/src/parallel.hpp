// Independent units of work over a few std::threads.
#pragma once

#include <cstdint>
#include <functional>

namespace cvxbound {

/// Calls body(i, worker) for i in [0, count), worker in [0, threads), handing units out one by one from the
/// last (the longest, for horizons) to the first. The calling thread works too and calls `interrupt` about
/// every 50 ms. The first exception, from a body or from `interrupt`, stops the hand-out, is rethrown here,
/// and leaves no thread behind.
void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t, int)>& body,
                  const std::function<void()>& interrupt);

}  // namespace cvxbound
