#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "cvxbound/cvxbound.hpp"

namespace cvxbound {

void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t, int)>& body,
                  const std::function<void()>& interrupt) {
  using Clock = std::chrono::steady_clock;
  std::atomic<std::int64_t> next{count};
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto fail = [&] {
    const std::lock_guard<std::mutex> lock(error_mutex);
    if (!error) error = std::current_exception();
    next = 0;
  };
  const auto work = [&](int worker) {
    const bool calling_thread = worker == 0;
    auto checked = Clock::now();
    try {
      for (std::int64_t i; (i = --next) >= 0;) {
        body(i, worker);
        if (calling_thread && interrupt && Clock::now() - checked > std::chrono::milliseconds(50)) {
          interrupt();
          checked = Clock::now();
        }
      }
    } catch (...) {
      fail();
    }
  };
  std::vector<std::thread> helpers;
  const auto wanted = std::min<std::int64_t>(threads, count) - 1;
  helpers.reserve(static_cast<std::size_t>(std::max<std::int64_t>(wanted, 0)));
  try {
    for (std::int64_t i = 0; i < wanted; ++i) helpers.emplace_back(work, static_cast<int>(i) + 1);
  } catch (const std::exception&) {
    // No more threads to be had, or no memory for them: the ones there are do the work.
  }
  work(0);
  for (std::thread& helper : helpers) helper.join();
  if (error) std::rethrow_exception(error);
}

int default_threads() {
  if (const char* text = std::getenv("CVXBOUND_NUM_THREADS"); text && *text) {
    char* end = nullptr;
    errno = 0;
    const long threads = std::strtol(text, &end, 10);
    if (errno || *end || threads < 1 || threads > 4096) {
      throw std::invalid_argument("CVXBOUND_NUM_THREADS must be an integer from 1 to 4096, got '" +
                                  std::string(text) + "'");
    }
    return static_cast<int>(threads);
  }
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace cvxbound
