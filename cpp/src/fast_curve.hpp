// All horizons of one schedule in linear time: owns the block maps and hands tiles of horizons to the
// kernels of fast_kernels.hpp. docs/fast.md has the mathematics.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "block_maps.hpp"
#include "fast_kernels.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "schedule.hpp"

namespace cvxbound {

/// The smallest relative error the kernels are made for.
constexpr double kBestTolerance = 1e-12;

/// Memory that serves one schedule after another, and the number of threads for each.
class FastWorkspace {
 public:
  explicit FastWorkspace(int threads) : prefixes_(threads) {}

  int threads() const { return static_cast<int>(prefixes_.size()); }

 private:
  friend class FastCurve;

  struct Prefix {
    PrefixCache cache = {};
    Scratch<std::int64_t> stamps;
    Scratch<double> coefficients;
    int slots = 0;

    PrefixCache& empty(int slots_needed);
  };

  MapsMemory maps_;
  std::vector<Prefix> prefixes_;
};

/// Cost: O(T) time; the maps take 5 doubles a step where the last step is free and norms vary, 3 or
/// fewer otherwise, and a cache of less than 20 MB a thread. Relative error below rtol. Results do not
/// depend on the number of threads.
class FastCurve {
 public:
  /// rtol is at least kBestTolerance. `workspace` must outlive this.
  FastCurve(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
            const FastOptions& options, double rtol, FastWorkspace& workspace);

  /// Whether all distances of a schedule, a few powers of two beyond them, and their inverses are
  /// ordinary numbers.
  static bool covers(const Ranges& ranges);

  void run(const Targets& targets, const std::function<void()>& interrupt);

 private:
  void evaluate(const Targets& targets, const std::function<void()>& interrupt);
  void evaluate_tile(std::int64_t edge, const Targets& targets, const std::int64_t* order,
                     std::int64_t from, std::int64_t to, PrefixCache& cache) const;

  const FastKernels& kernels_;
  const FastOptions options_;
  FastWorkspace& workspace_;
  FastSchedule schedule_ = {};
};

}  // namespace cvxbound
