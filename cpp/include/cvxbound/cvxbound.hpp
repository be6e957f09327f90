// cvxbound: last-iterate bounds of learning-rate schedules.
//
// The subgradient method x_{t+1} = x_t - gamma eta_t g_t on a convex f with ||x_1 - x*|| <= D and
// E ||g_t||^2 <= G_t^2 satisfies, for every horizon t,
//
//     E f(x_t) - f* <= Omega_t = D^2 distance_t / gamma + G^2 gamma noise_t,
//
// with the split into `distance` and `noise` computed here for D = 1 and norms in units of G:
//
//     average  the averaged (and the best) iterate
//     last     Schaipp et al., ICML 2025 (arXiv 2501.18965), Theorem 1
//     tight    the key lemma of Zamani & Glineur (arXiv 2307.11134), minimised over its free
//              parameter rho; equal to the exact worst case for constant norms wherever that has
//              been computed
//
// C++17, no dependencies. Functions are safe to call from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cvxbound/segment.hpp"

namespace cvxbound {

enum class Kind { last, tight, average };

/// What stands for the last step eta_t of a horizon, on which x_t does not depend: eta_t itself, the
/// step before it, or the best positive number. `tight` always uses the best.
enum class LastStep { given, repeat, free };

/// How many horizons are evaluated: each by its own walk, or all of them together in linear time.
enum class Method { automatic, direct, fast };

/// A batch of schedules. Item i pairs row eta_row[i] of `eta` with row norm_row[i] of `norm` and
/// entry gamma_row[i] of `gamma`; a null index array means row i.
struct Batch {
  std::int64_t items = 0;
  std::int64_t steps = 0;                   ///< T, the length of every row
  const double* eta = nullptr;              ///< [rows, steps], in [0, 1e300]
  const double* norm = nullptr;             ///< [rows, steps], in [0, 1e100], or null for G = 1
  const double* gamma = nullptr;            ///< base learning rates in units of D/G, or null: the best
  const std::int64_t* eta_row = nullptr;    ///< [items]
  const std::int64_t* norm_row = nullptr;   ///< [items]
  const std::int64_t* gamma_row = nullptr;  ///< [items]
  const std::int64_t* horizons = nullptr;   ///< [horizon_count], each in 1..steps; null: all of them
  std::int64_t horizon_count = 0;
};

struct Options {
  Kind kind = Kind::last;
  LastStep last_step = LastStep::given;
  Method method = Method::automatic;
  double rtol = 1e-12;              ///< relative error of Method::fast, from 1e-12
  int threads = 0;                  ///< 0: default_threads()
  std::function<void()> interrupt;  ///< called now and then on the calling thread; may throw
};

/// Outputs, [items, horizons] each, null where not wanted; `rho` is the virtual last step the split
/// belongs to, `omega` the bound at the item's gamma (infinite without gammas where a term is).
struct Terms {
  double* distance = nullptr;
  double* noise = nullptr;
  double* rho = nullptr;
  double* omega = nullptr;
};

/// The split of the bound at the chosen horizons.
///
/// `last` with a fixed last step and `average` do not depend on gamma. Where rho is free it is the
/// global minimiser of distance / gamma + gamma noise, or of distance * noise without gamma.
/// A horizon whose last step is zero after a positive one has noise = inf for `last`; one before
/// which all steps are zero has distance = inf.
///
/// Cost: Method::direct takes O(t) for one horizon and O(T^2) for all, with a relative error below 1e-13
/// (1e-14 log2(T) for one horizon); Method::fast takes O(T) for all, with a relative error below rtol;
/// Method::automatic takes the cheaper one. `average` is O(T). Results do not depend on the number of
/// threads.
/// Throws std::invalid_argument naming row and entry for a step or norm out of range.
void terms(const Batch& batch, const Options& options, const Terms& out);

/// Schedules that are made of segments, with G = 1; of each its own horizons.
struct SegmentBatch {
  std::int64_t items = 0;
  std::int64_t width = 0;             ///< segments of a schedule, those without steps included
  const Segment* segments = nullptr;  ///< [items, width]
  const double* gamma = nullptr;      ///< [items], in units of D/G, or null: the best
  const std::int64_t* horizons =
      nullptr;  ///< [items, horizon_count], each at most the steps; 0: not wanted
  std::int64_t horizon_count = 0;
};

/// The split of the bound at the chosen horizons, without a schedule in memory; NaN where not wanted.
/// `omega` of the outputs is not used.
///
/// Method::direct lays out and walks every step, O(t) a horizon. Method::fast takes O(log t) a horizon,
/// with a relative error below 1e-11: neighbouring steps are summed in panels that are halved until they
/// are exact enough, and walked where they never are. Where the last step is free and a schedule is so
/// rough that most of its steps would be walked, or short, it is laid out, one at a time. Results do not
/// depend on the number of threads. Throws std::invalid_argument naming the item for a segment or horizon
/// out of range.
void terms(const SegmentBatch& batch, const Options& options, const Terms& out);

/// The learning rates of a schedule of `count` segments, one a step.
void lay_out(const Segment* segments, std::int64_t count, double* eta);

/// Outputs of `gradient`; all but `eta` may be null.
struct Gradients {
  double* omega = nullptr;  ///< [items, horizons], NaN where the weight is 0
  double* eta = nullptr;    ///< [items, steps]
  double* norm = nullptr;   ///< [items, steps]; needs norms in the batch
  double* rho = nullptr;    ///< [items, horizons]
};

/// Exact derivatives of J = sum_t weight_t Omega_t with respect to the steps, the norms and the virtual
/// last steps, where Omega_t = distance_t / gamma + gamma noise_t, or 2 sqrt(distance_t noise_t) without
/// gamma.
///
/// `weight` is [items, horizons], each finite. `rho`, [items, horizons], are the virtual last steps to use;
/// null: those of `terms`. Where these are a step of the schedule, the derivative counts as that step's;
/// where they are the best ones, it vanishes.
///
/// Cost: a few times that of `terms`: O(t) a horizon for Method::direct, O(T log T) for Method::fast, whose
/// error is below 1e-10 of the largest product of a step and its derivative. Results do not depend on the
/// number of threads. Throws std::invalid_argument as `terms`, and for a horizon with a weight but no
/// finite bound.
void gradient(const Batch& batch, const Options& options, const double* weight, const double* rho,
              const Gradients& out);

/// distance and noise of `last` or `tight` at horizon t = steps for given positive virtual last steps
/// rho[0 .. count). Each is a valid bound. Same errors as `terms`.
void walk(Kind kind, const double* eta, const double* norm, std::int64_t steps, const double* rho,
          std::int64_t count, double* distance, double* noise);

/// Instruction sets compiled in and supported by this processor, best last.
std::vector<std::string> available_isas();

/// The instruction set in use: the best available one, or the one CVXBOUND_FORCE_ISA names.
std::string active_isa();

/// CVXBOUND_NUM_THREADS if set, else the processors this process may run on.
int default_threads();

}  // namespace cvxbound
