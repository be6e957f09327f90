// The schedules of a batch as a thread sees them, and where its results go.
#pragma once

#include <cstdint>

#include "cvxbound/cvxbound.hpp"
#include "portable.hpp"
#include "split.hpp"

namespace cvxbound {
namespace cuda {

struct Row {
  const double* eta;
  const double* norm;  ///< null: G = 1

  CVX_PORTABLE double norm_at(std::int64_t k) const { return norm ? norm[k] : 1.0; }
};

/// The pairs of an item and a horizon that a launch computes: pair i is horizon i % horizons of item
/// i / horizons.
struct Pairs {
  Batch batch;
  Terms out;
  bool repeat;  ///< eta_{t-1} in place of eta_t

  CVX_PORTABLE std::int64_t horizons() const { return batch.horizons ? batch.horizon_count : batch.steps; }
  CVX_PORTABLE std::int64_t count() const { return batch.items * horizons(); }

  CVX_PORTABLE static std::int64_t row(const std::int64_t* index, std::int64_t item) {
    return index ? index[item] : item;
  }
  CVX_PORTABLE Row schedule(std::int64_t item) const {
    const double* norm = batch.norm ? batch.norm + row(batch.norm_row, item) * batch.steps : nullptr;
    return {batch.eta + row(batch.eta_row, item) * batch.steps, norm};
  }
  CVX_PORTABLE std::int64_t horizon(std::int64_t i) const {
    return batch.horizons ? batch.horizons[i % horizons()] : i % horizons() + 1;
  }
  /// 0 for the best base learning rate.
  CVX_PORTABLE double gamma(std::int64_t item) const {
    return batch.gamma ? batch.gamma[row(batch.gamma_row, item)] : 0.0;
  }

  /// The virtual last step of horizon t where it is not free.
  CVX_PORTABLE double fixed_rho(const Row& row, std::int64_t t) const {
    return row.eta[repeat && t > 1 ? t - 2 : t - 1];
  }

  CVX_PORTABLE void write(std::int64_t i, const Split& split) const {
    if (out.distance) out.distance[i] = split.distance;
    if (out.noise) out.noise[i] = split.noise;
    if (out.rho) out.rho[i] = split.rho;
    if (out.omega) {
      const double weight = gamma(i / horizons());
      out.omega[i] = split.distance / weight + weight * split.noise;
    }
  }

  /// The result of `last` for a fixed last step: from R_0, sum eta_k^2 G_k^2 / R_k, and the steps before,
  /// which decide where the last one is zero; the other two mean nothing then.
  CVX_PORTABLE void write_last(std::int64_t i, const Row& row, std::int64_t t, double R, double sum,
                               double moved) const {
    const double rho = fixed_rho(row, t), norm = row.norm_at(t - 1);
    write(i, rho > 0 ? Split{0.5 / R, 0.5 * ((rho * norm) * norm + sum), rho} : zero_last_step(moved));
  }
};

}  // namespace cuda
}  // namespace cvxbound
