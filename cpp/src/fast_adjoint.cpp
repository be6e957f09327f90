#include "fast_adjoint.hpp"

#include <algorithm>
#include <vector>

#include "adjoint_kernels.hpp"
#include "block_maps.hpp"
#include "parallel.hpp"

namespace cvxbound {
namespace {

/// Steps of the smallest block that has a map.
constexpr int kLeaf = 16;
static_assert(kSearchTile % kLeaf == 0, "tiles start at leaves");

/// Tiles whose finds are kept together, and how many of these are awaited before they are added up, one
/// after the other, so that sums do not depend on who found what.
constexpr std::int64_t kUnitTiles = 16, kUnits = 64;

/// Blocks that one thread takes down the tree at a time.
constexpr std::int64_t kUnitBlocks = 256;

/// A stack and its memory.
struct OwnedStack : Stack {
  OwnedStack() : Stack{nullptr, 0, 0, &provide} {}

 private:
  static void provide(Stack& stack, std::int64_t capacity) {
    OwnedStack& self = static_cast<OwnedStack&>(stack);
    self.memory_.resize(static_cast<std::size_t>(2 * capacity));
    self.data = self.memory_.data();
    self.capacity = 2 * capacity;
  }

  std::vector<double> memory_;
};

class FastAdjoint {
 public:
  FastAdjoint(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
              const Objective& objective, int threads, const std::function<void()>& interrupt)
      : kernels_(kernels.adjoint->kernels[recursion.square > 0][steps.norm != nullptr]),
        objective_(objective),
        threads_(threads),
        interrupt_(interrupt) {
    schedule_.eta = steps.eta;
    schedule_.norm = steps.norm;
    schedule_.steps = steps.steps;
    schedule_.basis = &basis_of(kAdjointOrder);
    schedule_.window = &window_basis();
    schedule_.leaf = kLeaf;
    schedule_.tile = kSearchTile;
    const FastKernels& maps =
        kernels.fast->kernels[recursion.square > 0][steps.norm != nullptr][kAdjointOrder];
    const std::int64_t tiles = (objective.horizons.back().step - 1) / kSearchTile;
    build_maps(maps, tiles * (kSearchTile / kLeaf), schedule_, memory_, threads, interrupt);
    const std::int64_t leaves = schedule_.tree.leaves;
    moments_.assign(static_cast<std::size_t>(block_count(leaves) * kernels_.record), 0.0);
    double* next = moments_.data();
    for (int level = 0; leaves >> level > 0; ++level) {
      adjoint_[level] = next;
      next += (leaves >> level) * kernels_.record;
    }
  }

  void run() {
    const std::vector<Weighted>& horizons = objective_.horizons;
    std::vector<OwnedStack> traces(threads_), found(kUnits);
    omega_.resize(horizons.size());
    rho_bar_.resize(horizons.size());
    const std::int64_t tiles = (horizons.back().step - 1) / kSearchTile + 1;
    const std::int64_t units = (tiles + kUnitTiles - 1) / kUnitTiles;
    for (std::int64_t chunk = 0; chunk < units; chunk += kUnits) {
      const std::int64_t count = std::min(kUnits, units - chunk);
      parallel_for(
          count, threads_,
          [&](std::int64_t i, int worker) {
            found[i].size = 0;
            for (std::int64_t j = 0; j < kUnitTiles; ++j) {
              evaluate((chunk + i) * kUnitTiles + j, traces[worker], found[i]);
            }
          },
          interrupt_);
      for (std::int64_t i = 0; i < count; ++i) collect(found[i]);
    }
    for (std::size_t i = 0; i < horizons.size(); ++i)
      objective_.finish(horizons[i], omega_[i], rho_bar_[i]);
    descend();
  }

 private:
  void evaluate(std::int64_t index, Stack& trace, Stack& found) {
    const std::vector<Weighted>& horizons = objective_.horizons;
    const std::int64_t begin = index * kSearchTile, end = begin + kSearchTile;
    const auto before = [](const Weighted& horizon, std::int64_t step) { return horizon.step < step; };
    const auto first = std::lower_bound(horizons.begin(), horizons.end(), begin + 1, before);
    const auto last = std::lower_bound(first, horizons.end(), end + 1, before);
    if (first == last) return;
    AdjointTile tile;
    std::fill_n(tile.rho, kSearchTile, 1.0);
    std::fill_n(tile.weight, kSearchTile, 0.0);
    for (auto horizon = first; horizon != last; ++horizon) {
      tile.rho[horizon->step - 1 - begin] = horizon->rho;
      tile.weight[horizon->step - 1 - begin] = horizon->weight;
    }
    const AdjointOptions options = {objective_.is_free && !objective_.rho_given, objective_.gamma};
    const int count = static_cast<int>(last[-1].step - begin);
    kernels_.tile(schedule_, options, begin, count, tile, trace, found);
    for (auto horizon = first; horizon != last; ++horizon) {
      const std::int64_t i = horizon - horizons.begin();
      omega_[i] = tile.omega[horizon->step - 1 - begin];
      rho_bar_[i] = tile.rho_bar[horizon->step - 1 - begin];
    }
  }

  /// Adds what some tiles found to the blocks and steps it belongs to.
  void collect(const Stack& found) {
    const double* at = found.data;
    const double* const end = found.data + found.size;
    while (at < end) {
      if (at[0] == kStepsFound) {
        const std::int64_t first = static_cast<std::int64_t>(at[1]),
                           count = static_cast<std::int64_t>(at[2]);
        at = add(at + 3, count, objective_.out.eta + first);
        if (schedule_.norm)
          at = add(at, count, objective_.out.norm ? objective_.out.norm + first : nullptr);
      } else {
        double* const record =
            adjoint_[static_cast<int>(at[0])] + static_cast<std::int64_t>(at[1]) * kernels_.record;
        at = add(at + 2, kernels_.record, record);
      }
    }
  }

  static const double* add(const double* from, std::int64_t count, double* to) {
    for (std::int64_t i = 0; i < count && to; ++i) to[i] += from[i];
    return from + count;
  }

  void descend() {
    const std::int64_t leaves = schedule_.tree.leaves;
    const auto by_blocks = [&](std::int64_t blocks, const auto& body) {
      parallel_for((blocks + kUnitBlocks - 1) / kUnitBlocks, threads_,
                   [&](std::int64_t unit, int) {
                     body(unit * kUnitBlocks, std::min((unit + 1) * kUnitBlocks, blocks));
                   },
                   interrupt_);
    };
    int top = 0;
    while (leaves >> (top + 1) > 0) ++top;
    for (int level = top; level > 0; --level) {
      by_blocks(leaves >> level, [&](std::int64_t first, std::int64_t last) {
        kernels_.push(schedule_, adjoint_, level, first, last);
      });
    }
    by_blocks(leaves, [&](std::int64_t first, std::int64_t last) {
      kernels_.leaves(schedule_, adjoint_[0], first, last, objective_.out.eta, objective_.out.norm);
    });
  }

  const AdjointKernels& kernels_;
  const Objective& objective_;
  const int threads_;
  const std::function<void()>& interrupt_;
  FastSchedule schedule_ = {};
  MapsMemory memory_;
  std::vector<double> moments_;
  double* adjoint_[BlockTree::kMaxLevels] = {};
  std::vector<double> omega_, rho_bar_;  // of each horizon
};

}  // namespace

bool fast_adjoint_covers(const Ranges& ranges) {
  return ranges.eta.smallest >= 1e-100 && ranges.eta.sum <= 1e100 && ranges.norm.smallest >= 1e-50 &&
         ranges.norm.largest <= 1e50;
}

void fast_adjoint(const Kernels& kernels, const Recursion& recursion, const Schedule& steps,
                  const Objective& objective, int threads, const std::function<void()>& interrupt) {
  FastAdjoint(kernels, recursion, steps, objective, threads, interrupt).run();
}

}  // namespace cvxbound
